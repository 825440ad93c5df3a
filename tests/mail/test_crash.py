# SPDX-License-Identifier: ISC
"""kill -9 of anything, at any time: what was answered is so, whole and once, and the server is back at once."""

import collections
import os
import random
import re
import signal
import smtplib
import time

from storm import BACK_SECONDS, KINDS, Broken, Driver, Reader, Services, Taker, check_whole, id_of, run_rounds
from trivet import (equal, fetch_all, imap, kill_keepers, message_files, ok, only_long, pids_of, seconds, send,
                    slow_build, two_sites, wait_until)

DRIVERS = 4
PAUSE = 0.03            # seconds between a driver's messages, so that others get to run too
READERS = (1, 2)        # users: these two read by IMAP while mail comes in,
TAKER = 3               # this one takes it away by POP3,
VISITOR = 4             # and this one is there to see whether the server lives
SITE = {"pam_service": "trivet-storm", "pam_domain": "a.test", "relay_networks": "127.0.0.0/8"}
HEALED_SECONDS = 15


def copies_of(site, users):
    """(address, Message-ID) to how often it is there; every copy is whole."""
    found = collections.Counter()
    for user in users:
        for octets in fetch_all(site, user):
            check_whole(octets, f"of user{user}")
            found[site.address(user), id_of(octets)] += 1
    return found


def all_copies(sites, taker):
    """taker's are in his hands; what he may have taken counts as a copy where none is left."""
    found = collections.Counter()
    for site in sites:
        found += copies_of(site, (*READERS, TAKER))
    if taker:
        address = taker.site.address(TAKER)
        for name, n in taker.taken.items():
            found[address, name] += n
        for name in taker.unsure:
            found[address, name] = found[address, name] or 1
    return found


def account_for(sites, messages, taker=None):
    """Nothing is lost, nothing doubled but where an attempt had no answer. Returns the latter, and relayed ones."""
    until = time.monotonic() + 30 * slow_build()
    while True:
        found = all_copies(sites, taker)
        lost = [(r, m.id) for m in messages if m.accepted for r in m.recipients if not found[r, m.id]]
        if not lost:
            break
        if time.monotonic() > until:
            raise Broken(f"answered with 250 and not there: {len(lost)}, e.g. {lost[:5]}")
        if time.monotonic() > until - 25 * slow_build():
            for site in sites:
                site.turn_clock(site.clock() + 31 * 60)     # the next try is due
        time.sleep(1)
    twice, relayed, more = 0, 0, []
    for m in messages:
        for r in m.recipients:
            n = found[r, m.id]
            if not r.endswith("@" + sites[0].domain):
                relayed += max(n - m.accepted - m.unanswered, 0)
            elif n > m.accepted + m.unanswered:
                more.append((r, m.id, n, m.accepted, m.unanswered, m.refused))
            else:
                twice += n > max(m.accepted, 1)
    if more:
        raise Broken(f"there more often than was answered (copies, 250, unanswered, 4xx): {more[:5]}")
    return twice, relayed


def finish(clients):
    for c in clients:
        c.closing = True
    for c in clients:
        c.join(60 * slow_build())
        if c.is_alive() or c.fault:
            raise Broken(c.fault or f"{c} has no answer after a minute")


def one_or_two_of(site, elsewhere):
    def choose():
        users = random.sample((*READERS, TAKER), 2 if random.random() < 0.15 else 1)
        return [(elsewhere if random.random() < 0.1 else site).address(u) for u in users]
    return choose


def storm(folder, rounds, pause, least=0):
    """It goes on beyond the rounds until `least` messages were answered."""
    settings = [f"{k} = {v}" for k, v in SITE.items()]
    with two_sites(folder, users=VISITOR, settings=settings) as (site, elsewhere, _):
        drivers = [Driver(site, one_or_two_of(site, elsewhere), PAUSE) for _ in range(DRIVERS)]
        readers, taker = [Reader(site, user) for user in READERS], Taker(site, TAKER)
        clients = [*drivers, *readers, taker]
        services = Services(site, elsewhere, VISITOR)
        for visit in (services.courier, services.imapd, services.pop3d):
            visit()
        for c in clients:
            c.start()
        def enough(deaths):
            return deaths >= rounds and sum(d.answered for d in drivers) >= least
        try:
            killed, worst, slow = run_rounds(services, enough, clients, BACK_SECONDS * slow_build(), pause)
        finally:
            for c in clients:
                c.closing = True
        finish(clients)
        messages = [m for d in drivers for m in d.messages]
        twice, relayed = account_for([site, elsewhere], messages, taker)
        for r in readers:
            r.judge()
        tell(killed, worst, messages, readers, taker, twice, relayed)
        # An attempt cut short may have been made: at most as many as are under way at once.
        cut = 5 * sum(killed[f"smtpd: {r}"] for r in ("courier", "queue", "master"))
        if relayed > cut:
            raise Broken(f"{relayed} copies too many were relayed, {cut} attempts at most were cut short")
        equal(slow, [], f"back in service later than after {BACK_SECONDS} s (who, seconds, which death, how strained the machine)")
        equal({f"{d}: {r}" for d, r in KINDS} - set(killed), set(), "who did not die")
        if "AddressSanitizer" in site.tail_of("log", 100_000):
            raise Broken("a sanitizer complains in the log")


def tell(killed, worst, messages, readers, taker, twice, relayed):
    print(f"    {sum(killed.values())} deaths; {sum(m.accepted > 0 for m in messages)} messages answered with 250, "
          f"{sum(m.unanswered for m in messages)} attempts without an answer, {sum(m.refused for m in messages)} refused "
          f"for now; none lost, none torn; {twice} copies of unanswered attempts, {relayed} of relays cut short;\n"
          f"    {sum(r.commands for r in readers)} steps by IMAP with {sum(len(r.place) for r in readers)} APPENDs, "
          f"{sum(len(r.flagged) for r in readers)} marks, {sum(len(s) for r in readers for s in r.seen.values())} UIDs kept; "
          f"{len(taker.gone)} messages taken by POP3")
    for kind in sorted(killed):
        print(f"    {kind:20} died {killed[kind]:3} times, back after {worst[kind]:.2f} s at worst")
    print(f"    back in service after {max(worst.values()):.2f} s at worst", flush=True)


@seconds(400)
def test_100_deaths_of_any_process_lose_and_double_nothing_and_are_over_at_once(folder):
    storm(folder, 100, 0.05)


@only_long
@seconds(3600)
def test_1000_deaths_of_any_process_lose_and_double_nothing_and_are_over_at_once(folder):
    storm(folder, 1000, 0.1, least=20_000)


def lives(site):
    """A message from outside is taken, and read by IMAP."""
    try:
        send(site, to="user5", subject="alive")
        imap(site, 5).logout()
        return True
    except (OSError, smtplib.SMTPException, Exception):
        return False


def kill_everything(fresh, rounds):
    """All at once: the journal is what there is."""
    drivers = [Driver(fresh, lambda: [fresh.address(random.choice((*READERS, TAKER)))]) for _ in range(DRIVERS)]
    for d in drivers:
        d.start()
    for _ in range(rounds):
        time.sleep(random.uniform(0.2, 0.8))
        fresh.kill()
        fresh.start()
    finish(drivers)
    account_for([fresh], [m for d in drivers for m in d.messages])


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
    equal(kill_keepers(site, 1, "imapd"), 1, "the keepers of user1")
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
