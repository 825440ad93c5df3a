# SPDX-License-Identifier: ISC
"""Other programs work in the Maildir too; an idling session hears of it within two seconds."""

import glob
import os

from trivet import Idle, drop, equal, imap, message, ok

DAEMONS = ("imapd", "pop3d")


def prepare(site, user, messages):
    c = imap(site, user)
    for n in range(messages):
        ok(c.append("INBOX", None, None, message(subject=f"message {n}")))
    c.logout()


def file_with(site, user, subject):
    for part in ("cur", "new"):
        for path in glob.glob(f"{site.maildir(f'user{user}')}/{part}/*"):
            with open(path, "rb") as f:
                if f"Subject: {subject}\r\n".encode() in f.read():
                    return path
    raise AssertionError(f"no file has the subject {subject}")


def test_a_message_dropped_into_new_is_seen_by_an_idling_session(site):
    prepare(site, 1, 2)
    with Idle(site, 1) as idle:
        octets = message(subject="dropped")
        drop(site, 1, octets)
        idle.wait_for(rb"\* 3 EXISTS")
        idle.done()
        rows = b"\r\n".join(idle.command("FETCH 3 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"))
        if b"dropped" not in rows:
            raise AssertionError(f"FETCH answered {rows}")


def test_a_message_dropped_into_a_folder_is_seen_by_an_idling_session(site):
    c = imap(site, 2)
    ok(c.create("Lists"))
    c.logout()
    with Idle(site, 2, "Lists") as idle:
        base = site.maildir("user2")
        owner = os.stat(base)
        path = f"{base}/.Lists/tmp/1.outside"
        with open(path, "wb") as f:
            f.write(message(subject="list mail"))
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
        os.rename(path, f"{base}/.Lists/new/1.outside")
        idle.wait_for(rb"\* 1 EXISTS")


def test_a_file_removed_by_hand_is_seen_by_an_idling_session(site):
    prepare(site, 3, 3)
    with Idle(site, 3) as idle:
        os.unlink(file_with(site, 3, "message 1"))
        idle.wait_for(rb"\* 2 EXPUNGE")
        idle.done()
        rows = idle.command("SEARCH ALL")
        equal(rows, [b"* SEARCH 1 2"])


def test_a_flag_renamed_by_hand_is_seen_by_an_idling_session(site):
    prepare(site, 4, 2)
    with Idle(site, 4) as idle:
        path = file_with(site, 4, "message 1")
        base, mark, flags = os.path.basename(path).partition(":2,")
        if not mark:
            raise AssertionError(f"the name has no flags part: {path}")
        os.rename(path, f"{site.maildir('user4')}/cur/{base}:2,{''.join(sorted(set(flags) | set('FS')))}")
        found = idle.wait_for(rb"\* 2 FETCH \((.*)\)")
        for flag in (rb"\Flagged", rb"\Seen"):
            if flag not in found[1]:
                raise AssertionError(f"{flag} is missing in {found[0]}")


def test_a_message_that_another_program_moved_from_new_to_cur_keeps_its_uid(site):
    prepare(site, 5, 1)
    path = drop(site, 5, message(subject="moved"), name="1700000000.M1P1.outside")
    c = imap(site, 5, select="INBOX")
    before = ok(c.fetch("2", "(UID)"))
    paths = glob.glob(f"{site.maildir('user5')}/*/1700000000.M1P1.outside*")
    equal(len(paths), 1, f"files of the dropped message {path}")
    base = os.path.basename(paths[0]).partition(":2,")[0]
    os.rename(paths[0], f"{site.maildir('user5')}/cur/{base}:2,R")
    ok(c.noop())
    rows = ok(c.fetch("2", "(UID FLAGS)"))
    equal(rows[0].split()[2], before[0].split()[2].rstrip(b")"), "the UID")
    if rb"\Answered" not in rows[0]:
        raise AssertionError(f"the flag is missing: {rows}")
    c.logout()


def test_a_thousand_messages_dropped_at_once_are_all_seen(site):
    with Idle(site, 6, timeout=20) as idle:
        for n in range(1000):
            drop(site, 6, message(subject=f"bulk {n}"))
        idle.wait_for(rb"\* 1000 EXISTS", 10)


def test_what_is_no_message_is_left_alone(site):
    prepare(site, 7, 1)
    base = site.maildir("user7")
    os.mkfifo(f"{base}/new/1.fifo")
    os.symlink("/etc/passwd", f"{base}/new/2.link")
    os.mkdir(f"{base}/new/3.folder")
    with open(f"{base}/new/.hidden", "wb") as f:
        f.write(b"Subject: hidden\r\n\r\n")
    c = imap(site, 7, select="INBOX")
    equal(ok(c.search(None, "ALL")), [b"1"])
    c.logout()
    for name in ("1.fifo", "2.link", "3.folder", ".hidden"):
        os.lstat(f"{base}/new/{name}")
