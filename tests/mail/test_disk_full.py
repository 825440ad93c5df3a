# SPDX-License-Identifier: ISC
"""A file system that is full, for a server that runs and for one that is started on it: new mail is refused for now
(RFC 5321 4.2.3, RFC 5530 3), what is there is read and deleted, and with room it heals."""

import contextlib
import os
import re
import smtplib

from sites import Site
from trivet import (equal, imap, message, ok, pop3, run_program, seconds, send, skip, slow_build, wait_until, with_subject)

SIZE = "64m"
BODY = "A line that takes some room, and another one that takes more.\r\n" * 30
NO_ROOM = re.compile(rb"\[(OVERQUOTA|UNAVAILABLE)\]")


class Disk:
    """A tmpfs, and a file that takes all room there is."""

    def __init__(self, folder):
        self.folder = f"{folder}/disk"
        self.ballast = f"{self.folder}/ballast"

    def __enter__(self):
        if os.geteuid() != 0:
            skip("mounting a small file system takes root")
        os.mkdir(self.folder)
        done = run_program("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", self.folder)
        if done.returncode != 0:
            skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
        return self

    def __exit__(self, *_):
        run_program("umount", "-l", self.folder)

    def fill(self):
        """To the last octet, again where something was given back."""
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(65536))
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(512))
        os.close(fd)

    def make_room(self):
        os.unlink(self.ballast)


class FullSite(Site):
    """Its own notes may have no room either."""

    def save(self):
        with contextlib.suppress(OSError):
            super().save()

    def write_env(self):
        with contextlib.suppress(OSError):
            super().write_env()


def subjects(site, user):
    c = imap(site, user)
    try:
        count = int(ok(c.select("INBOX", readonly=True))[0])
        if not count:
            return []
        parts = [p[1] for p in ok(c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if isinstance(p, tuple)]
        return sorted(re.search(rb"Subject: (\S+)", p)[1].decode() for p in parts)
    finally:
        c.logout()


def before(site):
    for n in range(12):
        for user in (1, 2):
            send(site, to=f"user{user}", subject=f"before-{n:02}", body=BODY)


def wait_for_reserves(site, *users):
    """What each account sets aside some seconds after it was opened."""
    paths = [f"{site.maildir(f'user{user}')}/.trivet/reserve.3" for user in users]
    wait_until("room is set aside", lambda: all(os.path.exists(p) and os.path.getsize(p) for p in paths), 15)


def refused_for_now(site):
    """Mail from outside until it is refused: those subjects that were accepted."""
    accepted = []
    for n in range(2000):
        subject = f"full-{os.urandom(3).hex()}-{n:04}"
        try:
            send(site, to="user3", subject=subject, body=BODY * 30)
            accepted.append(subject)
        except smtplib.SMTPDataError as e:
            equal((e.smtp_code, e.smtp_error[:5]), (452, b"4.3.1"), "the answer where there is no room")
            return accepted
    raise AssertionError("2000 messages were accepted on a full disk")


def reading_goes_on(site, expected):
    """By a session that comes now, and by POP3."""
    equal(subjects(site, 1), expected, "the subjects of user1")
    c = imap(site, 1, select="INBOX")
    bodies = [p[1] for p in ok(c.fetch("1:*", "(BODY.PEEK[TEXT])")) if isinstance(p, tuple)]
    equal([b.strip() == BODY.encode().strip() for b in bodies], [True] * len(expected), "bodies")
    equal(len(ok(c.search(None, "SUBJECT", "before"))[0].split()), len(expected), "found")
    c.logout()
    p = pop3(site, 2)
    equal(p.retr(1)[0][:3], b"+OK")
    p.quit()


def appending_is_refused(site):
    c = imap(site, 1, select="INBOX")
    kind, data = c.append("INBOX", None, None, message(body=BODY * 300))
    if kind != "NO" or not NO_ROOM.search(data[0]):
        raise AssertionError(f"APPEND on a full disk: {kind} {data}")
    ok(c.noop())
    c.logout()


def deleting_goes_on(site, disk):
    """By IMAP and by POP3, each on a disk that is full to the last octet."""
    disk.fill()
    c = imap(site, 1, select="INBOX")
    ok(c.store("1:2", "+FLAGS", "(\\Deleted)"))
    disk.fill()
    equal(len(ok(c.expunge())), 2, "expunged")
    c.logout()
    disk.fill()
    p = pop3(site, 2)
    count = p.stat()[0]
    p.dele(1)
    equal(p.quit()[:3], b"+OK")
    p = pop3(site, 2)
    equal(p.stat()[0], count - 1)
    p.quit()


def heals(site, accepted):
    def works():
        try:
            send(site, to="user4", subject="healed")
            return with_subject(site, 4, "healed")
        except smtplib.SMTPException:
            return False
    wait_until("mail is taken and delivered again", works, 10)
    c = imap(site, 1, select="INBOX")
    ok(c.append("INBOX", None, None, message(subject="after", body=BODY)))
    c.logout()
    site.turn_clock(site.clock() + 31 * 60)     # the next try of what had no room is due
    wait_until("what was accepted is delivered", lambda: set(accepted) <= set(subjects(site, 3)), 20)
    equal(sorted(accepted), [s for s in subjects(site, 3) if s in accepted], "each once")


@seconds(120)
def test_a_full_disk_refuses_new_mail_for_now_and_heals(folder):
    with Disk(folder) as disk:
        site = FullSite(f"{disk.folder}/site", users=5).start()
        try:
            before(site)
            waiting = imap(site, 1, select="INBOX")
            wait_for_reserves(site, 1, 2)
            disk.fill()
            accepted = refused_for_now(site)
            disk.fill()
            reading_goes_on(site, [f"before-{n:02}" for n in range(12)])
            ok(waiting.noop())
            appending_is_refused(site)
            deleting_goes_on(site, disk)
            disk.make_room()
            heals(site, accepted)
            equal(subjects(site, 1), sorted(["after"] + [f"before-{n:02}" for n in range(2, 12)] ))
            waiting.logout()
        finally:
            slow = site.stop()
        equal((slow, site.complaints()), (None, []))


@seconds(120)
def test_a_server_starts_on_a_full_disk(folder):
    with Disk(folder) as disk:
        site = FullSite(f"{disk.folder}/site", users=5).start()
        try:
            before(site)
            wait_for_reserves(site, 1, 2)
            equal(site.stop(), None)
            disk.fill()
            site.start(seconds=10 * slow_build())
            disk.fill()
            accepted = refused_for_now(site)
            disk.fill()
            reading_goes_on(site, [f"before-{n:02}" for n in range(12)])
            appending_is_refused(site)
            deleting_goes_on(site, disk)
            equal(site.stop(), None)
            disk.fill()
            site.start(seconds=10 * slow_build())
            reading_goes_on(site, [f"before-{n:02}" for n in range(2, 12)])
            disk.make_room()
            heals(site, accepted)
        finally:
            slow = site.stop()
        equal((slow, site.complaints()), (None, []))
