# SPDX-License-Identifier: ISC
"""trivet check beside the daemons: it finds what is wrong and nothing else, and repairs as the mail's user."""

import glob
import json
import os
import poplib
import signal
import subprocess
import threading

from trivet import drop, equal, imap, message, message_files, ok, pop3, program, send, wait_until

USERS = 6


def check(site, *words, code=0):
    """The accounts' reports."""
    done = subprocess.run([program("trivet"), "-c", site.config, "check", *words, "--json"], capture_output=True,
                          text=True, env=site.environment(), check=False)
    equal(done.returncode, code, f"exit code of check {words}: {done.stdout[-2000:]} {done.stderr}")
    return json.loads(done.stdout)


def kinds(report):
    return sorted(f["kind"] for f in report["findings"] if not f["note"])


def fill(site, user, count=10):
    c = imap(site, user)
    for n in range(count):
        ok(c.append("INBOX" if n % 2 else "Archive", r"(\Seen)" if n % 3 == 0 else None, None,
                    message(subject=f"message {n}")))
    c.logout()


def owners_of(folder):
    return {os.lstat(os.path.join(top, name)).st_uid
            for top, folders, files in os.walk(folder) for name in (*folders, *files)
            if not os.path.islink(os.path.join(top, name))}


class Busy(threading.Thread):
    """Mail comes, is read, flagged, moved, copied and expunged, until it is told to stop."""

    def __init__(self, site, user, work):
        super().__init__(daemon=True)
        self.site, self.user, self.work, self.closing, self.fault, self.rounds = site, user, work, False, None, 0

    def run(self):
        try:
            while not self.closing:
                self.work(self.site, self.user)
                self.rounds += 1
        except Exception as e:
            self.fault = e


def by_imap(site, user):
    c = imap(site, user, select="INBOX")
    for n in range(4):
        ok(c.append("INBOX", None, None, message(subject=f"busy {n}")))
    ok(c.noop())
    uids = ok(c.uid("SEARCH", "ALL"))[0].decode().split()[:4]
    if uids:        # others take some away meanwhile
        ok(c.uid("STORE", ",".join(uids), "+FLAGS", r"(\Seen \Flagged work)"))
        c.uid("COPY", ",".join(uids), "Archive")
        c.uid("MOVE", ",".join(uids[:2]), "Trash")
        ok(c.uid("STORE", ",".join(uids[2:3] or uids), "+FLAGS", r"(\Deleted)"))
        ok(c.expunge())
    ok(c.select("Trash"))
    ok(c.uid("STORE", "1:*", "+FLAGS", r"(\Deleted)"))
    ok(c.close())
    c.logout()


def by_smtp(site, user):
    send(site, message(subject="delivered"), to=f"user{user}")


def by_pop3(site, user):
    p = pop3(site, user)
    for n in range(1, min(len(p.list()[1]), 3) + 1):
        try:
            p.retr(n)
        except poplib.error_proto as e:     # others take some away meanwhile
            if b"gone" not in e.args[0]:
                raise
            continue
        p.dele(n)
    p.quit()


def test_what_is_only_on_its_way_is_no_finding(site):
    fill(site, 1)
    busy = [Busy(site, 1, w) for w in (by_imap, by_smtp, by_pop3)]
    for b in busy:
        b.start()
    for n in range(12):
        report, = check(site, "user1", *(["--repair"] if n % 3 == 2 else []))
        equal(kinds(report), [], f"findings of check {n}")
    for b in busy:
        b.closing = True
    for b in busy:
        b.join(30)
        if b.fault or not b.rounds:
            raise AssertionError(f"{b.work}: {b.fault}, {b.rounds} rounds")
    site.stop()
    report, = check(site, "user1")
    equal(kinds(report), [], "findings afterwards")
    site.start()


def test_after_kill_minus_9_only_what_the_next_session_does_is_left(site):
    fill(site, 2)
    for n in range(5):
        busy = [Busy(site, 2, w) for w in (by_imap, by_smtp)]
        for b in busy:
            b.start()
        wait_until("there is work", lambda: all(b.rounds > n or b.fault for b in busy))
        for b in busy:
            b.closing = True
        site.kill()
        report, = check(site, "user2")
        equal([f for f in report["findings"] if not f["later"]], [], "faults after kill -9")
        site.start()
        imap(site, 2, select="INBOX").logout()
        for b in busy:
            b.join(30)
    report, = check(site, "user2", "--repair")
    equal(report["faults"], 0)


