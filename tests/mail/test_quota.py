# SPDX-License-Identifier: ISC
"""A full account refuses, each protocol in its words; sums are exact whatever is killed when."""

import json
import random
import smtplib
import subprocess
import threading

from trivet import equal, imap, kill_keepers, message, ok, pop3, program, seconds, send, wait_until

USERS = 6
LIMIT = 1024 * 1024
SETTINGS = {"default_quota": "1M"}


def quota(site, *words):
    """(accounts by address, domains)"""
    done = subprocess.run([program("trivet"), "-c", site.config, "quota", *words, "--json"], capture_output=True,
                          text=True, env=site.environment(), check=True)
    shown = json.loads(done.stdout)
    return {a["address"]: a for a in shown["accounts"]}, shown["domains"]


def octets_there(site, user):
    """By what a client sees: all sizes of all mailboxes."""
    c = imap(site, user)
    sizes = []
    for row in ok(c.list()):
        name = row.decode().rpartition('"/" ')[2]
        ok(c.select(name, readonly=True))
        for part in ok(c.fetch("1:*", "(RFC822.SIZE)")) if int(ok(c.status(name, "(MESSAGES)"))[0].split()[-1].strip(b")")) else []:
            sizes.append(int(part.split()[-1].strip(b")")))
    c.logout()
    return sum(sizes), len(sizes)


def assert_exact(site, user):
    """Shown, counted anew, and seen by a client: the same."""
    shown = quota(site, f"user{user}")[0][site.address(user)]
    counted = quota(site, f"user{user}", "--recompute")[0][site.address(user)]
    equal((counted["octets_before"], counted["messages_before"]), (counted["octets"], counted["messages"]),
          "counted before and anew")
    equal((shown["octets"], shown["messages"]), (counted["octets"], counted["messages"]), "shown and counted")
    equal(octets_there(site, user), (counted["octets"], counted["messages"]), "seen and counted")
    return shown["octets"]


