# SPDX-License-Identifier: ISC
"""Accounts of the machine, by PAM: their passwords, their mail, and modules that hang. Root only."""

import contextlib
import imaplib
import os
import poplib
import pwd
import shutil
import signal
import subprocess
import threading
import time

from test_logins import try_login
from trivet import (Site, equal, imap, message, need, pids_of, pop3, seconds, send, skip, slow_build, smtp,
                    wait_until)

DOMAIN = "machine.test"
CHECK = """#!/bin/sh
password=$(tr -d '\\0')
case $password in
right) exit 0 ;;
slow) sleep 1; exit 0 ;;
hang) exec sleep 40 ;;
esac
exit 1
"""


@contextlib.contextmanager
def machine(folder, own_boxes=True):
    """A site with two accounts of the machine, made for it and removed again. Their mail: own_boxes, or mail_dir."""
    if os.geteuid() != 0:
        skip("only root makes accounts and PAM services")
    need("useradd", "userdel")
    if not os.path.isdir("/etc/pam.d"):
        skip("there is no PAM here")
    names = [f"trv{os.getpid()}{letter}" for letter in "ab"]
    service = f"/etc/pam.d/trivet-test-{os.getpid()}"
    os.chmod(folder, 0o755)
    os.mkdir(f"{folder}/boxes")
    site = Site(f"{folder}/site", users=2, settings=[
        f"pam_service = {os.path.basename(service)}", f"pam_domain = {DOMAIN}", "processes = 2",
        *([f"pam_mail_dir = {folder}/boxes/%u/Maildir"] if own_boxes else [])])
    try:
        with open(f"{folder}/check", "w", encoding="ascii") as f:
            f.write(CHECK)
        os.chmod(f"{folder}/check", 0o755)
        with open(service, "w", encoding="ascii") as f:
            # pam_exec itself calls a program's no a system error
            f.write(f"auth [success=1 default=ignore] pam_exec.so expose_authtok quiet {folder}/check\n"
                    "auth requisite pam_deny.so\nauth required pam_permit.so\n"
                    "account required pam_permit.so\n")
        for name in names:
            subprocess.run(["useradd", "-M", "-N", "-g", "nogroup", "-d", f"{folder}/boxes/{name}",
                            "-s", "/usr/sbin/nologin", name], check=True, capture_output=True)
            os.mkdir(f"{folder}/boxes/{name}", 0o700)
            shutil.chown(f"{folder}/boxes/{name}", name, "nogroup")
        site.start()
        yield site, names
        equal(site.stop(), None)
        equal(site.complaints(), [])
    finally:
        site.kill()
        for name in names:
            subprocess.run(["userdel", name], check=False, capture_output=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(service)


def box(site, name):
    return f"{os.path.dirname(site.folder)}/boxes/{name}/Maildir"


def files_of(site, name):
    found = []
    for part in ("new", "cur"):
        with contextlib.suppress(FileNotFoundError):
            found += [f"{box(site, name)}/{part}/{n}" for n in os.listdir(f"{box(site, name)}/{part}")]
    return found


def questions(site):
    """Processes that ask PAM just now."""
    return [p for d in site.daemons for p in pids_of(site, d, "auth: pam question")]


def test_mail_of_the_machines_accounts_may_lie_with_all_others(folder):
    with machine(folder, own_boxes=False) as (site, names):
        address = f"{names[0]}@{DOMAIN}"
        send(site, to=address, subject="below mail_dir")
        c = imaplib.IMAP4(site.host, site.imap_port, timeout=20)
        c.login(address, "right")
        wait_until("it is in INBOX", lambda: c.select()[1] == [b"1"])
        c.logout()
        equal(files_of(site, names[0]), [])


@seconds(120)
def test_accounts_of_the_machine(folder):
    with machine(folder) as (site, names):
        for part in (its_mail_is_its_own, its_password_decides, a_hanging_module_holds_up_nobody,
                     a_question_holds_nothing_of_ours, a_question_survives_its_worker):
            part(site, names)


def its_mail_is_its_own(site, names):
    name = names[0]
    address = f"{name}@{DOMAIN}"
    send(site, to=address, subject="for the machine's account")
    wait_until("it is in pam_mail_dir", lambda: files_of(site, name))
    owner = pwd.getpwnam(name).pw_uid
    for path in [box(site, name), *files_of(site, name)]:
        equal(os.stat(path).st_uid, owner, f"owner of {path}")
    c = imaplib.IMAP4(site.host, site.imap_port, timeout=20)
    c.login(address, "right")
    equal(c.select()[1], [b"1"])
    if b"Subject: for the machine's account" not in c.fetch("1", "(BODY.PEEK[])")[1][0][1]:
        raise AssertionError("the message is another one")
    keepers = [p for p in pids_of(site, "imapd", "keeper") if os.stat(f"/proc/{p}").st_uid == owner]
    equal(len(keepers), 1, "keepers with the account's user id")
    c.logout()
    p = poplib.POP3(site.host, site.pop3_port, timeout=20)
    p.user(address.upper())
    p.pass_("right")
    equal(p.stat()[0], 1)
    p.dele(1)
    p.quit()
    wait_until("POP3 deleted it", lambda: not files_of(site, name))
    s = smtp(site, "submissions_port")
    s.login(address, "right")
    s.sendmail(address, [f"{names[1]}@{DOMAIN}"], message(sender=address))
    s.quit()
    wait_until("one wrote to the other", lambda: files_of(site, names[1]))


def its_password_decides(site, names):
    address = f"{names[0]}@{DOMAIN}"
    for port in ("imap_port", "pop3_port"):
        equal(try_login(site, address, "wrong", port), False, port)
        equal(try_login(site, address, "right", port), True, port)
        equal(try_login(site, f"nobody-of-this-name@{DOMAIN}", "right", port), False, port)
        equal(try_login(site, f"root@{DOMAIN}", "right", port), False, f"{port}: root")
        equal(try_login(site, names[0], "right", port), False, f"{port}: of another domain")
        equal(try_login(site, "user1", site.password, port), True, f"{port}: the other kind of account")
    s = smtp(site)
    s.ehlo()
    s.mail("a@elsewhere.test")
    equal(s.rcpt(address)[0], 250)
    equal(s.rcpt(f"nobody-of-this-name@{DOMAIN}")[0], 550)
    equal(s.rcpt(f"root@{DOMAIN}")[0], 550)
    s.quit()


def hang(site, address, count):
    threads = [threading.Thread(target=lambda: try_to_hang(site, address), daemon=True) for _ in range(count)]
    for t in threads:
        t.start()
    wait_until("they hang", lambda: len(questions(site)) >= count)


def try_to_hang(site, address):
    with contextlib.suppress(OSError, AssertionError):
        try_login(site, address, "hang")


def end_questions(site):
    for pid in questions(site):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    wait_until("no question is open", lambda: not questions(site))


def a_hanging_module_holds_up_nobody(site, names):
    hang(site, f"{names[0]}@{DOMAIN}", 4)
    began = time.monotonic()
    equal(try_login(site, "user1", site.password), True)
    equal(try_login(site, f"{names[1]}@{DOMAIN}", "right"), True)
    equal(try_login(site, f"{names[0]}@{DOMAIN}", "right"), True)
    took = time.monotonic() - began
    if took > 2 * slow_build():
        raise AssertionError(f"others' logins took {took:.1f} s")
    end_questions(site)


def a_question_holds_nothing_of_ours(site, names):
    hang(site, f"{names[0]}@{DOMAIN}", 2)
    master = f"/proc/{site.master('imapd')}/fd"
    pipes = {os.readlink(f"{master}/{n}") for n in os.listdir(master)}      # the log's is one of them
    for pid in questions(site):
        has = {int(n): os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        ours = [t for n, t in has.items() if n > 2 and (t in pipes or t.startswith(("socket:", site.folder)))]
        # its answer and the log; pam_exec has a pipe to its program besides
        equal(sorted(t.partition(":")[0] for t in ours), ["pipe", "socket"], f"{has}")
    asked = set(questions(site))
    for pid in set(pids_of(site, "imapd", "auth: pam")) - asked:
        os.kill(pid, signal.SIGKILL)
    wait_until("its questions end with the worker", lambda: not asked & set(questions(site)), 3)
    wait_until("the next one asks them again", lambda: len(questions(site)) == 2)
    end_questions(site)


def a_question_survives_its_worker(site, names):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(try_login(site, f"{names[1]}@{DOMAIN}", "slow")))
    thread.start()
    wait_until("it is asked", lambda: questions(site))
    asked = set(questions(site))
    for pid in set(pids_of(site, "imapd", "auth: pam")) - asked:
        os.kill(pid, signal.SIGKILL)
    thread.join()
    equal(answers, [True], "the answer of the next worker")
