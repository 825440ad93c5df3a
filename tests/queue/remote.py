# SPDX-License-Identifier: ISC
"""Other people's mail servers, as a test wants them, and a site whose mail for elsewhere goes to them.

    with elsewhere(folder) as e:
        e.server("b.test", greeting="421 busy")     # its answers by step; others are 250 and the like
        e.submit(to="x@b.test")
"""

import contextlib
import os
import re
import socket
import sqlite3
import ssl
import threading
import time

from dns import Server as NameServer
from trivet import Site, find_port_base, message, message_files, smtp, wait_until

FRAME_MAGIC, FRAME_MESSAGE, FRAME_DONE = b"trivetj1", 1, 2

USUAL = {"greeting": "220 mx.test", "EHLO": "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME",
         "HELO": "250 mx.test", "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go on", "dot": "250 2.0.0 taken",
         "QUIT": "221 bye", "STARTTLS": "220 go on", "RSET": "250 ok"}


class Mail:
    def __init__(self, sender, recipients, octets, secure):
        self.sender, self.recipients, self.octets, self.secure = sender, recipients, octets, secure


class FakeServer:
    """An SMTP server that says what it is told: answers[STEP] is a text, a list of texts for one time after the
    other (the last repeats), or a function of the command line. None: hangs; "": closes."""

    def __init__(self, host, port, certificate=None, **answers):
        self.answers = {**USUAL, **answers}
        self.certificate = certificate
        self.mails, self.commands, self.connections = [], [], []
        self.listener = socket.create_server((host, port), backlog=50)
        self.closing = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.closing.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while not self.closing.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(time.monotonic())
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def answer(self, step, line=""):
        said = self.answers.get(step, "500 what?")
        if callable(said):
            said = said(line)
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        return said

    def talk(self, connection):
        try:
            self.session(connection)
        except (OSError, ssl.SSLError, EOFError):
            pass
        finally:
            connection.close()

    def session(self, c):
        self.secure = False
        sender, recipients, file = None, [], c.makefile("rb")
        if not self.say(c, "greeting"):
            return
        while True:
            line = file.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                return
            self.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
                if not recipients and not str(self.answers["DATA"]).startswith("354"):
                    self.say(c, "DATA", line)
                    continue
                if not self.say(c, "DATA", line):
                    return
                octets = self.read_data(file)
                self.mails.append(Mail(sender, recipients, octets, isinstance(c, ssl.SSLSocket)))
                if not self.say(c, "dot", line):
                    return
                continue
            said = self.say(c, verb, line)
            if not said or verb == "QUIT":
                return
            if verb == "STARTTLS" and said.startswith("220"):
                if not self.certificate:
                    c.sendall(b"this is no TLS at all\r\n" * 10)
                    return
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(*self.certificate)
                c = context.wrap_socket(c, server_side=True)
                file = c.makefile("rb")
            if verb == "MAIL":
                sender, recipients = line.partition("<")[2].partition(">")[0], []
            if verb == "RCPT" and said.startswith("2"):
                recipients.append(line.partition("<")[2].partition(">")[0])

    def say(self, c, step, line=""):
        said = self.answer(step, line)
        if said is None:
            self.closing.wait(60)
            return None
        if said:
            c.sendall(said.encode("latin-1") + b"\r\n")
        return said

    @staticmethod
    def read_data(file):
        lines = []
        while True:
            line = file.readline()
            if not line:
                raise EOFError
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)


