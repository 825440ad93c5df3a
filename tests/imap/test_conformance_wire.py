# SPDX-License-Identifier: ISC
"""RFC 3501 2.2, 4 and section 9 as an outside suite would try them: tags, lines, strings, literals, junk."""

import base64
import itertools

from imap_session import Literal, Plus, Session
from trivet import equal

DAEMONS = ("imapd",)
USERS = 20
users = itertools.count(1)
MAIL = b"From: a@b.test\r\nSubject: s\r\n\r\nbody\r\n"


def new(site):
    return Session(site, next(users))


def raw(s, octets):
    """The next tagged (or "*") status after these octets: (tag, word)."""
    s.send(octets)
    while True:
        r = s.response()
        words = r.octets.split()
        if words[1] in (b"OK", b"NO", b"BAD") and (r.kind != "OK" or not r.octets.startswith(b"* OK [")):
            return words[0].decode(), words[1].decode()


def test_tags_are_echoed_whatever_they_hold(site):
    for login in (False, True):
        with Session(site, next(users) if login else None) as s:
            for tag in ("a", "A1", "1", "]", "a]b", "!#$&',-./:;<=>?@^_`|}~", "x" * 100, "NOOP", "OK", "tag.with.dots"):
                equal(raw(s, tag.encode() + b" NOOP\r\n"), (tag, "OK"))
            for line in (b"+ NOOP\r\n", b"a+b NOOP\r\n", b"a(b NOOP\r\n", b"a{b NOOP\r\n", b"a%b NOOP\r\n",
                         b"a*b NOOP\r\n", b'a"b NOOP\r\n', b"a\\b NOOP\r\n",
                         b"a\x01b NOOP\r\n", b"a\xe9b NOOP\r\n", b" NOOP\r\n", b"* NOOP\r\n"):
                equal(raw(s, line), ("*", "BAD"), repr(line))
                equal(raw(s, b"t NOOP\r\n"), ("t", "OK"))


def test_a_very_long_tag_is_refused_and_the_session_lives(site):
    with new(site) as s:
        equal(raw(s, b"x" * 60000 + b" NOOP\r\n")[1], "BAD")
        equal(raw(s, b"t NOOP\r\n"), ("t", "OK"))


def test_junk_is_bad_and_the_session_lives(site):
    with new(site) as s:
        for line in (b"\r\n", b"\n", b"a\r\n", b"a \r\n", b"   \r\n", b"a NONSENSE\r\n", b"a  NOOP\r\n", b"a UID\r\n",
                     b"a UID NOOP\r\n", b"a UID SELECT INBOX\r\n", b"a NOOP NOOP\r\n",
                     b"a NO\0OP\r\n", b"a SELECT IN\0BOX\r\n", b'a SELECT "IN\0BOX"\r\n', b"\0\r\n",
                     b"a SELECT\tINBOX\r\n", b"a SELECT \r\n", b"a SELECT INBOX x\r\n",
                     b'a SELECT "INBOX\r\n', b'a SELECT "a\\x"\r\n', b'a SELECT "a"b\r\n', b"a SELECT (INBOX)\r\n",
                     b"a SELECT {x}\r\n", b"a SELECT {-1}\r\n", b"a SELECT {}\r\n",
                     b"a NOOP\r \r\n", b"a " + b"N" * 5000 + b"\r\n", b"a {5}\r\n"):
            s.send(line)
            r = s.response()
            if r.kind == "+":
                s.send(b"12345\r\n")
                r = s.response()
            equal(r.octets.split()[1], b"BAD", repr(line[:60]))
            equal(raw(s, b"t NOOP\r\n"), ("t", "OK"))


def test_what_readers_should_be_generous_with(site):
    with new(site) as s:
        for line in (b"a noop\r\n", b"a NoOp\r\n", b"a NOOP \r\n", b"a NOOP   \r\n", b"a NOOP\n",
                     b"a SELECT INBOX \r\n", b"a Uid Fetch 1:* (Flags)\r\n",
                     b"a STATUS INBOX (MESSAGES) \r\n", b'a list "" "*" \r\n', b"a UID search all \r\n",
                     b"a CLOSE\r\n"):
            equal(raw(s, line), ("a", "OK"), repr(line))


def test_quoted_strings_have_two_escapes(site):
    with new(site) as s:
        s.ok('CREATE "a\\"b"')
        s.ok('CREATE "a\\\\b"')
        equal({'a"b', "a\\b"} <= set(s.ok('LIST "" "a*"').names()), True)
        s.ok("SELECT ", Plus(b'a"b'))
        s.ok("SELECT ", Literal(b"a\\b"))
        s.bad('SELECT "a\\b"')
        s.ok('SELECT "INBOX"')
        s.ok('SEARCH SUBJECT "\\"\\\\"')


