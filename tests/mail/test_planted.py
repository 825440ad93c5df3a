# SPDX-License-Identifier: ISC
"""Things planted in a Maildir - links, FIFOs, sockets, devices, directories - are never followed and hang nobody."""

import contextlib
import ctypes
import os
import shutil
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import time

from sites import process_table
from storm import TROUBLES
from trivet import (Wire, equal, fetch_all, imap, message, message_files, ok, pop3, seconds, send, short, slow_build,
                    wait_until)

USERS = 12
SECRET = b"Subject: not yours\r\n\r\nHolzapfel-4711\r\n"
NEEDLE = b"Holzapfel"
RENAME_EXCHANGE = 2
AT_ONCE = 5         # seconds in which everybody has an answer, whatever lies there


def own(site, *paths):
    owner = os.stat(f"{site.folder}/mail")
    for path in paths:
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


class Outside:
    """A Maildir and files that nobody has to do with; `check` says whether somebody had."""

    def __init__(self, site, name):
        self.folder = f"{site.folder}/outside-{name}"
        for part in ("", "/cur", "/new", "/tmp", "/.Work", "/.Work/cur", "/.Work/new", "/.Work/tmp"):
            os.mkdir(self.folder + part, 0o755)
            own(site, self.folder + part)
        self.file = f"{self.folder}/secret"
        for path in (self.file, f"{self.folder}/cur/1700000000.secret.host:2,", f"{self.folder}/new/1700000001.secret.host",
                     f"{self.folder}/tmp/1700000002.secret.host", f"{self.folder}/.Work/cur/1700000003.secret.host:2,S"):
            with open(path, "wb") as f:
                f.write(SECRET)
            own(site, path)
        self.foreign = f"{self.folder}/of-somebody-else"        # linked to it is possible, owning it is not
        with open(self.foreign, "wb") as f:
            f.write(SECRET)
        os.chmod(self.foreign, 0o644)
        self.before = self.look()

    def look(self):
        found = {}
        for folder, folders, files in os.walk(self.folder):
            for name in folders + files:
                path = f"{folder}/{name}"
                st = os.lstat(path)
                with open(path, "rb") if stat.S_ISREG(st.st_mode) else contextlib.nullcontext() as f:
                    found[path] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_ino, st.st_mtime_ns, f and f.read())
        return found

    def check(self):
        equal(self.look(), self.before, "outside")


def plant(site, folder, name, kind, outside):
    """Something of that kind; False where only root could."""
    path = f"{folder}/{name}"
    if kind == "directory":
        os.mkdir(path)
        with open(f"{path}/file", "wb") as f:
            f.write(SECRET)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(FileNotFoundError):
            here = os.open(folder, os.O_RDONLY)     # a long path does not fit an address
            s.bind(f"/proc/self/fd/{here}/{name}")
            os.close(here)
    elif kind == "device":
        if os.geteuid() != 0:
            return False
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))      # endless zeros
        except PermissionError:
            return False
    elif kind == "hard link":
        os.link(outside.foreign, path)
        return True
    else:
        target = {"link": outside.file, "link to foreign": outside.foreign, "link to directory": outside.folder,
                  "link to nothing": "/nowhere/at/all", "link to passwd": "/etc/passwd", "link to itself": name,
                  "link up": "../../../outside/secret"}[kind]
        os.symlink(target, path)
    own(site, path)
    return True


KINDS = ("link", "link to foreign", "link to directory", "link to nothing", "link to passwd", "link to itself", "link up",
         "hard link", "directory", "fifo", "socket", "device")


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def end_keepers(site):
    """Those of accounts, so that the next visit opens the account anew."""
    ended = [p for p, title in site.processes().items() if ": keeper user" in title]
    for pid in ended:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def are_gone():
        table = process_table()     # without a title one may still have its channels
        return all(p not in table or table[p][3] == "Z" for p in ended)
    wait_until("the keepers are gone", are_gone)


