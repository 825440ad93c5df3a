# SPDX-License-Identifier: ISC
"""What mail programs really send, played again: every command must be answered OK, with the data they look for.

A line is a command; {+text} is a literal sent at once, {=text} one that waits, MAIL in it a message. $1 to $9 are the UIDs
of INBOX's first messages. DONE ends the IDLE before it. NEW is another connection. "NO " before a command: so it is
answered, with what follows " -> " in it. "HAS NAME ": the command is sent where that capability is told, as the program
would. "=> regex": a line of the answer above.
"""

import itertools
import re

import said_by_people as people
import said_by_programs as programs
from imap_session import Literal, Plus, Session
from trivet import equal

DAEMONS = ("imapd",)
USERS = 30
users = itertools.count(1)

MAIL = """\
From: =?utf-8?B?6rmA?= <kim@x.test>
To: user1@example.test
Subject: tb5 RUN
Date: Mon, 3 Feb 2025 10:00:00 +0900
Message-ID: <one@x.test>
References: <zero@x.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_b"

--=_b
Content-Type: multipart/alternative; boundary="=_c"

--=_c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

가나다라 text number 12
--=_c
Content-Type: text/html; charset=utf-8

<p>html</p>
--=_c--
--=_b
Content-Type: application/pdf; name=a.pdf
Content-Transfer-Encoding: base64

AAECAwQ=
--=_b--
""".replace("\n", "\r\n")


# ---- the player ----

def parts_of(text):
    """The command with its literals."""
    for piece in re.split(r"(\{[+=][^}]*\})", text):
        if piece[:2] in ("{+", "{="):
            kind = Plus if piece[1] == "+" else Literal
            yield kind(piece[2:-1].replace("MAIL", MAIL).encode())
        else:
            yield piece


class Player:
    def __init__(self, site, script, port):
        self.site, self.user, self.port = site, next(users), port
        self.script = script.strip().split("\n")
        self.session = self.idle = self.answer = None
        with Session(site, self.user) as s:
            self.uids = [s.append("INBOX", MAIL.encode()) for _ in range(9)]
            s.ok("CREATE Work")
            s.ok("SUBSCRIBE Work")

    def line(self, line):
        if line == "NEW":
            self.session = Session(self.site, self.user, self.port)
        elif line == "IDLE":
            self.idle = self.session.begin("IDLE")
            equal(self.session.response().kind, "+")
        elif line == "DONE":
            self.session.send(b"DONE\r\n")
            equal(self.session.end(self.idle).word, "OK")
        elif line.startswith("=> "):
            lines = [r.octets[:-2].decode("utf-8", "replace") for r in [*self.answer.untagged, self.answer.tagged]]
            if not any(re.fullmatch(line[3:], told) for told in lines):
                raise AssertionError(f"no {line[3:]} in {lines}")
        elif line.startswith("HAS "):
            _, name, line = line.split(" ", 2)
            if name in self.capabilities():
                self.command(line)
        else:
            self.command(line)

    def capabilities(self):
        return self.session.ok("CAPABILITY").lines()[0].decode().split()

    def command(self, line):
        text = re.sub(r"\$([1-9])", lambda found: str(self.uids[int(found.group(1)) - 1]), line)
        if not line.startswith("NO "):
            self.answer = self.session.ok(*parts_of(text))
            return
        text, _, code = text[3:].partition(" -> ")
        self.answer = self.session.no(*parts_of(text))
        if code:
            equal(self.answer.code(code) is not None, True, code)

    def play(self):
        self.line("NEW")
        for line in self.script:
            self.line(line)
        self.session.socket.close()


def replay_of(name, script, port):
    def play(site):
        Player(site, script, port).play()

    play.__name__ = f"test_{name}_is_answered_ok_throughout"
    return play


REPLAYS = (
    ("thunderbird", people.THUNDERBIRD, "imaps_port"),
    ("thunderbird_with_few_capabilities", people.THUNDERBIRD_NARROW, "imap_port"),
    ("roundcube", people.ROUNDCUBE, "imaps_port"),
    ("outlook", people.OUTLOOK, "imaps_port"),
    ("imapflow", programs.IMAPFLOW, "imap_port"),
    ("aerc", programs.AERC, "imap_port"),
    ("alpine", programs.ALPINE, "imap_port"),
    ("offlineimap", programs.OFFLINEIMAP, "imap_port"),
    ("mbsync", programs.MBSYNC, "imap_port"),
    ("neomutt", programs.NEOMUTT, "imap_port"),
    ("imapfilter", programs.IMAPFILTER, "imap_port"),
    ("mail_imaptalk", programs.IMAPTALK, "imap_port"),
    ("fetchmail_getmail_and_curl", programs.FETCHERS, "imap_port"),
    ("k9", people.K9, "imap_port"),
    ("snappymail", people.SNAPPYMAIL, "imaps_port"),
    ("apple_mail", people.APPLE_MAIL, "imaps_port"),
)


def more_tests():
    return [replay_of(*row) for row in REPLAYS]
