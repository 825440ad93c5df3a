# SPDX-License-Identifier: ISC
"""RFC 3501 2.3, 6.3.11, 6.4, 6.4.1 and 7.4 as an outside suite would try them: one session and its messages."""

import glob
import itertools
import os

from imap_session import Literal, Plus, Session
from trivet import TOP, drop, equal

DAEMONS = ("imapd",)
USERS = 50
users = itertools.count(1)


def crlf(text):
    return text.encode().replace(b"\n", b"\r\n")


MAIL = crlf("From: a@b.test\nSubject: s\n\nbody\n")

NESTED = crlf("""\
From: Outer <outer@x.test>
To: group: one@x.test, Two <two@x.test>;
Subject: =?utf-8?B?7ZWc6riA?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

preamble
--outer
Content-Type: text/plain; charset=us-ascii

first
--outer
Content-Type: message/rfc822

From: Inner <inner@x.test>
Subject: inner
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

plain
--inner
Content-Type: text/html
X-Field: here

<p>html</p>
--inner--
--outer
Content-Type: application/octet-stream; name=a.bin
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=a.bin

AAEC
--outer--
epilogue
""")


def new(site, *mails, box="INBOX", utf8=False):
    """utf8: RFC 9755 4, else no message with 8-bit octets in its header is taken."""
    s = Session(site, next(users))
    if utf8:
        s.ok("ENABLE UTF8=ACCEPT")
    for mail in mails:
        s.append(box, mail)
    if mails:
        s.ok(f"SELECT {box}")
    return s


def fetch(s, what, number=1):
    """The one item of the one message that was asked for."""
    items = s.ok(f"FETCH {number} {what}").items(number)
    items.pop(b"FLAGS", None)
    equal(len(items), 1, what)
    return next(iter(items.values()))


# ---- 2.3.1, 2.3.2 ----

def test_uids_ascend_and_are_never_used_again(site):
    """RFC 3501 2.3.1, 2.3.1.1."""
    with new(site, MAIL, MAIL, MAIL) as s:
        s.ok("UID FETCH 1:* UID")
        before = list(s.uids)
        s.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
        s.ok("EXPUNGE")
        uid = s.append("INBOX", MAIL)
        equal(uid > max(before), True)
        answer = s.ok("SELECT INBOX")
        equal(int(answer.code("UIDNEXT")) > uid, True)
        s.ok("UID FETCH 1:* UID")
        equal(s.uids, before[:2] + [uid])


def test_flags_can_be_set_added_and_removed(site):
    with new(site, MAIL) as s:
        s.ok("FETCH 1 FLAGS")
        for command, flags in (("+FLAGS (\\Seen)", {b"\\SEEN"}),
                               ("+FLAGS \\Flagged \\Draft", {b"\\SEEN", b"\\FLAGGED", b"\\DRAFT"}),
                               ("-FLAGS (\\Seen \\Answered)", {b"\\FLAGGED", b"\\DRAFT"}),
                               ("FLAGS (Key \\Deleted)", {b"Key", b"\\DELETED"}),
                               ("+Flags ($MDNSent)", {b"Key", b"\\DELETED", b"$MDNSent"}),
                               ("-flags (KEY)", {b"\\DELETED", b"$MDNSent"}),
                               ("FLAGS ()", set()), ("+FLAGS ()", set()), ("FLAGS (\\seen \\SEEN)", {b"\\SEEN"}),
                               ("-FLAGS ()", {b"\\SEEN"})):
            items = s.ok(f"STORE 1 {command}").items(1)
            equal(set(items[b"FLAGS"]) - {b"\\RECENT"}, flags, command)
            equal(set(s.ok("FETCH 1 FLAGS").items()[b"FLAGS"]) - {b"\\RECENT"}, flags, command)
        for suffix in ("FLAGS.SILENT (\\Flagged)", "+FLAGS.SILENT (\\Seen)", "-FLAGS.SILENT (\\Seen)"):
            equal(s.ok(f"STORE 1 {suffix}").of("FETCH"), [])
        equal(b"UID" in s.ok(f"UID STORE {s.uids[0]} +FLAGS (\\Seen)").items(1), True)
        equal(s.ok("UID STORE 4000000000 +FLAGS (\\Seen)").of("FETCH"), [])


