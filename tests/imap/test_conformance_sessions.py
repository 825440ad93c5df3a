# SPDX-License-Identifier: ISC
"""RFC 3501 2.3.1.2, 2.3.2, 5.2, 5.5, 7.4.1 and RFC 2177 3 as an outside suite would try them:
several sessions at once.
"""

import itertools
import time

from imap_session import Session
from trivet import equal

DAEMONS = ("imapd",)
USERS = 40
users = itertools.count(1)
MAIL = b"From: a@b.test\r\nSubject: s\r\n\r\nbody\r\n"


def pair(site, count):
    """Two sessions in one INBOX of so many messages; the first has them \\Recent."""
    user = next(users)
    one, two = Session(site, user), Session(site, user)
    for _ in range(count):
        one.append("INBOX", MAIL)
    one.ok("SELECT INBOX")
    two.ok("SELECT INBOX")
    return one, two


def flags(session, number=1):
    return set(session.ok(f"FETCH {number} FLAGS").items(number)[b"FLAGS"])


# ---- \Recent ----

def test_a_message_is_recent_in_one_session_only(site):
    one, two = pair(site, 2)
    with one, two:
        equal((flags(one), flags(two)), ({b"\\RECENT"}, set()))
        one.append("INBOX", MAIL)
        one.ok("NOOP")
        two.ok("NOOP")
        recent = [b"\\RECENT" in flags(s, 3) for s in (one, two)]
        equal(recent.count(True), 1, "exactly one has the new one recent")
        equal([len(s.ok("SEARCH RECENT").found()) for s in (one, two)], [2 + recent[0], int(recent[1])])
        with Session(site, one.user) as three:
            equal(three.ok("EXAMINE INBOX").number("RECENT"), 0)


def test_recent_survives_examine_and_is_told_with_exists(site):
    user = next(users)
    with Session(site, user) as reader, Session(site, user) as writer:
        reader.ok("EXAMINE INBOX")
        writer.append("INBOX", MAIL)
        answer = reader.ok("NOOP")
        equal((answer.number("EXISTS"), answer.number("RECENT")), (1, 1))
        equal(writer.ok("SELECT INBOX").number("RECENT"), 1)


# ---- flags of others ----

def test_flag_changes_reach_the_other_session(site):
    one, two = pair(site, 3)
    with one, two:
        one.ok("STORE 2 +FLAGS (\\Seen Key)")
        equal(set(two.ok("NOOP").items(2)[b"FLAGS"]) >= {b"\\SEEN", b"Key"}, True)
        two.ok("STORE 3 +FLAGS.SILENT (\\Flagged)")
        equal(b"\\FLAGGED" in one.ok("NOOP").items(3)[b"FLAGS"], True)
        equal(two.ok("NOOP").untagged, [])
        one.ok("FETCH 1 BODY[]")
        equal(b"\\SEEN" in two.ok("CHECK").items(1)[b"FLAGS"], True)


def test_what_one_session_changed_it_is_told_once(site):
    one, two = pair(site, 2)
    with one, two:
        equal(len(one.ok("STORE 1 +FLAGS (\\Seen)").of("FETCH")), 1)
        equal(one.ok("NOOP").untagged, [])
        equal(len(one.ok("FETCH 2 BODY[]").of("FETCH")), 1)
        equal(one.ok("NOOP").untagged, [])


# ---- expunges of others ----

def test_no_expunge_comes_while_sequence_numbers_are_in_use(site):
    one, two = pair(site, 5)
    with one, two:
        two.ok("FETCH 1:* UID")
        one.ok("STORE 2,4 +FLAGS.SILENT (\\Deleted)")
        two.ok("NOOP")
        one.ok("EXPUNGE")
        for command in ("FETCH 1:5 FLAGS", "STORE 1 +FLAGS (\\Seen)", "SEARCH ALL", "FETCH 5 (UID BODY.PEEK[])",
                        "STORE 5 +FLAGS.SILENT (\\Flagged)",
                        "SEARCH 1:*", "FETCH 3 ENVELOPE"):
            answer = two.do(command)
            equal((answer.word in ("OK", "NO"), answer.of("EXPUNGE"), two.exists), (True, [], 5), command)
        equal(len(two.ok("NOOP").of("EXPUNGE")), 2)
        equal(two.exists, 3)
        equal(len(two.ok("FETCH 1:* (UID FLAGS)").of("FETCH")), 3)


