# SPDX-License-Identifier: ISC
"""The script's connections by SMTP, IMAP and POP3: what came of each command is told by what is raised."""

import re
import select
import socket
import time

PATIENCE = 60           # seconds for any one answer
IMPATIENT = 0.25

# What may be said of a fault that passes, by the codes of IMAP and POP3.
PASSING_IMAP = re.compile(rb"\S+ NO \[(UNAVAILABLE|SERVERBUG|INUSE|OVERQUOTA|LIMIT|TRYCREATE)[ \]]")
PASSING_POP3 = re.compile(rb"-ERR \[(SYS/TEMP|IN-USE|LOGIN-DELAY)\]")


class Broken(Exception):
    """A promise is."""


class Gone(Exception):
    """The connection ended, or was never there."""


class Refused(Exception):
    """Not now."""


class RefusedAtEnd(Refused):
    """Not now, after all was sent: as without an answer it may have been kept, and is then known when it comes again."""


class Line:
    """A connection. Whoever waits for an answer longer than IMPATIENT calls wait_less, which turns the server's clock."""

    wait_less = None

    def __init__(self, site, port):
        try:
            self.socket = socket.create_connection((site.host, getattr(site, port)), PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as e:
            raise Gone() from e
        self.got = b""

    def close(self):
        self.socket.close()

    def say(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError as e:
            raise Gone() from e

    def receive(self):
        began = time.monotonic()
        while not select.select([self.socket], [], [], IMPATIENT)[0]:
            if time.monotonic() - began > PATIENCE:
                raise Broken(f"no answer within {PATIENCE} s")
            if Line.wait_less:
                Line.wait_less()
        try:
            more = self.socket.recv(65536)
        except OSError as e:
            raise Gone() from e
        if not more:
            raise Gone()
        self.got += more

    def line(self):
        while b"\n" not in self.got:
            self.receive()
        line, end, self.got = self.got.partition(b"\n")
        return line + end

    def octets(self, n):
        while len(self.got) < n:
            self.receive()
        octets, self.got = self.got[:n], self.got[n:]
        return octets


class Smtp(Line):
    def __init__(self, site):
        super().__init__(site, "smtp_port")
        self.answer()
        self.ask(b"EHLO client.test\r\n")

    def answer(self):
        while True:
            line = self.line()
            if line[:1] == b"5":
                raise Broken(f"a passing fault was refused for ever: {line!r}")
            if line[3:4] == b" ":
                if line[:1] == b"4":
                    raise Refused(line)
                return line

    def ask(self, octets):
        self.say(octets)
        return self.answer()

    def send(self, users, octets):
        """Those that the server took it for."""
        taken = []
        self.ask(b"MAIL FROM:<sender@elsewhere.test>\r\n")
        for user in users:
            try:
                self.ask(f"RCPT TO:<{user}@example.test>\r\n".encode())
                taken.append(user)
            except Refused:
                pass
        if not taken:
            self.ask(b"RSET\r\n")
            raise Refused()
        self.ask(b"DATA\r\n")
        try:
            self.ask(octets + b"\r\n.\r\n")
        except Refused as e:
            raise RefusedAtEnd(*e.args) from e
        return taken


class Imap(Line):
    def __init__(self, site, user):
        super().__init__(site, "imap_port")
        self.count = 0
        greeting = self.line()
        if not greeting.startswith(b"* OK"):
            raise Refused(greeting)
        self.ask(f"LOGIN {user} {site.password}")

    def ask(self, command, *literals, there_is_one=False):
        """(untagged lines, the tagged one); raises unless it is OK."""
        self.count += 1
        tag = f"t{self.count}"
        words = f"{tag} {command}".encode()
        for literal in literals:
            words += b" {%d+}\r\n" % len(literal) + literal
        self.say(words + b"\r\n")
        lines = []
        while True:
            line = self.line()
            while found := re.search(rb"\{(\d+)\}\r\n$", line):
                line = line[:found.start()] + b"<" + self.octets(int(found[1])) + b">" + self.line()
            if line.startswith(tag.encode() + b" "):
                break
            lines.append(line)
        if line.startswith(f"{tag} OK".encode()):
            return lines, line
        if there_is_one and b"NO [ALREADYEXISTS]" in line:
            return lines, line
        if line.startswith(f"{tag} NO".encode()) and PASSING_IMAP.match(line):
            raise Refused(line)
        raise Broken(f"{command.split(chr(13))[0]}: a passing fault was answered {line!r}")

    def select(self, folder):
        self.ask(f"SELECT {folder}")

    def messages(self):
        """Message-ID to [(uid, flags)] of what is selected."""
        found = {}
        lines, _ = self.ask("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        for line in lines:
            uid = re.search(rb"UID (\d+)", line)
            mid = re.search(rb"Message-ID: <([^>]*)>", line)
            flags = re.search(rb"FLAGS \(([^)]*)\)", line)
            if uid and mid and flags:
                found.setdefault(mid[1].decode(), []).append((int(uid[1]), set(flags[1].decode().split())))
        return found


class Pop3(Line):
    def __init__(self, site, user):
        super().__init__(site, "pop3_port")
        self.answer()
        self.ask(f"USER {user}")
        self.ask(f"PASS {site.password}")

    def answer(self):
        line = self.line()
        if line.startswith(b"+OK"):
            return line
        if PASSING_POP3.match(line):
            raise Refused(line)
        raise Broken(f"a passing fault was answered {line!r}")

    def ask(self, text):
        self.say(text.encode() + b"\r\n")
        return self.answer()

    def lines(self, text):
        self.ask(text)
        found = []
        while (line := self.line()) != b".\r\n":
            found.append(line)
        return found
