# SPDX-License-Identifier: ISC
"""From inside each role no attempt to get out succeeds; without the walls they do, so the list is known to bite."""

import collections
import contextlib
import imaplib
import os
import pwd
import re
import signal
import subprocess

from sites import DAEMONS
from trivet import (Site, imap, need, not_with_sanitizers, pids_of, program, seconds, send, skip, slow_build,
                    wait_until)

SETTINGS = {"processes": "1"}
USERS = 2

ROLES = {"smtpd": {"recorder", "front", "auth", "auth: hash", "keeper", "queue", "courier", "syncer", "signer"},
         "imapd": {"recorder", "front", "auth", "auth: hash", "keeper", "signer"},
         "pop3d": {"recorder", "front", "auth", "auth: hash", "keeper", "signer"}}
ATTEMPTS = 60       # there are more than this


def as_nobody():
    entry = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def attempts_of(site, daemon, *options, ordinary=False):
    """Rows (role, attempt, who could do it without walls, what came of it); the exit code."""
    done = subprocess.run([program(daemon), "-c", site.config, "--escape-attempts", *options], text=True, cwd="/",
                          capture_output=True, preexec_fn=as_nobody if ordinary else None, timeout=60 * slow_build())
    rows = [tuple(re.split(r"\s{2,}", line.rstrip())[1:]) for line in done.stdout.splitlines()
            if line.startswith(f"{daemon} ")]
    if not rows:
        raise AssertionError(f"{daemon} tried nothing: {done.stdout} {done.stderr}")
    return rows, done.returncode


def all_are_refused(folder, ordinary, *options):
    """For all daemons; prints what came of the attempts, role by role."""
    site = Site(f"{folder}/site", users=2, settings=["processes = 1"])
    site.create()
    if ordinary and site.value("user") != "nobody":
        skip("the folder of the tests is closed to others")
    for daemon in DAEMONS:
        rows, code = attempts_of(site, daemon, *options, ordinary=ordinary)
        holes = [r for r in rows if r[3] != "killed" and not re.fullmatch(r"refused: E\w+|its work|not there", r[3])]
        if holes or code != 0:
            raise AssertionError(f"{daemon}: {code} {holes}")
        if {r[0] for r in rows} != ROLES[daemon]:
            raise AssertionError(f"{daemon}: {sorted({r[0] for r in rows})}")
        for role in ROLES[daemon]:
            if len([r for r in rows if r[0] == role]) < ATTEMPTS:
                raise AssertionError(f"{daemon}: {role} tried too little")
            counts = collections.Counter(r[3].partition(":")[0] for r in rows if r[0] == role)
            print(f"    {daemon}: {role:10} " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))


@not_with_sanitizers
@seconds(60)
def test_as_root_nothing_gets_out(folder):
    if os.geteuid() != 0:
        skip("needs root")
    all_are_refused(folder, False)


@not_with_sanitizers
@seconds(60)
def test_as_root_nothing_gets_out_with_the_landlock_of_debian_12(folder):
    if os.geteuid() != 0:
        skip("needs root")
    all_are_refused(folder, False, "--landlock-abi", "2")


@not_with_sanitizers
@seconds(60)
def test_as_an_ordinary_user_nothing_gets_out(folder):
    all_are_refused(folder, os.geteuid() == 0)


@not_with_sanitizers
@seconds(60)
def test_as_an_ordinary_user_nothing_gets_out_with_the_landlock_of_debian_12(folder):
    all_are_refused(folder, os.geteuid() == 0, "--landlock-abi", "2")


@not_with_sanitizers
@seconds(60)
def test_without_walls_the_attempts_succeed(folder):
    site = Site(f"{folder}/site", users=2, settings=["processes = 1"])
    site.create()
    for daemon in DAEMONS:
        rows, code = attempts_of(site, daemon, "--no-sandbox")
        tame = [r for r in rows if r[2] == "anybody" and r[3] not in ("ESCAPED", "its work")]
        if tame or code == 0:
            raise AssertionError(f"{daemon}: these do not bite: {tame}")


def test_a_server_without_walls_says_so(folder):
    site = Site(f"{folder}/site", users=1, settings=["processes = 1"], sandbox=False)
    try:
        site.start()
        if site.tail_of("log", 200).count("sandbox.off") != 3:
            raise AssertionError(site.tail_of("log", 20))
    finally:
        site.kill()


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


SET_IDS = 0xc0          # CAP_SETGID and CAP_SETUID: to become an account's user


def is_waiting(daemon, title):
    """The nursery, or a keeper without an account."""
    return title.rstrip() in (f"{daemon}: nursery", f"{daemon}: blank keeper")