class Clock:
    """Nothing within takes long."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.began
        if kind is None and took > AT_ONCE * slow_build():
            raise AssertionError(f"{self.what} took {took:.1f} s")


def by_pop3(site, user):
    c = pop3(site, user)
    got = [b"\r\n".join(c.retr(n + 1)[1]) for n in range(c.stat()[0])]
    c.quit()
    return got


def visit(site, user, count, what):
    """Mail is taken, and read by both protocols: `count` messages now. Returns count + 1, what there is then."""
    with Clock(f"with {what} a visit"):
        for got in (fetch_all(site, user), by_pop3(site, user)):
            equal(len(got), count, f"messages with {what}")
            if any(NEEDLE in octets or b"root:" in octets for octets in got):
                raise AssertionError(f"with {what} somebody else's file was read: {short(got)}")
        send(site, to=f"user{user}", subject=what)
    wait_until(f"with {what} a new message is there", lambda: len(fetch_all(site, user)) == count + 1)
    return count + 1


def log_says(site, word, text, begin=0):
    def look():
        return [line for line in site.tail_of("log", 100_000, begin).splitlines() if f" {word} " in line and text in line]
    return wait_until(f"the log has {word} {text}", look)


def test_what_is_planted_among_messages_is_not_taken(site):
    outside, count = Outside(site, "messages"), 0
    send(site, to="user1")
    wait_until("it is there", lambda: fetch_all(site, 1))
    count, base = 1, site.maildir("user1")
    for n, kind in enumerate(KINDS):
        begin = os.path.getsize(site.log)
        for folder in ("cur", "new", "tmp"):
            for name in (f"17000{n:05}.{folder}.planted", f"17000{n:05}.{folder}U.planted,S=42,W=42,U={1000 + n}"):
                planted = plant(site, f"{base}/{folder}", name + (":2,S" if folder == "cur" else ""), kind, outside)
        if not planted:
            continue
        if n % 3 == 0:
            end_keepers(site)
        count = visit(site, 1, count, kind)
        log_says(site, "message-not-taken", f"17000{n:05}.cur.planted", begin)
        log_says(site, "message-not-taken", f"17000{n:05}.newU.planted", begin)
    c = imap(site, 1)
    c.create("Work")
    ok(c.select("INBOX"))
    ok(c.copy("1:*", "Work"))
    ok(c.store("1:*", "+FLAGS", "(\\Deleted)"))
    equal(len(ok(c.expunge())), count, "expunged")
    equal(ok(c.select("Work")), [str(count).encode()])
    c.logout()
    with Clock("what the administrator asks"):
        for words in (("status",), ("user", "list"), ("queue", "list"), ("why", site.address(1))):
            site.trivet(*words)
    outside.check()


def test_a_message_in_whose_place_something_lies_harms_no_other(site):
    outside = Outside(site, "place")
    for kind in KINDS:
        for subject in ("victim", "other"):
            send(site, to="user2", subject=subject)
        c = imap(site, 2)
        wait_until("they are there", lambda: int(ok(c.select())[0]) == 2)
        equal(len(ok(c.fetch("1:*", "(BODY.PEEK[])"))), 4)
        path = next(p for p in message_files(site, 2) if b"victim" in open(p, "rb").read())
        os.unlink(path)
        if not plant(site, os.path.dirname(path), os.path.basename(path), kind, outside):
            c.logout()
            continue
        with Clock(f"with {kind} a session"):
            for text in ("1", "1:*"):
                data = c.fetch(text, "(BODY.PEEK[] RFC822.SIZE)")[1]
                if any(isinstance(d, tuple) and (NEEDLE in d[1] or b"root:" in d[1]) for d in data):
                    raise AssertionError(f"{kind}: {data}")
            c.copy("1", "Copies")
            c.store("1:*", "+FLAGS", "(\\Seen)")
            other = ok(c.search(None, "SUBJECT", "other"))[0].split()
            equal(len(other), 1, "the other one")
            with Wire(site, "pop3_port") as w:
                w.send(b"USER user2\r\nPASS secret\r\nRETR 1\r\nTOP 1 0\r\nDELE 1\r\nDELE 2\r\nRETR 2\r\nQUIT\r\n")
                if NEEDLE in b"".join(iter(w.receive, b"")):
                    raise AssertionError(kind)
            ok(c.noop())
            c.store("1:*", "+FLAGS", "(\\Deleted)")
            c.expunge()
            c.logout()
        for path in message_files(site, 2):
            remove(path)
        wait_until("the mailbox is empty", lambda: not fetch_all(site, 2))
    outside.check()


def test_what_is_planted_as_folder_is_none(site):
    outside = Outside(site, "folders")
    send(site, to="user3")
    base = site.maildir("user3")
    wait_until("it is there", lambda: fetch_all(site, 3))
    planted = [kind for kind in (*KINDS, "directory") if kind != "directory"]
    planted = [kind for kind in planted if plant(site, base, ".P-" + kind.replace(" ", "-"), kind, outside)]
    for name, kind in (("subscriptions", "link"), ("trivet-mailbox.0123", "fifo"), (".trivet2", "link to directory"),
                       ("dovecot-uidlist", "link"), ("maildirfolder", "fifo")):
        plant(site, base, name, kind, outside)
    c = imap(site, 3)
    c.create("Real")
    names = b" ".join(ok(c.list()))
    if b"P-" in names:
        raise AssertionError(f"listed: {names}")
    for kind in planted:
        name = "P-" + kind.replace(" ", "-")
        with Clock(f"with {kind} for a folder it"):
            for answer in (c.select(name), c.create(name), c.status(name, "(MESSAGES)"), c.append(name, None, None, message())):
                equal(answer[0], "NO", f"{kind}: {answer}")
            c.delete(name)
            c.rename("Real", name)
            c.rename(name, "Real")
        log_says(site, "folder-not-taken", f".{name} ")
    ok(c.append("Real", None, None, message()))
    for part in ("cur", "new", "tmp"):
        for kind in ("link to directory", "fifo", "link to itself"):
            c.create(f"In-{part}")
            remove(f"{base}/.In-{part}/{part}")
            plant(site, f"{base}/.In-{part}", part, kind, outside)
            with Clock(f"with {kind} for {part}/ it"):
                for answer in (c.select(f"In-{part}"), c.append(f"In-{part}", None, None, message())):
                    equal(answer[0], "NO", f"{kind} for {part}: {answer}")
                equal(ok(c.select("Real")), [b"1"])
                ok(c.select("INBOX"))
            c.delete(f"In-{part}")
            remove(f"{base}/.In-{part}")
    c.logout()
    visit(site, 3, 1, "planted folders")
    outside.check()


OURS = ("trivet-mailbox", ".trivet", ".trivet/index.db", ".trivet/index.db-wal", ".trivet/index.db-shm", ".trivet/lock",
        ".trivet/imapd", ".trivet/smtpd", ".trivet/index.db.broken", ".Work/trivet-mailbox")


@seconds(180)
def test_what_is_planted_in_the_place_of_our_own_files_is_set_aside(site):
    outside = Outside(site, "ours")
    base, count = site.maildir("user4"), 0
    send(site, to="user4")
    c = imap(site, 4)
    c.create("Work")
    ok(c.append("Work", None, None, message()))
    c.logout()
    wait_until("it is there", lambda: fetch_all(site, 4))
    count = 1
    for at, name in enumerate(OURS):
        kinds = ("link", "link to directory", "link to nothing", "hard link", "directory", "fifo", "device", "socket")
        for kind in kinds[at % 3::3] + (("hard link",) if "index" in name else ()):
            end_keepers(site)
            remove(f"{base}/{name}")
            if kind == "hard link" and not name.startswith(".trivet/"):
                continue        # read it cannot be, nor is it written to: it is replaced
            if not plant(site, os.path.dirname(f"{base}/{name}"), os.path.basename(name), kind, outside):
                continue
            begin = os.path.getsize(site.log)
            count = visit(site, 4, count, f"{kind} for {name}")
            if name in OURS[2:5] or (name == ".trivet" and kind != "directory"):
                log_says(site, "set-aside", f"file={os.path.basename(name)} ", begin)
            equal(len(fetch_all(site, 4, "Work")), 1, f"in Work with {kind} for {name}")
    outside.check()


def goes_nowhere(site, user, others):
    """All are told at once that it does not go now; nobody else notices."""
    with Clock("a login"):
        with Wire(site, "imap_port") as w:
            w.line()
            w.say(f"a LOGIN user{user} secret".encode())
            if b"NO [UNAVAILABLE]" not in w.until(b"a ")[-1]:
                raise AssertionError("IMAP lets in")
        with Wire(site, "pop3_port") as w:
            w.send(f"USER user{user}\r\nPASS secret\r\n".encode())
            equal([w.line()[:3] for _ in range(3)], [b"+OK", b"+OK", b"-ER"])
        with contextlib.suppress(smtplib.SMTPException):
            send(site, to=f"user{user}", subject="for later")
        for other in others:
            imap(site, other).logout()


def test_an_account_that_is_a_link_is_none(site):
    outside = Outside(site, "account")
    folder = os.path.dirname(site.maildir("user5"))
    for kind in ("link to directory", "link to nothing", "link to itself", "fifo", "device"):
        end_keepers(site)
        if plant(site, folder, "user5", kind, outside):
            goes_nowhere(site, 5, [6])
            remove(f"{folder}/user5")
    end_keepers(site)
    os.rename(folder, folder + ".real")
    os.symlink(outside.folder, folder)
    try:
        goes_nowhere(site, 6, [])
    finally:
        os.unlink(folder)
        os.rename(folder + ".real", folder)
    outside.check()
    end_keepers(site)

    def arrived():
        site.turn_clock(site.clock() + 31 * 60)
        return len(fetch_all(site, 5)) >= 1
    wait_until("what was taken meanwhile has come", arrived, 15)


SWAPPER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a, b = (os.fsencode(p) for p in sys.argv[1:])
print("begun", flush=True)
while os.getppid() != 1:
    for _ in range(200):
        libc.renameat2(-100, a, -100, b, 2)
"""


