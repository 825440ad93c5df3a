# SPDX-License-Identifier: ISC
"""kill -9 of any one process within a stream of deliveries: what was answered with 250 is there, whole, once."""

import collections
import hashlib
import os
import random
import re
import signal
import smtplib
import threading
import time

from trivet import Idle, equal, fetch_all, imap, message_files, ok, only_long, pids_of, seconds, send, slow_build, wait_until

USERS = 6
RECIPIENTS = 4          # users 1 to 4 get the stream, user 5 tells whether the server lives
DRIVERS = 4
ROUND_SECONDS = 1.2     # so that each role lives long enough between its deaths not to be held back
HEALED_SECONDS = 15

ROLES = [("smtpd", "master"), ("smtpd", "front"), ("smtpd", "auth"), ("smtpd", "auth: hash"), ("smtpd", "queue"),
         ("smtpd", "courier"), ("smtpd", "keeper"), ("imapd", "keeper"), ("smtpd", "keeper"), ("smtpd", "queue"), ("smtpd", "syncer")]


class Account:
    """What became of one Message-ID."""

    def __init__(self, number, recipients):
        self.id = f"<crash-{number}@driver.test>"
        self.recipients = recipients
        self.accepted = 0       # answered with 250
        self.unanswered = 0     # all was sent, nothing came back
        self.refused = 0        # answered with 4xx
        size = random.choice([200, 1000, 5000, 5000, 60_000, 400_000] if number % 10 == 0 else [200, 1000, 5000])
        body = "".join(random.choices("abcdefghij .\n", k=size)).replace("\n", "\r\n")
        body = "\r\n".join(line[:900] for line in body.split("\r\n")) + "\r\n"
        self.digest = hashlib.sha256(body.encode()).hexdigest()
        self.octets = (f"From: driver@elsewhere.test\r\nTo: list@elsewhere.test\r\nSubject: {number}\r\n"
                       f"Message-ID: {self.id}\r\nX-Digest: {self.digest}\r\n\r\n{body}").encode()


