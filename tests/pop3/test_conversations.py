# SPDX-License-Identifier: ISC
"""The conversations of *.conv; tests/harness/conversation.py tells their language, and here besides:

    put <<END                 a message, up to the line END, that another program delivers to $USER; each line gets
                              CRLF, and "\\r", "\\n", "\\x00" and the like are understood
    NAME: login               connects, says USER and PASS, expects +OK twice
    NAME: M: status           a line that matches `status`, then as many lines as stand up to END, then "."
"""

import glob
import os

from conversation import Conversation, Failure, settings_of
from trivet import Site, drop

HERE = os.path.dirname(os.path.realpath(__file__))
DOORS = {"pop3": ("pop3_port", False), "pop3s": ("pop3s_port", True)}
FILES = sorted(glob.glob(f"{HERE}/*.conv"))
DAEMONS = ("pop3d",)
USERS = 2 * len(FILES)


class Pop3Conversation(Conversation):
    def here_document(self, number):
        """The lines below line `number`, up to END."""
        found = []
        for line in self.lines[number:]:
            if line == "END":
                return found
            found.append(line)
        raise Failure("END is missing")

    def login(self, name):
        self.connect(name, "pop3")
        for words in (None, "USER $NAME", "PASS $PASSWORD"):
            if words:
                self.say(self.connections[name], name, self.expand(words).encode() + b"\r\n")
            self.expect(self.connections[name], name, r"\+OK.*")

    def on_message(self, name, status, lines):
        connection = self.connections[name]
        self.expect(connection, name, status)
        for line in [*lines, "."]:
            got = self.next_line(connection, name)
            if got != self.expand(line).encode().decode("latin-1"):
                raise Failure(f"expected {line!r}, came {got!r}")

    def hold(self):
        after = 0
        try:
            for number, line in enumerate(self.lines, 1):
                if number <= after:
                    continue
                if line.startswith("put <<END"):
                    text = self.here_document(number)
                    after = number + len(text) + 1
                    drop(self.site, self.variables["NAME"], b"".join(self.raw(t) + b"\r\n" for t in text))
                    continue
                words = line.split(" ", 2)
                if len(words) == 3 and words[1] == "M:":
                    text = self.here_document(number)
                    after = number + len(text) + 1
                    self.on_message(words[0].rstrip(":"), words[2], text)
                elif len(words) == 2 and words[1] == "login":
                    self.login(words[0].rstrip(":"))
                else:
                    self.one_line(line)
            return None
        except (Failure, OSError, KeyError) as why:
            said = "\n      ".join(self.log[-12:])
            return f"{os.path.relpath(self.path)}:{number}: {why}\n    {line!r}\n      {said}"
        finally:
            for connection in self.connections.values():
                connection.socket.close()


def held_by(path, number):
    settings = settings_of(path)

    def hold(site):
        users = [site.address(number * 2 + 1), site.address(number * 2 + 2)]
        why = Pop3Conversation(path, site, users, DOORS).hold()
        if why:
            raise AssertionError(why)

    def hold_alone(folder):
        site = Site(f"{folder}/site", users=USERS, settings=settings, daemons=DAEMONS)
        try:
            hold(site.start())
        finally:
            site.stop()
            site.kill()

    chosen = hold_alone if settings else hold
    chosen.__name__ = "test_" + os.path.basename(path).removesuffix(".conv")
    chosen.made_from = path
    return chosen


def more_tests():
    return [held_by(path, number) for number, path in enumerate(FILES)]
