# SPDX-License-Identifier: ISC
"""Mail sent with swaks, curl and msmtp is read, octet for octet, by each of the programs of programs.py."""

from programs import READERS, SENDERS, made_test
from trivet import equal, header_of, wait_until, message_files

USERS = 1 + sum(len(modes) for _, modes in READERS.values())

BODY = b"""\xec\x95\x88\xeb\x85\x95\xed\x95\x98\xec\x84\xb8\xec\x9a\x94, 8-bit text.\r
\r
.\r
..\r
. a dot and a blank \r
.leading dot\r
trailing blanks   \r
\ta tab, and a line of 900 octets:\r
""" + b"0123456789" * 90 + b"\r\n\r\nlast line\r\n"


def message_by(sender, mode, reader, recipient):
    name = f"{sender} {mode} {reader}".replace(" ", "-")
    return (f"From: \"A. Sender\" <user1@example.test>\r\n"
            f"To: {recipient}\r\n"
            f"Subject: =?utf-8?B?7ZWc6riA?= {name}\r\n"
            f"Date: Sat, 21 Nov 2026 18:48:32 +0900\r\n"
            f"Message-ID: <{name}@client.test>\r\n"
            f"MIME-Version: 1.0\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: 8bit\r\n"
            f"X-Folded: one\r\n"
            f"\ttwo\r\n\r\n").encode() + BODY


def compare(got, sent):
    """The body, and the sender's header fields in their order; programs and we put others between."""
    header, _, body = got.partition(b"\r\n\r\n")
    equal(body, sent.partition(b"\r\n\r\n")[2], "the body")
    wanted = header_of(sent).split(b"\r\n")
    lines = iter(header.split(b"\r\n"))
    for line in wanted:
        if not any(line == other for other in lines):
            raise AssertionError(f"{line!r} is missing, or not in its place, in {header!r}")


def exchange(site, folder, reader, mode, user):
    sent = {}
    for sender, send in SENDERS.items():
        by = "tls" if mode == "tls" else "starttls"
        octets = message_by(sender, by, reader, site.address(user))
        path = f"{folder}/{sender}.eml"
        with open(path, "wb") as f:
            f.write(octets)
        send(site, by, site.address(user), path, folder)
        sent[sender] = octets
    wait_until("the messages are in the Maildir", lambda: len(message_files(site, user)) >= len(sent))
    found = READERS[reader][0](site, mode, user, folder)
    equal(len(found), len(sent), f"the number of messages that {reader} fetched")
    for sender, octets in sent.items():
        mark = header_of(octets).split(b"Message-ID: ")[1].split(b"\r\n")[0]
        got = [m for m in found if mark in header_of(m)]
        equal(len(got), 1, f"messages by {sender} that {reader} fetched")
        compare(got[0], octets)


def more_tests():
    tests, user = [], 1
    for reader, (_, modes) in READERS.items():
        for mode in modes:
            user += 1
            tests.append(made_test(f"mail_from_swaks_curl_and_msmtp_is_read_by_{reader}_with_{mode}", exchange, reader,
                                   mode, user))
    return tests