def big(octets):
    return message(body=("y" * 70 + "\r\n") * (octets // 72))


def smtp_refusal(site, user, octets):
    """(code, text), at whatever step; None where it was taken."""
    try:
        send(site, octets, to=f"user{user}")
        return None
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error


def check_refusal(refusal):
    """At RCPT where the size was told and it is known to be too much (452 4.2.2), else behind the data (552 5.2.2)."""
    if not refusal or (refusal[0], refusal[1][:5]) not in ((452, b"4.2.2"), (552, b"5.2.2")):
        raise AssertionError(f"refused with {refusal}")


def test_smtp_fills_and_is_refused_with_its_code(site):
    taken = 0
    for _ in range(20):
        refusal = smtp_refusal(site, 1, big(100_000))
        if refusal:
            break
        taken += 1
    equal(taken, 10, "messages of 100 kB into 1 MB")
    check_refusal(refusal)
    equal(quota(site, "user1")[0][site.address(1)]["messages"], 10)
    assert_exact(site, 1)


def test_append_fills_and_is_refused_with_its_code(site):
    c = imap(site, 2)
    answers = [c.append("INBOX", None, None, big(100_000))[0] for _ in range(10)]
    equal(answers, ["OK"] * 10)
    kind, text = c.append("Archive", None, None, big(100_000))
    equal(kind, "NO")
    if b"[OVERQUOTA]" not in text[0]:
        raise AssertionError(f"APPEND: {text}")
    ok(c.append("INBOX", None, None, message(subject="small")))
    c.logout()
    assert_exact(site, 2)


def test_copy_fills_and_is_refused_with_its_code_and_all_or_nothing(site):
    c = imap(site, 3)
    for _ in range(4):
        ok(c.append("INBOX", None, None, big(100_000)))
    ok(c.select("INBOX"))
    ok(c.copy("1:4", "Archive"))
    kind, text = c.copy("1:4", "Sent")
    equal(kind, "NO")
    if b"[OVERQUOTA]" not in text[0]:
        raise AssertionError(f"COPY: {text}")
    equal(int(ok(c.status("Sent", "(MESSAGES)"))[0].split()[-1].strip(b")")), 0, "copied in part")
    ok(c.copy("1:2", "Sent"))
    # Moving is no more than there was.
    ok(c.uid("MOVE", "1:4", "Trash"))
    c.logout()
    assert_exact(site, 3)


def test_pop3_dele_makes_room_for_mail_at_once(site):
    while not smtp_refusal(site, 4, big(100_000)):
        pass
    p = pop3(site, 4)
    p.dele(1)
    p.dele(2)
    check_refusal(smtp_refusal(site, 4, big(100_000)))     # before QUIT nothing is deleted
    p.quit()
    wait_until("there is room again", lambda: not smtp_refusal(site, 4, big(100_000)))
    assert_exact(site, 4)


def test_a_domains_limit_is_that_of_its_accounts_and_an_accounts_own_goes_before_it(site):
    site.trivet("domain", "set", site.domain, "--quota", "50k")
    accounts, domains = quota(site)
    equal(accounts[site.address(5)]["quota"], 50 * 1024)
    check_refusal(smtp_refusal(site, 5, big(60_000)))
    site.trivet("user", "set", "user5", "--quota", "100k")
    equal(quota(site, "user5")[0][site.address(5)]["quota"], 100 * 1024)
    equal(smtp_refusal(site, 5, big(60_000)), None, "the account's own limit holds at once")
    site.trivet("user", "set", "user5", "--quota", "0")
    for _ in range(3):
        equal(smtp_refusal(site, 5, big(60_000)), None, "without a limit")
    site.trivet("user", "set", "user5", "--quota", "100k")
    check_refusal(smtp_refusal(site, 5, big(60_000)))
    site.trivet("domain", "set", site.domain, "--quota", "default")
    site.trivet("user", "set", "user5", "--quota", "default")
    equal(quota(site, "user5")[0][site.address(5)]["quota"], LIMIT)
    accounts, domains = quota(site, site.domain)
    equal(domains[0]["octets"], sum(a["octets"] for a in accounts.values()), "the domain's sum")
    equal(domains[0]["accounts"], site.users)


def work_until(site, user, closing):
    """Everything that changes a sum; whatever is killed meanwhile."""
    while not closing.is_set():
        try:
            c = imap(site, user, select="INBOX", timeout=5)
            c.append("INBOX", None, None, big(random.randrange(200, 30_000)))
            c.noop()
            c.copy("1:2", "Archive")
            c.uid("MOVE", "1:1", "Trash")
            c.store("1:2", "+FLAGS", r"(\Deleted)")
            c.expunge()
            c.select(random.choice(["Archive", "Trash"]))
            c.store("1:3", "+FLAGS", r"(\Deleted)")
            c.close()
            c.logout()
        except Exception:       # it was killed
            pass


def deliver_until(site, user, closing):
    while not closing.is_set():
        try:
            send(site, big(random.randrange(200, 30_000)), to=f"user{user}")
        except (OSError, smtplib.SMTPException):
            pass


@seconds(120)
def test_kill_minus_9_of_keepers_never_leaves_a_sum_wrong(site):
    closing = threading.Event()
    threads = [threading.Thread(target=w, args=(site, 6, closing), daemon=True)
               for w in (work_until, work_until, deliver_until)]
    for t in threads:
        t.start()
    killed = 0
    for n in range(60):
        closing.wait(random.uniform(0.02, 0.25))
        killed += kill_keepers(site, 6, most=1 + n % 2)
    closing.set()
    for t in threads:
        t.join(30)
    if killed < 30:
        raise AssertionError(f"only {killed} keepers were killed")
    site.stop()
    done = subprocess.run([program("trivet"), "-c", site.config, "check", "user6", "--json"], capture_output=True,
                          text=True, env=site.environment(), check=False)
    report = json.loads(done.stdout)[0]
    # A subscription may be in trivet-mailbox and not in the index: that is no sum.
    equal([f for f in report["findings"] if not f["later"] and f["kind"] != "identity-differs"], [],
          "faults after the kills")
    site.start()
    assert_exact(site, 6)
    print(f"    {killed} keepers were killed")