class Elsewhere:
    def __init__(self, folder, **settings):
        self.base = find_port_base("127.0.0.1", *(f"127.0.0.{n}" for n in range(2, 10)))
        self.zone, self.servers, self.free = {}, [], list(range(2, 10))
        rows = {"outgoing_smtp_port": self.base, "connect_timeout": "3s", "reply_timeout": "3s",
                "relay_networks": "127.0.0.0/8", **settings}
        self.site = Site(f"{folder}/site", users=3, port_base=self.base, daemons=["smtpd"],
                         settings=[f"{k} = {v}" for k, v in rows.items()])
        self.names = NameServer(self.zone, port=self.base + 9)

    def domain(self, domain, *hosts):
        """Its MX records: addresses, in the order of preference."""
        self.zone[domain] = {"MX": [[10 * (n + 1), f"mx{n}.{domain}"] for n in range(len(hosts))]}
        for n, host in enumerate(hosts):
            self.zone[f"mx{n}.{domain}"] = {"A": [host]}

    def address(self):
        return f"127.0.0.{self.free.pop(0)}"

    def server(self, domain=None, host=None, certificate=None, **answers):
        host = host or self.address()
        server = FakeServer(host, self.base, certificate, **answers)
        server.host = host
        self.servers.append(server)
        if domain:
            self.domain(domain, host)
        return server

    def submit(self, to, sender=None, octets=None, **fields):
        """Hands a message in; returns its trace id."""
        sender = self.site.address(1) if sender is None else sender
        to = [to] if isinstance(to, str) else to
        c = smtp(self.site)
        c.ehlo()
        code, text = c.mail(sender, ["BODY=8BITMIME"])
        assert code == 250, (code, text)
        for address in to:
            code, text = c.rcpt(address)
            assert code == 250, (code, text)
        code, text = c.data(octets if octets is not None else message(to=to[0], sender=sender or "x@y.test", **fields))
        assert code == 250, (code, text)
        c.quit()
        return text.decode().split()[-1]

    # -- what is seen --

    def log_is_quiet(self):
        """The recorder writes a moment after the deed: waits until it has nothing more, two seconds at most."""
        size, until = -1, time.monotonic() + 2
        while size != os.path.getsize(self.site.log) and time.monotonic() < until:
            size = os.path.getsize(self.site.log)
            time.sleep(0.03)

    def events(self, trace=None, word=None):
        """Rows (word, fields) of the log."""
        self.log_is_quiet()
        found = []
        with open(self.site.log, encoding="utf-8") as f:
            for line in f:
                parts = line.rstrip("\n").split(" ", 4)
                if len(parts) < 4:      # torn
                    continue
                fields = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', parts[4] if len(parts) > 4 else ""))
                fields = {k: v.strip('"') for k, v in fields.items()}
                if (trace is None or fields.get("trace") == trace) and (word is None or parts[3] == word):
                    found.append((parts[3], fields))
        return found

    def count(self, trace, word):
        return len(self.events(trace, word))

    def wait(self, trace, word, times=1, limit=10):
        wait_until(f"{times} times '{word}' of {trace}", lambda: self.count(trace, word) >= times, limit)
        return self.events(trace, word)

    def rows(self):
        db = sqlite3.connect(f"file:{self.site.folder}/state/queue.db?mode=ro", uri=True)
        with contextlib.closing(db):
            db.row_factory = sqlite3.Row
            return [dict(r) for r in db.execute("SELECT * FROM recipient ORDER BY trace, n")]

    def spool(self):
        """Traces of the messages in the journal that are not done (smtpd/frame.c says how they lie there)."""
        while True:
            with contextlib.suppress(FileNotFoundError):        # one was dropped meanwhile
                return self.look_into_spool()

    def look_into_spool(self):
        folder, live = f"{self.site.folder}/state/journal", set()
        for name in sorted(n for n in os.listdir(folder) if n != "boot"):
            try:
                with open(f"{folder}/{name}", "rb") as f:
                    octets = f.read()
            except FileNotFoundError:       # dropped meanwhile: all of it is done
                continue
            at = octets.find(FRAME_MAGIC)
            while at >= 0:
                kind, trace = octets[at + 8], octets[at + 56:at + 72].decode(errors="replace")
                if kind == FRAME_MESSAGE:
                    live.add(trace)
                elif kind == FRAME_DONE:
                    live.discard(trace)
                at = octets.find(FRAME_MAGIC, at + 32)
        return sorted(live)

    def inbox(self, user=1):
        found = []
        for path in message_files(self.site, user):
            with open(path, "rb") as f:
                found.append(f.read())
        return found

    def mail_for(self, user=1, limit=10):
        """Waits for one more message, and takes it away."""
        import os
        def take():
            for path in message_files(self.site, user):
                with open(path, "rb") as f:
                    octets = f.read()
                os.unlink(path)
                return octets
            return None
        return wait_until(f"mail for user{user}", take, limit)

    def is_empty(self, limit=10):
        try:
            wait_until("the queue is empty", lambda: not self.spool() and not self.rows(), limit)
        except AssertionError:
            left, rows = self.spool(), self.rows()
            with open(self.site.log, encoding="utf-8") as f:
                told = [line for line in f if any(t in line for t in [*left, *(r["trace"] for r in rows)])]
            raise AssertionError(f"still in the queue after {limit} s: {left}, rows {rows}\n" + "".join(told[-30:])) from None


@contextlib.contextmanager
def elsewhere(folder, **settings):
    e = Elsewhere(folder, **settings)
    with e.names:
        try:
            e.site.start()
            yield e
        except BaseException:
            print(e.site.tail_of("log", 60))
            print(e.site.tail_of("stderr/smtpd", 60))
            raise
        finally:
            slow = e.site.stop() if e.site.exists() else None
            for s in e.servers:
                s.close()
            faults = e.site.complaints() if e.site.exists() else []
    assert not slow, slow
    assert not faults, "\n".join(faults)
