# SPDX-License-Identifier: ISC
"""RETR and TOP give back what was stored, octet for octet, and LIST says how many these are."""

import random

from trivet import drop, equal, pop3, wait_until

DAEMONS = ("pop3d",)


def retrieved(connection, number):
    """poplib un-stuffs; each line had CRLF."""
    return b"".join(line + b"\r\n" for line in connection.retr(number)[1])


def size_of(connection, number):
    return int(connection.list(number).split()[2])


def check(site, user, octets, expected=None):
    expected = octets if expected is None else expected
    drop(site, user, octets)
    for door in ("pop3_port", "pop3s_port"):
        c = pop3(site, user, door)
        equal(size_of(c, 1), len(expected), f"LIST through {door}")
        equal(retrieved(c, 1), expected, f"RETR through {door}")
        c.quit()


def test_a_message_of_two_megabytes_comes_back_whole(site):
    lines = [bytes(random.choices(b"abcdefgh. \t\xea\xb0\x80", k=random.randrange(0, 900))) for _ in range(4700)]
    check(site, 1, b"Subject: large\r\n\r\n" + b"\r\n".join(lines) + b"\r\n")


def test_a_message_of_dots_only_comes_back_whole(site):
    check(site, 2, b"Subject: dots\r\n\r\n" + b".\r\n" * 50000)


def test_a_line_of_a_megabyte_comes_back_whole(site):
    check(site, 3, b"Subject: line\r\n\r\n" + b"x" * 1_000_000 + b"\r\n")


def test_a_file_with_bare_line_feeds_gets_line_ends(site):
    check(site, 4, b"Subject: lf\n\none\n.two\n", b"Subject: lf\r\n\r\none\r\n.two\r\n")


def test_a_message_without_a_last_line_end_is_still_ended(site):
    drop(site, 5, b"Subject: end\r\n\r\nno end")
    c = pop3(site, 5)
    equal(c.retr(1)[1], [b"Subject: end", b"", b"no end"])
    equal(c.stat()[0], 1)
    c.quit()


def test_an_empty_message_and_one_without_a_body_are_no_trouble(site):
    """RFC 1939 11."""
    drop(site, 6, b"")
    drop(site, 6, b"Subject: header only\r\n")
    c = pop3(site, 6)
    equal(c.stat()[0], 2)
    equal(c.retr(1)[1], [])
    equal(c.retr(2)[1], [b"Subject: header only"])
    equal(c.top(2, 5)[1], [b"Subject: header only"])
    c.quit()


def test_a_thousand_messages_are_listed_fetched_and_deleted_in_one_session(site):
    for n in range(1000):
        drop(site, 7, b"Subject: %d\r\n\r\nbody %d\r\n" % (n, n))
    c = pop3(site, 7)
    equal(c.stat()[0], 1000)
    ids = [line.split()[1] for line in c.uidl()[1]]
    equal(len(set(ids)), 1000, "unique ids")
    subjects = set()
    for n in range(1, 1001):
        subjects.add(retrieved(c, n).split(b"\r\n")[0])
        c.dele(n)
    equal(len(subjects), 1000, "subjects")
    c.quit()
    c = pop3(site, 7)
    equal(c.stat(), (0, 0))
    c.quit()


def test_a_message_that_arrives_during_the_session_is_there_in_the_next(site):
    drop(site, 8, b"Subject: one\r\n\r\n1\r\n")
    c = pop3(site, 8)
    drop(site, 8, b"Subject: two\r\n\r\n2\r\n")
    equal(c.stat()[0], 1)
    first = c.uidl(1).split()[2]
    c.dele(1)
    c.quit()
    c = pop3(site, 8)
    equal(c.stat()[0], 1)
    equal(retrieved(c, 1).split(b"\r\n")[0], b"Subject: two")
    if c.uidl(1).split()[2] == first:
        raise AssertionError("the id of the deleted message came back")
    c.quit()


def test_two_sessions_of_one_account_see_each_others_deletions_as_gone(site):
    drop(site, 9, b"Subject: one\r\n\r\n1\r\n")
    a, b = pop3(site, 9), pop3(site, 9)
    a.dele(1)
    a.quit()

    def is_refused():
        try:
            b.retr(1)
            return False
        except Exception as e:
            return str(e)
    wait_until("the other session's RETR says that the message is gone", is_refused)
    equal(b.noop()[:3], b"+OK")
    b.quit()
