# SPDX-License-Identifier: ISC
"""An IMAP client for tests that believes nothing.

What the server says is held against the grammar (imap_grammar.py) and against what the client was told before:
EXISTS never shrinks but by EXPUNGE, numbers stay below it, UIDs ascend and keep to their messages, and no EXPUNGE comes
while FETCH, STORE or SEARCH is answered (RFC 3501 2.3.1.1, 5.2, 7.4.1).

    with Session(site, "user1") as s:
        s.ok("SELECT INBOX")
        s.no("SELECT ", Literal(b"nowhere"))
        s.ok("APPEND INBOX ", Plus(b"..."))
"""

import re
import socket
import time

from imap_grammar import Watcher
from trivet import equal, name_of, slow_build, tls


def uids_of(text):
    """1:3,7"""
    return [u for first, _, last in (r.partition(":") for r in text.split(","))
            for u in range(int(first), int(last or first) + 1)]


class Literal(bytes):
    """Sent after "+"."""
    mark = b"{%d}\r\n"


class Plus(bytes):
    """Sent at once (RFC 7888)."""
    mark = b"{%d+}\r\n"


class Answer:
    def __init__(self, untagged, tagged):
        self.untagged, self.tagged = untagged, tagged
        self.word = tagged.octets.split(b" ")[1].decode().upper()
        self.text = tagged.octets.split(b" ", 2)[2].rstrip(b"\r\n").decode()

    def of(self, kind):
        return [r for r in self.untagged if r.kind == kind]

    def lines(self):
        return [r.octets[:-2] for r in self.untagged]

    def code(self, name):
        """What follows a response code's name, in whatever line it stands; None: it stands nowhere."""
        for r in [*self.untagged, self.tagged]:
            found = re.search(rb"\[" + name.encode() + rb"(?: (.*?))?\] ", r.octets)
            if found:
                return (found.group(1) or b"").decode()
        return None

    def number(self, kind):
        """The number of the last EXISTS, say; None: there is none."""
        return next((r.number for r in reversed(self.untagged) if r.kind == kind), None)

    def items(self, number=None):
        """What FETCH told of a message; several answers are one."""
        told = {}
        for r in self.of("FETCH"):
            if number is None or r.number == number:
                told.update(r.items)
        return told

    def found(self):
        """The numbers of SEARCH."""
        searches = self.of("SEARCH")
        equal(len(searches), 1, "one SEARCH")
        return [int(n) for n in searches[0].octets.split()[2:]]

    def names(self, kind="LIST"):
        return [r.items["mailbox"].decode() for r in self.of(kind)]

    def attributes(self, name, kind="LIST"):
        for r in self.of(kind):
            if r.items["mailbox"].decode() == name:
                return {flag.decode().lower() for flag in r.items["flags"]}
        return None

    def status(self):
        """STATUS as a dict."""
        words = self.of("STATUS")[0].octets.rpartition(b"(")[2].rstrip(b")\r\n").decode().split()
        return {name: int(value) for name, value in zip(words[::2], words[1::2])}


