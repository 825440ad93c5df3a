# SPDX-License-Identifier: ISC
"""What the tests share: sites, connections by Python's own libraries, messages, and waiting."""

import contextlib
import email.message
import email.policy
import email.utils
import imaplib
import os
import poplib
import random
import re
import signal
import smtplib
import socket
import ssl
import tempfile
import time

import imap_grammar
from runner import (Options, need, not_with_sanitizers, only_long, run_program, seconds, skip,   # noqa: F401
                    slow_build)
from sites import Site, Trouble, TOP, build_dir, find_port_base, process_table, program, title_of   # noqa: F401

imaplib._MAXLINE = 50_000_000
poplib._MAXLINE = 10_000_000


# ---- waiting and comparing ----

def wait_until(what, condition, limit=10):
    """Returns the first true value of condition(); fails with the words of `what`."""
    until = time.monotonic() + limit * slow_build()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"still not after {limit} s: {what}")
        time.sleep(0.02)


def equal(got, expected, what=""):
    if got == expected:
        return
    if isinstance(got, bytes) and isinstance(expected, bytes) and len(expected) > 100:
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        raise AssertionError(f"{what}: differ from octet {at} on, expected {expected[max(at - 40, 0):at + 60]!r} of "
                             f"{len(expected)}, got {got[max(at - 40, 0):at + 60]!r} of {len(got)}")
    raise AssertionError(f"{what or 'different'}: expected {short(expected)}, got {short(got)}")


def short(value):
    text = repr(value)
    return text if len(text) < 600 else f"{text[:300]} ... {text[-300:]} ({len(text)} characters)"


# ---- sites ----

@contextlib.contextmanager
def two_sites(folder, settings=(), a="a.test", b="b.test", b_settings=(), dns=None, users=3):
    """Two sites on 127.0.0.2 and 127.0.0.3 that find each other by `dns` (dns.Server), same ports."""
    base = find_port_base("127.0.0.1", "127.0.0.2", "127.0.0.3")
    shared = [f"outgoing_smtp_port = {base}", f"dns_servers = 127.0.0.1@{base + 9}", *settings]
    one = Site(f"{folder}/a", users=users, port_base=base, host="127.0.0.2", domain=a, settings=shared)
    two = Site(f"{folder}/b", users=users, port_base=base, host="127.0.0.3", domain=b,
               settings=[*shared, *b_settings])
    from dns import Server
    zone = {
        a: {"MX": [[10, f"mail.{a}"]]}, f"mail.{a}": {"A": ["127.0.0.2"]},
        b: {"MX": [[10, f"mail.{b}"]]}, f"mail.{b}": {"A": ["127.0.0.3"]},
    }
    zone.update(dns or {})
    with Server(zone, port=base + 9) as resolver:
        try:
            yield one.start(), two.start(), resolver
        finally:
            slow = [s.stop() for s in (one, two) if s.exists()]
            faults = [c for s in (one, two) if s.exists() for c in s.complaints()]
    if any(slow) or faults:
        raise AssertionError("\n".join([s for s in slow if s] + faults))


def tls(site):
    return ssl.create_default_context(cafile=site.ca_file)


# ---- connections ----

def smtp(site, port="smtp_port", user=None, starttls=False, timeout=20, who=None):
    """An smtplib connection; `user` logs in (number or name)."""
    port_number = getattr(site, port)
    if port == "submissions_port":
        c = smtplib.SMTP_SSL(site.host, port_number, timeout=timeout, context=tls(site), local_hostname="client.test")
    else:
        c = smtplib.SMTP(site.host, port_number, timeout=timeout, local_hostname="client.test")
        if starttls:
            c.starttls(context=tls(site))
    if user is not None:
        c.login(name_of(user), site.password)
    return c


class Watched:
    """An imaplib connection on which every line is held against IMAP's grammar."""

    watcher = None

    def open(self, *args, **kwargs):
        self.watcher = imap_grammar.Watcher()
        super().open(*args, **kwargs)

    def read(self, size):
        octets = super().read(size)
        self.watcher.feed(octets)
        return octets

    def readline(self):
        octets = super().readline()
        self.watcher.feed(octets)
        return octets


class WatchedImap(Watched, imaplib.IMAP4):
    pass


class WatchedImapTls(Watched, imaplib.IMAP4_SSL):
    pass


def imap(site, user=1, port="imap_port", starttls=False, timeout=20, select=None):
    if port == "imaps_port":
        c = WatchedImapTls(site.host, site.imaps_port, ssl_context=tls(site), timeout=timeout)
    else:
        c = WatchedImap(site.host, site.imap_port, timeout=timeout)
        if starttls:
            c.starttls(tls(site))
    if user is not None:
        c.login(name_of(user), site.password)
    if select:
        ok(c.select(select))
    return c


