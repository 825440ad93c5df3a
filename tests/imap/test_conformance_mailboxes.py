# SPDX-License-Identifier: ISC
"""RFC 3501 5.1, 6.1 to 6.3 and 7.2 as an outside suite would try them: names, and the commands on mailboxes."""

import itertools

from imap_session import Literal, Plus, Session
from trivet import equal

DAEMONS = ("imapd",)
USERS = 45
users = itertools.count(1)
MAIL = b"From: a@b.test\r\nSubject: s\r\n\r\nbody\r\n"


def new(site):
    return Session(site, next(users))


def top(names):
    """Without the mailboxes that every account begins with."""
    return [n for n in names if n.partition("/")[0] not in ("INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive")]


# ---- 6.1 ----

def test_capability_says_imap4rev1_and_what_needs_no_login_works_before_it(site):
    with Session(site) as s:
        equal(s.greeting.kind, "OK")
        equal(b"IMAP4rev1" in s.ok("CAPABILITY").of("CAPABILITY")[0].octets, True)
        s.ok("NOOP")
        s.ok("ID NIL")
        s.ok('ID ("name" NIL "version" "1")')
        s.ok("id ()")
        for command in ("SELECT INBOX", 'LIST "" "*"', "FETCH 1 FLAGS", "CHECK", "IDLE", "GETQUOTA x", "ENABLE X",
                "NAMESPACE"):
            s.bad(command)


def test_capabilities_that_are_announced_hold_after_login(site):
    with new(site) as s:
        answer = s.ok("CAPABILITY").of("CAPABILITY")[0].octets.split()
        for word in (b"LITERAL+", b"SASL-IR", b"NAMESPACE", b"ID", b"IDLE", b"UNSELECT", b"UIDPLUS", b"MOVE",
                     b"CHILDREN",
                     b"SPECIAL-USE", b"ENABLE", b"QUOTA"):
            equal(word in answer, True, word.decode())
        s.bad("LOGIN a b")
        s.bad("AUTHENTICATE PLAIN")
        s.bad("STARTTLS")
        s.ok("ENABLE CONDSTORE X-NOBODY")
        equal(len(s.ok("ENABLE UTF8=ACCEPT").of("ENABLED")), 1)
        s.bad("ENABLE")
        equal(s.ok("LOGOUT").untagged[0].kind, "BYE")
        equal(s.is_closed(), True)


def test_login_takes_atoms_strings_and_literals(site):
    """RFC 3501 4.1, 4.3."""
    user, password = f"user{next(users)}", site.password
    for parts in ((f"LOGIN {user} {password}",), (f'login "{user}" "{password}"',),
                  (f'LOGIN {user} ', Plus(password.encode())),
                  ("LOGIN ", Literal(user.encode()), " ", Literal(password.encode())),
                  ("LOGIN ", Plus(user.encode()), " ", Plus(password.encode()))):
        with Session(site) as s:
            s.ok(*parts)
    with Session(site) as s:
        equal(s.no(f"LOGIN {user} wrong").code("AUTHENTICATIONFAILED"), "")
        s.no("LOGIN ", Literal(b""), " ", Literal(b""))
        s.bad("LOGIN onlyone")
        s.bad(f"LOGIN {user} {password} more")
        s.ok(f"LOGIN {user} {password}")


# ---- 6.3.1, 6.3.2 ----

def test_select_tells_all_that_is_required(site):
    with new(site) as s:
        s.append("INBOX", MAIL, "(\\Seen) ")
        s.append("INBOX", MAIL)
        answer = s.ok("SELECT INBOX")
        equal(answer.number("EXISTS"), 2)
        equal(answer.number("RECENT"), 2)
        equal(len(answer.of("FLAGS")), 1)
        equal(answer.code("UNSEEN"), "2")
        equal(int(answer.code("UIDNEXT")) > 2, True)
        equal(int(answer.code("UIDVALIDITY")) > 0, True)
        equal("\\Deleted" in answer.code("PERMANENTFLAGS"), True)
        equal(answer.code("READ-WRITE"), "")
        equal(s.ok("EXAMINE INBOX").code("READ-ONLY"), "")