class Session:
    slow = []       # (seconds, command) of those that took long, over all sessions

    def __init__(self, site, user=None, port="imap_port", timeout=10):
        self.user = user
        self.socket = socket.create_connection((site.host, getattr(site, port)), timeout * slow_build())
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if port == "imaps_port":
            self.socket = tls(site).wrap_socket(self.socket, server_hostname="localhost")
        self.watcher = Watcher()
        self.waiting = []
        self.tags = 0
        self.commands = []      # under way
        self.before = []        # what came before a "+"
        self.exists, self.uids = None, []
        self.greeting = self.response()
        if user is not None:
            self.ok(f"LOGIN {name_of(user)} {site.password}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def response(self):
        while not self.waiting:
            octets = self.socket.recv(65536)
            if not octets:
                raise AssertionError(f"the server closed the connection, last {bytes(self.watcher.held)!r}")
            self.waiting = self.watcher.feed(octets)
        response = self.waiting.pop(0)
        self.follow(response)
        return response

    # ---- what was told before ----

    def follow(self, r):
        command = self.commands[0] if self.commands else ""
        opening = command.startswith(("SELECT", "EXAMINE"))
        if r.kind == "EXISTS":
            if not opening and self.exists is not None and r.number < self.exists:
                raise AssertionError(f"EXISTS went from {self.exists} to {r.number} without EXPUNGE")
            if opening:
                self.uids = []
            self.exists = r.number
            self.uids += [None] * (self.exists - len(self.uids))
        elif r.kind == "EXPUNGE":
            if command.startswith(("FETCH", "STORE", "SEARCH", "SORT", "THREAD")):
                raise AssertionError(f"EXPUNGE within {command}")
            self.known(r)
            self.exists -= 1
            del self.uids[r.number - 1]
        elif r.kind == "VANISHED" and b"(EARLIER)" not in r.octets:
            for uid in uids_of(r.octets.split()[-1].decode()):
                self.remove(uid)
        elif r.kind == "FETCH":
            self.known(r)
            if b"UID" in r.items:
                self.learn(r.number, r.items[b"UID"])

    def remove(self, uid):
        """RFC 7162 3.2.10.2: each is one message less, of those that this session was told of."""
        at = next((i for i, u in enumerate(self.uids) if u is not None and u >= uid), len(self.uids))
        if at == len(self.uids) or self.uids[at] != uid:
            at -= 1     # one whose UID was not asked for yet
            if at < 0 or self.uids[at] is not None:
                raise AssertionError(f"VANISHED {uid}, which is not among {self.uids}")
        del self.uids[at]
        self.exists -= 1

    def known(self, r):
        if self.exists is None or r.number > self.exists:
            raise AssertionError(f"there are {self.exists}, and {r.octets[:60]!r} comes")

    def learn(self, number, uid):
        if self.uids[number - 1] not in (None, uid):
            raise AssertionError(f"message {number} had UID {self.uids[number - 1]}, now {uid}")
        self.uids[number - 1] = uid
        told = [u for u in self.uids if u is not None]
        if any(a >= b for a, b in zip(told, told[1:])):
            raise AssertionError(f"UIDs do not ascend: {told}")

    # ---- commands ----

    def begin(self, *parts):
        """Sends a command, its Literals when the server asks for them, and returns its tag."""
        self.tags += 1
        tag = f"t{self.tags}"
        self.commands.append(" ".join(str(p) for p in parts if isinstance(p, str)).upper())
        octets = tag.encode() + b" "
        for part in parts:
            if isinstance(part, (Literal, Plus)):
                octets += part.mark % len(part)
                if isinstance(part, Literal):
                    self.send(octets)
                    refused = self.go_ahead(tag)
                    if refused:
                        return refused
                    octets = b""
            octets += part.encode() if isinstance(part, str) else bytes(part)
        self.send(octets + b"\r\n")
        return tag

    def go_ahead(self, tag):
        while True:
            r = self.response()
            if r.kind == "+":
                return None
            if r.kind == tag:
                answer, self.before = Answer(self.before, r), []
                self.commands.pop(0)
                return answer
            self.before.append(r)

    def end(self, tag):
        if isinstance(tag, Answer):
            return tag
        untagged, self.before = self.before, []
        while True:
            r = self.response()
            if r.kind == tag:
                break
            untagged.append(r)
        command = self.commands.pop(0)
        if command.startswith(("SELECT", "EXAMINE", "CLOSE", "UNSELECT")) and \
                (command[0] in "CU" or not r.octets.startswith(tag.encode() + b" OK")):
            self.exists, self.uids = None, []
        return Answer(untagged, r)

    def do(self, *parts):
        began = time.monotonic()
        answer = self.end(self.begin(*parts))
        took = time.monotonic() - began
        if took > 0.05:
            Session.slow.append((took, " ".join(repr(p)[:80] for p in parts)))
        return answer

    def expect(self, word, parts):
        answer = self.do(*parts)
        if answer.word != word:
            raise AssertionError(f"{parts!r}: {word} was expected, not {answer.word} {answer.text}")
        return answer

    def ok(self, *parts):
        return self.expect("OK", parts)

    def no(self, *parts):
        return self.expect("NO", parts)

    def bad(self, *parts):
        return self.expect("BAD", parts)

    def append(self, box, octets, before=""):
        """before: flags and date, with a blank behind. Returns the UID."""
        code = self.ok(f"APPEND {box} {before}", Plus(octets)).code("APPENDUID")
        return int(code.split()[1])

    def is_closed(self):
        try:
            while True:
                self.response()
        except AssertionError as why:
            return "closed the connection" in str(why)
