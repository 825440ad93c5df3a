# SPDX-License-Identifier: ISC
"""INPROGRESS (RFC 9585 4): a command that takes long says how far it is."""

import itertools
import os
import re
import select
import signal
import time

from sites import title_of
from trivet import Wire, drop, message, name_of, pids_of

DAEMONS = ("imapd",)
USERS = 2
# What no index can say of a text of which each three letters are there: all of it is looked through for each.
TEXT = "one two three one two\r\n" * 2000
NOT_THERE = [b" ".join(words) for words in itertools.product((b"one", b"two", b"three"), repeat=4)]


def keeper_of(site, user):
    return next(pid for pid in pids_of(site, "imapd", "keeper") if f"keeper {name_of(user)}@" in title_of(pid))


def search_interrupted(site, user, tag, seconds):
    """What a search answers whose keeper stands still for so long in the middle of it; None: it was through before."""
    with Wire(site, "imap_port") as c:
        c.line()
        c.say(b"l LOGIN %s %s" % (name_of(user).encode(), site.password.encode()))
        c.until(b"l OK")
        c.say(b"s SELECT INBOX")
        c.until(b"s OK")
        keeper = keeper_of(site, user)
        c.say(tag + b" SEARCH " + b" ".join(b'NOT BODY "two two %s"' % words for words in NOT_THERE))
        time.sleep(0.03)
        os.kill(keeper, signal.SIGSTOP)
        try:
            if select.select([c.socket], [], [], 0.2)[0]:
                return None
            time.sleep(seconds)
        finally:
            os.kill(keeper, signal.SIGCONT)
        lines = c.until(tag)
        assert lines[-1].startswith(tag + b" OK"), lines[-1]
        return lines


def interrupted(site, tag, seconds):
    """The mailbox becomes larger until one search lasts long enough to be stopped."""
    for _ in range(6):
        for n in range(400):
            drop(site, 1, message(subject=str(n), body=TEXT))
        lines = search_interrupted(site, 1, tag, seconds)
        if lines:
            return lines
    raise AssertionError("every search was through at once")


def test_a_long_search_tells_how_far_it_is(site):
    """RFC 9585 3, 4, 5: about every ten seconds; never in the tagged answer, never inside of another line."""
    lines = interrupted(site, b"t1", 10.5)
    told = [line for line in lines if b"INPROGRESS" in line]
    assert len(told) == 1, lines
    found = re.fullmatch(rb'\* OK \[INPROGRESS \("t1" (\d+) (\d+)\)\] .+', told[0])
    assert found and int(found[1]) < int(found[2]), told
    assert lines.index(told[0]) < next(i for i, line in enumerate(lines) if line.startswith(b"* SEARCH"))


def test_a_tag_that_cannot_stand_there_is_nil(site):
    """RFC 9585 4: one with "]"."""
    lines = interrupted(site, b"t]1", 10.5)
    assert any(re.fullmatch(rb"\* OK \[INPROGRESS \(NIL \d+ \d+\)\] .+", line) for line in lines), lines


def test_what_is_soon_done_tells_nothing(site):
    lines = interrupted(site, b"t2", 1)
    assert not any(b"INPROGRESS" in line for line in lines), lines
