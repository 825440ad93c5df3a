# SPDX-License-Identifier: ISC
"""The conversations of *.conv; tests/harness/conversation.py tells their language, and here besides:

    put <<END                 a message, up to the line END, that another program delivers to $USER; each line gets
                              CRLF, and "\\r", "\\n", "\\x00" and the like are understood
    NAME: login               connects, says USER and PASS, expects +OK twice
    NAME: M: status           a line that matches `status`, then as many lines as stand up to END, then "."
"""

import os

from conversation import USERS_EACH, Conversation, Failure, tests_of
from trivet import drop

HERE = os.path.dirname(os.path.realpath(__file__))
DOORS = {"pop3": ("pop3_port", False), "pop3s": ("pop3s_port", True)}
DAEMONS = ("pop3d",)
USERS = USERS_EACH * sum(name.endswith(".conv") for name in os.listdir(HERE))


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
            return f"{os.path.relpath(self.path)}:{number}: {why}\n    {line!r}"
        finally:
            for connection in self.connections.values():
                connection.socket.close()


def more_tests():
    return tests_of(HERE, DOORS, DAEMONS, Pop3Conversation)
