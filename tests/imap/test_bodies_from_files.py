# SPDX-License-Identifier: ISC
"""A body that is known to hold no NUL goes from its file to the client: the same octets as one that is read and looked at."""

import contextlib
import os
import sqlite3
import time

from runner import slow_build
from test_compress import Deflated
from trivet import Wire, drop, equal, imap, memory_of, message_files, name_of, ok, pids_of, send, wait_until

DAEMONS = ("imapd", "smtpd")
USERS = 12
MIB = 1 << 20
LEAST, SLICE = 8 * 1024, 256 * 1024    # FILE_LEAST and FILE_SLICE of imapd/fetch_body.h


def text(size):
    """Each octet of it says where it stands."""
    lines = b"Subject: all of it\r\n\r\n" + b"".join(b"%015d\r\n" % n for n in range(size // 17 + 1))
    return lines[:size - 2] + b"\r\n"


def known(site, user):
    """Of each message in order: is it known to hold no NUL?"""
    with contextlib.closing(sqlite3.connect(f"file:{site.maildir(name_of(user))}/.trivet/index.db?mode=ro", uri=True)) as db:
        return [no_nul == 1 for no_nul, in db.execute("SELECT no_nul FROM files ORDER BY key")]


def as_dovecot(octets, number):
    """The name of a file that nobody has to read to take it in."""
    return f"{1700000000 + number}.M{number}P{os.getpid()}.outside,S={len(octets)},W={len(octets)}"


def body(connection, section="BODY.PEEK[]"):
    return ok(connection.fetch("1", f"({section})"))[0][1]


def put(site, user, *messages):
    """Messages that are known to hold no NUL; a session that has them selected."""
    for octets in messages:
        drop(site, user, octets)
    c = imap(site, user, select="INBOX")
    ok(c.fetch("1:*", "(ENVELOPE)"))
    equal(known(site, user), [True] * len(messages))
    return c


def keeper_of(site, user):
    for pid in pids_of(site, "imapd", "keeper"):
        if site.processes("imapd")[pid].endswith(site.address(user)):
            return pid
    raise AssertionError("there is no keeper")


def has_parts(site, user, octets):
    for door in ("imap_port", "imaps_port"):
        c = imap(site, user, door, select="INBOX")
        begin = octets.index(b"\r\n\r\n") + 4
        equal(body(c), octets, door)
        equal(body(c, "BODY.PEEK[TEXT]"), octets[begin:], f"its text, {door}")
        for at, n in ((0, LEAST - 1), (0, LEAST), (1, LEAST + 1), (4096, SLICE - 1), (4097, SLICE), (3, SLICE + 1),
                      (len(octets) - LEAST, LEAST), (len(octets) - LEAST, LEAST + 5), (17, 2 * SLICE + 100), (len(octets), 9)):
            equal(body(c, f"BODY.PEEK[]<{at}.{n}>"), octets[at:at + n], f"{n} from {at}, {door}")
        several = ok(c.fetch("1", "(UID BODY.PEEK[] BODY.PEEK[]<20.9000> BODY.PEEK[TEXT] BODY.PEEK[HEADER] BODY.PEEK[]<5.5>)"))
        parts = [part[1] for part in several if isinstance(part, tuple)]
        assert sorted(parts) == sorted([octets, octets[20:9020], octets[begin:], octets[:begin], octets[5:10]])
        c.logout()
    with Deflated(site, user) as c:
        c.compress()
        c.ask("SELECT INBOX")
        c.say(b"t FETCH 1 BODY.PEEK[]")
        assert c.line().endswith(b"BODY[] {%d}" % len(octets))
        equal(c.octets(len(octets)), octets, "compressed")
        c.until(b"t OK")


def test_all_octets_and_any_part_of_them_come_back(site):
    """RFC 3501 6.4.5: read first, as nobody has looked at it, then sent from the file."""
    octets = text(3 * MIB + 4321)
    drop(site, 1, octets, name=as_dovecot(octets, 1))
    has_parts(site, 1, octets)
    equal(known(site, 1), [False])
    c = imap(site, 1, select="INBOX")
    ok(c.fetch("1", "(ENVELOPE)"))
    c.logout()
    equal(known(site, 1), [True])
    has_parts(site, 1, octets)


def test_what_is_delivered_appended_or_copied_is_known(site):
    octets = text(70 * 1024)
    send(site, octets, to="user2")
    c = imap(site, 2)
    ok(c.append("INBOX", None, None, octets))
    ok(c.append("INBOX", None, None, text(5 * MIB)))
    drop(site, 2, octets)       # its size has to be counted: that takes reading it
    ok(c.create("Other"))
    ok(c.select("INBOX"))
    equal(known(site, 2), [True] * 4)
    ok(c.copy("1:*", "Other"))
    ok(c.uid("MOVE", "2", "Other"))
    ok(c.select("Other"))
    equal(known(site, 2), [True] * 8)
    for number in ("2", "5"):
        equal(ok(c.fetch(number, "(BODY.PEEK[])"))[0][1], octets, f"message {number}")
    equal(ok(c.fetch("3", "(BODY.PEEK[])"))[0][1], text(5 * MIB))
    c.logout()


# RFC 3501 section 9, RFC 9051 section 9: CHAR8 of a literal has none.
def test_a_nul_never_stands_in_a_literal(site):
    octets = text(2 * SLICE)
    octets = octets[:SLICE + 100] + b"\0" + octets[SLICE + 101:-3] + b"\0\r\n"
    drop(site, 3, octets, name=as_dovecot(octets, 1))
    drop(site, 3, octets, name=f"{1700000002}.M2P2.outside")
    c = imap(site, 3, select="INBOX")
    for _ in range(2):
        for number in ("1", "2"):
            equal(ok(c.fetch(number, "(BODY.PEEK[])"))[0][1], octets.replace(b"\0", b"\x80"))
            equal(ok(c.fetch(number, f"(BODY.PEEK[]<{SLICE}.{LEAST}>)"))[0][1],
                  octets[SLICE:SLICE + LEAST].replace(b"\0", b"\x80"))
        ok(c.fetch("1:2", "(ENVELOPE BODYSTRUCTURE)"))
    equal(known(site, 3), [False, False])
    c.logout()


def test_line_feeds_alone_become_line_ends(site):
    octets = b"Subject: lf\n\n" + b"one\ntwo\n" * 5000
    drop(site, 4, octets)
    c = imap(site, 4, select="INBOX")
    ok(c.fetch("1", "(ENVELOPE)"))
    equal(known(site, 4), [True])
    equal(body(c), octets.replace(b"\n", b"\r\n"))
    equal(body(c, "BODY.PEEK[]<9000.9000>"), octets.replace(b"\n", b"\r\n")[9000:18000])
    c.logout()


def test_an_expunged_message_is_sent_to_its_end(site):
    """Another session removes it while it is on its way."""
    octets = text(20 * MIB)
    c = put(site, 5, octets, text(100))
    with Wire(site, "imap_port", timeout=30) as slow:
        slow.line()
        slow.say(b"a LOGIN user5 %s" % site.password.encode())
        slow.until(b"a OK")
        slow.say(b"b SELECT INBOX")
        slow.until(b"b OK")
        slow.say(b"c FETCH 1:2 BODY.PEEK[]")
        assert slow.line() == b"* 1 FETCH (BODY[] {%d}" % len(octets)
        ok(c.store("1", "+FLAGS", r"(\Deleted)"))
        ok(c.expunge())
        wait_until("the file to be gone", lambda: len(message_files(site, 5)) == 1)
        equal(slow.octets(len(octets)), octets)
        assert b")" == slow.line()
        slow.until(b"c ")
        slow.say(b"d NOOP")
        assert b"* 1 EXPUNGE" in slow.until(b"d OK")
    c.logout()


def deaf_client(site, user, *commands):
    c = Wire(site, "imap_port")
    c.say(b"a LOGIN user%d %s" % (user, site.password.encode()))
    c.until(b"a OK")
    c.say(b"b SELECT INBOX")
    c.until(b"b OK")
    for command in commands:
        c.say(command)
    return c


def test_who_does_not_read_costs_neither_memory_nor_descriptors(site):
    c = put(site, 6, text(20 * MIB), *[text(LEAST)] * 100)
    body(c, "BODY.PEEK[]<0.10>")
    keeper = keeper_of(site, 6)
    deaf_client(site, 6).close()
    before, open_before = memory_of(keeper), len(os.listdir(f"/proc/{keeper}/fd"))
    deaf = [deaf_client(site, 6, *[b"x FETCH 1 BODY.PEEK[]"] * 50), deaf_client(site, 6, *[b"x FETCH 2:* BODY.PEEK[]"] * 50)]
    time.sleep(0.5)
    grown, opened = memory_of(keeper) - before, len(os.listdir(f"/proc/{keeper}/fd")) - open_before
    assert slow_build() > 1 or grown < MIB, f"the keeper grew by {grown} octets"
    assert opened <= 2 * (8 + 2), f"the keeper opened {opened} files"
    ok(c.noop())
    for one in deaf:
        one.close()
    wait_until("the files to be closed", lambda: len(os.listdir(f"/proc/{keeper}/fd")) <= open_before)
    c.logout()


def test_a_file_that_another_program_cut_meanwhile_ends_the_session(site):
    """What was promised cannot be sent, and nothing else may stand in its place."""
    octets = text(20 * MIB)
    c = put(site, 7, octets)
    path, = message_files(site, 7)
    slow = deaf_client(site, 7, b"c FETCH 1 BODY.PEEK[]")
    assert slow.line() == b"* 1 FETCH (BODY[] {%d}" % len(octets)
    os.truncate(path, 15 * MIB)
    equal(slow.octets(len(octets)), octets[:15 * MIB])
    assert slow.line() == b""
    slow.close()
    wait_until("a line in the log", lambda: "body_unreadable" in site.tail_of("log"))
    c.logout()