def pop3(site, user=1, port="pop3_port", stls=False, timeout=20):
    if port == "pop3s_port":
        c = poplib.POP3_SSL(site.host, site.pop3s_port, context=tls(site), timeout=timeout)
    else:
        c = poplib.POP3(site.host, site.pop3_port, timeout=timeout)
        if stls:
            c.stls(tls(site))
    if user is not None:
        c.user(name_of(user))
        c.pass_(site.password)
    return c


def name_of(user):
    return f"user{user}" if isinstance(user, int) else user


def ok(answer):
    """imaplib's (type, data): the data, if OK."""
    if answer[0] != "OK":
        raise AssertionError(f"IMAP answered {answer}")
    return answer[1]


class Wire:
    """A bare connection, for what no library would send. Lines are bytes without CRLF; IMAP's are held against its
    grammar."""

    def __init__(self, site, port, secure=None, timeout=10, user=None):
        number = getattr(site, port)
        self.socket = socket.create_connection((site.host, number), timeout * slow_build())
        if secure or (secure is None and port in ("imaps_port", "pop3s_port", "submissions_port")):
            self.socket = tls(site).wrap_socket(self.socket, server_hostname="localhost")
        self.got = b""
        self.watcher = imap_grammar.Watcher() if port in ("imap_port", "imaps_port") else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def starttls(self, site):
        self.socket = tls(site).wrap_socket(self.socket, server_hostname="localhost")
        self.got = b""

    def send(self, octets):
        self.socket.sendall(octets)

    def say(self, line):
        self.send(line + b"\r\n")

    def receive(self):
        octets = self.socket.recv(65536)
        if self.watcher:
            self.watcher.feed(octets)
        return octets

    def line(self):
        """The next line; b'' at the end of the connection."""
        while b"\n" not in self.got:
            try:
                more = self.receive()
            except ConnectionResetError:
                more = b""
            if not more:
                rest, self.got = self.got, b""
                return rest
            self.got += more
        line, _, self.got = self.got.partition(b"\n")
        return line.rstrip(b"\r")

    def octets(self, n):
        while len(self.got) < n:
            more = self.receive()
            if not more:
                break
            self.got += more
        first, self.got = self.got[:n], self.got[n:]
        return first

    def until(self, start):
        """Lines up to and with the one that begins with `start`."""
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            if line.startswith(start):
                return lines
            if not line and not self.got:
                raise AssertionError(f"the connection ended before {start!r}: {lines[:3]} ... {lines[3:][-5:]}")

    def rest(self):
        """All until the server closes; fails by the time-out when it does not."""
        while self.line() or self.got:
            pass

    def is_closed(self, limit):
        """Does the server end the connection within so many seconds? What it says until then does not count."""
        self.socket.settimeout(limit * slow_build())
        try:
            self.rest()
        except (TimeoutError, ssl.SSLError):
            return False
        return True


# ---- messages ----

def message(subject="A subject", body="A body\r\n", sender="sender@elsewhere.test", to="user1@example.test",
            message_id=None, **headers):
    """The octets of a message, CRLF throughout."""
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"] = email.utils.formatdate()
    m["Message-ID"] = message_id or email.utils.make_msgid(domain="client.test")
    for name, value in headers.items():
        m[name.replace("_", "-")] = value
    m.set_content(body)
    return m.as_bytes(policy=email.policy.SMTP)


def send(site, octets=None, to="user1", sender="sender@elsewhere.test", connection=None, **fields):
    """One message from outside to a local user."""
    address = to if "@" in to else f"{to}@{site.domain}"
    octets = message(to=address, **fields) if octets is None else octets
    c = connection or smtp(site)
    c.sendmail(sender, [address], octets)
    if connection is None:
        c.quit()
    return octets


def drop(site, user, octets, folder="new", name=None, flags="", when=None):
    """As another program delivers: written in tmp/, then renamed. `when`: its time. Returns the path."""
    base = site.maildir(name_of(user))
    owner = os.stat(f"{site.folder}/mail")
    for part in ("tmp", "new", "cur"):
        os.makedirs(f"{base}/{part}", mode=0o700, exist_ok=True)
    drop.count += 1
    name = (name or f"{int(time.time())}.M{os.getpid()}Q{drop.count:06}.outside") + flags
    with open(f"{base}/tmp/{name}", "wb") as f:
        f.write(octets)
    if os.geteuid() == 0:
        for path in (os.path.dirname(base), base, f"{base}/tmp", f"{base}/new", f"{base}/cur", f"{base}/tmp/{name}"):
            if os.stat(path).st_uid != owner.st_uid:
                os.chown(path, owner.st_uid, owner.st_gid)
    if when is not None:
        os.utime(f"{base}/tmp/{name}", (when, when))
    os.rename(f"{base}/tmp/{name}", f"{base}/{folder}/{name}")
    return f"{base}/{folder}/{name}"


