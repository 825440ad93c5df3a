# SPDX-License-Identifier: ISC
"""BODY[] gives back what was stored, octet for octet, however large; who does not read it costs little."""

import base64
import random
import threading
import time

from runner import slow_build
from trivet import drop, equal, imap, memory_of, ok, pids_of

DAEMONS = ("imapd",)
USERS = 9
MIB = 1 << 20


def body(connection, section="BODY.PEEK[]"):
    return ok(connection.fetch("1", f"({section})"))[0][1]


def check(site, user, octets, expected=None):
    expected = octets if expected is None else expected
    drop(site, user, octets)
    for door in ("imap_port", "imaps_port"):
        c = imap(site, user, door, select="INBOX")
        size = ok(c.fetch("1", "(RFC822.SIZE)"))[0]
        assert f"RFC822.SIZE {len(expected)})".encode() in size, size
        equal(body(c), expected, f"BODY[] through {door}")
        equal(body(c, "BODY.PEEK[]<100.70000>"), expected[100:70100], f"a part through {door}")
        c.logout()


def test_a_message_of_two_megabytes_comes_back_whole(site):
    lines = [bytes(random.choices(b"abcdefgh. \t\xea\xb0\x80", k=random.randrange(0, 900))) for _ in range(4700)]
    check(site, 1, b"Subject: large\r\n\r\n" + b"\r\n".join(lines) + b"\r\n")


def test_a_line_of_a_megabyte_comes_back_whole(site):
    check(site, 2, b"Subject: line\r\n\r\n" + b"x" * 1_000_000 + b"\r\n")


def test_a_file_with_bare_line_feeds_gets_line_ends(site):
    check(site, 3, b"Subject: lf\n\none\ntwo\n" * 5000, b"Subject: lf\r\n\r\none\r\ntwo\r\n" * 5000)


def test_a_large_append_comes_back_whole(site):
    octets = b"Subject: appended\r\n\r\n" + b"0123456789abcdef\r\n" * 300_000
    c = imap(site, 4)
    ok(c.append("INBOX", None, None, octets))
    ok(c.select("INBOX"))
    equal(body(c), octets)
    equal(body(c, "BODY.PEEK[TEXT]"), octets[octets.index(b"\r\n\r\n") + 4:])
    c.logout()


def keeper_of(site, user):
    for pid in pids_of(site, "imapd", "keeper"):
        if site.processes("imapd")[pid].endswith(site.address(user)):
            return pid
    raise AssertionError("there is no keeper")


def test_who_does_not_read_costs_little(site):
    drop(site, 5, b"Subject: x\r\n\r\n" + b"y" * 78 * (20 * MIB // 80))
    reader = imap(site, 5, select="INBOX")
    body(reader, "BODY.PEEK[]<0.10>")
    before = memory_of(keeper_of(site, 5))
    deaf = imap(site, 5, select="INBOX")
    deaf.send(b"x FETCH 1 BODY.PEEK[]\r\n" * 500)
    time.sleep(0.5)
    grown = memory_of(keeper_of(site, 5)) - before
    assert grown < 4 * MIB * slow_build(), f"the keeper grew by {grown} octets"
    start = time.monotonic()
    ok(reader.noop())
    assert time.monotonic() - start < 0.5 * slow_build()
    deaf.shutdown()
    reader.logout()


def test_who_does_not_read_a_part_costs_little(site):
    drop(site, 8, b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\r\n" +
         (b"y" * 76 + b"\r\n") * (20 * MIB // 78) + b"--b--\r\n")
    reader = imap(site, 8, select="INBOX")
    body(reader, "BODY.PEEK[2]<0.10>")
    before = memory_of(keeper_of(site, 8))
    deaf = [imap(site, 8, select="INBOX") for _ in range(3)]
    for c, section in zip(deaf, (b"BODY.PEEK[2]", b"BINARY.PEEK[2]", b"BODY.PEEK[1] BODY.PEEK[2]")):
        c.send(b"x FETCH 1 (" + section + b")\r\n")
    time.sleep(1)
    grown = memory_of(keeper_of(site, 8)) - before
    # A sanitizer keeps what was freed for a while.
    assert slow_build() > 1 or grown < 8 * MIB, f"the keeper grew by {grown} octets"
    for c in deaf:
        c.shutdown()
    reader.logout()


def test_one_session_stays_live_beside_another_that_fetches_all(site):
    for number in range(300):
        drop(site, 6, b"Subject: %d\r\n\r\n" % number + b"z" * 76 + b"\r\n" * 500)
    quick, hungry = imap(site, 6, select="INBOX"), imap(site, 6, select="INBOX")
    hungry.send(b"x FETCH 1:* (ENVELOPE BODY.PEEK[])\r\n" * 20)
    reading = threading.Thread(target=hungry.sock.recv, args=(1,))
    reading.start()
    worst = 0
    for _ in range(30):
        start = time.monotonic()
        ok(quick.noop())
        worst = max(worst, time.monotonic() - start)
    reading.join()
    hungry.shutdown()
    quick.logout()
    assert worst < 0.3 * slow_build(), f"a NOOP took {worst:.3f} s"


def peak_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


# RFC 3516 4.2
def test_a_large_part_is_decoded_as_it_is_sent(site):
    content = random.Random(7).randbytes(6 * MIB)
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    message = (b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsmall\r\n--b\r\n"
               b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded + b"--b--\r\n")
    drop(site, 7, message)
    c = imap(site, 7, select="INBOX")
    before = peak_of(keeper_of(site, 7))
    size = ok(c.fetch("1", "(BINARY.SIZE[2])"))[0]
    assert f"BINARY.SIZE[2] {len(content)})".encode() in size, size
    equal(body(c, "BINARY.PEEK[2]"), content)
    equal(body(c, "BINARY.PEEK[2]<1000001.300000>"), content[1000001:1300001])
    # The message itself, to be taken apart, and no more.
    grown = peak_of(keeper_of(site, 7)) - before
    assert slow_build() > 1 or grown < len(message) + 6 * MIB, f"the keeper grew by {grown} octets"
    c.logout()