def test_every_process_but_master_and_pam_has_its_walls(site):
    send(site)
    c = imap(site, 1)
    for daemon in site.daemons:
        for pid, title in site.processes(daemon).items():
            if f"{daemon}: master" in title or not title.startswith(f"{daemon}: "):
                continue
            status = wait_until(f"{title} is ready", lambda p=pid: (lambda s: s["Seccomp"] == "2" and s)(status_of(p)))
            kept = SET_IDS if is_waiting(daemon, title) and os.geteuid() == 0 else 0
            if status["NoNewPrivs"] != "1" or int(status["CapEff"], 16) != kept or int(status["CapPrm"], 16) != kept:
                raise AssertionError(f"{title}: {status}")
    c.logout()


@not_with_sanitizers
def test_master_tells_of_a_process_that_broke_its_walls(fresh):
    """Whatever the reason: what ends by SIGSYS is told in words."""
    pid = pids_of(fresh, "imapd", "front")[0]
    os.kill(pid, signal.SIGSYS)
    wait_until("the log tells", lambda: "sandbox.violation" in fresh.tail_of("log", 50))
    line = next(x for x in fresh.tail_of("log", 50).splitlines() if "sandbox.violation" in x)
    if "role=front" not in line or f"pid={pid}" not in line or "journalctl -k" not in line:
        raise AssertionError(line)
    wait_until("another front is there", lambda: [p for p in pids_of(fresh, "imapd", "front") if p != pid])
    imap(fresh, 1).logout()


def test_settings_that_only_root_may_read_are_reloaded(fresh):
    """Nobody behind walls can open the file: master hands its text to them."""
    if os.geteuid() == 0:
        os.chown(fresh.config, 0, 0)
    os.chmod(fresh.config, 0o600)
    first = imap(fresh, 1)
    fresh.set(sessions_per_user="1")
    fresh.reload()

    def is_refused():
        try:
            imap(fresh, 1).logout()
        except imaplib.IMAP4.error as e:
            return "Too many sessions" in str(e)
        return False
    wait_until("a keeper that lived on has the new limit", is_refused)
    first.noop()
    first.logout()
    if "reload.failed" in fresh.tail_of("log", 200):
        raise AssertionError(fresh.tail_of("log", 50))


# ---- a user for each role ----

SUFFIXES = ("front", "signer", "auth", "hash", "recorder", "queue", "courier", "syncer")


@contextlib.contextmanager
def role_users():
    """A user of our own, and one of each role beside it."""
    need("useradd", "userdel")
    name = f"tv{os.getpid() % 100000}"
    names = [name, *(f"{name}-{suffix}" for suffix in SUFFIXES)]
    try:
        for n in names:
            subprocess.run(["useradd", "--system", "-M", "-N", "-g", "nogroup", "-s", "/bin/false", n], check=True)
        yield name
    finally:
        for n in names:
            subprocess.run(["userdel", n], check=False, capture_output=True)


def is_at_work(site, user):
    """Mail comes in, is read, and the queue's and auth's files are whose they should be."""
    send(site, subject="for two users")
    c = imap(site, 1)
    wait_until("it is there", lambda: c.select("INBOX")[1] != [b"0"])
    c.logout()
    own = {n: pwd.getpwuid(os.stat(f"{site.folder}/state/{n}").st_uid).pw_name
           for n in ("users.db", "queue.db", "trace.db", "journal", "spool")}
    if own != {"users.db": f"{user}-auth", "queue.db": f"{user}-queue", "journal": f"{user}-queue",
               "spool": f"{user}-queue", "trace.db": f"{user}-recorder"}:
        raise AssertionError(own)


@not_with_sanitizers
@seconds(60)
def test_each_role_is_a_user_of_its_own_where_there_are_such_users(folder):
    if os.geteuid() != 0:
        skip("needs root")
    os.chmod(folder, 0o755)
    with role_users() as user:
        site = Site(f"{folder}/site", users=2, settings=["processes = 1", f"user = {user}"])
        try:
            site.start()
            is_at_work(site, user)
            for daemon in site.daemons:
                for pid, title in site.processes(daemon).items():
                    role = title.removeprefix(f"{daemon}: ").replace("auth: hash", "hash").partition(" ")[0]
                    uid = int(status_of(pid)["Uid"].split()[0])
                    expected = 0 if role == "master" or is_waiting(daemon, title) else pwd.getpwnam(
                        user if role == "keeper" else f"{user}-{role}").pw_uid
                    if uid != expected:
                        raise AssertionError(f"{title}: user {uid}, not {expected}")
            # What lives on: a reload, an account more, and a restart.
            site.reload()
            site.trivet("user", "add", f"late@{site.domain}", "--password-stdin", text="secret\n")
            is_at_work(site, user)
            imap(site, "late").logout()
            if site.stop():
                raise AssertionError("it did not stop")
            site.start()
            is_at_work(site, user)
            if "sandbox.violation" in site.tail_of("log", 500) or "owner.kept" in site.tail_of("log", 500):
                raise AssertionError(site.tail_of("log", 50))
            # And back to one for all.
            site.stop()
            for suffix in SUFFIXES:
                subprocess.run(["userdel", f"{user}-{suffix}"], check=True)
            site.start()
            send(site, subject="for one user")
            imap(site, 1).logout()
        finally:
            site.kill()