def test_a_select_that_fails_leaves_nothing_selected(site):
    with new(site) as s:
        s.ok("SELECT INBOX")
        s.ok("SELECT Sent")
        s.no("SELECT nowhere")
        s.bad("FETCH 1 FLAGS")
        s.bad("CLOSE")
        s.ok("EXAMINE Sent")
        s.no("EXAMINE nowhere")
        s.bad("CHECK")


def test_examine_changes_nothing(site):
    with new(site) as s:
        s.append("INBOX", MAIL)
        for _ in range(2):
            equal(s.ok("EXAMINE INBOX").number("RECENT"), 1)
            equal(s.ok("FETCH 1 (BODY[] FLAGS)").items()[b"FLAGS"], [b"\\RECENT"])
            s.no("STORE 1 +FLAGS (\\Deleted)")
            s.no("EXPUNGE")
            s.no("UID EXPUNGE 1")
            s.no("MOVE 1 Sent")
            s.ok("COPY 1 Sent")
            s.ok("CLOSE")
        equal(s.ok("STATUS INBOX (MESSAGES UNSEEN RECENT)").status(), {"MESSAGES": 1, "UNSEEN": 1, "RECENT": 1})
        equal(s.ok("SELECT INBOX").number("RECENT"), 1)
        equal(s.ok("SELECT INBOX").number("RECENT"), 0)


def test_status_leaves_recent_and_the_selected_mailbox_alone(site):
    with new(site) as s:
        s.append("INBOX", MAIL)
        s.ok("SELECT Sent")
        for _ in range(2):
            status = s.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)").status()
            equal((status["MESSAGES"], status["RECENT"], status["UNSEEN"]), (1, 1, 1))
        s.ok("CHECK")
        s.no("STATUS nowhere (MESSAGES)")
        s.bad("STATUS INBOX ()")
        s.bad("STATUS INBOX MESSAGES")
        s.bad("STATUS INBOX (NONSENSE)")
        s.ok("status inbox (messages unseen)")
        answer = s.ok("SELECT INBOX")
        equal((answer.number("RECENT"), int(answer.code("UIDNEXT"))), (1, status["UIDNEXT"]))
        equal(int(answer.code("UIDVALIDITY")), status["UIDVALIDITY"])


# ---- 6.3.3 to 6.3.5 ----

def test_create_makes_levels_above_and_takes_a_trailing_separator(site):
    with new(site) as s:
        s.ok("CREATE a/b/c")
        equal(top(s.ok('LIST "" "*"').names()), ["a", "a/b", "a/b/c"])
        s.ok("CREATE d/")
        s.ok("SELECT d")
        s.ok("CREATE d/e")
        equal(s.no("CREATE a/b/c").code("ALREADYEXISTS"), "")
        for name in ("INBOX", "inbox", '""', '"/"', '"x//y"', "Sent"):
            s.no(f"CREATE {name}")
        s.bad("CREATE")
        s.bad("CREATE a b")


def test_delete_spares_children_and_inbox(site):
    with new(site) as s:
        s.ok("CREATE a")
        s.ok("CREATE a/b")
        s.append("a/b", MAIL)
        s.append("a", MAIL)
        s.ok("DELETE a")
        equal(s.ok('LIST "" "a/%"').names(), ["a/b"])
        s.no("SELECT a")
        equal(s.ok("SELECT a/b").number("EXISTS"), 1)
        # RFC 3501 6.3.4: a \Noselect name with children cannot go
        attributes = s.ok('LIST "" a').attributes("a")
        if attributes is not None:
            equal("\\noselect" in attributes, True)
            s.no("DELETE a")
        s.ok("UNSELECT")
        s.ok("DELETE a/b")
        equal(top(s.ok('LIST "" "*"').names()), [])
        for name in ("INBOX", "inbox", "nowhere", "a/b"):
            s.no(f"DELETE {name}")


def test_a_level_without_mailbox_cannot_be_used_as_one(site):
    with new(site) as s:
        s.ok("CREATE a/b")
        s.ok("DELETE a")
        if "\\noselect" in (s.ok('LIST "" a').attributes("a") or set()):
            for command in ("SELECT a", "EXAMINE a", "STATUS a (MESSAGES)"):
                s.no(command)
            s.no("APPEND a ", Plus(MAIL))
        s.ok("CREATE a")
        s.ok("SELECT a")
        equal(s.ok('LIST "" a').attributes("a"), {"\\haschildren"})


