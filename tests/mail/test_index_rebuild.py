# SPDX-License-Identifier: ISC
"""index.db is a cache of the numbering: what it is rebuilt to is what it was."""

import os
import re

from trivet import drop, equal, imap, message, message_files, ok, pop3, wait_until

DAEMONS = ("imapd", "pop3d")


def keeper_is_gone(site, user):
    return not any(site.address(user) in title for title in site.processes().values())


def index_files(site, user):
    found = [os.path.join(folder, name) for folder, _, names in os.walk(site.maildir(f"user{user}"))
             for name in names if name.startswith("index.db")]
    if not any(name.endswith("index.db") for name in found):
        raise AssertionError(f"there is no index.db, only {found}")
    return found


def delete_index(site, user):
    """With nobody having it open, as an administrator should."""
    site.stop()
    for name in index_files(site, user):
        os.unlink(name)
    site.start()


def state_of(site, user):
    """Of each mailbox: UIDVALIDITY, UIDNEXT, and of each message UID, flags and keywords, date, octets."""
    c = imap(site, user)
    names = [re.search(rb'"/" "?([^"]*)"?$', row)[1].decode() for row in ok(c.list())]
    state = {"subscribed": sorted(re.search(rb'"/" "?([^"]*)"?$', row)[1].decode()
                                  for row in ok(c.lsub()) if row)}
    for name in names:
        status = ok(c.status(f'"{name}"', "(UIDVALIDITY UIDNEXT MESSAGES)"))[0]
        number = {k: int(v) for k, v in re.findall(r"(UIDVALIDITY|UIDNEXT|MESSAGES) (\d+)", status.decode())}
        ok(c.select(f'"{name}"', readonly=True))
        rows = {}
        if number["MESSAGES"]:
            for row in ok(c.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")):
                if isinstance(row, tuple):
                    head = row[0].decode()
                    flags = re.search(r"FLAGS \(([^)]*)\)", head)[1].split()
                    rows[int(re.search(r"UID (\d+)", head)[1])] = (
                        sorted(f for f in flags if f != r"\Recent"),
                        re.search(r'INTERNALDATE "([^"]*)"', head)[1], row[1])
        state[name] = (number["UIDVALIDITY"], number["UIDNEXT"], rows)
    c.logout()
    return state


def compare(before, after):
    equal(sorted(after), sorted(before), "the mailboxes")
    equal(after.pop("subscribed"), before.pop("subscribed"), "the subscriptions")
    for name, (validity, uid_next, rows) in before.items():
        equal(after[name][0], validity, f"UIDVALIDITY of {name}")
        equal(after[name][2], rows, f"messages of {name}")
        if after[name][1] < uid_next:
            raise AssertionError(f"UIDNEXT of {name} fell from {uid_next} to {after[name][1]}")


def use(site, user):
    """An account with some history: deliveries, appends, flags, keywords, copies, moves, expunges, folders."""
    for n in range(6):
        drop(site, user, message(subject=f"dropped {n}"))
    c = imap(site, user)
    ok(c.select("INBOX"))
    for n in range(10):
        ok(c.append("INBOX", r"(\Seen)" if n % 2 else None, '"17-Jul-1996 02:44:25 -0700"',
                    message(subject=f"appended {n}")))
    ok(c.create("Work"))
    ok(c.create("Work/2026"))
    ok(c.create("&ZeVnLIqe-"))
    ok(c.subscribe("Work/2026"))
    ok(c.noop())
    ok(c.store("2:4", "+FLAGS", r"(\Flagged \Answered)"))
    ok(c.store("3,5", "+FLAGS", "($Forwarded todo Junk)"))
    ok(c.store("6", "+FLAGS", r"(\Draft \Deleted)"))
    ok(c.copy("1:5", "Work"))
    ok(c.uid("MOVE", "8:10", '"Work/2026"'))
    ok(c.store("1,7", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    ok(c.store("*", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())             # the highest UID is gone: UIDNEXT must not fall all the same
    c.logout()
    wait_until("the keeper wrote the flags into the names", lambda: names_tell_flags(site, user))


def names_tell_flags(site, user):
    """They follow a little later, in bulk: three of INBOX are flagged and answered."""
    flags = [os.path.basename(p).partition(":2,")[2] for p in message_files(site, user)]
    return sum("F" in f and "R" in f for f in flags) == 3


def test_uids_flags_and_keywords_are_as_before_when_index_db_was_deleted(site):
    use(site, 1)
    before = state_of(site, 1)
    delete_index(site, 1)
    compare(before, state_of(site, 1))


def test_a_rebuilt_mailbox_gives_no_uid_a_second_time(site):
    use(site, 2)
    before = state_of(site, 2)["INBOX"]
    delete_index(site, 2)
    c = imap(site, 2)
    ok(c.append("INBOX", None, None, message(subject="after")))
    c.logout()
    after = state_of(site, 2)["INBOX"]
    new = set(after[2]) - set(before[2])
    equal(len(new), 1, "new messages")
    if new.pop() < before[1]:
        raise AssertionError(f"the new message has one of the old UIDs: {sorted(after[2])}, UIDNEXT was {before[1]}")


def test_a_rebuild_after_kill_minus_9_gives_no_uid_a_second_time(site):
    use(site, 3)
    before = state_of(site, 3)
    site.kill()
    for name in index_files(site, 3):
        os.unlink(name)
    site.start()
    after = state_of(site, 3)
    compare(before, after)


def test_pop3_ids_are_the_same_after_a_rebuild(site):
    use(site, 4)
    p = pop3(site, 4)
    before = p.uidl()[1]
    p.quit()
    delete_index(site, 4)
    p = pop3(site, 4)
    equal(p.uidl()[1], before, "UIDL")
    p.quit()


def test_an_index_that_is_rubbish_is_rebuilt(site):
    use(site, 5)
    before = state_of(site, 5)
    site.stop()
    for name in index_files(site, 5):
        if name.endswith("index.db"):
            with open(name, "r+b") as f:
                f.write(b"this was an index once" * 300)
        else:
            os.unlink(name)
    site.start()
    compare(before, state_of(site, 5))


def test_an_index_deleted_under_a_running_keeper_is_noticed_by_the_next_one(site):
    use(site, 6)
    before = state_of(site, 6)
    for name in index_files(site, 6):
        os.unlink(name)
    for pid, title in site.processes().items():
        if site.address(6) in title:
            os.kill(pid, 9)
    wait_until("the keepers are gone", lambda: keeper_is_gone(site, 6))
    compare(before, state_of(site, 6))