def test_what_is_no_store_is_bad(site):
    with new(site, MAIL) as s:
        for command in ("STORE 1 +FLAGS", "STORE 1 (\\Seen)", "STORE 1 +FLAGS (\\Recent)",
                        "STORE 1 +FLAGS (\\Nonsense)", "STORE 2 +FLAGS (\\Seen)",
                        "STORE 0 +FLAGS (\\Seen)", "STORE 1:2 FLAGS ()", "STORE x FLAGS ()", "STORE 1 FLAGSS ()",
                        "STORE 1 +FLAGS (\\Seen", "STORE 1 FLAGS (a(b)",
                        'STORE 1 FLAGS ("a")', "STORE 1, FLAGS ()", "STORE 1:2:3 FLAGS ()", "STORE ,1 FLAGS ()"):
            s.bad(command)
        equal(s.ok("FETCH 1 FLAGS").items()[b"FLAGS"], [b"\\RECENT"])


def test_a_new_keyword_is_told_in_flags_before_it_is_used(site):
    with new(site, MAIL) as s:
        kinds = [r.kind for r in s.ok("STORE 1 +FLAGS (NeverSeenBefore)").untagged]
        equal(kinds.index("FLAGS") < kinds.index("FETCH"), True)
        equal("NeverSeenBefore" in s.ok("SELECT INBOX").code("PERMANENTFLAGS"), True)


# ---- 6.3.11 ----

def test_append_keeps_flags_date_and_octets(site):
    with new(site, utf8=True) as s:
        s.append("INBOX", MAIL, '(\\Seen \\Flagged Key) "25-Dec-2003 23:59:59 -0130" ')
        s.append("INBOX", MAIL, '" 1-Jan-2004 00:00:00 +0000" ')
        s.append("INBOX", b"Subject: no line end", "() ")
        s.append("INBOX", b"Subject: 8bit \xff\xfe\r\n\r\ncaf\xe9 \xed\x95\x9c\r\n")
        s.append("INBOX", b"just text")
        s.append("INBOX", b"\r\nbody without a header\r\n")
        s.append("INBOX", b"Subject: header only\r\n")
        s.append("INBOX", b"Subject: header and line\r\n\r\n")
        s.ok("SELECT INBOX")
        equal(set(s.ok("FETCH 1 FLAGS").items()[b"FLAGS"]), {b"\\SEEN", b"\\FLAGGED", b"Key", b"\\RECENT"})
        equal(fetch(s, "INTERNALDATE"), b'"26-Dec-2003 01:29:59 +0000"')
        equal(fetch(s, "INTERNALDATE", 2) in (b'" 1-Jan-2004 00:00:00 +0000"', b'"01-Jan-2004 00:00:00 +0000"'), True)
        for number, octets in ((3, b"Subject: no line end"),
                               (4, b"Subject: 8bit \xff\xfe\r\n\r\ncaf\xe9 \xed\x95\x9c\r\n"), (5, b"just text"),
                               (6, b"\r\nbody without a header\r\n"), (7, b"Subject: header only\r\n"),
                               (8, b"Subject: header and line\r\n\r\n")):
            equal(fetch(s, "BODY.PEEK[]", number), octets)
            equal(fetch(s, "RFC822.SIZE", number), len(octets))
            header, text = fetch(s, "RFC822.HEADER", number), fetch(s, "BODY.PEEK[TEXT]", number)
            equal(header + text, octets, f"header and text of {octets!r}")
            s.ok(f"FETCH {number} (ENVELOPE BODY BODYSTRUCTURE BODY[1] BODY[HEADER.FIELDS (Subject)])")


def test_append_refuses_what_it_cannot_take_and_keeps_the_line(site):
    with new(site) as s:
        equal(s.no("APPEND nowhere ", Literal(MAIL)).code("TRYCREATE"), "")
        equal(s.no("APPEND nowhere ", Plus(MAIL)).code("TRYCREATE"), "")
        s.no("APPEND INBOX ", Literal(b""))
        s.no("APPEND INBOX ", Plus(b""))
        s.no("APPEND INBOX ", Plus(b"Subject: x\r\n\r\na\0b\r\n"))
        s.no("APPEND INBOX ", Literal(b"Subject: x\r\n\r\na\0"))
        for before in ("(\\Recent) ", "(\\Odd) ", '"32-Jan-2000 00:00:00 +0000" ', '"1-Foo-2000 00:00:00 +0000" ',
                       '"01-Jan-2000 25:00:00 +0000" ',
                       '"01-Jan-2000" ', "(\\Seen ", "x "):
            s.bad(f"APPEND INBOX {before}", Plus(MAIL))
        s.bad("APPEND INBOX")
        s.bad("APPEND INBOX (\\Seen)")
        s.bad('APPEND INBOX "message"')
        equal(s.ok("STATUS INBOX (MESSAGES)").status(), {"MESSAGES": 0})
        s.append("INBOX", MAIL)


