# SPDX-License-Identifier: ISC
"""The life of a daemon's processes: who holds what, who dies and comes back, who is told, and common limits."""

import contextlib
import os
import re
import signal
import smtplib
import socket
import threading
import time

from sites import is_locked, process_table, title_of
from trivet import (Idle, Wire, equal, imap, message, message_files, ok, pids_of, pop3, send, skip, slow_build, smtp,
                    wait_until, with_subject, Site)


def descriptors(pid):
    """What the descriptors lead to, by number."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def listening_sockets():
    found = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{name}", encoding="ascii") as f:
            for line in f.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    found.add(f"socket:[{fields[9]}]")
    return found


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_and_wait(site, daemon, role):
    """Until there is as many again, all of them new."""
    old = pids_of(site, daemon, role)
    for pid in old:
        kill(pid)
    wait_until(f"a new {daemon}: {role}", lambda: len(set(pids_of(site, daemon, role)) - set(old)) >= len(old))


def test_only_master_has_the_lock_and_only_fronts_the_doors(site):
    held = imap(site, 1), imap(site, 2, port="imaps_port"), pop3(site, 3), smtp(site, "submission_port", user=4)
    doors = listening_sockets()
    for daemon in site.daemons:
        for pid, title in site.processes(daemon).items():
            role = title.partition(": ")[2].split(" ")[0]
            has = descriptors(pid)
            files = {target for target in has.values() if target.startswith(site.folder)}
            locked = site.pid_file(daemon) in files
            equal(locked, role == "master", f"{title} has the pid file")
            equal(bool(doors & set(has.values())), role in ("master", "front"), f"{title} has doors")
            if role in ("auth:", "auth", "front", "courier"):
                equal({f for f in files if f.startswith(f"{site.folder}/mail")}, set(), f"{title} has mail")
            if role != "auth":
                equal({f for f in files if "users.db" in f}, set(), f"{title} has users.db")
    del held


def test_sessions_that_come_and_go_leave_no_descriptor(site):
    def count():
        return {pid: len(descriptors(pid)) for pid, t in site.processes().items() if ": keeper" not in t}

    def visit():
        for _ in range(4):
            c = imap(site, 5)
            ok(c.select())
            c.logout()
            imap(site, 5, port="imaps_port").logout()
            p = pop3(site, 5, "pop3s_port")
            p.quit()
            with Wire(site, "imap_port", user=5) as w:     # gone before the answer
                w.say(b"a LOGIN user5 secret")
            with Wire(site, "pop3_port") as w:
                w.send(b"USER user5\r\nPASS secret\r\n")
            with contextlib.suppress(Exception):
                pop3(site, None, "pop3_port").user("x").bogus()
    visit()
    kept = imap(site, 5), pop3(site, 5)     # so that no keeper leaves meanwhile
    before = count()
    visit()
    wait_until("as many descriptors as before", lambda: all(n <= before.get(p, n) for p, n in count().items()))
    del kept


def test_blank_keepers_wait_and_one_that_is_taken_is_replaced(fresh):
    def blank():
        return set(pids_of(fresh, "imapd", "blank keeper"))
    wait_until("four blank keepers", lambda: len(blank()) == 4)
    before = blank()
    held = imap(fresh, 1)
    keeper, = pids_of(fresh, "imapd", "keeper user1@")
    if keeper not in before:
        raise AssertionError("the login got a process of its own")
    wait_until("four again", lambda: len(blank()) == 4)
    equal(process_table()[keeper][0], fresh.master("imapd"), "the keeper's parent")
    equal({target for target in descriptors(before.intersection(blank()).pop()).values()
           if target.startswith((f"{fresh.folder}/mail", f"{fresh.folder}/state"))}, set(), "files of a blank one")
    del held


def test_the_death_of_the_nursery_and_of_blank_keepers_is_healed(fresh):
    held = imap(fresh, 1)
    kill_and_wait(fresh, "imapd", "nursery")
    kept, = pids_of(fresh, "imapd", "keeper user1@")
    ok(held.select())
    imap(fresh, 2).logout()
    kill_and_wait(fresh, "imapd", "blank keeper")
    imap(fresh, 3).logout()
    # Without any that could give one, too: master forks it itself, or the next nursery does.
    for pid in pids_of(fresh, "imapd", "nursery") + pids_of(fresh, "imapd", "blank keeper"):
        kill(pid)
    imap(fresh, 4).logout()
    equal(pids_of(fresh, "imapd", "keeper user1@"), [kept], "the first session's keeper")
    ok(held.noop())


def test_a_hung_child_of_a_killed_master_does_not_hinder_the_next_start(fresh):
    held = imap(fresh, 1)
    stuck = pids_of(fresh, "imapd", "keeper") + pids_of(fresh, "imapd", "auth: hash")
    for pid in stuck:
        kill(pid, signal.SIGSTOP)
    try:
        kill(fresh.master("imapd"))
        wait_until("the lock is free", lambda: not is_locked(fresh.pid_file("imapd")), 2)
        began = time.monotonic()
        equal(fresh.start_daemon("imapd"), None, "the start")
        took = time.monotonic() - began
        if took > 2 * slow_build():
            raise AssertionError(f"the start took {took:.1f} s")
        imap(fresh, 2).logout()
    finally:
        for pid in stuck:
            kill(pid)
    del held


def test_of_many_starts_at_once_one_runs(fresh):
    fresh.stop()
    done = []
    threads = [threading.Thread(target=lambda: done.append(fresh.trivet("start", check=False))) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for d in done:      # each may have lost one of three races
        if d.returncode != 0 and not re.search(r"is already running for .*, process \d+\n", d.stderr):
            raise AssertionError(f"trivet start: {d.stderr}")
    for daemon in fresh.daemons:
        wait_until(f"{daemon} runs", lambda d=daemon: fresh.is_running(d))
        masters = [p for p in process_table() if title_of(p).startswith(f"{daemon}: master {fresh.config}")]
        equal(len(masters), 1, f"masters of {daemon}")
    imap(fresh, 1).logout()
    fresh.trivet("stop")


def test_one_roles_deaths_do_not_delay_anothers_restart(fresh):
    for _ in range(3):
        kill_and_wait(fresh, "imapd", "auth: hash")
    hashes = pids_of(fresh, "imapd", "auth: hash")
    for pid in pids_of(fresh, "imapd", "front"):
        kill(pid)
    for pid in hashes:
        kill(pid)               # its back-off is a while by now
    began = time.monotonic()
    wait_until("the fronts are back", lambda: pids_of(fresh, "imapd", "front"), 2)
    with Wire(fresh, "imap_port") as w:
        equal(w.line()[:4], b"* OK")
    took = time.monotonic() - began
    if took > 1.5 * slow_build():
        raise AssertionError(f"the fronts took {took:.1f} s")


def test_a_draining_front_meets_who_was_restarted(fresh):
    old = Wire(fresh, "imap_port")
    old.line()
    s = smtp(fresh)
    s.ehlo()
    equal(s.mail("a@elsewhere.test")[0], 250)
    fresh.reload()
    for daemon in ("imapd", "smtpd"):
        wait_until("an old front drains", lambda d=daemon: len(pids_of(fresh, d, "front")) >
                   len(pids_of(fresh, d, "auth: hash")))
        kill_and_wait(fresh, daemon, "auth")
    kill_and_wait(fresh, "smtpd", "queue")

    def accepted():
        code = s.rcpt(fresh.address(2))[0]
        return code == 250 or (code // 100 == 4 and None)
    wait_until("RCPT is answered", accepted)
    equal(s.data(message(subject="by an old front"))[0], 250)
    s.quit()
    equal(len(with_subject(fresh, 2, "by an old front")), 1)

    def let_in():
        old.say(b"a LOGIN user1 secret")
        line = old.until(b"a ")[-1]
        return line.startswith(b"a OK") or None
    wait_until("the old front logs in", let_in)
    old.close()


def test_a_draining_front_writes_to_the_new_log(fresh):
    old = Wire(fresh, "imap_port")
    old.line()
    fresh.reload()
    wait_until("it drains", lambda: len(pids_of(fresh, "imapd", "front")) > len(pids_of(fresh, "imapd", "auth: hash")))
    os.rename(fresh.log, fresh.log + ".1")
    fresh.reload()
    wait_until("there is a new log", lambda: os.path.exists(fresh.log))
    wait_until("nobody has the old one", lambda: not [
        t for p, t in fresh.processes("imapd").items() if fresh.log + ".1" in descriptors(p).values()])
    old.close()


def test_a_login_goes_on_when_the_worker_that_checks_it_dies(fresh):
    workers = pids_of(fresh, "imapd", "auth: hash")
    for pid in workers:
        kill(pid, signal.SIGSTOP)
    with Wire(fresh, "imap_port") as w:
        w.line()
        w.say(b"a LOGIN user1 secret")
        time.sleep(0.2)
        for pid in workers:
            kill(pid)
        equal(w.until(b"a ")[-1][:4], b"a OK")


def test_a_login_that_died_with_auth_is_answered_though_the_next_auth_came_first(fresh):
    fronts, workers = pids_of(fresh, "imapd", "front"), pids_of(fresh, "imapd", "auth: hash")
    for pid in workers:
        kill(pid, signal.SIGSTOP)
    with Wire(fresh, "imap_port") as w:
        w.line()
        w.say(b"a LOGIN user1 secret")
        time.sleep(0.2)
        for pid in fronts:
            kill(pid, signal.SIGSTOP)
        old = [p for p in pids_of(fresh, "imapd", "auth") if p not in pids_of(fresh, "imapd", "auth:")]
        kill(old[0])
        wait_until("there is another auth", lambda: [
            p for p in pids_of(fresh, "imapd", "auth") if p not in pids_of(fresh, "imapd", "auth:") and p not in old])
        time.sleep(0.2)     # for its introduction to lie with the fronts
        for pid in workers + fronts:
            kill(pid, signal.SIGCONT)
        answer = w.until(b"a ")[-1]
        if not answer.startswith((b"a OK", b"a NO [UNAVAILABLE]")):
            raise AssertionError(f"answered {answer}")


def test_a_queue_that_is_restarted_meets_the_keepers_that_live(fresh):
    send(fresh, to="user1", subject="before")
    wait_until("it is there", lambda: message_files(fresh, 1))
    for n in range(2):
        kill_and_wait(fresh, "smtpd", "queue")
        wait_until("mail is taken again", lambda: try_to_send(fresh, f"after {n}"))
    for subject in ("before", "after 0", "after 1"):
        wait_until(f"'{subject}' is there", lambda x=subject: with_subject(fresh, 1, x))


def try_to_send(site, subject):
    try:
        send(site, to="user1", subject=subject)
        return True
    except smtplib.SMTPException:
        return False


def goodbye_of(wire, start):
    """The connection's last line."""
    last = b""
    while True:
        line = wire.line()
        if not line and not wire.got:
            if not last.startswith(start):
                raise AssertionError(f"the last words were {last!r}")
            return
        last = line