def test_an_expunged_message_is_not_taken_for_its_neighbour(site):
    one, two = pair(site, 3)
    with one, two:
        two.ok("FETCH 1:3 UID")
        uids = list(two.uids)
        one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        one.ok("EXPUNGE")
        # two still knows 1 as the one that went
        two.do("STORE 1 +FLAGS (\\Flagged)")
        equal(len(two.ok("SEARCH FLAGGED").found()) in (0, 1), True)
        answer = two.do("FETCH 1 (UID BODY.PEEK[])")
        equal(answer.items(1).get(b"UID") in (None, uids[0]), True)
        equal(two.ok("FETCH 2 UID").items(2)[b"UID"], uids[1])
        two.ok("STORE 2 +FLAGS (\\Answered)")
        two.ok("NOOP")
        equal(two.uids, uids[1:])
        equal(b"\\ANSWERED" in flags(two, 1), True)
        equal(b"\\FLAGGED" in flags(one, 1), False)


def test_expunges_may_come_with_uid_commands(site):
    for command in ("UID FETCH 1:* FLAGS", "UID SEARCH ALL", "UID STORE 4000000000 +FLAGS (\\Seen)", "NOOP", "CHECK",
            "STATUS Sent (MESSAGES)", "APPEND"):
        one, two = pair(site, 2)
        with one, two:
            one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            one.ok("EXPUNGE")
            if command == "APPEND":
                two.append("INBOX", MAIL)
            else:
                two.ok(command)
            two.ok("NOOP")
            equal(two.exists, 2 if command == "APPEND" else 1, command)


def test_copy_and_move_of_what_another_expunged(site):
    for verb in ("COPY", "MOVE"):
        one, two = pair(site, 3)
        with one, two:
            two.ok("FETCH 1:3 UID")
            one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
            one.ok("EXPUNGE")
            answer = two.do(f"{verb} 1:3 Sent")
            count = two.ok("STATUS Sent (MESSAGES)").status()["MESSAGES"]
            # RFC 3501 6.4.7: all or none; those that are gone may be left out
            equal((answer.word, count) in (("NO", 0), ("OK", 2)), True, f"{answer.word} {count}")
            two.ok("NOOP")
            one.ok("NOOP")
            equal((one.exists, two.exists), (0, 0) if verb == "MOVE" and count else (2, 2))


def test_two_sessions_move_the_same_message_once(site):
    one, two = pair(site, 1)
    with one, two:
        one.ok("MOVE 1 Sent")
        two.do("MOVE 1 Sent")
        equal(one.ok("STATUS Sent (MESSAGES)").status(), {"MESSAGES": 1})
        two.ok("NOOP")
        equal(two.exists, 0)


def test_expunge_and_store_cross(site):
    one, two = pair(site, 4)
    with one, two:
        one.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        two.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
        equal(len(two.ok("EXPUNGE").of("EXPUNGE")), 3)
        one.ok("NOOP")
        equal((one.exists, two.exists), (1, 1))
        equal(one.ok("FETCH 1 UID").items()[b"UID"], two.ok("FETCH 1 UID").items()[b"UID"])


def test_messages_of_others_appear_with_noop(site):
    one, two = pair(site, 1)
    with one, two:
        one.append("INBOX", MAIL)
        one.append("INBOX", MAIL)
        equal(two.ok("NOOP").number("EXISTS"), 3)
        one.ok("STORE 3 +FLAGS.SILENT (\\Deleted)")
        one.ok("EXPUNGE")
        one.append("INBOX", MAIL)
        two.ok("NOOP")
        equal(two.exists, 3)
        one.ok("FETCH 1:* UID")
        two.ok("FETCH 1:* UID")
        equal(one.uids, two.uids)


def test_what_came_and_went_unseen_is_told_consistently(site):
    one, two = pair(site, 1)
    with one, two:
        one.append("INBOX", MAIL)
        one.ok("NOOP")
        one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        one.ok("EXPUNGE")
        two.ok("NOOP")
        equal(two.exists, 1)