def test_literals_count_octets_and_may_hold_anything_but_nul(site):
    with new(site) as s:
        for kind in (Literal, Plus):
            s.ok("SELECT INBOX")
            for text in (b"", b" ", b"\r\n", b"a\r\nb NOOP\r\n", b"{5}\r\n", b'"', b")" * 1000, b"x" * 20000):
                s.ok("SEARCH SUBJECT ", kind(text))
                s.ok("SEARCH CHARSET ", kind(b"UTF-8"), " HEADER ", kind(b"X"), " ", kind(text), " NOT BODY ",
                        kind(text))
            s.bad("SEARCH SUBJECT ", kind(b"a\0b"))
            s.no("SELECT ", kind(b"a\r\nb"))
            s.bad("STORE ", kind(b"1"), " +FLAGS (\\Seen)")
            s.bad("NOOP ", kind(b"x"))
        s.ok("LIST {0+}\r\n {1+}\r\n%")
        s.ok("ID ({4+}\r\nname {1+}\r\nx)")


def test_a_literal_too_large_is_refused_before_it_is_sent(site):
    with new(site) as s:
        for size in ("99999999", "4294967295", "4294967296", "18446744073709551616", "9" * 30):
            s.send(b"a SELECT {%s}\r\n" % size.encode())
            equal(s.response().octets.split()[:2], [b"a", b"BAD"], size)
            equal(raw(s, b"t NOOP\r\n"), ("t", "OK"))
            s.send(b"a APPEND INBOX {%s}\r\n" % size.encode())
            equal(s.response().octets.split()[1] in (b"NO", b"BAD"), True, size)
            equal(raw(s, b"t NOOP\r\n"), ("t", "OK"))


def test_a_literal_plus_too_large_is_skipped(site):
    """RFC 7888 9."""
    with new(site) as s:
        s.send(b"a SELECT {200000+}\r\n" + b"x" * 200000 + b"\r\nb NOOP\r\n")
        equal(s.response().octets.split()[:2], [b"a", b"BAD"])
        equal(s.response().octets.split()[:2], [b"b", b"OK"])
        s.send(b"a APPEND nowhere {200000+}\r\n" + b"x" * 200000 + b"\r\nb NOOP\r\n")
        equal(s.response().octets.split()[:2], [b"a", b"NO"])
        equal(s.response().octets.split()[:2], [b"b", b"OK"])


def test_authenticate_can_be_told_in_all_its_ways(site):
    name = f"user{next(users)}"
    plain = base64.b64encode(f"\0{name}\0{site.password}".encode())
    for lines in ((b"a AUTHENTICATE PLAIN\r\n", plain + b"\r\n"), (b"a authenticate plain " + plain + b"\r\n",)):
        with Session(site) as s:
            for line in lines[:-1]:
                s.send(line)
                equal(s.response().kind, "+")
            equal(raw(s, lines[-1]), ("a", "OK"))
    with Session(site) as s:
        s.send(b"a AUTHENTICATE PLAIN\r\n")
        equal(s.response().kind, "+")
        equal(raw(s, b"*\r\n"), ("a", "BAD"))
        s.send(b"a AUTHENTICATE PLAIN\r\n")
        equal(s.response().kind, "+")
        equal(raw(s, b"!not base64\r\n"), ("a", "BAD"))
        equal(raw(s, b"a AUTHENTICATE X-NOBODY\r\n"), ("a", "NO"))
        equal(raw(s, b"a AUTHENTICATE\r\n"), ("a", "BAD"))
        equal(raw(s, b"a AUTHENTICATE PLAIN =\r\n")[1] in ("NO", "BAD"), True)
        equal(raw(s, b"a AUTHENTICATE PLAIN " + plain + b"\r\n"), ("a", "OK"))


def test_octets_may_come_one_by_one(site):
    with new(site) as s:
        for octet in b'a APPEND "INBOX" (\\Seen) {%d}\r\n' % len(MAIL):
            s.send(bytes([octet]))
        equal(s.response().kind, "+")
        for octet in MAIL + b"\r\nb SELECT {5+}\r\nINBOX\r\n":
            s.send(bytes([octet]))
        s.commands.append("APPEND")
        equal(s.end("a").word, "OK")
        s.commands.append("SELECT")
        equal(s.end("b").number("EXISTS"), 1)


def test_logout_ends_with_bye_and_ok(site):
    """RFC 3501 3.4."""
    for user in (None, next(users)):
        with Session(site, user) as s:
            answer = s.ok("LOGOUT")
            equal([r.kind for r in answer.untagged], ["BYE"])
            equal(s.is_closed(), True)
