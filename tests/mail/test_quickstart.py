# SPDX-License-Identifier: ISC
"""contrib/quickstart, as a newcomer runs it (the build is the one under test), and the benchmark's smallest round."""

import imaplib
import os
import poplib
import re
import smtplib
import ssl

from trivet import TOP, build_dir, equal, message, ok, run_program, seconds, wait_until

QUICKSTART = f"{TOP}/contrib/quickstart"
ACCOUNT = re.compile(r"^ +(\S+@trivet\.test) +password +(\S+)$", re.MULTILINE)


def quickstart(folder, *words):
    done = run_program(QUICKSTART, "--yes", "--dir", f"{folder}/trial", *words, text=True, timeout=300,
                       env={**os.environ, "TRIVET_BUILD": build_dir()})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trivet(folder, *words):
    return run_program(f"{build_dir()}/trivet", "-c", f"{folder}/trial/trivet.conf", *words, text=True)


def port_of(text, what):
    return int(re.search(rf"{what} +server \S+ +port (\d+)", text)[1])


class Trial:
    """What the printed lines say, and nothing else."""

    def __init__(self, folder, text):
        self.accounts = ACCOUNT.findall(text)
        self.tls = ssl.create_default_context(cafile=f"{folder}/trial/trivet-trial-ca.crt")
        self.imap_port, self.pop3_port = port_of(text, "IMAP"), port_of(text, "POP3")
        self.smtp_port = port_of(text, "SMTP")

    def imap(self, account):
        c = imaplib.IMAP4_SSL("localhost", self.imap_port, ssl_context=self.tls, timeout=20)
        c.login(*account)
        return c

    def subjects(self, account):
        c = self.imap(account)
        count = int(ok(c.select("INBOX", readonly=True))[0])
        fetched = ok(c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")) if count else []
        c.logout()
        return [part[1].decode().strip() for part in fetched if isinstance(part, tuple)]


@seconds(300)
def test_quickstart_leaves_a_site_that_its_printed_settings_open(folder):
    try:
        text = quickstart(folder)
        trial = Trial(folder, text)
        equal([name for name, _ in trial.accounts], ["alice@trivet.test", "bob@trivet.test"])
        alice, bob = trial.accounts
        equal(trial.subjects(alice), ["Subject: Welcome to your Trivet trial"])
        equal(trial.subjects(bob), ["Subject: Welcome to your Trivet trial"])
        c = smtplib.SMTP_SSL("localhost", trial.smtp_port, context=trial.tls, timeout=20)
        c.login(*alice)
        c.sendmail(alice[0], [bob[0]], message(subject="Hello", sender=alice[0], to=bob[0]))
        c.quit()
        p = poplib.POP3_SSL("localhost", trial.pop3_port, context=trial.tls, timeout=20)
        p.user(bob[0])
        p.pass_(bob[1])
        equal(p.stat()[0], 2)
        p.quit()
        for words in ("ssh -N -L", "trivet-trial-ca.crt", "--remove", "Outlook", "Thunderbird", " status", " stop"):
            assert words in text, words
    finally:
        quickstart(folder, "--remove")
    assert not os.path.exists(f"{folder}/trial")


@seconds(300)
def test_quickstart_again_keeps_the_site_and_brings_up_what_is_missing(folder):
    try:
        trial = Trial(folder, quickstart(folder))
        equal(trivet(folder, "stop").returncode, 0)
        second = quickstart(folder)
        equal(ACCOUNT.findall(second), trial.accounts)
        assert "kept as it is" in second
        equal(trial.subjects(trial.accounts[0]), ["Subject: Welcome to your Trivet trial"])
        with open(f"{folder}/trial/run/imapd.pid", encoding="ascii") as f:
            os.kill(int(f.read()), 9)
        equal(ACCOUNT.findall(quickstart(folder)), trial.accounts)
        wait_until("IMAP answers again", lambda: trial.subjects(trial.accounts[0]))
    finally:
        quickstart(folder, "--remove")


def test_quickstart_removes_only_what_it_made(folder):
    os.mkdir(f"{folder}/trial")
    with open(f"{folder}/trial/mine", "w", encoding="ascii") as f:
        f.write("mine")
    for words in ((), ("--remove",)):
        done = run_program(QUICKSTART, "--yes", "--dir", f"{folder}/trial", *words, text=True)
        assert done.returncode == 1 and "no trial site" in done.stderr, done.stderr
    equal(os.listdir(f"{folder}/trial"), ["mine"])


def runs_smoothly(name, timeout, rows):
    """A benchmark's --smoke: so many of its figures match each pattern."""
    run_program("make", "-s", "tests/bench/load", cwd=build_dir(), timeout=100)
    done = run_program(f"{TOP}/tests/bench/{name}", "--smoke", text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    for pattern, count in rows.items():
        equal(len(re.findall(pattern, done.stdout)), count, pattern)


@seconds(120)
def test_the_benchmark_runs():
    runs_smoothly("run", 100, {"ms CPU each": 7, "KB each": 6, "ms beside them|ms without": 2})


@seconds(120)
def test_the_benchmark_of_the_store_runs():
    runs_smoothly("store", 100, {"us CPU each": 9, "octets a message|for a second of CPU": 2})


@seconds(240)
def test_the_benchmark_of_imap_runs():
    runs_smoothly("imap", 200, {" CPU a ": 11, " wanted": 2})
