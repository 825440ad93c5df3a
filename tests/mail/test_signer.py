# SPDX-License-Identifier: ISC
"""The private key is in the signers only; handshakes survive a signer's death; tickets are shared, but not with others."""

import base64
import contextlib
import os
import pwd
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from sites import run_openssl
from trivet import Options, imap, pids_of, pop3, seconds, send, skip, slow_build, smtp, tls, wait_until

SETTINGS = {"processes": "2"}
USERS = 3

DOORS = (("smtpd", "submissions_port", None), ("imapd", "imaps_port", None), ("pop3d", "pop3s_port", None),
         ("smtpd", "smtp_port", (b"EHLO client.test\r\n", b"250 ", b"STARTTLS\r\n", b"220 ")),
         ("imapd", "imap_port", (b"a STARTTLS\r\n", b"a OK")), ("pop3d", "pop3_port", (b"STLS\r\n", b"+OK")))
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def context_for(site, version):
    context = tls(site)
    context.minimum_version = context.maximum_version = version
    return context


def read_line(s, start=b""):
    """Up to the end of a line that begins so."""
    got = b""
    while not got.endswith(b"\n") or not got.splitlines()[-1].startswith(start):
        octets = s.recv(4096)
        if not octets:
            raise ConnectionError(f"closed after {got!r}")
        got += octets
    return got


def connect(site, port, context, words=None, session=None):
    """A TLS connection, greeting read (or STARTTLS done): by then the ticket has come. The caller closes it."""
    s = socket.create_connection((site.host, getattr(site, port)), 10 * slow_build())
    try:
        if words:
            read_line(s)
            for said, answer in zip(words[::2], words[1::2]):
                s.sendall(said)
                read_line(s, answer)
        s = context.wrap_socket(s, server_hostname="localhost", session=session)
        if words:
            s.sendall(b"EHLO client.test\r\n" if port == "smtp_port" else b"CAPA\r\n" if port == "pop3_port" else
                      b"b NOOP\r\n")
        read_line(s)
        return s
    except BaseException:
        s.close()
        raise


def session_of(site, port, context, words=None, old=None):
    """Connects, and returns (the session it got, whether the old one was resumed)."""
    with connect(site, port, context, words, old) as s:
        found = s.session, s.session_reused
        s.settimeout(1)
        with contextlib.suppress(OSError):
            s.unwrap()
        return found


def resumes(site, port, context, session):
    return session_of(site, port, context, None, session)[1]


# ---- handshakes ----

def test_every_door_speaks_both_versions_of_tls(site):
    for _, port, words in DOORS:
        for version in VERSIONS:
            with connect(site, port, context_for(site, version), words) as s:
                if s.version() != {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]:
                    raise AssertionError(f"{port}: {s.version()}")


def test_each_front_has_a_signer_of_its_own(site):
    for daemon in site.daemons:
        fronts, signers = pids_of(site, daemon, "front"), pids_of(site, daemon, "signer")
        if len(fronts) != 2 or len(signers) != 2:
            raise AssertionError(f"{daemon}: {fronts} {signers}")


class Stream(threading.Thread):
    """One full handshake after another, over new contexts so that nothing is resumed."""

    def __init__(self, site, port):
        super().__init__(daemon=True)
        self.site, self.port = site, port
        self.good, self.bad, self.ended = 0, 0, False

    def run(self):
        context = tls(self.site)
        while not self.ended:
            try:
                connect(self.site, self.port, context).close()
                self.good += 1
            except (OSError, ConnectionError):
                self.bad += 1


def heals_after(site, daemon, port, stop_signal, rounds):
    fronts = set(pids_of(site, daemon, "front"))
    stream = Stream(site, port)
    stream.start()
    try:
        for _ in range(rounds):
            victims = pids_of(site, daemon, "signer")
            for pid in victims:
                os.kill(pid, stop_signal)
            wait_until("other signers are there", lambda v=victims: len(
                [p for p in pids_of(site, daemon, "signer") if p not in v]) == len(fronts), 30)
            before = stream.good
            wait_until("handshakes work again", lambda b=before: stream.good > b + 5, 30)
    finally:
        stream.ended = True
        stream.join(20)
    if set(pids_of(site, daemon, "front")) != fronts:
        raise AssertionError("a front died of it")
    if "signer.lost" not in site.tail_of("log", 4000) and "tls.no_signature" not in site.tail_of("log", 4000):
        raise AssertionError("the log does not tell")


