# SPDX-License-Identifier: ISC
"""The conversations of *.conv; tests/harness/conversation.py tells their language. IMAP's adds:

    NAME: login [USER]        connects to imap and logs in; nothing is left to expect
    NAME: M: text <<END       sends "text {n+}", the message up to the line END, and a line end
    put NAME <<END            makes the file NAME in $USER's Maildir
    remove GLOB               removes files there
    refile GLOB SUFFIX        gives files there another ":2," part

A literal belongs to the line it stands in: {5}, CR LF, its octets, the rest. All that the server says is held
against IMAP's grammar.
"""

import glob
import os
import re

from conversation import USERS_EACH, Connection, Conversation, Failure, tests_of
from imap_grammar import Watcher

HERE = os.path.dirname(os.path.realpath(__file__))
DOORS = {"imap": ("imap_port", False), "imaps": ("imaps_port", True)}
DAEMONS = ("imapd",)
USERS = USERS_EACH * sum(name.endswith(".conv") for name in os.listdir(HERE))


class ImapConnection(Connection):
    def piece(self, count):
        while len(self.input) < count:
            if not self.receive(10):
                raise Failure("the server closed the connection within a literal")
        octets, self.input = self.input[:count], self.input[count:]
        return octets.decode("latin-1")

    def line(self):
        whole = part = super().line()
        while literal := re.search(r"\{(\d+)\}$", part):
            whole += "\r\n" + self.piece(int(literal.group(1)))
            part = super().line()
            whole += part
        return whole


class ImapConversation(Conversation):
    def __init__(self, path, site, users, doors):
        super().__init__(path, site, users, doors)
        self.maildir = site.maildir(self.variables["NAME"])
        self.join_documents()

    def join_documents(self):
        """What follows <<END becomes part of its line; the lines keep their numbers."""
        end = start = None
        for number, line in enumerate(self.lines):
            if end is None:
                found = re.search(r" <<([A-Z]+)$", line)
                if found and not line.startswith("#"):
                    end, start = found.group(1), number
            else:
                self.lines[number] = ""
                if line == end:
                    end = None
                else:
                    self.lines[start] += "\n" + line

    @staticmethod
    def document(text):
        """("head", octets) of "head <<END\\nline\\nline"."""
        head, _, rest = text.partition(" <<")
        lines = rest.split("\n")[1:]
        return head, "".join(line + "\r\n" for line in lines).encode("utf-8")

    def connect(self, name, door):
        port, tls = self.doors[door]
        self.connections[name] = ImapConnection(self.site.host, getattr(self.site, port), self.site.ca_file, tls,
                                                Watcher())

    def login(self, name, user):
        self.connect(name, "imap")
        self.next_line(self.connections[name], name)
        self.say(self.connections[name], name, f"login LOGIN {user} {self.site.password}\r\n".encode())
        line = self.next_line(self.connections[name], name)
        if not line.startswith("login OK"):
            raise Failure("login: " + line)

    def on_connection(self, name, rest):
        verb, _, argument = rest.partition(" ")
        if verb == "login":
            self.login(name, self.expand(argument) or self.variables["USER"])
        elif verb == "M:":
            head, message = self.document(argument)
            head = self.expand(head).encode("utf-8")
            self.say(self.connections[name], name, b"%s {%d+}\r\n%s\r\n" % (head, len(message), message))
        else:
            super().on_connection(name, rest)

    def put(self, text):
        name, octets = self.document(text)
        path = os.path.join(self.maildir, name)
        with open(path, "wb") as file:
            file.write(octets)

    def found(self, pattern):
        paths = glob.glob(os.path.join(self.maildir, pattern))
        if not paths:
            raise Failure("there is no file " + pattern)
        return paths

    def one_line(self, line):
        verb, _, argument = line.partition(" ")
        if verb == "put":
            self.put(argument)
        elif verb == "remove":
            for path in self.found(argument):
                os.unlink(path)
        elif verb == "refile":
            pattern, _, suffix = argument.partition(" ")
            for path in self.found(pattern):
                os.rename(path, path.split(":2,")[0] + ":2," + suffix)
        else:
            super().one_line(line)


def more_tests():
    return tests_of(HERE, DOORS, DAEMONS, ImapConversation)
