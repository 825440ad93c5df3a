# SPDX-License-Identifier: ISC
"""Starting, stopping, reloading and watching the three daemons, with sessions open."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

from sites import DAEMONS, TOP, build_dir, make_certificate
from trivet import (Idle, equal, imap, message, ok, pids_of, pop3, program, run_program, send, smtp, wait_until)

PORTS = ("submissions_port", "imaps_port", "pop3s_port")


def served_certificate(site, port):
    return ssl.get_server_certificate((site.host, getattr(site, port)))


def new_certificate(site):
    make_certificate(site.folder, site.host, site.domain)
    site.give_away()


def test_a_reload_serves_the_new_certificate_and_drops_no_session(fresh):
    before = {port: served_certificate(fresh, port) for port in PORTS}
    idle, secret = Idle(fresh, 1), Idle(fresh, 2, port="imaps_port")
    i = imap(fresh, 3, port="imaps_port", select="INBOX")
    p, q = pop3(fresh, 4), pop3(fresh, 5, "pop3s_port")
    s, t = smtp(fresh), smtp(fresh, "submissions_port", user=6)
    s.ehlo()
    equal(s.mail("a@elsewhere.test")[0], 250)
    new_certificate(fresh)
    fresh.reload()
    for port in PORTS:
        wait_until(f"{port} serves the new certificate", lambda x=port: served_certificate(fresh, x) != before[x])
    for n in range(1, 7):
        send(fresh, to=f"user{n}", subject="after the reload")
    idle.wait_for(rb"\* 1 EXISTS")
    secret.wait_for(rb"\* 1 EXISTS")
    equal(idle.done()[-1][:4], b"i OK")
    ok(i.noop())
    ok(i.fetch("1", "(FLAGS)"))
    i.logout()
    equal(p.stat()[0], 0, "the maildrop of a session that began before")
    p.quit()
    q.quit()
    equal(s.rcpt(fresh.address(1))[0], 250, "RCPT after a MAIL before the reload")
    equal(s.data(message(subject="begun before"))[0], 250)
    s.quit()
    t.sendmail(fresh.address(6), [fresh.address(1)], message(sender=fresh.address(6), subject="over TLS"))
    t.quit()
    secret.wire.close()
    idle.wire.close()
    wait_until("the old fronts go with their last sessions", lambda: all(
        len(pids_of(fresh, d, "front")) == len(pids_of(fresh, "imapd", "auth: hash")) for d in fresh.daemons))


def test_a_reload_with_a_bad_setting_changes_nothing_and_says_why(fresh):
    fresh.set(login_timeout="often")
    fronts = pids_of(fresh, "imapd", "front")
    fresh.reload()
    wait_until("the log says why", lambda: "login_timeout" in fresh.tail_of("log", 20))
    equal(pids_of(fresh, "imapd", "front"), fronts, "the fronts")
    imap(fresh, 1).logout()
    done = fresh.trivet("settings", "--check", check=False)
    if done.returncode == 0 or "login_timeout" not in done.stderr or "trivet.conf" not in done.stderr:
        raise AssertionError(f"trivet settings --check: {done}")


def test_a_reload_opens_and_closes_doors(fresh):
    fresh.set(pop3_listen="", imap_listen=f"{fresh.host}:{fresh.imap_port}, {fresh.host}:{fresh.port_base + 7}")
    fresh.reload()

    def answers(port):
        try:
            with socket.create_connection((fresh.host, port), 2) as s:
                return bool(s.recv(10))
        except OSError:
            return False
    wait_until("the new door answers", lambda: answers(fresh.port_base + 7))
    wait_until("the closed door does not", lambda: not answers(fresh.pop3_port))


def test_a_sighup_reopens_the_log(fresh):
    os.rename(fresh.log, fresh.log + ".1")
    fresh.reload()
    wait_until("there is a new log", lambda: os.path.exists(fresh.log))
    imap(fresh, 1).logout()
    wait_until("it has the login", lambda: "user1@" in fresh.tail_of("log"))


def test_trivet_starts_stops_and_shows_the_daemons_as_one_tree(fresh):
    tree = fresh.trivet("status").stdout
    for role in ("smtpd: master", "smtpd: front", "smtpd: auth", "smtpd: queue", "smtpd: courier", "imapd: master",
                 "imapd: front", "pop3d: master", "pop3d: front", "pop3d: auth"):
        if role not in tree:
            raise AssertionError(f"{role} is missing in {tree}")
    held = imap(fresh, 1)
    if f"imapd: keeper {fresh.address(1)}" not in fresh.trivet("status").stdout:
        raise AssertionError("the keeper is missing")
    held.logout()
    rows = json.loads(fresh.trivet("status", "--json").stdout)
    equal([d["name"] for d in rows["daemons"] if d["running"]], ["smtpd", "imapd", "pop3d"])
    os.kill(fresh.master("imapd"), signal.SIGKILL)
    wait_until("imapd is gone", lambda: not fresh.is_running("imapd"))
    done = fresh.trivet("status", check=False)
    if done.returncode == 0 or not re.search(r"imapd (does not run|is not running)", done.stdout):
        raise AssertionError(f"one is dead, and status says {done.stdout}")
    fresh.trivet("start")           # brings up what is missing
    wait_until("it is back", lambda: fresh.is_running("imapd"))
    imap(fresh, 1).logout()
    fresh.trivet("stop")
    equal({d: fresh.processes(d) for d in fresh.daemons}, {d: {} for d in fresh.daemons}, "processes after stop")
    fresh.trivet("start")
    imap(fresh, 1).logout()
    fresh.trivet("reload")
    pop3(fresh, 1).quit()


def test_a_second_start_is_told_that_it_runs(site):
    for daemon in site.daemons:
        done = run_program(program(daemon), "-c", site.config, env=site.environment())
        said = done.stderr.decode()
        if done.returncode == 0 or "running" not in said:
            raise AssertionError(f"{daemon}: {done.returncode} {said}")
    imap(site, 1).logout()


def test_sigterm_tells_the_clients_and_ends_all_processes(fresh):
    i = Idle(fresh, 1)
    p, s = pop3(fresh, 2), smtp(fresh)
    slow = fresh.stop()
    if slow:
        raise AssertionError(slow)
    i.wait_for(rb"\* BYE .*")
    equal(p._getline()[0][:4], b"-ERR", "what POP3 says")
    equal(s.getreply()[0], 421, "what SMTP says")
    equal(fresh.processes(), {}, "processes")


def test_an_orphan_ends_when_its_master_is_killed(fresh):
    held = [imap(fresh, n) for n in range(1, 4)]
    for daemon in fresh.daemons:
        os.kill(fresh.master(daemon), signal.SIGKILL)
    wait_until("no process is left", lambda: not fresh.processes())
    fresh.start()
    imap(fresh, 1).logout()
    del held


def copy_for_everybody(folder):
    """The harness and the programs, for a user who cannot reach where they lie. Returns the copy's top."""
    top = f"{folder}/tree"
    shutil.copytree(f"{TOP}/tests/harness", f"{top}/tests/harness", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("trivet", *DAEMONS):
        copy = f"{top}/build/{os.path.relpath(program(name), build_dir())}"
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(program(name), copy)
    return top


def test_it_runs_as_an_ordinary_user_too(folder):
    """For a trial: nothing needs root. (As root, this test becomes nobody.)"""
    top, become = TOP, {}
    if os.geteuid() == 0:
        top = copy_for_everybody(folder)
        become = {"user": "nobody", "group": "nogroup", "extra_groups": [],
                  "env": {**os.environ, "TRIVET_BUILD": f"{top}/build"}}
    server = f"{top}/tests/harness/server"
    os.chmod(folder, 0o777)
    done = run_program(server, "start", f"{folder}/site", "--users", "2", cwd="/", **become)
    try:
        equal(done.returncode, 0, done.stderr.decode())
        env = dict(line.partition("=")[::2] for line in done.stdout.decode().splitlines())
        for name in ("HOST", "DOMAIN", "USERS", "PASSWORD", "SMTP_PORT", "SUBMISSION_PORT", "SUBMISSIONS_PORT",
                     "IMAP_PORT", "IMAPS_PORT", "POP3_PORT", "POP3S_PORT", "CA_FILE", "PIDFILES", "LOG", "MAILDIR",
                     "CONFIG"):
            if not env.get(name):
                raise AssertionError(f"{name} is missing in the env: {env}")
        equal(run_program(server, "status", f"{folder}/site").returncode, 0, "status")
    finally:
        equal(run_program(server, "stop", f"{folder}/site").returncode, 0, "stop")
    equal(run_program(server, "status", f"{folder}/site").returncode, 1, "status of what was stopped")
