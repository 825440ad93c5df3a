# SPDX-License-Identifier: ISC
"""Who gets in, by all three daemons: changed passwords, time that tells nothing, floods, and what memory keeps."""

import base64
import contextlib
import os
import sqlite3
import statistics
import threading
import time

from trivet import (Wire, equal, imap, message, ok, pids_of, pop3, skip, slow_build, smtp, wait_until)

SETTINGS = {"login_timeout": "60s"}
SECRET = "Wassermelone-7351-kern"       # found in memory, it is ours


def try_login(site, user, password, port="imap_port"):
    """True, False for wrong, or the answer's line."""
    with Wire(site, port, timeout=30) as w:
        w.line()
        if port.startswith("imap"):
            w.say(f'a LOGIN "{user}" "{password}"'.encode())
            line = w.until(b"a ")[-1]
            return True if line.startswith(b"a OK") else False if b"AUTHENTICATIONFAILED" in line else line
        w.say(f"USER {user}".encode())
        w.line()
        w.say(f"PASS {password}".encode())
        line = w.line()
        return True if line.startswith(b"+OK") else False if b"[AUTH]" in line else line


def test_a_changed_password_counts_at_once(site):
    address = site.address(1)
    for port in ("imap_port", "pop3_port"):
        for _ in range(2):      # the second one is remembered
            equal(try_login(site, "user1", site.password, port), True, port)
    site.trivet("user", "passwd", address, "--password-stdin", text="another\n")
    for port in ("imap_port", "pop3_port"):
        equal(try_login(site, "user1", site.password, port), False, f"{port}: the old one")
        equal(try_login(site, "user1", "another", port), True, f"{port}: the new one")
    site.trivet("user", "set", address, "--disable")
    for port in ("imap_port", "pop3_port"):
        equal(try_login(site, "user1", "another", port), False, f"{port}: disabled")
    site.trivet("user", "set", address, "--enable")
    equal(try_login(site, "user1", "another"), True, "enabled again")
    site.trivet("user", "del", address)
    equal(try_login(site, "user1", "another"), False, "removed")


def test_time_does_not_tell_whether_a_name_exists(site):
    """Each scheme costs something else; "wrong" is said at the same time."""
    names = {"nobody": "no-such-user", "yescrypt": "user2"}
    for scheme in ("sha512", "bcrypt", "scram-sha-256"):
        site.trivet("user", "add", f"{scheme}@{site.domain}", "--scheme", scheme, "--password-stdin", text="x\n")
        names[scheme] = scheme
    site.trivet("user", "add", f"off@{site.domain}", "--password-stdin", text="x\n")
    site.trivet("user", "set", f"off@{site.domain}", "--disable")
    names["disabled"] = "off"
    took = {kind: [] for kind in names}

    def measure(kind):
        began = time.monotonic()
        equal(try_login(site, names[kind], "wrong"), False, kind)
        took[kind].append(time.monotonic() - began)
    for _ in range(4):
        threads = [threading.Thread(target=measure, args=(kind,)) for kind in names]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    middle = {kind: statistics.median(times) for kind, times in took.items()}
    if min(middle.values()) < 0.99 or max(middle.values()) - min(middle.values()) > 0.1 * slow_build():
        raise AssertionError(f"seconds: {middle}")


def test_wrong_passwords_delay_nobody_else(site):
    done = []
    threads = [threading.Thread(target=lambda n=n: done.append(try_login(site, f"stranger{n}", "x")))
               for n in range(60)]
    for t in threads:
        t.start()
    time.sleep(0.1)
    equal(try_login(site, "user3", site.password), True)
    began = time.monotonic()
    equal(try_login(site, "user3", site.password), True)
    took = time.monotonic() - began
    for t in threads:
        t.join()
    equal(done, [False] * 60)
    if took > 0.5 * slow_build():
        raise AssertionError(f"one that is remembered took {took:.1f} s")


