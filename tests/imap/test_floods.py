# SPDX-License-Identifier: ISC
"""What strangers and users send without end is refused, skipped or cut, in bounded memory, and others do not notice."""

import socket
import time

from runner import slow_build
from trivet import imap, memory_of, ok, pids_of, tls

DAEMONS = ("imapd",)
USERS = 2
MIB = 1 << 20

STRANGERS = {
    "parentheses": b"a NOOP " + b"(" * (8 * MIB) + b"\r\n",
    "one endless line": b"a LOGIN " + b"x" * (32 * MIB),
    "a literal of 4 GB": b"a LOGIN {4294967295+}\r\n" + b"x" * MIB,
    "many small literals": b"a LOGIN " + b"{1+}\r\nx " * 200_000,
    "literals as large as allowed": (b"a LOGIN {4000+}\r\n" + b"x" * 4000) * 1000,
    "aborted logins": b"a AUTHENTICATE PLAIN\r\n*\r\n" * 5000,
    "a response without end": b"a AUTHENTICATE PLAIN\r\n" + b"A" * MIB,
    "the message of an APPEND": b"a APPEND INBOX {99999999+}\r\n" + b"x" * MIB,
    "zeros": bytes(MIB),
    "empty lines": b"\r\n" * 100_000,
}

USERS_SEND = {
    "parentheses": b"a SEARCH " + b"(" * 60_000 + b"\r\n",
    "negations": b"a SEARCH " + b"NOT " * 10_000 + b"ALL\r\n",
    "numbers": b"a UID FETCH " + b",".join(b"%d" % (n * 2 + 1) for n in range(9000)) + b" FLAGS\r\n",
    "wildcards": b'a LIST "" "' + b"*a%" * 2000 + b'"\r\n',
    "items": b"a FETCH 1:* (" + b"BODY[HEADER.FIELDS (A B C)] " * 1000 + b"UID)\r\n",
    "keywords": b"a STORE 1:* +FLAGS (" + b" ".join(b"k%d" % n for n in range(5000)) + b")\r\n",
    "literals": b"a SEARCH " + b"BODY {60000+}\r\n" + b"x" * 60_000 + b" BODY x" * 5000 + b"\r\n",
}


def pour(connection, octets):
    """Sends until the other side has enough; what it answers is thrown away."""
    connection.settimeout(5)
    view = memoryview(octets)
    try:
        while view:
            view = view[connection.send(view[:1 << 16]):]
            connection.setblocking(False)
            try:
                while connection.recv(1 << 16):
                    pass
                return
            except BlockingIOError:
                pass
            connection.settimeout(5)
    except OSError:
        return


def memory(site, role):
    return sum(memory_of(pid) for pid in pids_of(site, "imapd", role))


def test_strangers_are_cut_short(site):
    imap(site, 1).logout()
    before = memory(site, "front")
    for name, octets in STRANGERS.items():
        with socket.create_connection((site.host, site.imap_port), 10) as connection:
            pour(connection, octets)
            grown = memory(site, "front") - before
            assert grown < 8 * MIB * slow_build(), f"{name}: {grown} octets"
        start = time.monotonic()
        imap(site, 1).logout()
        assert time.monotonic() - start < 2 * slow_build(), name


def test_the_same_under_tls(site):
    for octets in STRANGERS.values():
        with socket.create_connection((site.host, site.imaps_port), 10) as raw:
            with tls(site).wrap_socket(raw, server_hostname="localhost") as connection:
                connection.settimeout(2)
                try:
                    connection.sendall(octets[:MIB])
                except OSError:
                    pass
    imap(site, 1, "imaps_port").logout()


def test_users_are_answered_soon(site):
    for name, octets in USERS_SEND.items():
        c = imap(site, 1, select="INBOX")
        start = time.monotonic()
        c.send(octets)
        line = c.readline()
        while line and not line.startswith(b"a "):
            line = c.readline()
        assert line, f"{name}: the connection was closed"
        assert time.monotonic() - start < 1 * slow_build(), f"{name}: {line}"
        ok(c.noop())
        c.logout()


def test_a_thousand_silent_connections_do_no_harm(site):
    before = memory(site, "front")
    silent = [socket.create_connection((site.host, site.imap_port), 10) for _ in range(1000)]
    for connection in silent:
        connection.settimeout(10)
        assert connection.recv(1000).startswith(b"* OK")
        connection.sendall(b"a NOO")
    start = time.monotonic()
    imap(site, 1).logout()
    assert time.monotonic() - start < 2 * slow_build()
    each = (memory(site, "front") - before) / len(silent)
    assert each < 64 * 1024 * slow_build(), f"{each} octets a connection"
    for connection in silent:
        connection.close()