@seconds(60)
def test_a_signer_killed_within_a_stream_of_handshakes_comes_back(fresh):
    idle = imap(fresh, 1, port="imaps_port")
    heals_after(fresh, "imapd", "imaps_port", signal.SIGKILL, 3)
    idle.noop()
    idle.logout()
    heals_after(fresh, "pop3d", "pop3s_port", signal.SIGKILL, 1)
    heals_after(fresh, "smtpd", "submissions_port", signal.SIGKILL, 1)


@seconds(60)
def test_a_signer_that_hangs_is_replaced(fresh):
    heals_after(fresh, "imapd", "imaps_port", signal.SIGSTOP, 1)


def test_an_old_front_keeps_its_signer_until_it_ends(fresh):
    held = socket.create_connection((fresh.host, fresh.imap_port), 10)
    read_line(held)
    before = set(pids_of(fresh, "imapd", "signer"))
    fresh.reload()
    wait_until("the new ones are there", lambda: len(set(pids_of(fresh, "imapd", "signer")) - before) == 2)
    wait_until("who has no session has gone", lambda: len(set(pids_of(fresh, "imapd", "signer")) & before) == 1)
    held.sendall(b"a STARTTLS\r\n")
    read_line(held, b"a OK")
    with tls(fresh).wrap_socket(held, server_hostname="localhost") as s:
        s.sendall(b"b LOGOUT\r\n")
        read_line(s, b"b OK")
    wait_until("the last old one goes with its front", lambda: len(pids_of(fresh, "imapd", "signer")) == 2)


# ---- tickets ----

def test_a_session_is_resumed_by_every_front_but_by_no_other_daemon(site):
    for version in VERSIONS:
        context = context_for(site, version)
        for _, port, words in DOORS:
            session, _ = session_of(site, port, context, words)
            full = [n for n in range(12) if not session_of(site, port, context, words, session)[1]]
            if full:
                raise AssertionError(f"{port} {version}: full handshakes at {full}")
        session, _ = session_of(site, "imaps_port", context)
        for port in ("pop3s_port", "submissions_port"):
            if resumes(site, port, context, session):
                raise AssertionError(f"{port} took a ticket of imapd")


def test_tickets_live_for_an_hour_and_at_most_for_two(fresh):
    context = context_for(fresh, VERSIONS[1])
    session, _ = session_of(fresh, "imaps_port", context)

    def turn(ahead):
        """Until all fronts have the new keys: what they give now is not what they gave before."""
        fresh.turn_clock(ahead)
        time.sleep(1 * slow_build())
    turn(3605)
    for _ in range(6):
        if not resumes(fresh, "imaps_port", context, session):
            raise AssertionError("the key before is not taken")
    turn(2 * 3605)
    for _ in range(6):
        if resumes(fresh, "imaps_port", context, session):
            raise AssertionError("a ticket of two hours ago is taken")


def test_tickets_outlive_the_process_that_makes_their_keys(fresh):
    context = context_for(fresh, VERSIONS[1])
    session, _ = session_of(fresh, "imaps_port", context)
    auth = pids_of(fresh, "imapd", "auth")
    old = [p for p in auth if fresh.processes("imapd")[p].strip() == "imapd: auth"]
    os.kill(old[0], signal.SIGKILL)
    wait_until("there is another auth", lambda: any(
        t.strip() == "imapd: auth" and p not in old for p, t in fresh.processes("imapd").items()))
    imap(fresh, 1).logout()
    if not all(resumes(fresh, "imaps_port", context, session) for _ in range(6)):
        raise AssertionError("the tickets of before are not taken")


# ---- where the key is ----

