# SPDX-License-Identifier: ISC
"""What many connections cost: the fronts' memory for one before login, and how slow ones slow down a good client."""

import os
import resource
import select
import signal
import socket
import ssl
import statistics
import time

MEMORY = 1000           # connections that are measured
SLOW = 5000
PACE = 2                # seconds between two octets of a slow one
GOOD = 20               # deliveries of the good client, beside the slow ones and without
LOGINS = 40

MESSAGE = "From: a@bench.test\r\nSubject: good\r\n\r\nShort.\r\n.\r\n"


def raise_limit(wanted):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def dial(server, port):
    return socket.create_connection((server.host, port), timeout=60)


def read_line(connection):
    text = b""
    while not text.endswith(b"\r\n"):
        got = connection.recv(4096)
        if not got:
            raise RuntimeError(f"the server ended a session: {text!r}")
        text += got
    return text


def fronts_kb(server):
    total = 0
    for pid, title in server.processes().items():
        if ": front" not in title:
            continue
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


def open_many(server, port, count, context):
    """Each has read the greeting and said half a line."""
    held = []
    for _ in range(count):
        connection = dial(server, port)
        if context:
            connection = context.wrap_socket(connection)
        read_line(connection)
        connection.sendall(b"NOOP")
        held.append(connection)
    return held


def memory(server, port, tls, smoke):
    """KB for one, of fronts that are new; a tenth is opened before, so that what grows only once has grown."""
    count = 20 if smoke else MEMORY
    if not smoke:
        server.stop()
        server.start()
    raise_limit(count + 1000)
    context = None
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    first = open_many(server, port, count // 10, context)
    time.sleep(0.2)
    before = fronts_kb(server)
    held = open_many(server, port, count, context)
    time.sleep(0.2)
    each = (fronts_kb(server) - before) / count
    for connection in first + held:
        connection.close()
    time.sleep(0 if smoke else 0.5)
    return {"KB each": each}


def deliver(server):
    """Milliseconds from the connection to the last 250."""
    start = time.monotonic()
    with dial(server, server.smtp_port) as connection:
        read_line(connection)
        for line in ("HELO bench.test\r\n", "MAIL FROM:<a@bench.test>\r\n",
                     f"RCPT TO:<user1@{server.domain}>\r\n", "DATA\r\n", MESSAGE):
            connection.sendall(line.encode())
            answer = read_line(connection)
            if answer[:1] not in b"23":
                raise RuntimeError(f"{line!r}: {answer!r}")
        taken = (time.monotonic() - start) * 1000
        connection.sendall(b"QUIT\r\n")
        read_line(connection)
    return taken


def drip(slow, at):
    """One octet of a line that never ends, to as many as are due; who is refused room for it is passed over."""
    for connection in slow[at:at + len(slow) // 50]:
        try:
            connection.send(b"x")
        except OSError:
            pass
    return (at + len(slow) // 50) % len(slow)


def slow_connections(server, smoke):
    count, deliveries = (50, 3) if smoke else (SLOW, GOOD)
    raise_limit(count + 1000)
    alone = [deliver(server) for _ in range(deliveries)]
    slow = []
    for _ in range(count):
        connection = dial(server, server.smtp_port)
        connection.setblocking(False)
        slow.append(connection)
    beside, at, due = [], 0, time.monotonic()
    while len(beside) < deliveries:
        if time.monotonic() >= due:
            at, due = drip(slow, at), due + PACE / 50
        beside.append(deliver(server))
        select.select([], [], [], max(due - time.monotonic(), 0))
    for connection in slow:
        connection.close()
    time.sleep(1)
    return {"ms alone": statistics.median(alone), "ms beside them": statistics.median(beside),
            "ms at worst": max(beside)}


def login(server, number):
    with dial(server, server.imap_port) as connection:
        read_line(connection)
        start = time.monotonic()
        connection.sendall(f"a LOGIN user{number}@{server.domain} {server.password}\r\n".encode())
        answer = read_line(connection)
        if b"a OK" not in answer:
            raise RuntimeError(f"login: {answer!r}")
        return (time.monotonic() - start) * 1000


def kill_keepers(server):
    for pid, title in server.processes("imapd").items():
        if ": keeper " in title:
            os.kill(pid, signal.SIGKILL)
    while any(": keeper " in title for title in server.processes("imapd").values()):
        time.sleep(0.05)


def logins(server, smoke):
    """Milliseconds of a LOGIN whose password is known to be right: with a keeper for the account, and without."""
    numbers = range(1, 3 if smoke else 1 + LOGINS)
    for n in numbers:
        login(server, n)
    warm = [login(server, n) for n in numbers]
    kill_keepers(server)
    time.sleep(1.5)
    taken = []
    for n in numbers:
        taken.append(login(server, n))
        time.sleep(0.02)
    return {"ms with a keeper": statistics.median(warm), "ms without": statistics.median(taken)}


# What it is called, how many rounds, what it measures.
ROWS = [
    ("memory before login, SMTP", 1, lambda s, smoke: memory(s, s.smtp_port, False, smoke)),
    ("memory before login, SMTP with TLS", 1, lambda s, smoke: memory(s, s.submissions_port, True, smoke)),
    ("memory before login, IMAP", 1, lambda s, smoke: memory(s, s.imap_port, False, smoke)),
    ("memory before login, IMAP with TLS", 1, lambda s, smoke: memory(s, s.imaps_port, True, smoke)),
    ("memory before login, POP3", 1, lambda s, smoke: memory(s, s.pop3_port, False, smoke)),
    ("memory before login, POP3 with TLS", 1, lambda s, smoke: memory(s, s.pop3s_port, True, smoke)),
    ("a good client beside 5,000 slow ones", 3, slow_connections),
    ("IMAP login", 3, logins),
]


def words(rounds):
    """The medians of what each round measured."""
    return ", ".join(f"{statistics.median(r[key] for r in rounds):.1f} {key}" for key in rounds[0])