def test_damage_under_a_running_keeper_is_repaired_and_seen_by_its_session(site):
    fill(site, 3)
    c = imap(site, 3, select="INBOX")
    equal(len(message_files(site, 3)), 5)
    lost = sorted(glob.glob(f"{site.maildir('user3')}/cur/*,U=2:*"))[0]
    os.unlink(lost)
    drop(site, 3, message(subject="dropped"))
    check(site, "user3", "--repair")
    report, = check(site, "user3")
    equal(kinds(report), [], "after the repair")
    ok(c.noop())
    equal(ok(c.uid("SEARCH", "UID", "2"))[0], b"", "the lost one")
    equal(len(ok(c.search(None, "SUBJECT", "dropped"))[0].split()), 1, "the dropped one")
    c.logout()


def test_each_fault_has_its_word_and_the_exit_code_tells_of_it(site):
    fill(site, 4)
    site.stop()
    stamp = os.stat(f"{site.maildir('user4')}/cur")
    path = sorted(glob.glob(f"{site.maildir('user4')}/cur/*,U=3:*"))[0]
    with open(path, "ab") as f:
        f.write(b"more\r\n")
    os.utime(f"{site.maildir('user4')}/cur", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    report, = check(site, "user4", code=1)
    equal(kinds(report), ["size-wrong"])
    equal((report["faults"], report["repaired"]), (1, 0))
    text = site.trivet("check", "user4", check=False).stdout
    for word in ("INBOX: UID 3: the file has not the size that its name says", ": 1 fault\n"):
        if word not in text:
            raise AssertionError(f"not told: {word!r} in {text!r}")
    report, = check(site, "user4", "--repair")
    equal((report["faults"], report["repaired"]), (0, 1))
    site.start()
    c = imap(site, 4, select="INBOX")
    equal(int(ok(c.status("INBOX", "(MESSAGES)"))[0].split()[-1].strip(b")")), 5, "messages")
    c.logout()


def test_nothing_becomes_roots_and_no_link_leads_out(site):
    fill(site, 5)
    site.stop()
    folder = site.maildir("user5")
    whose = os.stat(folder)
    secret = f"{site.folder}/secret"
    with open(secret, "w", encoding="utf-8") as f:
        f.write("Subject: secret\n\nsecret\n")
    for name in ("cur/1700000000.a.b:2,", "new/1700000001.a.b", ".trivet/search.db"):
        os.symlink(secret, f"{folder}/{name}")
    os.rename(f"{folder}/.Archive", f"{site.folder}/elsewhere")
    os.symlink(f"{site.folder}/elsewhere", f"{folder}/.Archive")
    before = {p: os.lstat(p).st_mtime_ns for p in (secret, f"{site.folder}/elsewhere/cur")}
    check(site, "user5", "--repair", code=1)
    equal({p: os.lstat(p).st_mtime_ns for p in before}, before, "what lies outside")
    equal(owners_of(folder), {whose.st_uid}, "owners")
    check(site, "--all", code=1)
    os.unlink(f"{folder}/.Archive")
    os.rename(f"{site.folder}/elsewhere", f"{folder}/.Archive")
    site.start()


def test_a_folder_that_is_a_link_is_not_entered(site):
    site.stop()
    folder = site.maildir("user6")
    os.makedirs(f"{site.folder}/other")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    os.symlink(f"{site.folder}/other", folder)
    check(site, "user6", "--repair", code=1)
    equal(os.listdir(f"{site.folder}/other"), [])
    os.unlink(folder)
    site.start()


def test_a_check_that_is_killed_leaves_an_account_in_order(site):
    fill(site, 2, 40)
    for n in range(6):
        files = sorted(glob.glob(f"{site.maildir('user2')}/cur/*"))
        os.truncate(files[n], 3)
        with subprocess.Popen([program("trivet"), "-c", site.config, "check", "user2", "--repair"],
                              stdout=subprocess.DEVNULL, env=site.environment(), start_new_session=True) as p:
            try:
                p.wait(0.05 * n + 0.02)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
    check(site, "user2", "--repair")
    report, = check(site, "user2")
    equal(kinds(report), [], "afterwards")