# ---- mailboxes under others' feet ----

def test_a_mailbox_that_another_renames_stays_usable_or_says_so(site):
    user = next(users)
    with Session(site, user) as one, Session(site, user) as two:
        one.ok("CREATE box")
        one.append("box", MAIL)
        two.ok("SELECT box")
        one.ok("RENAME box other")
        answer = two.do("FETCH 1 BODY.PEEK[]")
        if answer.word == "OK":
            equal(answer.items()[b"BODY[]"], MAIL)


def test_who_deletes_the_selected_mailbox_stays_connected(site):
    user = next(users)
    with Session(site, user) as s:
        s.ok("CREATE box")
        s.ok("SELECT box")
        s.ok("DELETE box")
        s.ok("NOOP")
        s.ok("SELECT INBOX")


# ---- RFC 2177 3 ----

def test_idle_tells_what_others_do(site):
    one, two = pair(site, 2)
    with one, two:
        tag = two.begin("IDLE")
        equal(two.response().kind, "+")
        began = time.monotonic()
        one.append("INBOX", MAIL)
        seen = [two.response() for _ in range(2)]
        equal([(r.kind, r.number) for r in seen][0], ("EXISTS", 3))
        one.ok("STORE 1 +FLAGS.SILENT (\\Flagged \\Deleted)")
        equal((two.response().kind, two.exists), ("FETCH", 3))
        one.ok("EXPUNGE")
        equal((two.response().kind, two.exists), ("EXPUNGE", 2))
        equal(time.monotonic() - began < 2, True, "within two seconds")
        two.send(b"DONE\r\n")
        equal(two.end(tag).word, "OK")


def test_done_may_come_at_once_and_in_any_case(site):
    with Session(site, next(users)) as s:
        for select in (False, True):
            if select:
                s.ok("SELECT INBOX")
            for done in (b"DONE\r\n", b"done\r\n", b"DONE \r\n", b"DoNe\n"):
                tag = s.begin("IDLE")
                s.send(done)
                answer = s.end(tag)
                equal((answer.word, [r.kind for r in answer.untagged]), ("OK", ["+"]), repr(done))
        tag = s.begin("IDLE")
        s.send(b"x NOOP\r\n")
        equal(s.end(tag).word, "BAD")
        s.ok("NOOP")
        s.bad("IDLE now")


# ---- 5.5 ----

def test_pipelined_commands_are_answered_in_order(site):
    one, two = pair(site, 3)
    with one, two:
        commands = ["FETCH 1 FLAGS", "STORE 1 +FLAGS (\\Deleted)", "FETCH 1:* FLAGS", "EXPUNGE", "NOOP",
                    "FETCH 1:2 UID", "SEARCH ALL", "STATUS Sent (MESSAGES)",
                    "SELECT Sent", "SELECT INBOX", "FETCH 1:* (UID FLAGS)", "LIST \"\" \"*\"", "UNSELECT", "NOOP"]
        one.send(b"".join(b"p%d %s\r\n" % (i, c.encode()) for i, c in enumerate(commands)))
        for i, command in enumerate(commands):
            one.commands.append(command)
            answer = one.end(f"p{i}")
            equal(answer.word, "OK", command)
        two.ok("NOOP")
        equal(two.exists, 2)


def test_commands_with_literals_can_be_pipelined(site):
    with Session(site, next(users)) as s:
        s.send(b"a CREATE {3+}\r\nbox\r\nb APPEND {3+}\r\nbox {%d+}\r\n%s\r\nc SELECT {3+}\r\nbox\r\n"
               b"d SEARCH SUBJECT {1+}\r\ns BODY {4+}\r\nbody\r\ne LOGOUT\r\n" % (len(MAIL), MAIL))
        for tag in "abcde":
            s.commands.append({"c": "SELECT box"}.get(tag, "X"))
            answer = s.end(tag)
            equal(answer.word, "OK", tag)
            if tag == "d":
                equal(answer.found(), [1])
        equal(s.is_closed(), True)