class Driver(threading.Thread):
    """Sends one message after another; the same again, until it is answered with 250."""

    numbers = iter(range(1, 10 ** 9))
    lock = threading.Lock()

    def __init__(self, site, number):
        super().__init__(daemon=True)
        self.site, self.number = site, number
        self.accounts = []
        self.closing = False
        self.connection = None
        self.left = 0
        self.fault = None

    def new_account(self):
        with self.lock:
            number = next(self.numbers)
        count = 2 if number % 7 == 0 else 1
        users = random.sample(range(1, RECIPIENTS + 1), count)
        account = Account(number, [self.site.address(u) for u in users])
        self.accounts.append(account)
        return account

    def run(self):
        try:
            while not self.closing:
                account = self.new_account()
                while not account.accepted:
                    self.attempt(account)
        except Exception as e:
            self.fault = repr(e)

    def connect(self):
        if self.connection is None or self.left == 0:
            self.hang_up()
            self.connection = smtplib.SMTP(self.site.host, self.site.smtp_port, local_hostname="driver.test", timeout=30)
            self.connection.ehlo()
            self.left = random.randrange(1, 10)
        self.left -= 1
        return self.connection

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def attempt(self, account):
        sent = False
        try:
            c = self.connect()
            codes = [c.docmd("MAIL", "FROM:<driver@elsewhere.test>")[0]]
            codes += [c.docmd("RCPT", f"TO:<{r}>")[0] for r in account.recipients]
            codes += [c.docmd("DATA")[0]]
            if codes != [250] * (len(codes) - 1) + [354]:
                if max(codes) >= 500 and max(codes) != 503 and max(codes) != 554:
                    self.fault = f"a passing fault was answered with {codes}"
                self.hang_up()
                time.sleep(0.05)
                return
            sent = True
            c.send(account.octets.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            code, text = c.getreply()
            if code == 250:
                account.accepted += 1
            else:
                account.refused += 1
                if code >= 500:
                    self.fault = f"a passing fault was answered with {code} {text}"
                self.hang_up()
                time.sleep(0.05)
        except (OSError, smtplib.SMTPException):
            account.unanswered += sent
            self.hang_up()
            time.sleep(0.02)


def kill_one(site, daemon, role):
    """SIGKILL to a process of that role, if there is one; True then."""
    pids = pids_of(site, daemon, role)
    if role == "auth":
        pids = [p for p in pids if p not in pids_of(site, daemon, "auth:")]
    if not pids:
        return False
    os.kill(random.choice(pids), signal.SIGKILL)
    if role == "master":
        site.start()
    return True


def lives(site):
    """A message from outside is taken, and read by IMAP."""
    try:
        send(site, to="user5", subject="alive")
        imap(site, 5).logout()
        return True
    except (OSError, smtplib.SMTPException, Exception):
        return False


def run_rounds(site, rounds, drivers):
    killed = collections.Counter()
    random.seed(rounds)
    for n in range(rounds):
        daemon, role = ROLES[n % len(ROLES)]
        began = time.monotonic()
        time.sleep(random.uniform(0.05, 0.6))
        killed[f"{daemon}: {role}"] += kill_one(site, daemon, role)
        time.sleep(max(0.0, began + ROUND_SECONDS - time.monotonic()))
        faults = [d.fault for d in drivers if d.fault]
        if faults:
            raise AssertionError(f"after {dict(killed)}: {faults}")
        if n % 10 == 9:
            wait_until(f"the server takes mail again after {dict(killed)}", lambda: lives(site), HEALED_SECONDS)
    return killed


def finish(drivers):
    for d in drivers:
        d.closing = True
    for d in drivers:
        d.join(60 * slow_build())
        if d.is_alive():
            raise AssertionError("the last message is not answered with 250 after a minute")


def copies_of(site):
    """(address, Message-ID) to how often it is there; every copy is whole."""
    found = collections.Counter()
    for user in range(1, RECIPIENTS + 1):
        for octets in fetch_all(site, user):
            header, _, body = octets.partition(b"\r\n\r\n")
            message_id = re.search(rb"(?m)^Message-ID: (\S+)\r?$", header)[1].decode()
            digest = re.search(rb"(?m)^X-Digest: (\S+)\r?$", header)[1].decode()
            if hashlib.sha256(body).hexdigest() != digest:
                raise AssertionError(f"{message_id} of user{user} is not whole")
            found[site.address(user), message_id] += 1
    return found


def account_for(site, accounts):
    def missing():
        found = copies_of(site)
        return [(r, a.id) for a in accounts if a.accepted for r in a.recipients if not found[r, a.id]]

    until = time.monotonic() + 20
    while lost := missing():
        if time.monotonic() > until:
            raise AssertionError(f"answered with 250 and not there: {len(lost)}, e.g. {lost[:5]}")
        if time.monotonic() > until - 15:
            site.turn_clock(site.clock() + 31 * 60)     # the next try is due
        time.sleep(1)
    found = copies_of(site)
    twice, more = [], []
    for a in accounts:
        for r in a.recipients:
            if found[r, a.id] > a.accepted + a.unanswered:
                more.append((r, a.id, found[r, a.id], a.accepted, a.unanswered, a.refused))
            elif found[r, a.id] > max(a.accepted, 1):
                twice.append((r, a.id, found[r, a.id], a.accepted, a.unanswered, a.refused))
    if more:
        raise AssertionError(f"there more often than was answered (copies, 250, unanswered, 4xx): {more[:5]}")
    return twice


def crash(site, rounds):
    drivers = [Driver(site, n) for n in range(DRIVERS)]
    watchers = [Idle(site, user, timeout=120) for user in range(1, RECIPIENTS + 1)]
    for d in drivers:
        d.start()
    try:
        killed = run_rounds(site, rounds, drivers)
    finally:
        for d in drivers:
            d.closing = True
    finish(drivers)
    for w in watchers:
        w.wire.close()
    accounts = [a for d in drivers for a in d.accounts]
    twice = account_for(site, accounts)
    print(f"    {len(accounts)} messages, {sum(a.unanswered for a in accounts)} attempts without an answer, "
          f"{sum(a.refused for a in accounts)} refused for now, {len(twice)} copies of unanswered attempts; "
          f"killed: {dict(killed)}", flush=True)


@seconds(240)
def test_no_message_answered_with_250_is_lost_or_doubled_by_50_kills(fresh):
    crash(fresh, 50)


@only_long
@seconds(600)
def test_no_message_answered_with_250_is_lost_or_doubled_by_200_kills(fresh):
    crash(fresh, 200)


def kill_everything(fresh, rounds):
    """All at once: the journal is what there is."""
    drivers = [Driver(fresh, n) for n in range(DRIVERS)]
    for d in drivers:
        d.start()
    for _ in range(rounds):
        time.sleep(random.uniform(0.2, 0.8))
        fresh.kill()
        fresh.start()
    finish(drivers)
    account_for(fresh, [a for d in drivers for a in d.accounts])


@seconds(90)
def test_kill_minus_9_of_everything_loses_nothing(fresh):
    kill_everything(fresh, 10)


@only_long
@seconds(240)
def test_kill_minus_9_of_everything_30_times_loses_nothing(fresh):
    kill_everything(fresh, 30)


def lose_power(site, user):
    """What had not been synced is torn or gone, as if the machine had gone down; it comes up with another boot id."""
    site.kill()
    files = message_files(site, user)
    for n, path in enumerate(files):
        if n % 3 == 0:
            os.unlink(path)
        elif n % 3 == 1:
            os.truncate(path, 0)
        else:
            with open(path, "r+b") as f:        # the size is right, the octets are not
                f.write(bytes(os.path.getsize(path)))
    os.unlink(f"{site.folder}/state/journal/boot")
    return len(files)


def test_what_power_takes_from_mailboxes_comes_back_from_the_journal(fresh):
    sizes = [100, 10_000, 100_000, 400_000, 100, 3000]
    sent = []
    for n, size in enumerate(sizes):
        body = "".join(random.choices("abcdefgh", k=70)) + "\r\n"
        octets = (f"From: a@elsewhere.test\r\nMessage-ID: <power-{n}@driver.test>\r\n\r\n" +
                  body * (size // len(body) + 1)).encode()
        send(fresh, octets, to="user1")         # all of them before the mailboxes are synced
        sent.append(octets)
    equal(lose_power(fresh, 1), len(sent))
    fresh.start()

    def whole():
        return sorted(o.partition(b"From: a@")[2] for o in fetch_all(fresh, 1))
    wanted = sorted(o.partition(b"From: a@")[2] for o in sent)
    wait_until("every message is there, once and whole", lambda: whole() == wanted, 15)
    time.sleep(3)       # the mailboxes are synced now, so that nothing is done again
    fresh.kill()
    os.unlink(f"{fresh.folder}/state/journal/boot")
    fresh.start()
    send(fresh, to="user2")
    equal(whole(), wanted)


def test_a_keepers_death_ends_only_its_accounts_sessions(site):
    one, other = imap(site, 1, select="INBOX"), imap(site, 2, select="INBOX")
    victims = [p for p, title in site.processes("imapd").items() if title.endswith(f"keeper {site.address(1)}")]
    if len(victims) != 1:
        raise AssertionError(f"keepers of user1: {victims} of {site.processes('imapd')}")
    os.kill(victims[0], signal.SIGKILL)
    ok(other.noop())

    def is_dead():
        try:
            one.noop()
            return False
        except Exception:
            return True
    wait_until("the session of the dead keeper ends", is_dead)
    ok(imap(site, 1).logout() and ("OK", []))
    ok(other.noop())
    other.logout()


def test_each_process_that_dies_is_started_again(site):
    for daemon in site.daemons:
        imap(site, 1).logout()
        roles = sorted({re.sub(r"^\w+: ", "", t) for t in site.processes(daemon).values()
                        if ": master" not in t and ": keeper" not in t})
        for role in roles:
            pid = next(p for p, t in site.processes(daemon).items() if t == f"{daemon}: {role}")
            before = len(pids_of(site, daemon, role))
            os.kill(pid, signal.SIGKILL)
            wait_until(f"{daemon}: {role} is back", lambda d=daemon, r=role, b=before, p=pid:
                       len(pids_of(site, d, r)) >= b and p not in pids_of(site, d, r))
    wait_until("the server takes mail", lambda: lives(site), HEALED_SECONDS)