def test_a_half_closed_client_is_answered_after_its_login(site):
    with Wire(site, "pop3_port") as w:
        w.send(b"USER user4\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
        w.socket.shutdown(1)
        w.until(b"+OK logged in")
        equal(w.line(), b"+OK 0 0")
        equal(w.line()[:11], b"+OK goodbye")
    with Wire(site, "imap_port") as w:
        w.send(b"a LOGIN user4 secret\r\nb NOOP\r\nc LOGOUT\r\n")
        w.socket.shutdown(1)
        w.until(b"b OK")
        w.until(b"c OK")


def test_a_client_that_says_all_at_once_is_handed_over_whole(site):
    commands = b"".join(b"n%d NOOP %s\r\n" % (n, b"") for n in range(5000)).replace(b" \r", b"\r")
    for port in ("imap_port", "imaps_port"):
        with Wire(site, port, timeout=20) as w:
            w.line()
            # Not from a thread: Python's TLS has no lock between the one that sends and the one that reads. What is
            # not read meanwhile has room in the buffers.
            w.send(b"a LOGIN user5 secret\r\n" + commands + b"z LOGOUT\r\n")
            w.until(b"a OK")
            w.until(b"n4999 OK")
            w.until(b"z OK")


def test_odd_credentials_are_wrong_and_hurt_nobody(site):
    before = {d: pids_of(site, d, "") for d in ("imapd", "pop3d")}
    odd = ["", "@", "user6@", "@example.test", "user6@other.test", "user6@example.test@example.test", "../user6", "user6/",
           "u" * 600, "user6%00", "%u", "' OR 1=1 --", "user6\u0000"[:5] + "*", "root", "daemon"]
    threads, answers = [], []
    for name in odd:
        threads.append(threading.Thread(target=lambda n=name: answers.append((n, try_login(site, n, "x" * 300)))))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal([a for a in answers if a[1] is True], [])
    equal(try_login(site, "user6", site.password), True)
    equal({d: [p for p in pids_of(site, d, "") if p in before[d]] for d in before}, before, "all processes live")


def test_a_database_that_cannot_be_read_refuses_nothing_for_ever(fresh):
    """What passes is "later" (RFC 5530 3, UNAVAILABLE, 4xx), not "wrong" or "no such user"."""
    for table in ("accounts", "domains"):
        with contextlib.closing(sqlite3.connect(f"{fresh.folder}/state/users.db")) as db, db:
            db.execute(f"ALTER TABLE {table} RENAME TO away")
        line = try_login(fresh, "user1", fresh.password)
        if table == "accounts" and (line in (True, False) or b"UNAVAILABLE" not in line):
            raise AssertionError(f"without {table} a login is answered {line}")
        s = smtp(fresh)
        s.ehlo()
        s.mail("a@elsewhere.test")
        equal(s.rcpt(fresh.address(1))[0] // 100, 4, f"RCPT without {table}")
        s.close()
        with contextlib.closing(sqlite3.connect(f"{fresh.folder}/state/users.db")) as db, db:
            db.execute(f"ALTER TABLE away RENAME TO {table}")
        equal(try_login(fresh, "user1", fresh.password), True, "and afterwards")


def remembers(pid, *needles):
    """Does the process's writable memory hold one of them?"""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                where, rights = line.split()[:2]
                if "rw" not in rights or "[v" in line:
                    continue
                start, end = (int(x, 16) for x in where.split("-"))
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    held = memory.read(end - start)
                    at = max(held.find(octets) for octets in needles)
                    if at >= 0:
                        return f"{start + at:x} in {line.strip()}"
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def say_half(site, secret):
    """Passwords that arrive in pieces, among long lines, or whose line never ends."""
    long = secret.encode() + b"x" * 3000
    for port, lines in (("imap_port", (b'a LOGIN user7 "', long, b'"\r\n')), ("imap_port", (b'a LOGIN user7 "', long)),
                        ("imaps_port", (b'a LOGIN user7 "', long)), ("imaps_port", (b"a AUTHENTICATE PLAIN ", long)),
                        ("pop3_port", (b"USER user7\r\nPASS ", secret.encode())), ("pop3s_port", (b"PASS ", secret.encode())),
                        ("submissions_port", (b"EHLO x\r\nAUTH PLAIN ", base64.b64encode(b"\0user7\0" + secret.encode())))):
        with Wire(site, port) as w:
            w.line()
            for piece in lines:
                w.send(piece)
                time.sleep(0.05)


def test_no_process_remembers_a_password(site):
    if os.geteuid() != 0:
        skip("only root looks into other processes' memory")
    from trivet import Options
    if Options.sanitizers:
        skip("a sanitizer keeps what was freed")
    address = site.address(7)
    site.trivet("user", "passwd", address, "--password-stdin", text=SECRET + "\n")
    held = []
    say_half(site, SECRET)
    for port in ("imap_port", "imaps_port"):
        equal(try_login(site, "user7", SECRET + "x", port), False)
        c = imap(site, None, port)
        c.login("user7", SECRET)
        held.append(c)
        c = imap(site, None, port)
        ok(c.authenticate("PLAIN", lambda _: b"\0user7\0" + SECRET.encode()))
        held.append(c)
    for port in ("pop3_port", "pop3s_port"):
        equal(try_login(site, "user7", SECRET + "x", port), False)
        p = pop3(site, None, port)
        p.user("user7")
        p.pass_(SECRET)
        held.append(p)
    for port, starttls in (("submission_port", True), ("submissions_port", False)):
        s = smtp(site, port, starttls=starttls)
        s.login("user7", SECRET)
        s.sendmail(address, [address], message())
        held.append(s)
    front = pids_of(site, "imapd", "front")[0]
    if not remembers(front, site.domain.encode()):
        raise AssertionError("this test does not find what is there")
    encoded = base64.b64encode(b"\0user7\0" + SECRET.encode())
    needles = [SECRET.encode(), SECRET[1:-1].encode(), encoded[12:-4], base64.b64encode(SECRET.encode())[:-4]]

    def keepers_of_it():
        return [f"{title}: {found}" for pid, title in site.processes().items() if (found := remembers(pid, *needles))]
    try:
        wait_until("all are idle", lambda: not keepers_of_it(), 2)
    except AssertionError:
        raise AssertionError("it is remembered:\n" + "\n".join(keepers_of_it())) from None
    del held
