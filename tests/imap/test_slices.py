# SPDX-License-Identifier: ISC
"""COPY, MOVE, EXPUNGE and CLOSE of very many messages: the account's other sessions are answered meanwhile, the client is told
how far it is, and whoever is cut off has left nothing half done."""

import os
import re
import select
import signal
import socket
import struct
import time

from sites import title_of
from trivet import Wire, equal, message, name_of, pids_of, wait_until

DAEMONS = ("imapd",)
USERS = 4
MANY = 20480
# Answers to another session while that lasts: it takes its turn between slices of 10 ms.
TURNS = 8


def login(site, user, *commands):
    c = Wire(site, "imap_port", timeout=60)
    c.line()
    for n, command in enumerate((b"LOGIN %s %s" % (name_of(user).encode(), site.password.encode()), *commands)):
        c.say(b"i%d " % n + command)
        lines = c.until(b"i%d " % n)
        assert lines[-1].startswith(b"i%d OK" % n), lines[-1]
    return c


def ask(c, command):
    c.say(b"a " + command)
    lines = c.until(b"a ")
    assert lines[-1].startswith(b"a OK"), lines[-1]
    return lines


def messages_of(c, mailbox):
    line = next(line for line in ask(c, b"STATUS %s (MESSAGES)" % mailbox) if line.startswith(b"* STATUS"))
    return int(re.search(rb"MESSAGES (\d+)", line)[1])


def make_many(site, user, mailbox):
    """Each COPY into itself doubles it."""
    c = login(site, user, b"CREATE " + mailbox)
    octets = message()
    for _ in range(40):
        c.say(b"p APPEND %s {%d+}" % (mailbox, len(octets)))
        c.say(octets)
        assert c.until(b"p ")[-1].startswith(b"p OK")
    ask(c, b"SELECT " + mailbox)
    count = 40
    while count < MANY:
        ask(c, b"COPY 1:* " + mailbox)
        count *= 2
        ask(c, b"NOOP")
    equal(messages_of(c, mailbox), MANY)
    c.close()


def keeper_of(site, user):
    return next(pid for pid in pids_of(site, "imapd", "keeper") if f"keeper {name_of(user)}@" in title_of(pid))


def kill_keeper(site, user, _connection):
    os.kill(keeper_of(site, user), signal.SIGKILL)


