# SPDX-License-Identifier: ISC
"""Mail for our own accounts: verdicts before the answer, exactly once whatever dies, full mailboxes."""

import os
import re
import signal
import smtplib
import threading
import time

from remote import elsewhere
from trivet import equal, message, pids_of, smtp, wait_until


def test_it_is_there_when_250_is_said(folder):
    """RFC 5321 6.1."""
    with elsewhere(folder) as e:
        for n in range(20):
            e.submit("user2@example.test", subject=f"Number {n}")
            equal(len(e.inbox(2)), n + 1)
        got = e.inbox(2)[0]
        assert re.match(rb"Return-Path: <user1@example.test>\r\nDelivered-To: user2@example.test\r\nReceived: ", got), got
        e.is_empty()


def test_an_account_named_twice_gets_one_copy(folder):
    """RFC 5321 3.9.1, RFC 6409 8.7."""
    with elsewhere(folder) as e:
        e.site.trivet("alias", "add", "both@example.test", "user1@example.test", "user2@example.test")
        e.submit(["user1@example.test", "both@example.test", "user1+tag@example.test"])
        equal([len(e.inbox(n)) for n in (1, 2)], [1, 1])


def test_a_full_mailbox_refuses_and_room_lets_in_again(folder):
    """RFC 1870 6.4, RFC 3463 3.3."""
    with elsewhere(folder) as e:
        e.site.trivet("user", "set", "user2@example.test", "--quota", "20k")
        big = "x" * 70 + "\r\n"
        e.submit("user2@example.test", body=big * 200)
        c = smtp(e.site)
        try:
            c.sendmail("user1@example.test", ["user2@example.test"], message(body=big * 200))
            raise AssertionError("taken")
        except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused) as error:
            code = error.smtp_code if hasattr(error, "smtp_code") else next(iter(error.recipients.values()))[0]
            assert code in (452, 552), error
        # One of two is full: the other has it, and the sender is told.
        e.submit(["user2@example.test", "user3@example.test"], body=big * 200, subject="Two")
        equal(len(e.inbox(3)), 1)
        told = e.mail_for(1)
        assert b"Status: 5.2.2" in told and b"rfc822;user2@example.test" in told, told
        e.is_empty()


def kill_while_sending(e, role, rounds, threads=3):
    """kill -9 to `role` in a stream of deliveries. Returns the numbers answered with 250, and how often each."""
    answered, stop, lock, number = {}, threading.Event(), threading.Lock(), [0]

    def send_one(n):
        octets = message(to="user2@example.test", message_id=f"<n{n}@client.test>")
        while True:
            try:
                c = smtp(e.site, timeout=15)
                c.sendmail("x@elsewhere.test", ["user2@example.test"], octets)
                with lock:
                    answered[n] = answered.get(n, 0) + 1
                c.close()
                return
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def work():
        while not stop.is_set():
            with lock:
                number[0] += 1
                n = number[0]
            send_one(n)
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for w in workers:
        w.start()
    for _ in range(rounds):
        time.sleep(0.25)
        for pid in pids_of(e.site, "smtpd", role)[:1]:
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    stop.set()
    for w in workers:
        w.join()
    return answered


def check_killed(folder, role, rounds=6):
    with elsewhere(folder) as e:
        answered = kill_while_sending(e, role, rounds)
        e.site.turn_clock(3600)     # what was put off is due
        e.is_empty(20)
        seen = {}
        for octets in e.inbox(2):
            n = int(re.search(rb"Message-ID: <n(\d+)@", octets)[1])
            seen[n] = seen.get(n, 0) + 1
        lost = [n for n in answered if n not in seen]
        doubled = {n: (seen[n], times) for n, times in answered.items() if seen.get(n, 0) > times}
        print(f"{role}: {len(answered)} answered, lost {lost}, doubled {doubled}")
        assert not lost, lost
        return doubled


def test_a_keeper_killed_loses_and_doubles_nothing(folder):
    equal(check_killed(folder, "keeper"), {})


def test_the_queue_killed_loses_nothing(folder):
    equal(check_killed(folder, "queue"), {})


def test_a_front_killed_loses_nothing(folder):
    equal(check_killed(folder, "front"), {})


def test_auth_killed_loses_and_doubles_nothing(folder):
    equal(check_killed(folder, "auth"), {})
