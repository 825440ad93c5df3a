# SPDX-License-Identifier: ISC
"""SEARCH gives the answers of a search without any index, over messages in ten charsets and more: while it reads the
messages, while search.db is being filled, and when that is done (RFC 3501 6.4.4)."""

import os
import sqlite3

from imap_session import Literal, Session
from polyglot import Asker, Generator
from runner import only_long, seconds, slow_build
from trivet import drop, equal, wait_until

USERS = 2


def fill(site, user, count):
    generator = Generator(seed=count)
    messages = [generator.message() for _ in range(count)]
    for n, m in enumerate(messages):
        drop(site, user, m.octets, name=f"{1700000000 + n}.P{n:06}.polyglot")
    return messages


def command(key, text):
    if key in ("BODY", "TEXT", "SUBJECT", "FROM"):
        return f"SEARCH CHARSET UTF-8 {key} "
    return f"SEARCH CHARSET UTF-8 HEADER {key} "


def ask_all(session, asker, keys):
    wrong = []
    for key, text in keys:
        found = session.ok(command(key, text), Literal(text.encode())).found()
        expected = asker.expected(key, text)
        if sorted(found) != expected:
            wrong.append((key, text, len(found), len(expected), sorted(set(found) ^ set(expected))[:5]))
    equal(wrong, [], "keys with other answers (key, text, found, expected, the first that differ)")


def is_filled(site, user, count):
    path = f"{site.maildir(f'user{user}')}/.trivet/search.db"
    if not os.path.exists(path):
        return False
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        held = db.execute("SELECT count(*) FROM messages").fetchone()[0]
        return held == count and db.execute("SELECT count(*) FROM blocks").fetchone()[0] == count // 256
    except sqlite3.OperationalError:
        return False
    finally:
        db.close()


def compare(site, user, count, keys):
    messages = fill(site, user, count)
    asker = Asker(count, messages)
    with Session(site, user, timeout=60) as session:
        session.ok("SELECT INBOX")
        equal(session.exists, count)
        ask_all(session, asker, [asker.key() for _ in range(keys // 4)])
        wait_until("search.db is filled", lambda: is_filled(site, user, count), 120 * slow_build())
        ask_all(session, asker, [asker.key() for _ in range(keys)])


@seconds(120)
def test_answers_are_those_of_a_search_without_an_index(site):
    compare(site, 1, 700, 200)


@only_long
@seconds(1200)
def test_answers_are_those_of_a_search_without_an_index_of_5000_messages(site):
    compare(site, 2, 5000, 1500)