def check_goodbyes(site, end):
    idles = [Idle(site, 1), Idle(site, 2, port="imaps_port")]
    wires = []
    for port, words in (("imap_port", []), ("imaps_port", []), ("pop3_port", []), ("pop3s_port", []),
                        ("smtp_port", []), ("submissions_port", []),
                        ("pop3_port", [b"USER user3", b"PASS secret"]), ("pop3s_port", [b"USER user4", b"PASS secret"])):
        w = Wire(site, port)
        w.line()
        for word in words:
            w.say(word)
            equal(w.line()[:3], b"+OK", f"{port}: {word}")
        wires.append((w, {"i": b"* BYE", "p": b"-ERR", "s": b"421"}[port[0]]))
    end()
    for idle in idles:
        goodbye_of(idle.wire, b"* BYE")
    for w, start in wires:
        goodbye_of(w, start)
    equal(site.wait_until_gone("imapd", 10), True, "imapd has ended")


def test_all_clients_are_told_of_a_stop_over_tls_too(fresh):
    check_goodbyes(fresh, lambda: equal(fresh.stop(), None, "too slow"))


def test_a_signal_to_all_processes_is_no_worse(fresh):
    """As supervisors do that signal the whole group."""
    def end():
        for pid in fresh.processes():
            kill(pid, signal.SIGTERM)
    check_goodbyes(fresh, end)
    if "process.died" in fresh.tail_of("log", 400):
        raise AssertionError("somebody died of it")


