# SPDX-License-Identifier: ISC
"""What was expunged stays for some days: read-only for its user, outside the quota, and put back by the administrator."""

import collections
import json
import os
import random
import re
import subprocess
import threading

from trivet import Idle, equal, imap, kill_keepers, message, ok, pop3, program, seconds, wait_until

USERS = 6
SETTINGS = {"undelete_days": 3}
DAY = 24 * 3600
KEPT = "Recently Deleted/"


def undelete(site, *words, code=0):
    done = subprocess.run([program("trivet"), "-c", site.config, "undelete", *words, "--json"], capture_output=True,
                          text=True, env=site.environment(), check=False)
    equal(done.returncode, code, f"exit code of undelete {words}: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


def append(c, *subjects, mailbox="INBOX"):
    for subject in subjects:
        ok(c.append(mailbox, None, None, message(subject=subject)))


def subjects(c, mailbox):
    """Sorted; none where there is no such mailbox."""
    if c.select(f'"{mailbox}"', readonly=True)[0] != "OK":
        return []
    found = []
    if int(ok(c.status(f'"{mailbox}"', "(MESSAGES)"))[0].split()[-1].strip(b")")):
        for part in ok(c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")):
            if isinstance(part, tuple):
                found.append(part[1].split(b":", 1)[1].strip().decode())
    return sorted(found)


def expunge_all(c, mailbox):
    ok(c.select(f'"{mailbox}"'))
    ok(c.store("1:*", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())


def test_every_way_to_delete_keeps_and_a_move_does_not(site):
    c = imap(site, 1)
    append(c, "by expunge", "by uid expunge", "by close", "by pop3", "moved", "stays")
    ok(c.select("INBOX"))
    ok(c.store("1", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    ok(c.store("1:2", "+FLAGS", r"(\Deleted)"))
    ok(c.uid("EXPUNGE", "2"))
    ok(c.close())
    p = pop3(site, 1)
    p.dele(1)
    p.quit()
    ok(c.select("INBOX"))
    ok(c.uid("MOVE", "5", "Archive"))
    equal(subjects(c, KEPT + "INBOX"), ["by close", "by expunge", "by pop3", "by uid expunge"])
    equal(subjects(c, "INBOX"), ["stays"])
    ok(c.create("Work/2026"))
    append(c, "in work", mailbox="Work/2026")
    ok(c.delete("Work/2026"))
    equal(subjects(c, KEPT + "Work/2026"), ["in work"])
    c.logout()


def test_what_is_put_back_is_seen_by_an_idling_session_and_is_there_once(site):
    c = imap(site, 2)
    append(c, "one", "two", "three")
    append(c, "four", mailbox="Archive")
    expunge_all(c, "INBOX")
    expunge_all(c, "Archive")
    shown = undelete(site, "user2", "--dry-run")
    equal((shown["put_back"], sorted(m["mailbox"] for m in shown["messages"])), (4, ["Archive"] + ["INBOX"] * 3))
    equal(undelete(site, "user2", "--folder", "Nothing")["put_back"], 0)
    with Idle(site, 2) as idle:
        equal(undelete(site, "user2", "--folder", "INBOX")["put_back"], 3)
        idle.wait_for(rb"\* 3 EXISTS")
        idle.done()
    equal(undelete(site, "user2")["put_back"], 1)
    equal(undelete(site, "user2")["put_back"], 0)
    equal(subjects(c, "INBOX"), ["one", "three", "two"])
    equal(subjects(c, "Archive"), ["four"])
    equal(subjects(c, KEPT + "INBOX"), [])
    c.logout()
    owner = os.stat(site.maildir("user2")).st_uid
    equal({os.stat(os.path.join(top, name)).st_uid for top, folders, files in os.walk(site.maildir("user2"))
           for name in (*folders, *files)}, {owner}, "owners")


def test_since_and_the_end_of_its_time_go_by_when_it_was_deleted(fresh):
    c = imap(fresh, 3)
    append(c, "old", "new")
    ok(c.select("INBOX"))
    ok(c.store("1", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    fresh.turn_clock(2 * DAY)
    ok(c.store("1", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    equal(undelete(fresh, "user3", "--since", "1h", "--dry-run")["put_back"], 1)
    equal(undelete(fresh, "user3", "--since", "3d", "--dry-run")["put_back"], 2)
    undelete(fresh, "user3", "--dry-run")
    fresh.turn_clock(3 * DAY + 60)
    wait_until("what is too old is gone", lambda: undelete(fresh, "user3", "--dry-run")["put_back"] == 1, 20)
    equal(subjects(c, KEPT + "INBOX"), ["new"])
    fresh.turn_clock(5 * DAY + 60)
    wait_until("all of it is gone", lambda: undelete(fresh, "user3", "--dry-run")["put_back"] == 0, 20)
    equal(subjects(c, KEPT + "INBOX"), [])
    c.logout()


def test_what_has_no_room_stays_kept(site):
    c = imap(site, 4)
    append(c, *(f"message {n}" for n in range(10)))
    expunge_all(c, "INBOX")
    c.logout()
    site.trivet("user", "set", "user4", "--quota-messages", "4")
    done = undelete(site, "user4", code=1)
    equal((done["put_back"], done["left"]), (4, 6))
    site.trivet("user", "set", "user4", "--quota-messages", "0")
    equal(undelete(site, "user4")["put_back"], 6)


def work_until(site, user, closing, acknowledged, mailboxes):
    n = 0
    while not closing.is_set():
        try:
            c = imap(site, user, timeout=5)
            mailbox = random.choice(mailboxes)
            c.create(mailbox)
            for _ in range(3):
                n += 1
                name = f"m-{threading.get_ident()}-{n}"
                if c.append(mailbox, r"(word \Seen)" if n % 2 else None, None, message(subject=name))[0] == "OK":
                    acknowledged.add(name)
            c.select(mailbox)
            c.uid("STORE", "1:*", "+FLAGS", r"(\Deleted)" if random.random() < 0.5 else r"(\Flagged)")
            c.expunge() if random.random() < 0.7 else c.close()
            if random.random() < 0.3:
                c.delete(mailbox)
            c.logout()
        except Exception:       # it was killed
            pass


def undelete_until(site, user, closing):
    while not closing.wait(0.3):
        subprocess.run([program("trivet"), "-c", site.config, "undelete", f"user{user}"], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=site.environment(), timeout=60)


def all_subjects(site, user):
    c = imap(site, user)
    found = collections.Counter()
    for pattern in ("*", KEPT + "*"):
        for row in ok(c.list('""', f'"{pattern}"')):
            name = row and re.search(rb'"/" "?([^"]*)"?$', row)[1].decode()
            if name and b"\\Noselect" not in row:
                found.update(s for s in subjects(c, name) if s.startswith("m-"))
    c.logout()
    return found


@seconds(120)
def test_kill_minus_9_loses_and_doubles_nothing_that_is_deleted_and_put_back(site):
    closing, acknowledged = threading.Event(), set()
    mailboxes = ["INBOX", "Archive", "Work", "Work/2026"]
    threads = [threading.Thread(target=work_until, args=(site, 6, closing, acknowledged, mailboxes), daemon=True)
               for _ in range(2)]
    threads.append(threading.Thread(target=undelete_until, args=(site, 6, closing), daemon=True))
    for t in threads:
        t.start()
    killed = 0
    for _ in range(50):
        closing.wait(random.uniform(0.02, 0.4))
        killed += kill_keepers(site, 6, "imapd")
    closing.set()
    for t in threads:
        t.join(60)

    def lost():
        found = all_subjects(site, 6)
        return {s for s in acknowledged if not found[s]}
    wait_until("everything is somewhere", lambda: not lost(), 20)
    found = all_subjects(site, 6)
    equal({s: n for s, n in found.items() if n > 1}, {}, "more than once")
    print(f"    {killed} keepers killed, {len(acknowledged)} messages acknowledged, each is there once")
    undelete(site, "user6")
    after = all_subjects(site, 6)
    equal(after, found, "after all is put back")