def numbers_of(key_file):
    """The secret numbers of a key, as octets, most significant first."""
    text = subprocess.run(["openssl", "pkey", "-in", key_file, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    found = []
    for name in ("priv", "prime1", "prime2", "privateExponent"):
        match = re.search(rf"^{name}:\n((?:\s+[0-9a-f:]+\n)+)", text, re.M)
        if match:
            found.append(bytes.fromhex(re.sub(r"[\s:]", "", match[1])).lstrip(b"\0"))
    return found


def forms_of(key_file):
    """What betrays the key in memory: its numbers in either order of octets, and lines of its PEM."""
    forms = set()
    for number in numbers_of(key_file):
        forms |= {number, number[::-1]}
    with open(key_file, "rb") as f:
        lines = [line.strip() for line in f if not line.startswith(b"-----")]
    forms |= {line for line in lines[::8] if len(line) >= 24}
    return forms


ZEROS = bytes(1 << 16)
LONGEST = 512       # octets of what is looked for


def memory_of(pid):
    """All that it ever may have written; what is mapped from files and cannot be written is the files'."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, modes, _, _, inode = line.split()[:5]
            if not modes.startswith("r") or "[v" in line or (modes[1] != "w" and inode != "0"):
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            if end - begin > 1 << 32:       # a sanitizer's shadow
                continue
            with contextlib.suppress(OSError, ValueError):
                mem.seek(begin)
                left, before = end - begin, b""
                while left > 0 and (octets := mem.read(min(left, len(ZEROS)))):
                    left -= len(octets)
                    if octets != ZEROS:
                        yield before + octets
                    before = octets[-LONGEST:]


def holds(pid, forms):
    try:
        return sum(1 for octets in memory_of(pid) for form in forms if form in octets)
    except FileNotFoundError:       # it has ended
        return 0


def use_key(site, *words):
    run_openssl("req", "-x509", "-newkey", *words, "-nodes", "-days", "3", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{site.folder}/server.key", "-out",
                f"{site.folder}/server.pem")
    with open(f"{site.folder}/server.pem", "rb") as f, open(site.ca_file, "wb") as g:
        g.write(f.read())
    site.give_away()


def look_through_memory(site):
    forms = forms_of(f"{site.folder}/server.key")
    if len(forms) < 3:
        raise AssertionError(f"only {len(forms)} forms of the key are known")
    for version in VERSIONS:
        for _, port, words in DOORS:
            connect(site, port, context_for(site, version), words).close()
    send(site, to="user1")
    held = [imap(site, 1, port="imaps_port"), pop3(site, 2, port="pop3s_port"),
            smtp(site, "submissions_port", user=3)]
    seen = {}
    for pid, title in site.processes().items():
        role = title.split(": ", 1)[1].split()[0]
        found = holds(pid, forms)
        if not os.path.exists(f"/proc/{pid}"):
            continue
        if (role == "signer") != (found > 0):
            raise AssertionError(f"{title}: {found} traces of the key")
        seen[role] = seen.get(role, 0) + 1
    for role in ("master", "front", "auth:", "queue", "courier", "keeper", "signer"):
        if not seen.get(role) and not (role == "auth:" and seen.get("auth")):
            raise AssertionError(f"no {role} was looked at: {seen}")
    for c in held[:1]:
        c.logout()


@seconds(60)
def test_only_signers_have_the_private_key_in_memory(fresh):
    if os.geteuid() != 0:
        skip("only root may look into the others' memory")
    if Options.sanitizers:
        skip("a sanitizer's memory is too large")
    look_through_memory(fresh)
    for words in (("rsa:2048",), ("ed25519",)):
        fresh.stop()
        use_key(fresh, *words)
        fresh.start()
        look_through_memory(fresh)


def test_the_key_may_be_roots_alone(fresh):
    if os.geteuid() != 0 or fresh.value("user") == "root":
        skip("needs root, and nobody to reach the folder")
    path = f"{fresh.folder}/server.key"
    os.chown(path, 0, 0)
    os.chmod(path, 0o600)
    fresh.stop()
    fresh.start()
    uid = pwd.getpwnam(fresh.value("user")).pw_uid
    for daemon in fresh.daemons:
        for pid in pids_of(fresh, daemon, "signer"):
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                ids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)", f.read(), re.M).groups()
            if set(ids) != {str(uid)}:
                raise AssertionError(f"{daemon}'s signer runs as {ids}")
    heals_after(fresh, "imapd", "imaps_port", signal.SIGKILL, 1)


def test_faults_of_the_key_are_told_at_the_start(fresh):
    fresh.stop()
    path = f"{fresh.folder}/server.key"
    other = f"{fresh.folder}/other.key"
    run_openssl("genpkey", "-algorithm", "ed25519", "-out", other)
    rows = ((other, "does not fit the certificate", "give the key"),
            (f"{fresh.folder}/nothing.key", "No such file", "check the path"),
            (f"{fresh.folder}/server.pem", "no usable private key", "PEM"))
    for name, fault, advice in rows:
        fresh.set(tls_key=name)
        done = fresh.trivet("start", check=False)
        for words in (name, fault, advice, "tls_key"):
            if done.returncode == 0 or words not in done.stderr + done.stdout:
                raise AssertionError(f"{words!r} is missing in {done}")
        wait_until("nothing is left running", lambda: not fresh.processes())
    fresh.set(tls_key=path)
    fresh.start()


def test_a_broken_key_at_a_reload_is_told_and_heals_when_it_is_put_right(fresh):
    held = imap(fresh, 1, port="imaps_port")
    path = f"{fresh.folder}/server.key"
    os.rename(path, path + ".away")
    fresh.reload()
    wait_until("the log tells which file", lambda: re.search(r"imapd\[signer\] process.failed .*server\.key: No such file",
                                                             fresh.tail_of("log", 200)))
    held.noop()
    os.rename(path + ".away", path)
    fresh.reload()
    imap(fresh, 2, port="imaps_port").logout()
    held.logout()


# ---- passwords ----

PASSWORD = "vermilion.Kakapo-0417"


def forms_of_password(user, password):
    """As it is typed, and as the mechanism PLAIN sends it."""
    plain = base64.b64encode(f"\0{user}\0{password}".encode())
    return {password.encode(), plain, base64.b64encode(password.encode())}


@seconds(60)
def test_after_a_login_nobody_but_auth_ever_had_the_password(fresh):
    """Fronts had it, and wiped it: a session that goes on, and one that ended, leave none behind."""
    if os.geteuid() != 0:
        skip("only root may look into the others' memory")
    if Options.sanitizers:
        skip("a sanitizer's memory is too large")
    address = f"kakapo@{fresh.domain}"
    forms = forms_of_password(address, PASSWORD)
    fresh.trivet("user", "add", address, "--password-stdin", text=PASSWORD + "\n")
    held = []
    for port, starttls in (("imaps_port", False), ("imap_port", True), ("imap_port", False)):
        for mechanism in ("login", "plain"):
            c = imap(fresh, None, port=port, starttls=starttls)
            if mechanism == "login":
                c.login(address, PASSWORD)
            else:
                c.authenticate("PLAIN", lambda _: f"\0{address}\0{PASSWORD}".encode())
            held.append(c)
    for port in ("pop3s_port", "pop3_port"):
        p = pop3(fresh, None, port=port)
        p.user(address)
        p.pass_(PASSWORD)
        held.append(p)
    for port in ("submissions_port", "submission_port"):
        s = smtp(fresh, port)
        s.login(address, PASSWORD)
        s.sendmail(address, [address], b"Subject: x\r\n\r\n")
        held.append(s)
    ended = imap(fresh, None, port="imaps_port")
    ended.login(address, PASSWORD)
    ended.logout()
    left = [title for pid, title in fresh.processes().items()
            if title.split(": ", 1)[1].split()[0] in ("master", "front", "keeper", "queue", "courier", "recorder",
                                                      "signer", "syncer") and holds(pid, forms)]
    if not any(holds(pid, {address.encode()}) for pid in pids_of(fresh, "imapd", "keeper")):
        raise AssertionError("the scan does not even find the keeper's address")
    if left:
        raise AssertionError(f"the password is in the memory of {left}")
    for c in held:
        c.noop()