def test_a_mailbox_made_again_has_another_uidvalidity_or_higher_uids(site):
    with new(site) as s:
        s.ok("CREATE box")
        s.append("box", MAIL)
        before = s.ok("STATUS box (UIDVALIDITY UIDNEXT)").status()
        s.ok("DELETE box")
        s.ok("CREATE box")
        after = s.ok("STATUS box (UIDVALIDITY UIDNEXT MESSAGES)").status()
        equal(after["MESSAGES"], 0)
        equal(after["UIDVALIDITY"] > before["UIDVALIDITY"], True, "UIDVALIDITY")


def test_rename_takes_children_along_and_keeps_uids(site):
    with new(site) as s:
        s.ok("CREATE a/b")
        uid = s.append("a/b", MAIL)
        before = s.ok("STATUS a/b (UIDVALIDITY)").status()
        s.ok("RENAME a x/y")
        equal(top(s.ok('LIST "" "*"').names()), ["x", "x/y", "x/y/b"])
        equal(s.ok("STATUS x/y/b (UIDVALIDITY)").status(), before)
        s.ok("SELECT x/y/b")
        equal(s.ok("FETCH 1 UID").items()[b"UID"], uid)
        s.no("RENAME nowhere somewhere")
        s.no("RENAME x Sent")
        s.no("RENAME x INBOX")
        s.no("RENAME x x/z")
        s.no("RENAME x/y x")
        equal(top(s.ok('LIST "" "*"').names()), ["x", "x/y", "x/y/b"])


def test_renaming_inbox_moves_its_mail_and_leaves_it_and_its_children(site):
    with new(site) as s:
        s.ok("CREATE INBOX/child")
        s.append("INBOX", MAIL)
        s.append("INBOX/child", MAIL)
        s.ok("RENAME inbox old")
        equal(s.ok("SELECT old").number("EXISTS"), 1)
        equal(s.ok("SELECT INBOX").number("EXISTS"), 0)
        equal(s.ok("SELECT inbox/child").number("EXISTS"), 1)
        equal(s.ok('LIST "" "old*"').names(), ["old"])
        s.no("RENAME INBOX old")


# ---- 6.3.6 to 6.3.9 ----

def test_list_patterns_mean_what_they_say(site):
    with new(site) as s:
        for name in ("a", "a/b", "a/b/c", "ab", "b/a"):
            s.ok(f"CREATE {name}")
        for reference, pattern, names in (
                ('""', "*", ["a", "a/b", "a/b/c", "ab", "b", "b/a"]), ('""', "%", ["a", "ab", "b"]),
                ('""', "a/%", ["a/b"]),
                ('""', "a/*", ["a/b", "a/b/c"]), ('""', "%/%", ["a/b", "b/a"]), ('""', "%/%/%", ["a/b/c"]),
                ('""', "*c", ["a/b/c"]),
                ('""', "a%", ["a", "ab"]), ('""', "a*", ["a", "a/b", "a/b/c", "ab"]), ('""', "%b", ["ab", "b"]),
                ('""', "*b", ["a/b", "ab", "b"]),
                ('""', "a", ["a"]), ('""', "A", []), ('""', "a/", []), ('"a/"', "%", ["a/b"]),
                ("a/", "*", ["a/b", "a/b/c"]),
                ("a", "%", ["a", "ab"]), ('"a/b"', '"/%"', ["a/b/c"]),
                ('""', '"**"', ["a", "a/b", "a/b/c", "ab", "b", "b/a"]),
                ('""', "%%", ["a", "ab", "b"]), ('""', "%*", ["a", "a/b", "a/b/c", "ab", "b", "b/a"]),
                ('""', "nowhere", [])):
            equal(sorted(top(s.ok(f"LIST {reference} {pattern}").names())), names, f"LIST {reference} {pattern}")
        equal(s.ok('LIST "" ', Literal(b"a/%")).names(), ["a/b"])
        equal(s.ok("LIST ", Plus(b""), " ", Plus(b"ab")).names(), ["ab"])
        equal(sorted(top(s.ok("LSUB \"\" *").names("LSUB"))), [])