def cut_connection(_site, _user, connection):
    """At once, not when all is sent and read."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def login_again(site, user, *commands):
    """What comes to a keeper that is dying ends with it."""
    def attempt():
        try:
            return login(site, user, *commands)
        except (AssertionError, ConnectionError):
            return None
    return wait_until("somebody can log in again", attempt)


def is_answered(c):
    return bool(select.select([c.socket], [], [], 0)[0])


def beside(c, command, other, question):
    """What `other` is answered, again and again, until c is: a list of numbers of messages."""
    c.say(b"long " + command)
    told = []
    while not is_answered(c):
        told.append(messages_of(other, question))
    lines = c.until(b"long ")
    assert lines[-1].startswith(b"long OK"), lines[-1]
    return told, lines


def files_in(site, user, folder):
    return len([name for name in os.listdir(f"{site.maildir(name_of(user))}/{folder}") if not name.startswith(".")])


def test_others_are_answered_while_many_are_copied_moved_and_expunged(site):
    """RFC 3501 6.4.7: all or none are copied, which is so for who looks in between, too. RFC 6851 3.3: each is in one
    of the two."""
    make_many(site, 1, b"Many")
    c = login(site, 1, b"CREATE Box", b"CREATE Third", b"SELECT Many")
    other = login(site, 1)
    told, lines = beside(c, b"UID COPY 1:* Box", other, b"Box")
    equal(len(lines), 1, "nothing but COPYUID")
    assert re.match(rb"long OK \[COPYUID \d+ 1:%d 1:%d\]" % (MANY, MANY), lines[-1]), lines[-1]
    assert len(told) >= TURNS, told
    equal(set(told) - {0, MANY}, set(), "parts of the copy that were seen")
    equal(messages_of(other, b"Box"), MANY)

    ask(c, b"SELECT Box")
    told, lines = beside(c, b"MOVE 1:* Third", other, b"Third")
    assert len(told) >= TURNS, told
    equal(told, sorted(told), "more and more of them")
    assert re.match(rb"\* OK \[COPYUID \d+ 1:%d 1:%d\]" % (MANY, MANY), lines[0]), lines[0]
    equal(sum(line.endswith(b" EXPUNGE") for line in lines), MANY)

    ask(c, b"SELECT Third")
    ask(c, rb"STORE 1:* +FLAGS.SILENT (\Deleted)")
    told, lines = beside(c, b"UID EXPUNGE 1:%d" % (MANY // 2), other, b"Third")
    assert len(told) >= TURNS // 2, told
    equal(told, sorted(told, reverse=True), "fewer and fewer of them")
    equal(sum(line.endswith(b" EXPUNGE") for line in lines), MANY // 2)
    told, lines = beside(c, b"CLOSE", other, b"Third")
    assert len(told) >= TURNS // 2, told
    equal(len(lines), 1, "a CLOSE tells nothing")
    equal(messages_of(other, b"Third"), 0)
    c.close()
    other.close()


def test_a_long_copy_tells_how_far_it_is(site):
    """RFC 9585 3, 4: for COPY and MOVE too."""
    make_many(site, 2, b"Many")
    c = login(site, 2, b"CREATE Box", b"SELECT Many")
    keeper = keeper_of(site, 2)
    c.say(b"t1 COPY 1:* Box")
    time.sleep(0.05)
    os.kill(keeper, signal.SIGSTOP)
    assert not is_answered(c)
    time.sleep(10.5)
    os.kill(keeper, signal.SIGCONT)
    lines = c.until(b"t1 ")
    assert lines[-1].startswith(b"t1 OK"), lines[-1]
    told = [re.fullmatch(rb'\* OK \[INPROGRESS \("t1" (\d+) (\d+)\)\] .+', line) for line in lines[:-1]]
    equal(len(told), 1, lines[:-1])
    assert int(told[0][1]) < int(told[0][2]), lines[0]
    c.close()


def test_a_copy_that_is_cut_off_leaves_nothing(site):
    """RFC 3501 6.4.7: the mailbox is as it was before; by the death of the keeper, and of the connection."""
    make_many(site, 3, b"Many")
    c = login(site, 3, b"CREATE Box")
    cut = 0
    for seconds in (0.02, 0.1, 0.2):
        for end in (kill_keeper, cut_connection):
            one = login(site, 3, b"SELECT Many")
            one.say(b"x COPY 1:* Box")
            time.sleep(seconds)
            cut += not is_answered(one)
            end(site, 3, one)
            one.close()
            c.close()
            c = login_again(site, 3, b"SELECT Box")
            there = messages_of(c, b"Box")
            assert there in (0, MANY), there
            wait_until("what was linked is gone", lambda there=there: files_in(site, 3, ".Box/cur") == there)
            equal(messages_of(c, b"Many"), MANY)
            if there:
                ask(c, b"UNSELECT")
                ask(c, b"DELETE Box")
                ask(c, b"CREATE Box")
    assert cut > 0, "each was through at once"
    c.close()


def test_a_move_that_is_cut_off_has_moved_each_or_not(site):
    """RFC 6851 3.3: no message is lost, and none is in both."""
    make_many(site, 4, b"Many")
    c = login(site, 4, b"CREATE Box")
    for seconds in (0.1, 0.3, 0.5):
        one = login(site, 4, b"SELECT Many")
        one.say(b"x MOVE 1:* Box")
        time.sleep(seconds)
        kill_keeper(site, 4, one)
        one.close()
        c.close()
        c = login_again(site, 4, b"SELECT Box", b"SELECT Many")
        equal(messages_of(c, b"Box") + messages_of(c, b"Many"), MANY)
        equal(files_in(site, 4, ".Box/cur"), messages_of(c, b"Box"))
        equal(files_in(site, 4, ".Many/cur"), messages_of(c, b"Many"))
    c.close()