def test_connections_of_an_address_count_over_all_fronts(folder):
    site = Site(f"{folder}/site", users=1, daemons=["imapd"],
                settings=["processes = 4", "connections_per_address = 6"])
    os.chmod(folder, 0o755)
    site.start()

    def visit(count):
        """How many of so many connections are let in."""
        wires = [Wire(site, "imap_port") for _ in range(count)]
        held.extend(wires)
        return sum(w.line().startswith(b"* OK") for w in wires)

    def leave():
        for w in held:
            w.close()
        held.clear()
    held = []
    try:
        wait_until("the start's own visits are over", lambda: visit(1) == 1)
        leave()
        for what in ("first", "again", "after a front's death"):
            time.sleep(0.1)
            equal(visit(24), 6, what)
            if what == "again":
                for pid in pids_of(site, "imapd", "front"):
                    kill(pid)
                wait_until("new fronts", lambda: len(pids_of(site, "imapd", "front")) == 4)
            leave()
        time.sleep(0.1)
        equal(visit(6), 6, "before the reload")
        site.reload()
        wait_until("old fronts drain", lambda: len(pids_of(site, "imapd", "front")) > 4)
        wait_until("new fronts count the old ones' connections", lambda: visit(3) == 0)
        with contextlib.closing(socket.create_connection((site.host, site.imap_port), source_address=("127.0.0.9", 0))) as s:
            equal(s.recv(4), b"* OK", "another address")
        leave()
        equal(site.stop(), None)
        equal(site.complaints(), [])
    finally:
        leave()
        site.kill()