def test_append_to_the_selected_mailbox_is_told_at_once(site):
    with new(site, MAIL) as s:
        equal(s.ok("APPEND INBOX ", Literal(MAIL)).number("EXISTS"), 2)


# ---- 6.4.2, 6.4.3 ----

def test_close_and_unselect_and_expunge(site):
    with new(site, MAIL, MAIL, MAIL) as s:
        s.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)")
        equal([r.number for r in s.ok("EXPUNGE").of("EXPUNGE")] in ([1, 2], [3, 1]), True)
        s.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        s.ok("UNSELECT")
        equal(s.ok("SELECT INBOX").number("EXISTS"), 1)
        equal(s.ok("CLOSE").untagged, [])
        equal(s.ok("SELECT INBOX").number("EXISTS"), 0)
        equal(s.ok("EXPUNGE").untagged, [])
        s.bad("EXPUNGE 1")
        s.bad("UID EXPUNGE")
        s.ok("CHECK")


def test_selecting_anew_expunges_nothing(site):
    with new(site, MAIL) as s:
        s.ok("STORE 1 +FLAGS (\\Deleted)")
        s.ok("SELECT INBOX")
        equal(s.exists, 1)


def test_closing_what_was_examined_expunges_nothing(site):
    with new(site, MAIL) as s:
        s.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        s.ok("EXAMINE INBOX")
        s.ok("CLOSE")
        equal(s.ok("SELECT INBOX").number("EXISTS"), 1)


def test_uidnext_is_no_higher_than_the_next_uid(site):
    with new(site) as s:
        for _ in range(3):
            promised = s.ok("STATUS INBOX (UIDNEXT)").status()["UIDNEXT"]
            uid = s.append("INBOX", MAIL)
            equal(uid >= promised, True, f"{uid} >= {promised}")
            equal(s.ok("STATUS INBOX (UIDNEXT)").status()["UIDNEXT"] > uid, True)


def test_uid_expunge_takes_only_what_it_names(site):
    with new(site, MAIL, MAIL, MAIL) as s:
        s.ok("FETCH 1:* UID")
        uids = list(s.uids)
        s.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)")
        equal([r.number for r in s.ok(f"UID EXPUNGE {uids[1]}").of("EXPUNGE")], [2])
        s.ok(f"UID EXPUNGE {uids[1]}")
        equal([r.number for r in s.ok(f"UID EXPUNGE {uids[2]}:*").of("EXPUNGE")], [2])
        equal(s.uids, [uids[0]])


# ---- 6.4.4 ----

