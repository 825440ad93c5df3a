# SPDX-License-Identifier: ISC
"""Whatever a stranger sends: a clear error or a timely close, bounded memory, and others do not notice."""

import contextlib
import re
import resource
import socket
import time

from trivet import (Wire, drop, equal, fetch_all, imap, memory_of, message, pids_of, pop3, seconds, send, slow_build,
                    smtp, wait_until)

SETTINGS = {"login_timeout": "3s", "smtp_timeout": "3s", "connections_per_address": "20000"}
USERS = 10

DOORS = {"smtp_port": "smtpd", "submission_port": "smtpd", "imap_port": "imapd", "pop3_port": "pop3d"}
TLS_DOORS = {"submissions_port": "smtpd", "imaps_port": "imapd", "pop3s_port": "pop3d"}
HELLO = {"smtp_port": b"EHLO client.test\r\n", "submission_port": b"EHLO client.test\r\n",
         "imap_port": b"a CAPABILITY\r\n", "pop3_port": b"CAPA\r\n"}
ERROR = {"smtpd": rb"[45]\d\d .*", "imapd": rb"(\* BYE|\* BAD|\S+ (BAD|NO)).*", "pop3d": rb"-ERR.*"}
MEGABYTE = 1 << 20


def memory(site, daemon):
    """Of all its fronts; keepers are per account and have limits of their own."""
    return sum(memory_of(p) for p in pids_of(site, daemon, "front"))


@contextlib.contextmanager
def bounded(site, daemons, limit=8 * MEGABYTE):
    """No front grows by more than `limit`, none dies, and other clients are served meanwhile and afterwards."""
    fronts = {d: pids_of(site, d, "front") for d in daemons}
    before = {d: memory(site, d) for d in daemons}
    yield
    others_are_served(site)
    for d in daemons:
        equal(pids_of(site, d, "front"), fronts[d], f"the fronts of {d}")
        grown = memory(site, d) - before[d]
        if grown > limit and slow_build() == 1:
            raise AssertionError(f"the fronts of {d} grew by {grown} octets")


def others_are_served(site):
    began = time.monotonic()
    smtp(site).quit()
    imap(site, 1).logout()
    pop3(site, 1).quit()
    if time.monotonic() - began > 2 * slow_build():
        raise AssertionError(f"other clients waited {time.monotonic() - began:.1f} s")


def push(wire, octets, limit):
    """Sends all the server takes; True when it ended the connection before."""
    wire.socket.settimeout(5 * slow_build())
    sent = 0
    try:
        while sent < limit:
            sent += wire.socket.send(octets)
    except (BrokenPipeError, ConnectionResetError):
        return True
    except TimeoutError:
        return False
    return False


def answers(wire, limit=5):
    """All lines until the server closes or falls silent."""
    wire.socket.settimeout(limit * slow_build())
    lines = []
    with contextlib.suppress(OSError):
        while line := wire.line():
            lines.append(line)
    return lines


def expect_error(lines, daemon, what, or_closed=False):
    """What was said before a connection ended with our octets unread may be lost on the way: or_closed."""
    if or_closed and not lines:
        return
    if not any(re.fullmatch(ERROR[daemon], line) for line in lines):
        raise AssertionError(f"{what}: no error among {lines[:10]}")


def test_a_line_without_an_end_is_cut_off_in_bounded_memory(site):
    with bounded(site, {"smtpd", "imapd", "pop3d"}):
        for door, daemon in DOORS.items():
            with Wire(site, door) as wire:
                wire.line()
                push(wire, b"x" * 65536, 32 * MEGABYTE)
                if daemon != "smtpd":       # smtpd swallows the line, and says so at its end
                    if not wire.is_closed(5):
                        raise AssertionError(f"{door}: a line of 32 MB, and the connection is still open")


def test_a_line_that_is_too_long_gets_an_error(site):
    for door, daemon in DOORS.items():
        with Wire(site, door) as wire:
            wire.line()
            with contextlib.suppress(OSError):
                wire.send(b"a " + b"x" * 200_000 + b"\r\n")
            expect_error(answers(wire, 1), daemon, door)


