# SPDX-License-Identifier: ISC
"""A storm of kill -9: clients that remember what they were told, and how soon the server is back after each death.

Whoever was answered is owed what the answer says; whoever was not may find it done or not, each attempt once at most.
"""

import collections
import contextlib
import hashlib
import imaplib
import itertools
import os
import poplib
import random
import re
import signal
import smtplib
import threading
import time

from sites import is_locked, process_table
from trivet import imap, ok, pids_of, pop3, tls, wait_until

OURS = ("bad", "AUTHENTICATIONFAILED")
TROUBLES = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto)


class Broken(Exception):
    """What must not be."""


# ---- mail from outside ----

class Message:
    """What became of one Message-ID."""

    numbers = itertools.count(1)

    def __init__(self, recipients, size=None):
        self.number = next(self.numbers)
        self.id = f"<storm-{self.number}@driver.test>"
        self.recipients = recipients
        self.accepted = 0       # answered with 250
        self.unanswered = 0     # all was sent, nothing came back
        self.refused = 0        # answered with 4xx
        size = size or random.choice([200, 1000, 5000, 5000, 60_000, 400_000] if self.number % 20 == 0 else [200, 1000, 5000])
        body = "".join(random.choices("abcdefghij .\n", k=min(size, 5000))).replace("\n", "\r\n") * (size // 5000 + 1)
        body = "\r\n".join(line[:900] for line in body.split("\r\n")) + "\r\n"
        self.octets = (f"From: driver@elsewhere.test\r\nTo: list@elsewhere.test\r\nSubject: {self.number}\r\n"
                       f"Message-ID: {self.id}\r\nX-Digest: {hashlib.sha256(body.encode()).hexdigest()}\r\n\r\n{body}").encode()


def id_of(octets):
    return re.search(rb"(?mi)^Message-ID: (\S+)\r?$", octets)[1].decode()


def check_whole(octets, where):
    header, _, body = octets.partition(b"\r\n\r\n")
    digest = re.search(rb"(?m)^X-Digest: (\S+)\r?$", header)
    if digest and hashlib.sha256(body).hexdigest().encode() != digest[1]:      # a visitor's has none
        raise Broken(f"{id_of(octets)} {where} is not whole")


class Client(threading.Thread):
    """Goes on until `closing`; what must not be is left in `fault`."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site = site
        self.closing = False
        self.fault = None

    def run(self):
        try:
            while not self.closing:
                self.step()
        except Exception as e:      # noqa: BLE001
            self.fault = f"{type(self).__name__}: {e!r}"


class Driver(Client):
    """Sends one message after another; the same again, until it is answered with 250. choose(): its recipients."""

    def __init__(self, site, choose, pause=0.0):
        super().__init__(site)
        self.choose, self.pause = choose, pause
        self.messages = []
        self.answered = 0       # with 250
        self.connection, self.left = None, 0

    def step(self):
        m = Message(self.choose())
        self.messages.append(m)
        while not m.accepted:
            self.attempt(m)
        self.answered += 1
        time.sleep(random.uniform(0, 2 * self.pause))

    def connect(self):
        if self.connection is None or self.left == 0:
            self.hang_up()
            self.connection = smtplib.SMTP(self.site.host, self.site.smtp_port, local_hostname="driver.test", timeout=30)
            self.connection.ehlo()
            self.left = random.randrange(1, 10)
        self.left -= 1
        return self.connection

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def refused(self, codes, text=b""):
        """503 and 554 are what follows upon a 4xx before."""
        if max(codes) >= 500 and max(codes) not in (503, 554):
            raise Broken(f"a passing fault was answered with {codes} {text}")
        self.hang_up()
        time.sleep(0.05)

    def attempt(self, m):
        sent = False
        try:
            c = self.connect()
            codes = [c.docmd("MAIL", "FROM:<driver@elsewhere.test>")[0]]
            codes += [c.docmd("RCPT", f"TO:<{r}>")[0] for r in m.recipients]
            codes += [c.docmd("DATA")[0]]
            if codes != [250] * (len(codes) - 1) + [354]:
                self.refused(codes)
                return
            sent = True
            c.send(m.octets.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            code, text = c.getreply()
            if code == 250:
                m.accepted += 1
            else:
                m.refused += 1
                self.refused([code, code], text)
        except (OSError, smtplib.SMTPException):
            m.unanswered += sent
            self.hang_up()
            time.sleep(0.02)


# ---- an IMAP client with a memory ----

class Reader(Client):
    """Remembers UIDVALIDITY, each UID's Message-ID, the marks it set, and where its APPENDs and MOVEs ended."""

    FOLDERS = ("INBOX", "Work", "Done")

    def __init__(self, site, user):
        super().__init__(site)
        self.user = user
        self.validity, self.top = {}, {}
        self.seen = {f: {} for f in self.FOLDERS}   # uid to Message-ID
        self.flagged = set()                        # UIDs of INBOX
        self.place = {}                             # Message-ID to (folder, uid); None: it may be anywhere
        self.tries = collections.Counter()          # APPENDs that may have been done
        self.commands = 0
        c = imap(site, user)
        for folder in self.FOLDERS[1:]:
            c.create(folder)
        c.logout()

    def step(self):
        try:
            with contextlib.closing(Session(imap(self.site, self.user))) as s:
                for _ in range(random.randrange(1, 8)):
                    random.choice([self.look, self.look, self.append, self.store, self.move])(s.c)
                    self.commands += 1
                    if self.closing:
                        return
        except TROUBLES as e:
            if any(word in str(e) for word in OURS):
                raise
            time.sleep(0.02)

    def select(self, c, folder):
        if c.select(folder)[0] != "OK":
            raise OSError("later")
        validity, following = (int(c.response(w)[1][0]) for w in ("UIDVALIDITY", "UIDNEXT"))
        if self.validity.setdefault(folder, validity) != validity:
            raise Broken(f"UIDVALIDITY of {folder} was {self.validity[folder]} and is {validity}")
        if following <= self.top.get(folder, 0):
            raise Broken(f"UIDNEXT of {folder} is {following}, after a message {self.top[folder]}")
        return following

    def ids(self, c, uids):
        """uid to Message-ID."""
        found = {}
        kind, data = c.uid("FETCH", uids, "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        if kind != "OK":
            raise OSError("later")
        for part in data:
            if isinstance(part, tuple):
                found[int(re.search(rb"UID (\d+)", part[0])[1])] = id_of(part[1])
        return found

    def look(self, c, folder=None):
        folder = folder or random.choice(self.FOLDERS)
        following = self.select(c, folder)
        top, known = self.top.get(folder, 0), self.seen[folder]
        for uid, name in self.ids(c, f"{top + 1}:*").items():
            if known.get(uid, name if uid > top else None) != name:
                raise Broken(f"{folder} {uid}: was {known.get(uid)}, is {name}; the last one was {top}")
            known[uid] = name
        self.top[folder] = max([top, following - 1, *known])
        if folder == "INBOX" and known:     # from here nothing is taken away
            sample = random.sample(sorted(known), min(20, len(known)))
            self.compare(folder, self.ids(c, ",".join(map(str, sample))), sample)

    def compare(self, folder, got, uids):
        for uid in uids:
            if got.get(uid) != self.seen[folder][uid]:
                raise Broken(f"{folder} {uid}: was {self.seen[folder][uid]}, is {got.get(uid)}")

    def append(self, c):
        m = Message([], size=300)
        self.tries[m.id] += 1
        self.place[m.id] = None
        kind, data = c.append("Work", None, None, m.octets)
        if kind == "OK":
            validity, uid = map(int, re.search(rb"APPENDUID (\d+) (\d+)", data[0]).groups())
            if self.validity.setdefault("Work", validity) != validity:
                raise Broken(f"APPENDUID {validity} {uid}")
            self.place[m.id] = "Work", uid
        else:
            del self.place[m.id]

    def store(self, c):
        self.select(c, "INBOX")
        if self.seen["INBOX"]:
            uid = random.choice(sorted(self.seen["INBOX"])[-50:])
            if c.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Flagged)")[0] == "OK":
                self.flagged.add(uid)

    def move(self, c):
        known = [(name, p[1]) for name, p in self.place.items() if p and p[0] == "Work"]
        if not known:
            return
        self.select(c, "Work")
        name, uid = random.choice(known)
        self.place[name] = None
        if c.uid("MOVE", str(uid), "Done")[0] == "OK":
            copied = c.response("COPYUID")[1][0]
            if copied is None:
                raise Broken(f"{name}: nothing at Work {uid} to move, after APPENDUID said so")
            self.place[name] = "Done", int(copied.split()[2])
        else:
            self.place[name] = "Work", uid

    def judge(self):
        """The storm is over: everything it was told of is so."""
        c = imap(self.site, self.user, timeout=120)
        where = collections.defaultdict(list)
        for folder in self.FOLDERS:
            self.look(c, folder)
            got = self.ids(c, "1:*")
            if folder == "INBOX":
                self.compare(folder, got, self.seen[folder])
                marked = {int(n) for n in ok(c.uid("SEARCH", "FLAGGED"))[0].split()}
                if self.flagged - marked:
                    raise Broken(f"marks that are gone: {sorted(self.flagged - marked)[:5]}")
                continue
            for uid, name in got.items():
                where[name].append((folder, uid))
        for name, place in self.place.items():
            if (place and where[name] != [place]) or len(where[name]) > self.tries[name]:
                raise Broken(f"{name} was left at {place} and is at {where[name]}")
        c.logout()


class Session:
    """imaplib's connection, closed whatever happened."""

    def __init__(self, c):
        self.c = c

    def close(self):
        with contextlib.suppress(*TROUBLES):
            self.c.shutdown()


# ---- a POP3 client that takes its mail away ----

class Taker(Client):
    """RETR, DELE, QUIT: what was answered is gone for ever, and in `taken`; `unsure` may be gone."""

    def __init__(self, site, user):
        super().__init__(site)
        self.user = user
        self.names = {}         # UIDL to Message-ID
        self.gone = set()       # UIDLs
        self.taken, self.unsure = collections.Counter(), collections.Counter()

    def step(self):
        deleted = {}
        c = None
        try:
            c = pop3(self.site, self.user, "pop3s_port" if random.random() < 0.3 else "pop3_port")
            rows = [line.split() for line in c.uidl()[1]]
            self.check([r[1] for r in rows])
            for number, uidl in rows[:random.randrange(0, 6)]:
                octets = b"\r\n".join(c.retr(number.decode())[1]) + b"\r\n"
                check_whole(octets, "by POP3")
                if self.names.setdefault(uidl, id_of(octets)) != id_of(octets):
                    raise Broken(f"UIDL {uidl}: was {self.names[uidl]}, is {id_of(octets)}")
                c.dele(number.decode())
                deleted[uidl] = id_of(octets)
            c.quit()
            self.gone |= set(deleted)
            self.taken.update(deleted.values())
        except TROUBLES:
            self.unsure.update(deleted.values())
            time.sleep(0.02)
        finally:
            if c is not None:
                with contextlib.suppress(OSError):
                    c.close()
        time.sleep(0.05)

    def check(self, uidls):
        back = self.gone & set(uidls)
        if back:
            raise Broken(f"deleted by POP3 and back: {sorted(back)[:5]}")


# ---- deaths ----

ROLES = {"smtpd": ("master", "front", "signer", "auth", "auth: hash", "auth: pam", "queue", "syncer", "courier", "keeper", "nursery",
                   "recorder"),
         "imapd": ("master", "front", "signer", "auth", "auth: hash", "auth: pam", "keeper", "nursery", "recorder"),
         "pop3d": ("master", "front", "signer", "auth", "auth: hash", "auth: pam", "keeper", "nursery", "recorder")}
KINDS = [(d, r) for d, roles in ROLES.items() for r in roles]
BACK_SECONDS = 2.0          # in service again, whoever died
GIVE_UP_SECONDS = 30


def victims_of(site, daemon, role):
    pids = pids_of(site, daemon, role)
    if role in ("auth", "auth: pam"):
        pids = [p for p in pids if p not in pids_of(site, daemon, f"{role}:" if role == "auth" else f"{role} ")]
    return pids


def start_again(site, daemon):
    """As the administrator does; systemd, too, waits until the process has gone."""
    wait_until("the lock is free", lambda: not is_locked(site.pid_file(daemon)))
    site.trivet("start")
    pid = site.master(daemon)
    site.choices["sessions"][daemon] = (pid, process_table()[pid][2])


class Services:
    """A visit per daemon that needs everything it has; each raises what hinders it."""

    def __init__(self, site, elsewhere, user):
        self.site, self.elsewhere, self.user = site, elsewhere, user
        self.numbers = itertools.count(1)

    def send(self, to):
        name = f"probe-{next(self.numbers)}-{random.getrandbits(32)}"
        c = smtplib.SMTP_SSL(self.site.host, self.site.submissions_port, timeout=5, context=tls(self.site),
                             local_hostname="client.test")
        try:
            c.login(f"user{self.user}", self.site.password)
            c.sendmail(self.site.address(self.user), [to], f"Message-ID: <{name}@client.test>\r\n\r\n{name}\r\n")
        finally:
            c.close()
        return name.encode()

    def smtpd(self):
        self.send(self.site.address(self.user))

    def courier(self):
        """Relayed, and visible at the other site."""
        name = self.send(self.elsewhere.address(self.user))
        until = time.monotonic() + GIVE_UP_SECONDS / 2
        folder = self.elsewhere.maildir(f"user{self.user}")
        seen = set()
        while time.monotonic() < until:
            for part in ("new", "cur"):
                for file in set(os.listdir(f"{folder}/{part}")) - seen if os.path.isdir(f"{folder}/{part}") else ():
                    seen.add(file)
                    with contextlib.suppress(FileNotFoundError), open(f"{folder}/{part}/{file}", "rb") as f:
                        if name in f.read():
                            return
            time.sleep(0.01)
        raise OSError("not relayed")

    def imapd(self, user=None):
        c = imap(self.site, user or self.user, "imaps_port", timeout=5)
        try:
            ok(c.select("INBOX"))
            ok(c.noop())
        finally:
            c.shutdown()

    def pop3d(self, user=None):
        c = pop3(self.site, user or self.user, "pop3s_port", timeout=5)
        try:
            c.stat()
            c.quit()
        finally:
            c.close()

    def of(self, daemon, role, title):
        if role == "courier":
            return self.courier
        user = re.search(r"keeper user(\d+)@", title)
        if daemon == "smtpd" and user:
            return lambda: self.send(self.site.address(int(user[1])))
        return getattr(self, daemon) if daemon == "smtpd" or not user else lambda: getattr(self, daemon)(int(user[1]))


def kill_and_time(services, daemon, role):
    """Seconds from the death of one such process until its service is there again; None: there is none."""
    site = services.site
    pids = victims_of(site, daemon, role)
    if not pids:
        return None
    pid = random.choice(pids)
    visit = services.of(daemon, role, site.processes(daemon).get(pid, ""))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    if role == "master":
        start_again(site, daemon)
    while True:
        try:
            visit()
            return time.monotonic() - began
        except TROUBLES as e:
            if time.monotonic() - began > GIVE_UP_SECONDS:
                raise Broken(f"{daemon}: {role} is not back after {GIVE_UP_SECONDS} s: {e!r}") from e
            time.sleep(0.01)


def strain():
    """How many times longer than alone a process takes here now: others want the processors, too."""
    wall, cpu = time.monotonic(), time.thread_time()
    while time.thread_time() - cpu < 0.05:
        pass
    return max(1.0, (time.monotonic() - wall) / 0.05)


def run_rounds(services, enough, clients, limit, pause=0.1):
    """Until enough(deaths). limit: seconds. Returns how often each kind died and the longest time to be back, by kind."""
    killed, worst, slow = collections.Counter(), {}, []
    left = []
    while not enough(sum(killed.values())):
        left = left or random.sample(KINDS, len(KINDS))
        daemon, role = left.pop()
        time.sleep(random.uniform(0, 2 * pause))
        took = kill_and_time(services, daemon, role)
        if took is None:
            continue
        kind = f"{daemon}: {role}"
        killed[kind] += 1
        worst[kind] = max(took, worst.get(kind, 0))
        if took > limit and took > limit * (strained := strain()):
            slow.append((kind, round(took, 2), sum(killed.values()), round(strained, 1)))
        faults = [c.fault for c in clients if c.fault]
        if faults:
            raise Broken(f"after {sum(killed.values())} deaths, the last one of {kind}: {faults}")
    return killed, worst, slow
