# SPDX-License-Identifier: ISC
"""What the benchmarks of IMAP share: mailboxes filled with files, a client, rounds of one server and the other."""

import os
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "harness"))

from packages import missing_packages, packages_of
from sites import Site, Trouble, title_of
from spent import Cpu, settle
import peers

LINE = b"The quick brown fox jumps over the lazy dog, and once more it does so.\r\n"


# ---- mailboxes ----

def message(i, size):
    head = (f"Return-Path: <person{i % 50}@example.test>\r\nReceived: from mail.example.test (mail.example.test [192.0.2.1])\r\n"
            f"\tby bench.test with ESMTPS id {i:08};\r\n\tSat, 21 Nov 2026 10:00:00 +0900\r\n"
            f"From: Person {i % 50} <person{i % 50}@example.test>\r\nTo: user1@example.test\r\nSubject: Message number {i}\r\n"
            f"Date: Sat, {1 + i % 28} Nov 2026 10:00:00 +0900\r\nMessage-ID: <{i}.{i * 7919}@bench.test>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n").encode()
    return head + LINE * (max(size - len(head), 0) // len(LINE) + 1)


def fill(servers, user, count, size, make=message):
    """Names say the sizes, as both write them; neither has its index yet."""
    for server in servers:
        server.counts[user] = count
        folder = server.maildir(f"user{user}")
        for part in ("cur", "new", "tmp"):
            os.makedirs(f"{folder}/{part}", exist_ok=True)
        for i in range(count):
            octets = make(i, size)
            path = f"{folder}/cur/{1700000000 + i}.P{i:06}.bench,S={len(octets)},W={len(octets)}:2,S"
            with open(path, "wb") as f:
                f.write(octets)
            os.utime(path, (1700000000 + i, 1700000000 + i))
        owner = os.stat(f"{server.folder}/mail")
        os.chown(os.path.dirname(folder), owner.st_uid, owner.st_gid)
        give_away(folder, owner)


def give_away(folder, to):
    for path, _, names in os.walk(folder):
        os.chown(path, to.st_uid, to.st_gid)
        for name in names:
            os.chown(f"{path}/{name}", to.st_uid, to.st_gid)


class Client:
    def __init__(self, server, user, select="INBOX", tls=False):
        self.socket = socket.create_connection((server.host, server.imaps_port if tls else server.imap_port), 300)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb", 1 << 20)
        self.file.readline()
        self.ask(f"LOGIN user{user}@{server.domain} {server.password}")
        if select:
            self.ask(f"SELECT {select}")

    def say(self, text):
        self.socket.sendall(f"a {text}\r\n".encode())

    def line(self):
        line = self.file.readline()
        if not line:
            raise Trouble("the server closed the connection")
        return line

    def ask(self, text):
        """How many untagged answers came."""
        self.say(text)
        lines = 0
        while True:
            line = self.line()
            if line.startswith(b"a "):
                if not line.startswith(b"a OK"):
                    raise Trouble(f"{text}: {line!r}")
                return lines
            lines += 1

    def drain(self, text):
        """How many octets came; they are not looked at, so that the client does not slow the server down."""
        self.socket.sendall(f"last.of.all {text}\r\n".encode())
        room, octets, end = bytearray(1 << 20), 0, b""
        while True:
            n = self.socket.recv_into(room)
            octets, end = octets + n, (end + bytes(room[max(n - 200, 0):n]))[-200:]
            if n == 0 or (end.endswith(b"\r\n") and end[:-2].rpartition(b"\n")[2].startswith(b"last.of.all ")):
                break
        if b"last.of.all OK" not in end:
            raise Trouble(f"{text}: {end!r}")
        return octets

    def close(self):
        self.ask("LOGOUT")
        self.socket.close()


# ---- rounds ----

class Result:
    def __init__(self, count, seconds, cpu_ms, after_ms):
        self.rate, self.cpu_ms, self.after_ms = count / seconds, (cpu_ms + after_ms) / count, after_ms / count


def measured(server, count, work):
    """Result of work(), which does this many, and may know better how many seconds it took."""
    before = settle(server, server.quiet)
    start = time.monotonic()
    seconds = work() or time.monotonic() - start
    answered = Cpu(server)
    cpu = answered.ms_since(before)
    return Result(count, seconds, cpu, settle(server, server.quiet).ms_since(answered))


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def print_rows(rounds):
    """rounds: of each server a list of what its rounds returned."""
    servers = list(rounds)
    for name in rounds[servers[0]][0]:
        median = []
        for server in servers:
            rows = [results[name] for results in rounds[server]]
            rate, cpu, after = (statistics.median(getattr(row, key) for row in rows) for key in ("rate", "cpu_ms", "after_ms"))
            median.append((rate, cpu))
            print(f"{name if server is servers[0] else '':28} {server.name:10} {number(rate):>8}/s {number(cpu * 1000):>8} us CPU each, "
                  f"{number(after * 1000):>6} of it later")
        if len(servers) == 2:
            print(f"{'':28} {'ratio':10} {number(median[0][0] / median[1][0]):>8} x as many, "
                  f"{number(median[0][1] / max(median[1][1], 1e-6))} of the CPU")
        sys.stdout.flush()


def alternate(servers, args, run):
    rounds = {server: [] for server in servers}
    for i in range(args.rounds):
        for server in servers if i % 2 == 0 else servers[::-1]:
            rounds[server].append(run(server))
    print_rows(rounds)


# ---- keepers, and servers ----

def keepers(server, user):
    return [pid for pid in server.processes("imapd") if title_of(pid).startswith(f"imapd: keeper user{user}@")]


def end_keepers(server):
    """As after a minute without a session: each closes its index."""
    os.kill(server.master("imapd"), signal.SIGTERM)
    if not server.wait_until_gone("imapd", 20):
        raise Trouble("imapd does not end")
    server.start()


def keeper_of(server, user):
    found = keepers(server, user)
    if len(found) != 1:
        raise Trouble(f"user{user} has {len(found)} keepers")
    return found[0]


def begin(folder, users, alone):
    """Throw-away servers, ours first."""
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/peers")
    servers = [Site(f"{folder}/trivet", users=users)]
    servers[0].name = "Trivet"
    if not alone and os.geteuid() == 0 and not missing_packages(packages_of("peers")):
        servers.append(peers.Peers(f"{folder}/peers", users))
        servers[1].name = "Dovecot"
    return servers


def run(users, args, work):
    with tempfile.TemporaryDirectory(prefix="trivet-bench.", dir="/var/tmp") as folder:
        servers = begin(folder, users, args.alone)
        try:
            for server in servers:
                server.counts, server.rounds, server.quiet = {}, 0, 0.2 if args.smoke else 1.5
                server.start()
            work(servers, args)
        finally:
            for server in servers:
                server.stop()
    return 0


def main(program):
    try:
        sys.exit(program())
    except Trouble as e:
        print(f"bench: {e}", file=sys.stderr)
        sys.exit(1)