def test_search_finds_by_every_key(site):
    with new(site) as s:
        s.append("INBOX",
                               crlf("From: Ann <ann@x.test>\nTo: to@x.test\nCc: cc@x.test\nBcc: bcc@x.test\nSubject: First thing\nX-Odd: value\n"
                               "Date: Mon, 3 Feb 2003 10:00:00 +0000\n\nthe needle\n"),
                               '(\\Seen \\Answered Key) "05-Feb-2003 10:00:00 +0000" ')
        s.append("INBOX",
                 crlf("From: bob@x.test\nSubject: =?utf-8?q?caf=C3=A9?=\nDate: Tue, 4 Feb 2003 10:00:00 +0000\n\n" + "long " * 100 + "\n"),
                 '(\\Flagged \\Draft) "06-Feb-2003 10:00:00 +0000" ')
        s.append("INBOX", crlf("Subject: Third\n\n"), '(\\Deleted) "07-Feb-2003 10:00:00 +0000" ')
        s.ok("SELECT INBOX")
        for key, found in (
                ("ALL", [1, 2, 3]), ("ANSWERED", [1]), ("UNANSWERED", [2, 3]), ("DELETED", [3]),
                ("UNDELETED", [1, 2]), ("DRAFT", [2]), ("UNDRAFT", [1, 3]),
                ("FLAGGED", [2]), ("UNFLAGGED", [1, 3]), ("SEEN", [1]), ("UNSEEN", [2, 3]), ("KEYWORD Key", [1]),
                ("keyword KEY", [1]), ("UNKEYWORD Key", [2, 3]),
                ("KEYWORD Other", []), ("NEW", [2, 3]), ("OLD", []), ("RECENT", [1, 2, 3]), ("FROM ann", [1]),
                ('FROM "x.test"', [1, 2]), ("TO to@", [1]),
                ("CC cc@x", [1]), ("BCC bcc", [1]), ("SUBJECT first", [1]), ('SUBJECT "FIRST THING"', [1]),
                ("BODY needle", [1]), ("BODY NEEDLE", [1]),
                ("BODY First", []), ("TEXT First", [1]), ("TEXT needle", [1]), ("HEADER X-Odd value", [1]),
                ('HEADER X-Odd ""', [1]), ('HEADER Subject ""', [1, 2, 3]),
                ("HEADER X-None x", []), ("LARGER 400", [2]), ("SMALLER 30", [3]), ("LARGER 0", [1, 2, 3]),
                ("BEFORE 6-Feb-2003", [1]), ("ON 6-Feb-2003", [2]),
                ("SINCE 6-Feb-2003", [2, 3]), ('SINCE "06-Feb-2003"', [2, 3]), ("SENTBEFORE 4-Feb-2003", [1]),
                ("SENTON 4-Feb-2003", [2]), ("SENTSINCE 3-Feb-2003", [1, 2, 3]),
                ("1", [1]), ("*", [3]), ("1:*", [1, 2, 3]), ("3:2", [2, 3]), ("1,3", [1, 3]), ("*:2", [2, 3]),
                ("2:*,1", [1, 2, 3]), ("NOT 1", [2, 3]),
                ("NOT NOT 1", [1]), ("OR 1 3", [1, 3]), ("OR (SEEN ANSWERED) (FLAGGED DRAFT)", [1, 2]),
                ("OR NOT SEEN SEEN", [1, 2, 3]),
                ("(1:3 NOT (2))", [1, 3]), ("NOT (OR SEEN FLAGGED)", [3]), ("SEEN UNSEEN", []), ("((1))", [1]),
                ("FROM bob NOT SEEN", [2]), ("CHARSET UTF-8 SUBJECT Third", [3]), ("charset us-ascii all", [1, 2, 3]),
                ("UID 1:*", [1, 2, 3]), ('BODY ""', [1, 2, 3]), ('SUBJECT ""', [1, 2, 3])):
            equal(s.ok(f"SEARCH {key}").found(), found, f"SEARCH {key}")
        for literal in (Literal, Plus):
            equal(s.ok("SEARCH CHARSET UTF-8 SUBJECT ", literal("CAFÉ".encode())).found(), [2])
            equal(s.ok("SEARCH CHARSET ", literal(b"UTF-8"), " OR SUBJECT ", literal("é".encode()), " FROM ",
                    literal(b"ann")).found(), [1, 2])
            equal(s.ok("SEARCH HEADER ", literal(b"subject"), " ", literal(b"third")).found(), [3])
            equal(s.ok("SEARCH BODY ", literal(b"")).found(), [1, 2, 3])
        equal(s.ok('SEARCH CHARSET UTF-8 SUBJECT "é"').found(), [2])
        equal((s.ok("SEARCH 2:500").found(), s.ok("SEARCH 500").found(), s.ok("SEARCH 500:*").found()),
                ([2, 3], [], [3]))
        equal(s.no("SEARCH CHARSET X-KLINGON SUBJECT x").code("BADCHARSET") is not None, True)
        s.ok("UID FETCH 1:* UID")
        equal(s.ok("UID SEARCH NOT 2").found(), [s.uids[0], s.uids[2]])
        equal(s.ok(f"SEARCH UID {s.uids[1]}").found(), [2])
        equal(s.ok("UID SEARCH UID 4000000000:*").found(), [s.uids[2]])
        equal(s.ok("FETCH 1:3 FLAGS").items(2)[b"FLAGS"].count(b"\\SEEN"), 0, "SEARCH sets nothing")