def test_connections_in_all_count_over_all_fronts(folder):
    site = Site(f"{folder}/site", users=1, daemons=["pop3d"], settings=["processes = 3", "connections = 5"])
    os.chmod(folder, 0o755)
    site.start()
    try:
        time.sleep(0.2)
        wires = [Wire(site, "pop3_port") for _ in range(15)]
        equal(sum(w.line().startswith(b"+OK") for w in wires), 5)
        for w in wires:
            w.close()
    finally:
        site.kill()


def test_at_the_limit_of_descriptors_what_is_open_goes_on(folder):
    if os.geteuid() != 0:
        skip("only root's limits can be held down here")
    site = Site(f"{folder}/site", users=2, daemons=["imapd"], settings=["processes = 1"])
    os.chmod(folder, 0o755)
    site.start(["prlimit", "--nofile=128:128", "setpriv", "--bounding-set=-sys_resource"])
    crowd = []
    try:
        fronts = pids_of(site, "imapd", "front")
        idle = Idle(site, 1, port="imaps_port")
        early = Wire(site, "imaps_port")
        early.line()
        for _ in range(300):
            s = socket.create_connection((site.host, site.imap_port), 5)
            s.setblocking(False)
            crowd.append(s)
        early.say(b"a LOGIN user2 secret")
        equal(early.until(b"a ")[-1][:4], b"a OK", "who was connected logs in")
        equal(idle.done()[-1][:4], b"i OK", "who was logged in goes on")
        for s in crowd:
            s.close()
        wait_until("others come in again", lambda: Wire(site, "imap_port").line().startswith(b"* OK"))
        equal(pids_of(site, "imapd", "front"), fronts, "the front")
        equal(site.stop(), None)
    finally:
        for s in crowd:
            s.close()
        site.kill()