@contextlib.contextmanager
def swapping(site, path, outside):
    """path changes places with a link to `outside` as fast as it goes; afterwards it is what it was."""
    inode, link = os.lstat(path).st_ino, f"{path}.swap" if not path.endswith(("cur", "new", "tmp")) else f"{path}-swap"
    if "/." in os.path.dirname(path) or os.path.basename(path).startswith("."):
        link = f"{os.path.dirname(path)}/swap-{os.path.basename(path)}"
    os.symlink(outside, link)
    own(site, link)
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, path, link], stdout=subprocess.PIPE)
    swapper.stdout.readline()
    try:
        yield
    finally:
        swapper.kill()
        swapper.wait()
        swapper.stdout.close()
        if os.path.lexists(path) and os.lstat(path).st_ino != inode and os.path.lexists(link) and os.lstat(link).st_ino == inode:
            ctypes.CDLL(None).renameat2(-100, os.fsencode(path), -100, os.fsencode(link), RENAME_EXCHANGE)
        if os.path.islink(link):
            os.unlink(link)


def use(site, user, until, sent):
    """Delivers, reads, appends and deletes all the time; what is refused is tried again."""
    n = 0
    while time.monotonic() < until:
        n += 1
        with contextlib.suppress(*TROUBLES):
            name = f"<swap-{user}-{n}@client.test>"
            send(site, to=f"user{user}", subject="swapped", message_id=name)
            sent.append(name.encode())
        if n % 4 == 0:
            end_keepers(site)           # accounts are opened in the midst of it, too
        with contextlib.suppress(*TROUBLES):
            c = imap(site, user, timeout=10)
            try:
                c.create("Work")
                c.append("Work", None, None, message(subject="appended"))
                if c.select("INBOX")[0] == "OK":
                    look_for_secrets(c.fetch("1:*", "(BODY.PEEK[])")[1])
                    c.copy("1", "Work")
                if c.select("Work")[0] == "OK":
                    look_for_secrets(c.fetch("1:*", "(BODY.PEEK[])")[1])
                    c.store("1:*", "+FLAGS", "(\\Deleted)")
                    c.expunge()
            finally:
                c.shutdown()
        with contextlib.suppress(*TROUBLES):
            look_for_secrets([(b"", octets) for octets in by_pop3(site, user)])