def test_list_of_nothing_tells_the_separator(site):
    with new(site) as s:
        for command in ('LIST "" ""', 'LIST "a/b" ""', 'LIST {0+}\r\n ""'):
            answer = s.ok(command)
            equal(answer.attributes(answer.names()[0]), {"\\noselect"})
            equal(b' "/" ' in answer.lines()[0], True)


def test_inbox_is_inbox_in_any_case(site):
    with new(site) as s:
        for pattern in ("INBOX", "inbox", "InBoX", "inb%", "*box", "%"):
            equal("INBOX" in s.ok(f'LIST "" {pattern}').names(), True, pattern)
        for name in ("inbox", '"Inbox"', "iNBOX"):
            s.ok(f"SELECT {name}")
            equal(b"INBOX" in s.ok(f"STATUS {name} (MESSAGES)").lines()[0], True)
        s.ok("SUBSCRIBE inbox")
        equal(s.ok('LSUB "" inbox').names("LSUB"), ["INBOX"])
        s.ok("CREATE Inbox/x")
        equal(s.ok('LIST "" INBOX/%').names(), ["INBOX/x"])
        equal(s.ok('LIST "inbox/" %').names(), ["INBOX/x"])
        equal(s.ok('LIST "" ("inbox")').names(), ["INBOX"])


def test_list_tells_of_children_and_special_use(site):
    with new(site) as s:
        s.ok("CREATE a/b")
        answer = s.ok('LIST "" "*"')
        equal("\\haschildren" in answer.attributes("a"), True)
        equal("\\hasnochildren" in answer.attributes("a/b"), True)
        equal("\\sent" in answer.attributes("Sent"), True)
        special = s.ok('LIST (SPECIAL-USE) "" "*"')
        equal(sorted(special.names()), ["Archive", "Drafts", "Junk", "Sent", "Trash"])
        s.ok("CREATE MySent (USE (\\Flagged))")
        equal("\\flagged" in s.ok('LIST "" MySent RETURN (SPECIAL-USE)').attributes("MySent"), True)
        equal(s.no("CREATE Odd (USE (\\Nonsense))").code("USEATTR"), "")


def test_subscriptions_live_without_their_mailboxes(site):
    with new(site) as s:
        s.ok("CREATE a/b")
        s.ok("SUBSCRIBE a/b")
        s.ok("SUBSCRIBE a/b")
        equal(top(s.ok('LSUB "" "*"').names("LSUB")), ["a/b"])
        answer = s.ok('LSUB "" "%"')
        equal(top(answer.names("LSUB")), ["a"])
        equal(answer.attributes("a", "LSUB"), {"\\noselect"})
        equal(s.ok('LSUB "" "a/%"').names("LSUB"), ["a/b"])
        s.ok("DELETE a/b")
        equal(s.ok('LSUB "" "a/*"').names("LSUB"), ["a/b"])
        equal("\\nonexistent" in s.ok('LIST (SUBSCRIBED) "" "a/*"').attributes("a/b"), True)
        equal(s.ok('LIST "" "a/*"').names(), [])
        s.ok("UNSUBSCRIBE a/b")
        equal(top(s.ok('LSUB "" "*"').names("LSUB")), [])
        s.ok("SUBSCRIBE a")
        equal(s.ok('LSUB "" "%"').attributes("a", "LSUB") != {"\\noselect"}, True)


# ---- RFC 5258 3 ----