drop.count = 0


def message_files(site, user):
    """All files of an account's INBOX."""
    base = site.maildir(name_of(user))
    found = []
    for part in ("new", "cur"):
        with contextlib.suppress(FileNotFoundError):
            found += [f"{base}/{part}/{n}" for n in os.listdir(f"{base}/{part}")]
    return found


def fetch_all(site, user=1, mailbox="INBOX"):
    """The octets of every message of a mailbox, by IMAP. Somebody may take some away meanwhile: then once more."""
    c = imap(site, user)
    try:
        while int(ok(c.select(mailbox, readonly=True))[0]):
            answer = c.fetch("1:*", "(BODY.PEEK[])")
            if answer[0] == "OK" or b"[EXPUNGEISSUED]" not in answer[1][0]:
                return [part[1] for part in ok(answer) if isinstance(part, tuple)]
        return []
    finally:
        c.logout()


def with_subject(site, user, subject, mailbox="INBOX"):
    """Those whose header has the line "Subject: subject"."""
    line = b"\r\nsubject: " + subject.encode().lower() + b"\r\n"
    return [m for m in fetch_all(site, user, mailbox) if line in b"\r\n" + header_of(m).lower() + b"\r\n"]


def header_of(octets):
    return octets.partition(b"\r\n\r\n")[0]


def without_trace(octets):
    """What the sender wrote: our Return-Path, Delivered-To and Received on top are taken off."""
    while True:
        line, _, rest = octets.partition(b"\r\n")
        if not line.lower().startswith((b"return-path:", b"delivered-to:", b"received:", b"x-original-to:")):
            return octets
        octets = rest
        while octets[:1] in (b" ", b"\t"):
            octets = octets.partition(b"\r\n")[2]


def memory_of(pid):
    """Octets that are the process's own (anonymous and private)."""
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith(("Private_Dirty:", "Swap:")):
                total += int(line.split()[1]) * 1024
    return total


def pids_of(site, daemon, role):
    """Processes by their title: "imapd: front"."""
    return [p for p, title in site.processes(daemon).items() if title.startswith(f"{daemon}: {role}")]


def keepers_of(site, user, daemon=None):
    """Those of user N: one daemon's, or all."""
    return [p for p, title in site.processes(daemon).items() if title.endswith(f"keeper {site.address(user)}")]


def kill_keepers(site, user, daemon=None, most=None):
    """kill -9 for user N's keepers, or for so many of them by chance; how many it hit."""
    keepers, killed = keepers_of(site, user, daemon), 0
    for pid in keepers if most is None else random.sample(keepers, min(len(keepers), most)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def temporary_folder():
    return tempfile.TemporaryDirectory(prefix="trivet-test-")


class Idle:
    """An IMAP session that has a mailbox selected and idles (RFC 2177)."""

    def __init__(self, site, user, mailbox="INBOX", port="imap_port", timeout=10):
        self.wire = Wire(site, port, timeout=timeout)
        self.wire.line()
        self.command(f"LOGIN {name_of(user)} {site.password}")
        self.command(f"SELECT {mailbox}")
        self.wire.say(b"i IDLE")
        self.wire.until(b"+")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def command(self, text):
        self.wire.say(b"c " + text.encode())
        lines = self.wire.until(b"c ")
        if not lines[-1].startswith(b"c OK"):
            raise AssertionError(f"{text}: {lines[-1]!r}")
        return lines[:-1]

    def wait_for(self, pattern, limit=2):
        """The untagged line that matches, within so many seconds; others may come before it."""
        until = time.monotonic() + limit * slow_build()
        seen = []
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {pattern!r} within {limit} s, only {seen}")
            self.wire.socket.settimeout(left)
            try:
                line = self.wire.line()
            except TimeoutError:
                continue
            seen.append(line)
            found = re.fullmatch(pattern, line)
            if found:
                return found
            if not line and not self.wire.got:
                raise AssertionError(f"the session ended before {pattern!r}: {seen}")

    def done(self):
        self.wire.socket.settimeout(10)
        self.wire.say(b"DONE")
        return self.wire.until(b"i ")