def look_for_secrets(data):
    if any(isinstance(d, tuple) and NEEDLE in d[1] for d in data):
        raise AssertionError("somebody else's mail was shown")


def there(site, user):
    with contextlib.suppress(*TROUBLES):
        return b"".join(fetch_all(site, user))
    return b""


@seconds(180)
def test_swapping_directories_for_links_never_leads_outside(site):
    outside, met = Outside(site, "swap"), 0
    for user, (name, target) in enumerate((("cur", "cur"), ("new", "new"), ("tmp", "tmp"), (".Work", ".Work"), ("", ""),
                                           (".trivet", "")), start=7):
        send(site, to=f"user{user}", subject="first")
        c = imap(site, user)
        c.create("Work")
        c.logout()
        path, sent, begin = f"{site.maildir(f'user{user}')}/{name}".rstrip("/"), [], os.path.getsize(site.log)
        with swapping(site, path, f"{outside.folder}/{target}".rstrip("/")):
            use(site, user, time.monotonic() + 1.2, sent)
        outside.check()
        end_keepers(site)
        told = site.tail_of("log", 100_000, begin)
        met += any(word in told for word in (" errno=20", " errno=40", " set-aside "))     # ENOTDIR, ELOOP

        def all_there(u=user, s=sent):
            site.turn_clock(site.clock() + 31 * 60)     # the next try is due
            got = there(site, u)
            return b"Subject: first" in got and all(m in got for m in s)
        wait_until(f"all {len(sent)} messages taken while {name or 'the account'} was swapped are there", all_there, 20)
        outside.check()
    if not met:
        raise AssertionError("the log tells of no link: none was met")