def test_what_is_no_search_is_bad(site):
    with new(site, MAIL) as s:
        for key in ("", "NONSENSE", "NOT", "OR SEEN", "(SEEN", "SEEN)", "()", "KEYWORD", "LARGER x", "LARGER -1",
                    "BEFORE 1-Foo-2000", "BEFORE 30-Feb-2000", "BEFORE tomorrow",
                    "0", "1:", "1,,2", "UID", "UID x", "HEADER Subject", "FROM", "SUBJECT \"open", "CHARSET",
                    "CHARSET UTF-8", "KEYWORD \\Seen", "LARGER 4294967296"):
            s.bad(f"SEARCH {key}".rstrip())
            s.ok("NOOP")        # more than 20 in a row end the session


def test_new_and_old_and_recent_tell_apart(site):
    with new(site, MAIL) as s:
        equal(s.ok("SEARCH NEW").found(), [1])
        s.ok("STORE 1 +FLAGS (\\Seen)")
        equal((s.ok("SEARCH NEW").found(), s.ok("SEARCH RECENT").found()), ([], [1]))
        s.ok("SELECT INBOX")
        equal((s.ok("SEARCH OLD").found(), s.ok("SEARCH RECENT").found()), ([1], []))


# ---- 6.4.5 ----

def test_fetch_macros_and_lists(site):
    with new(site, MAIL) as s:
        for macro, items in (("ALL", {b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"}),
                             ("fast", {b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"}),
                             ("FULL", {b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"}),
                             ("(flags uid)", {b"FLAGS", b"UID"}), ("UID", {b"UID"})):
            equal(set(s.ok(f"FETCH 1 {macro}").items()), items)
        equal(set(s.ok("UID FETCH 1:* FLAGS").items()), {b"UID", b"FLAGS"})
        equal(set(s.ok("UID FETCH 1:* (UID)").items()), {b"UID"})
        for bad in ("", "()", "NONSENSE", "(FLAGS", "FLAGS)", "(ALL)", "BODY[", "BODY[]]", "BODY[0]", "BODY[1.]",
                    "BODY[MIME]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]",
                    "BODY[]<0>", "BODY[]<0.0>", "BODY[]<-1.5>", "BODY[]<1.5", "BODY[1.0]", "BODY[01x]",
                    "BODY[NONSENSE]", "BODY.PEEK", "ENVELOPE[]", "(FLAGS  UID)",
                    "FLAGS UID"):
            s.bad(f"FETCH 1 {bad}".rstrip())
            s.ok("NOOP")
        for numbers in ("0", "2", "1:2", "x", "1:", ":1", "*1", "1;2", "-1", "4294967296", "4294967295"):
            s.bad(f"FETCH {numbers} FLAGS")


def test_sets_may_be_reversed_and_hold_a_star(site):
    with new(site, *[MAIL] * 5) as s:
        for numbers, told in (("5:3", [3, 4, 5]), ("*", [5]), ("*:4", [4, 5]), ("2:*", [2, 3, 4, 5]),
                ("1,1,1:2", [1, 2]), ("*:*", [5]), ("4,2", [2, 4]), ("5,*", [5])):
            equal([r.number for r in s.ok(f"FETCH {numbers} UID").of("FETCH")], told, numbers)
        last = s.uids[4]
        for numbers, count in ((f"{last}:1", 5), ("*", 1), (f"{last + 5}:*", 1), (f"{last + 5}:{last + 9}", 0),
                ("4294967295", 0), ("1:4294967295", 5), ("4294967295:1", 5)):
            equal(len(s.ok(f"UID FETCH {numbers} FLAGS").of("FETCH")), count, numbers)


def test_an_empty_mailbox_has_no_messages_to_fetch(site):
    with new(site) as s:
        s.ok("SELECT INBOX")
        s.bad("FETCH 1 FLAGS")
        for command in ("UID FETCH 1:* FLAGS", "UID FETCH * FLAGS", "UID STORE 1:* +FLAGS (\\Seen)",
                "UID COPY 1:* Sent", "UID MOVE 1 Sent", "UID EXPUNGE 1:*", "SEARCH ALL", "SEARCH 1:*", "UID SEARCH *"):
            s.ok(command)
        equal(s.ok("SEARCH ALL").found(), [])


def test_body_sets_seen_and_peek_does_not(site):
    with new(site, *[MAIL] * 8) as s:
        for number, item, sets in ((1, "BODY.PEEK[]", False), (1, "RFC822.HEADER", False), (1, "ENVELOPE", False),
                                   (1, "BODY", False), (1, "BODYSTRUCTURE", False),
                                   (1, "RFC822.SIZE", False), (1, "BODY.PEEK[HEADER]", False), (2, "BODY[]", True),
                                   (3, "RFC822", True), (4, "RFC822.TEXT", True),
                                   (5, "BODY[HEADER]", True), (6, "BODY[1]", True), (7, "BODY[TEXT]<0.1>", True),
                                   (8, "BODY[HEADER.FIELDS (Subject)]", True)):
            items = s.ok(f"FETCH {number} {item}").items(number)
            equal(b"\\SEEN" in items.get(b"FLAGS", []), sets, item)
            equal(b"\\SEEN" in s.ok(f"FETCH {number} FLAGS").items()[b"FLAGS"], sets, item)


def test_sections_are_the_octets_that_the_rfc_names(site):
    with new(site, NESTED) as s:
        equal(fetch(s, "BODY.PEEK[]"), NESTED)
        for item, octets in (
                ("1", b"first"), ("1.MIME", b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"),
                ("2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
                ("2.HEADER",
                crlf("From: Inner <inner@x.test>\nSubject: inner\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=inner\n\n")),
                ("2.1", b"plain"), ("2.2", b"<p>html</p>"),
                ("2.2.MIME", b"Content-Type: text/html\r\nX-Field: here\r\n\r\n"), ("3", b"AAEC"),
                ("2.HEADER.FIELDS (SUBJECT)", b"Subject: inner\r\n\r\n"),
                ("2.HEADER.FIELDS.NOT (From Content-Type MIME-Version)", b"Subject: inner\r\n\r\n"),
                ("2.TEXT",
                crlf("--inner\nContent-Type: text/plain\n\nplain\n--inner\nContent-Type: text/html\nX-Field: here\n\n<p>html</p>\n--inner--")),
                ("HEADER.FIELDS (subject X-NONE from)",
                crlf("From: Outer <outer@x.test>\nSubject: =?utf-8?B?7ZWc6riA?=\n\n")),
                ("HEADER.FIELDS (X-None)", b"\r\n"),
                ("HEADER.FIELDS.NOT (to subject mime-version CONTENT-TYPE)", crlf("From: Outer <outer@x.test>\n\n")),
                ("HEADER", NESTED[:NESTED.index(b"\r\n\r\n") + 4]), ("TEXT", NESTED[NESTED.index(b"\r\n\r\n") + 4:]),
                ("4", None), ("1.1.1", None), ("2.3", None), ("2.2.9", None), ("9.MIME", None), ("3.HEADER", None)):
            got = fetch(s, f"BODY.PEEK[{item}]")
            equal(got in (None, b"") if octets is None else got, True if octets is None else octets, item)
        inner = fetch(s, "BODY.PEEK[2]")
        equal(inner, fetch(s, "BODY.PEEK[2.HEADER]") + fetch(s, "BODY.PEEK[2.TEXT]"))


def test_partial_fetches_stop_at_the_end(site):
    with new(site, MAIL) as s:
        size = len(MAIL)
        for begin, count in ((0, 1), (0, size), (0, size + 1), (3, 5), (size - 1, 10), (size, 1), (size + 100, 1),
                (4294967295, 4294967295), (0, 4294967295)):
            items = s.ok(f"FETCH 1 BODY.PEEK[]<{begin}.{count}>").items()
            equal(items, {b"BODY[]<%d>" % begin: MAIL[begin:begin + count]})
        equal(s.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS ({7+}\r\nSubject)]").items(),
                {b"BODY[HEADER.FIELDS (Subject)]": b"Subject: s\r\n\r\n"})
        equal(s.ok('FETCH 1 BODY.PEEK[HEADER.FIELDS ("Subject" FROM)]').items(),
              {b"BODY[HEADER.FIELDS (Subject FROM)]": b"From: a@b.test\r\nSubject: s\r\n\r\n"})
        equal(s.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]<3.4>").items(),
                {b"BODY[HEADER.FIELDS (Subject)]<3>": b"ject"})
        equal(s.ok("FETCH 1 BODY.PEEK[TEXT]<1.2>").items(), {b"BODY[TEXT]<1>": b"od"})


def test_a_message_without_parts_has_a_part_one(site):
    with new(site, MAIL,
            crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nonly\n--b--\n"),
            b"Subject: empty\r\n\r\n") as s:
        equal(fetch(s, "BODY.PEEK[1]"), b"body\r\n")
        equal(fetch(s, "BODY.PEEK[1]", 2), b"only")
        equal(fetch(s, "BODY.PEEK[1]", 3), b"")
        equal(fetch(s, "BODY.PEEK[TEXT]", 3), b"")
        equal(fetch(s, "RFC822.TEXT", 3), b"")
        s.ok("FETCH 1:3 (BODY BODYSTRUCTURE ENVELOPE)")


def structure(s, item="BODYSTRUCTURE", number=1):
    line = s.ok(f"FETCH {number} {item}").of("FETCH")[0].octets
    return line[line.index(item.encode() + b" ") + len(item) + 1:-3].decode()


def test_body_structures_are_as_the_rfc_has_them(site):
    """RFC 3501 2.3.6."""
    with new(site, MAIL, NESTED,
             crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nonly\n--b--\n"),
             crlf("MIME-Version: 1.0\nContent-Type: multipart/report; report-type=x; boundary=none\n\nno such line\n"),
             crlf("Content-Type: text/plain; charset=\"utf-8\"; format=flowed\nContent-ID: <i@x>\nContent-Description: d\nContent-MD5: Q2hlY2s=\n"
                  "Content-Language: en, de\nContent-Location: http://x/\nContent-Disposition: inline; filename=\"a b\"\n\none\ntwo\n")) as s:
        equal(structure(s, "BODY").lower(), '("text" "plain" ("charset" "us-ascii") nil nil "7bit" 6 1)')
        text = structure(s, "BODY", 2).lower()
        equal(text.startswith('(("text" "plain" ("charset" "us-ascii") nil nil "7bit" 5 '), True, text)
        equal('("message" "rfc822" nil nil nil "7bit" ' in text and '(("text" "plain"' in text[50:], True, text)
        equal('"alternative"' in text and text.endswith(' "mixed")'), True, text)
        text = structure(s, number=2).lower()
        equal('("attachment" ("filename" "a.bin"))' in text and '"mixed" ("boundary" "outer")' in text, True, text)
        equal('("application" "octet-stream" ("name" "a.bin") nil nil "base64" 4 ' in text, True, text)
        text = structure(s, number=5)
        for part in ('"<i@x>" "d"', ' 10 2 ', '"Q2hlY2s="', '("en" "de")', '"http://x/"',
                '("inline" ("filename" "a b"))'):
            equal(part.lower() in text.lower(), True, f"{part} in {text}")


def test_envelopes_are_as_the_rfc_has_them(site):
    """RFC 3501 2.3.5, 4.5."""
    with new(site,
                        crlf("Date: Mon, 3 Feb 2003 10:00:00 +0000\nSubject: s \"q\" \\\nFrom: \"A, B\" <a@x.test>\nTo: undisclosed-recipients:;\n"
                        "Cc: g: one@x.test, Two <two@x.test>;\nIn-Reply-To: <r@x>\nMessage-ID: <m@x>\n\n"),
             crlf("From: <@route.test:a@x.test>\nSender: s@x.test\nReply-To: r@x.test\n\n"), b"\r\nnothing\r\n",
             crlf("From: a@x.test\nSubject: a\n folded\n line\nTo:\nSender:\n\n"),
             crlf("From: not an address at all\nTo: <>, ,\nCc: (comment only)\n\nx\n"),
             b"From: \xff\xfe <a@x>\r\nSubject: \xed\x95\x9c\r\n\r\n", utf8=True) as s:
        text = structure(s, "ENVELOPE")
        author = '(("A, B" NIL "a" "x.test"))'
        equal(text.startswith(f'("Mon, 3 Feb 2003 10:00:00 +0000" "s \\"q\\" \\\\" {author} {author} {author} '),
                True, text)
        equal('((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))' in text, True, text)
        equal('((NIL NIL "g" NIL)(NIL NIL "one" "x.test")("Two" NIL "two" "x.test")(NIL NIL NIL NIL))' in text, True,
                text)
        equal(text.endswith(' NIL "<r@x>" "<m@x>")'), True, text)
        text = structure(s, "ENVELOPE", 2)
        equal('((NIL NIL "s" "x.test")) ((NIL NIL "r" "x.test"))' in text, True, text)
        equal(structure(s, "ENVELOPE", 3), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)")
        text = structure(s, "ENVELOPE", 4)
        equal('"a folded line"' in text, True, text)
        equal(text.count('((NIL NIL "a" "x.test"))'), 3, text)
        s.ok("FETCH 1:* ENVELOPE")


def test_mail_that_came_by_other_ways_is_told_within_the_grammar(site):
    user = next(users)
    with Session(site, user) as s:
        folders = glob.glob(f"{TOP}/tests/fuzz/corpus/*")
        mails = [open(path,
                "rb").read() for folder in folders for path in sorted(glob.glob(f"{folder}/*")) if os.path.isfile(path)]
        mails += [b"Subject: a\0b\r\nFrom: \0 <a\0@x>\r\n\r\nc\0d\r\n", b"\0", b"\r\n", b"\n", b"a",
                  b":\r\n: :\r\n\r\n", b"Content-Type: message/rfc822\r\n\r\n" * 60,
                  b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n",
                  b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n",
                  b"Content-Type: text/plain; a=1; A=2; a*0=x; a*1=y\r\nContent-Disposition: x; b\r\nContent-Language: (c)\r\n"
                  b"Content-Transfer-Encoding: \r\n\r\n",
                  b"".join(b"Content-Type: multipart/x; boundary=%d\r\n\r\n--%d\r\n" % (i, i) for i in range(150))]
        for mail in mails:
            drop(site, user, mail)
        s.ok("SELECT INBOX")
        equal(s.exists, len(mails))
        for items in ("ALL", "FULL", "(UID BODYSTRUCTURE)", "RFC822.HEADER",
                      "(BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.HEADER])",
                      "(BODY.PEEK[HEADER.FIELDS (Subject From)] BODY.PEEK[1.1.HEADER.FIELDS.NOT (x)])"):
            equal(len(s.ok(f"FETCH 1:* {items}").of("FETCH")), len(mails), items)
        for number, mail in enumerate(mails, 1):
            got = s.ok(f"FETCH {number} (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT])").items(number)
            equal(got[b"RFC822.SIZE"], len(got[b"BODY[]"]), repr(mail[:80]))
            equal(got[b"BODY[HEADER]"] + got[b"BODY[TEXT]"], got[b"BODY[]"])


# ---- 6.4.7, RFC 6851 3 ----

def test_copy_keeps_flags_and_date_and_tells_where(site):
    with new(site) as s:
        s.append("INBOX", MAIL, '(\\Flagged Key) "25-Dec-2003 23:59:59 +0000" ')
        s.append("INBOX", MAIL)
        s.ok("SELECT INBOX")
        code = s.ok("COPY 1:2 Sent").code("COPYUID").split()
        equal(code[0], str(s.ok("STATUS Sent (UIDVALIDITY)").status()["UIDVALIDITY"]))
        s.ok("SELECT Sent")
        items = s.ok("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])").items()
        equal(set(items[b"FLAGS"]), {b"\\FLAGGED", b"Key", b"\\RECENT"})
        equal((items[b"INTERNALDATE"], items[b"BODY[]"]), (b'"25-Dec-2003 23:59:59 +0000"', MAIL))
        equal(s.no("COPY 1 nowhere").code("TRYCREATE"), "")
        equal(s.no("MOVE 1 nowhere").code("TRYCREATE"), "")
        s.bad("COPY 9 INBOX")
        s.bad("MOVE 9 INBOX")
        s.ok("UID COPY 4000000000 INBOX")
        equal(s.ok("COPY 1 Sent").number("EXISTS"), 3)


def test_move_tells_copyuid_before_expunge(site):
    with new(site, MAIL, MAIL, MAIL) as s:
        answer = s.ok("MOVE 1,3 Sent")
        kinds = [r.kind for r in answer.untagged]
        equal(kinds.index("OK") < kinds.index("EXPUNGE"), True)
        equal(s.exists, 1)
        equal(answer.code("COPYUID") is not None, True)
        equal(s.ok("STATUS Sent (MESSAGES)").status(), {"MESSAGES": 2})
        before = s.ok("STATUS INBOX (MESSAGES)").status()
        s.do("MOVE 1 INBOX")
        equal(s.ok("STATUS INBOX (MESSAGES)").status(), before)