def test_unknown_commands_get_errors_and_then_the_door(site):
    for door, daemon in DOORS.items():
        with Wire(site, door) as wire:
            wire.line()
            with contextlib.suppress(OSError):
                wire.send(b"xyzzy plugh\r\n" * 500)
            lines = answers(wire, 2)
            expect_error(lines, daemon, door)
            if len(lines) > 200 and daemon != "imapd":
                raise AssertionError(f"{door}: {len(lines)} errors and no end")


def test_nul_octets_and_random_octets_get_an_error_or_the_door(site):
    rubbish = bytes((n * 7919 + 13) % 256 for n in range(4096))
    with bounded(site, {"smtpd", "imapd", "pop3d"}):
        for door, daemon in DOORS.items():
            for octets in (b"\0\r\n", b"NO\0OP\r\n", b"a NO\0OP\r\n", b"\xff\xfe\xfd\r\n", rubbish + b"\r\n",
                           b"\n\n\n\r\r\r\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                           b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rubbish):
                with Wire(site, door) as wire:
                    wire.line()
                    wire.send(octets)
                    wire.socket.shutdown(socket.SHUT_WR)
                    if not wire.is_closed(5):
                        raise AssertionError(f"{door}: {octets[:20]!r} and half closed, and still open")


def test_bad_literals_before_login_are_refused_in_bounded_memory(site):
    literals = [b"{4294967295+}", b"{99999999999999999999+}", b"{18446744073709551616}", b"{-1}", b"{}", b"{+}",
                b"{1000000000}", b"{5", b"{1000000000+}"]
    with bounded(site, {"imapd"}):
        for literal in literals:
            with Wire(site, "imap_port") as wire:
                wire.line()
                with contextlib.suppress(OSError):
                    wire.send(b"a LOGIN " + literal + b"\r\n")
                    push(wire, b"x" * 65536, 2 * MEGABYTE)
                expect_error(answers(wire, 1), "imapd", literal, or_closed=True)


def test_many_small_literals_and_parentheses_before_login_are_refused(site):
    with bounded(site, {"imapd"}):
        for octets in (b"a LOGIN " + b"{1+}\r\nx " * 200_000 + b"\r\n", b"a NOOP " + b"(" * 8_000_000 + b"\r\n",
                       b"a ID (" + b'"k" "v" ' * 400_000 + b")\r\n"):
            with Wire(site, "imap_port") as wire:
                wire.line()
                with contextlib.suppress(OSError):
                    wire.send(octets)
                expect_error(answers(wire, 1), "imapd", octets[:20], or_closed=True)


def test_bad_literals_after_login_are_refused(site):
    for literal, size in ((b"{4294967295}", 0), (b"{99999999999999999999}", 0), (b"{4294967295+}", 4 * MEGABYTE)):
        with Wire(site, "imap_port") as wire:
            wire.line()
            wire.say(b"a LOGIN user2 secret")
            wire.until(b"a OK")
            wire.say(b"b APPEND INBOX " + literal)
            with contextlib.suppress(OSError):
                push(wire, b"x" * 65536, size)
            expect_error(answers(wire, 1), "imapd", literal)
    others_are_served(site)


def test_commands_in_the_wrong_state_get_errors_and_the_session_goes_on(site):
    wrong = {"smtp_port": [b"DATA", b"RCPT TO:<user1@example.test>", b"MAIL FROM:<a@b.test>", b"AUTH PLAIN"],
             "imap_port": [b"a SELECT INBOX", b"a FETCH 1 FLAGS", b"a IDLE", b"a EXPUNGE"],
             "pop3_port": [b"STAT", b"RETR 1", b"DELE 1", b"NOOP"]}
    right = {"smtp_port": (b"NOOP", b"250"), "imap_port": (b"z NOOP", b"z OK"), "pop3_port": (b"CAPA", b"+OK")}
    for door, lines in wrong.items():
        with Wire(site, door) as wire:
            wire.line()
            for line in lines:
                wire.say(line)
                expect_error([wire.line()], DOORS[door], f"{door}: {line}")
            wire.say(right[door][0])
            equal(wire.line()[:len(right[door][1])], right[door][1], door)


def test_half_closed_connections_are_answered_and_closed(site):
    for door in DOORS:
        with Wire(site, door) as wire:
            wire.line()
            wire.send(HELLO[door])
            wire.socket.shutdown(socket.SHUT_WR)
            lines = answers(wire, 5)
            if not lines or not re.match(rb"250|\* CAPABILITY|\+OK", lines[0]):
                raise AssertionError(f"{door}: {lines}")
            if not wire.is_closed(5):
                raise AssertionError(f"{door} stays open")


@seconds(90)
def test_silent_connections_are_closed_in_time_also_within_a_handshake(site):
    wires = []
    for door in DOORS:
        wires.append((door, Wire(site, door)))
        dribbling = Wire(site, door)
        dribbling.send(HELLO[door][:3])
        wires.append((f"{door} within a command", dribbling))
    for door in TLS_DOORS:
        wires.append((f"{door} without a handshake", Wire(site, door, secure=False)))
        half = Wire(site, door, secure=False)
        half.send(b"\x16\x03\x01\x02\x00\x01")
        wires.append((f"{door} within the handshake", half))
    others_are_served(site)
    for what, wire in wires:
        if not wire.is_closed(10):
            raise AssertionError(f"{what}: still open after 10 s, login_timeout and smtp_timeout are 3 s")
        wire.close()


def test_thousands_of_connections_from_one_address_leave_room_for_others(site):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(4500, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 200), hard))
    held = []
    try:
        for door, daemon in (("smtp_port", "smtpd"), ("imap_port", "imapd"), ("pop3_port", "pop3d")):
            before = memory(site, daemon)
            for _ in range(wanted // 3):
                held.append(socket.create_connection((site.host, getattr(site, door)), 10))
            others_are_served(site)
            grown = memory(site, daemon) - before
            if grown > wanted // 3 * 65536 and slow_build() == 1:
                raise AssertionError(f"{daemon}: {grown // (wanted // 3)} octets for each connection before login")
    finally:
        for s in held:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    others_are_served(site)


def test_more_connections_from_one_address_than_allowed_are_told_so_and_closed(fresh):
    fresh.set(connections_per_address=10, processes=1)
    fresh.stop()
    fresh.start()
    for door, daemon in DOORS.items():
        if door == "submission_port":
            continue
        held = [Wire(fresh, door) for _ in range(10)]
        for wire in held:
            if not re.match(rb"220|\* OK|\+OK", wire.line()):
                raise AssertionError(f"{door}: one of the first ten is refused")
        with Wire(fresh, door) as over:
            expect_error([over.line()], daemon, f"{door}, the eleventh")
            if not over.is_closed(5):
                raise AssertionError(f"{door}: the eleventh stays open")
        for wire in held:
            wire.close()
        wait_until(f"{door} is open again", lambda d=door: re.match(rb"220|\* OK|\+OK", Wire(fresh, d).line()))


def test_a_client_that_does_not_read_costs_a_bounded_amount(site):
    for n in range(20):
        drop(site, 3, message(subject=f"large {n}", body="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 14000))
    with bounded(site, {"imapd", "pop3d"}, 16 * MEGABYTE):
        wires = []
        for _ in range(3):
            w = Wire(site, "imaps_port")
            w.line()
            w.say(b"a LOGIN user3 secret")
            w.until(b"a OK")
            w.say(b"b SELECT INBOX")
            w.until(b"b OK")
            w.send(b"".join(b"c%d FETCH 1:* BODY.PEEK[]\r\n" % n for n in range(50)))
            wires.append(w)
            p = Wire(site, "pop3s_port")
            p.line()
            p.send(b"USER user3\r\nPASS secret\r\n")
            p.until(b"+OK")
            p.send(b"".join(b"RETR %d\r\n" % (n % 20 + 1) for n in range(500)))
            wires.append(p)
        time.sleep(2)
        for daemon in ("imapd", "pop3d"):
            for pid, title in site.processes(daemon).items():
                if "keeper" in title and memory_of(pid) > 48 * MEGABYTE and slow_build() == 1:
                    raise AssertionError(f"{title} holds {memory_of(pid)} octets of its own")
        for w in wires:
            w.close()


def test_a_message_with_hostile_parts_is_read_in_time(site):
    bombs = {
        "deep": b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n" + b"".join(
            b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(10000)),
        "many parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--\r\n",
        "many addresses": b"To: " + b"a@b.test, " * 100_000 + b"c@d.test\r\n\r\nx\r\n",
        "many fields": b"X-A: b\r\n" * 200_000 + b"\r\nx\r\n",
        "long comment": b"From: " + b"(" * 200_000 + b"\r\n\r\nx\r\n",
        "parameters": b"Content-Type: text/plain" + b"".join(b"; p%d=b" % n for n in range(50_000)) + b"\r\n\r\nx\r\n",
        "encoded words": b"Subject: " + b"=?utf-8?B?7ZWc?= " * 100_000 + b"\r\n\r\nx\r\n",
        "nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 10000 + b"x\r\n",
    }
    for what, octets in bombs.items():
        drop(site, 4, octets)
    c = imap(site, 4, select="INBOX", timeout=60)
    for n, what in enumerate(bombs, 1):
        for item in ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (SUBJECT TO)]", "BODY.PEEK[1]"):
            began = time.monotonic()
            c.fetch(str(n), f"({item})")
            if time.monotonic() - began > 2 * slow_build():
                raise AssertionError(f"{what}: {item} took {time.monotonic() - began:.1f} s")
    c.logout()
    others_are_served(site)


def test_false_ends_of_data_smuggle_nothing(site):
    inner = b"MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<user5@example.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n"
    for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\0.\r\n"):
        with Wire(site, "smtp_port") as wire:
            wire.line()
            wire.send(b"EHLO c.test\r\nMAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<user5@example.test>\r\nDATA\r\n")
            wire.until(b"354")
            wire.send(b"Subject: outer\r\n\r\nx" + end + inner)
            wire.say(b"QUIT")
            answers(wire, 1)
    time.sleep(0.5)
    for octets in fetch_all(site, 5):
        if octets.count(b"Received:") and re.search(rb"(?m)^Subject: smuggled\r$", octets.partition(b"\r\n\r\n")[0]):
            raise AssertionError("a smuggled message was delivered")


def test_starttls_injection_is_not_answered_inside(site):
    for door, start, ready, probe in (("smtp_port", b"EHLO c.test\r\nSTARTTLS\r\nNOOP injected\r\n", b"220 ", b"NOOP"),
                                      ("imap_port", b"a STARTTLS\r\nb NOOP\r\n", b"a OK", b"c NOOP"),
                                      ("pop3_port", b"STLS\r\nCAPA\r\n", b"+OK", b"QUIT")):
        with Wire(site, door) as wire:
            wire.line()
            wire.send(start)
            wire.until(ready)
            try:
                wire.starttls(site)
                wire.say(probe)
                first = wire.line()
            except OSError:
                continue            # it ended the connection: fine
            if not re.match(rb"250 |c OK|\+OK", first):
                raise AssertionError(f"{door}: the first answer inside is {first!r}")
            wire.socket.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                second = wire.line()
                if second:
                    raise AssertionError(f"{door}: inside came also {second!r}")


def test_logins_with_hostile_names_are_refused_and_logged_on_one_line(site):
    names = [b"'", b'"', b"%u", b"%s%s%n", b"*", b"../../etc", b"user1@example.test\x01", b"\xff\xfe", b"a" * 400,
             b"user1@example.test@example.test", b"$(id)", b"`id`", b"user1+x", b" user1"]
    for name in names:
        with Wire(site, "pop3_port") as wire:
            wire.line()
            wire.send(b"USER " + name + b"\r\n")
            wire.line()
            wire.send(b"PASS wrong\r\n")
            line = wire.line()
            if not line.startswith(b"-ERR"):
                raise AssertionError(f"{name!r}: {line!r}")
    with open(site.log, "rb") as f:
        for line in f:
            if not re.match(rb"\d{4}-\d\d-\d\dT", line) or re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line.rstrip(b"\n")):
                raise AssertionError(f"a log line is torn: {line!r}")
            if b"secret" in line:
                raise AssertionError(f"a password is in the log: {line!r}")


def test_a_flood_does_not_keep_a_message_from_arriving(site):
    began = time.monotonic()
    with Wire(site, "smtp_port") as flood:
        flood.line()
        with contextlib.suppress(OSError):
            flood.send(b"NOOP\r\n" * 100_000)
        send(site, to="user6", subject="through")
    if time.monotonic() - began > 5 * slow_build():
        raise AssertionError(f"it took {time.monotonic() - began:.1f} s")