def test_recursivematch_follows_the_rfcs_example(site):
    """RFC 5258 5."""
    with new(site) as s:
        for name in ("foo2", "foo2/bar1", "foo2/bar2", "baz2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2",
                "eps2/mamba", "qux2/bar2"):
            s.ok(f"CREATE {name}")
        for name in ("foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2", "eps2/mamba",
                "qux2/bar2"):
            s.ok(f"SUBSCRIBE {name}")
        answer = s.ok('LIST (RECURSIVEMATCH SUBSCRIBED) "" "*2"')
        equal(sorted(answer.names()), ["baz2/bar2", "baz2/bar22", "baz2/bar222", "eps2", "foo2", "foo2/bar2",
                "qux2/bar2"])
        equal("\\subscribed" in answer.attributes("foo2"), False)
        told = {r.items["mailbox"]: b"CHILDINFO" in r.octets for r in answer.of("LIST")}
        equal((told[b"foo2"], told[b"eps2"], told[b"foo2/bar2"]), (True, True, False))
        equal(sorted(top(s.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"').names())), ["baz2", "eps2", "foo2", "qux2"])
        equal(top(s.ok('LIST (SUBSCRIBED) "" "%"').names()), ["eps2"])
        s.bad('LIST (RECURSIVEMATCH) "" "*"')
        s.bad('LIST (NONSENSE) "" "*"')
        equal(s.ok('LIST () "" ("foo2" "eps2" "foo2")').names(), ["eps2", "foo2"])


# ---- 5.1 ----

def test_names_are_modified_utf7_in_one_form(site):
    with new(site) as s:
        for name in ('"&1VytbcW0-"', '"&1VytbcW0- &0,SzVA-"', '"a &- b"', '"&AOQ-/&AOQ-"', '"sub.dot"',
                     '"with \\"quotes\\""', '"back\\\\slash"',
                     '"~tilde"', '"-dash"', '"a b"', '"#hash"', "(paren".join(('"', '"'))):
            s.ok(f"CREATE {name}")
            s.ok(f"SELECT {name}")
            s.append(name, MAIL)
        names = s.ok('LIST "" "*"').names()
        for name in ("&1VytbcW0-", "&1VytbcW0- &0,SzVA-", "a &- b", "&AOQ-/&AOQ-", "sub.dot", 'with "quotes"',
                "back\\slash", "~tilde", "(paren"):
            equal(name in names, True, name)
        for name in ('"a&b"', '"&AGE-"', '"&1V"', '"&AOQ-&AOQ-"', '"&"', '"x&ZZ"'):
            s.no(f"CREATE {name}")
            s.no(f"SELECT {name}")
        s.no(b"CREATE \"caf\xc3\xa9\"".decode())
        s.no("CREATE ", Literal("한".encode()))
        s.no("CREATE ", Plus(b"caf\xe9"))


def test_names_reach_no_other_place(site):
    with new(site) as s:
        for name in ('"../x"', '".."', '"a/../b"', '"/etc"', '"."', '"a/."', '"cur"', '"new"', '"tmp"', '"*"', '"a%b"'):
            answer = s.do(f"CREATE {name}")
            equal(answer.word in ("OK", "NO"), True, name)
            if answer.word == "OK":
                s.ok(f"SELECT {name}")
                s.ok("UNSELECT")
                s.ok(f"DELETE {name}")
        s.ok("SELECT INBOX")


def test_a_literal_may_stand_for_every_name(site):
    with new(site) as s:
        for kind in (Literal, Plus):
            s.ok("CREATE ", kind(b"lit"))
            s.ok("SUBSCRIBE ", kind(b"lit"))
            s.ok("STATUS ", kind(b"lit"), " (MESSAGES)")
            s.ok("SELECT ", kind(b"lit"))
            s.ok("EXAMINE ", kind(b"lit"))
            s.ok("APPEND ", kind(b"lit"), " ", kind(MAIL))
            s.ok("APPEND ", kind(b"lit"), " (\\Seen) \" 1-Feb-2003 04:05:06 +0000\" ", kind(MAIL))
            s.ok("COPY 1:2 ", kind(b"lit"))
            s.ok("UNSELECT")
            s.ok("GETQUOTAROOT ", kind(b"lit"))
            s.ok("LSUB ", kind(b""), " ", kind(b"lit"))
            s.ok("UNSUBSCRIBE ", kind(b"lit"))
            s.ok("RENAME ", kind(b"lit"), " ", kind(b"lit2"))
            s.ok("DELETE ", kind(b"lit2"))
            s.no("SELECT ", kind(b""))
            s.no("APPEND ", kind(b"nowhere"), " ", kind(MAIL))


# ---- RFC 2342 5, 9208 4 ----

def test_namespace_and_quota_answer(site):
    """RFC 2342 4 to 6."""
    with new(site) as s:
        equal(len(s.ok("NAMESPACE").of("NAMESPACE")), 1)
        answer = s.ok("GETQUOTAROOT INBOX")
        equal((len(answer.of("QUOTAROOT")), len(answer.of("QUOTA"))), (1, 1))
        s.ok('GETQUOTA "User quota"')
        equal(s.no('GETQUOTA "another"').code("NONEXISTENT"), "")
