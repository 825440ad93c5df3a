# SPDX-License-Identifier: ISC
"""The two ways of access, side by side: POP3 takes mail home, IMAP keeps it here for every computer."""

import imaplib
import os
import smtplib

from trivet import Idle, drop, equal, imap, message, ok, pop3, send, smtp, wait_until

SETTINGS = {"default_quota": "10M"}
QUOTA = 200_000


def used_octets(site, user):
    c = imap(site, user)
    answer = ok(c.getquotaroot("INBOX"))
    c.logout()
    words = b" ".join(part for part in answer[1] if part).replace(b"(", b" ").replace(b")", b" ").split()
    return int(words[words.index(b"STORAGE") + 1]) * 1024


def deliver(site, user, **fields):
    """By SMTP, from outside; waits until it is to be seen."""
    before = count(site, user)
    octets = send(site, to=f"user{user}", **fields)
    wait_until("the message is there", lambda: count(site, user) > before)
    return octets


def count(site, user):
    c = imap(site, user)
    n = int(ok(c.select("INBOX", readonly=True))[0])
    c.logout()
    return n


def take_home(site, user, folder):
    """As a POP3 program does: stores each message in a file of its own, then deletes it here."""
    c = pop3(site, user, "pop3s_port")
    names = []
    for n in range(1, c.stat()[0] + 1):
        name = f"{folder}/{c.uidl(n).split()[2].decode()}.eml"
        with open(name, "wb") as f:
            f.write(b"".join(line + b"\r\n" for line in c.retr(n)[1]))
        c.dele(n)
        names.append(name)
    c.quit()
    return names


def test_pop3_downloads_and_deletes_and_another_computer_sees_nothing(site, folder):
    deliver(site, 1, subject="first", body="Read me on the train.\r\n")
    deliver(site, 1, subject="second", body="x" * 20000 + "\r\n")
    before = used_octets(site, 1)
    if before < 20000:
        raise AssertionError(f"only {before} octets are used")
    names = take_home(site, 1, folder)
    equal(len(names), 2, "messages taken home")
    other = pop3(site, 1)
    equal(other.stat(), (0, 0), "what another computer sees")
    other.quit()
    equal(used_octets(site, 1), 0, "octets used afterwards")
    site.stop()                 # offline
    with open(names[0], "rb") as f:
        if b"Read me on the train." not in f.read():
            raise AssertionError("the message cannot be read offline")
    site.start()


def test_imap_shows_a_folder_made_on_one_computer_on_the_other(site):
    one, other = imap(site, 2), imap(site, 2, port="imaps_port")
    octets = message(subject="shared")
    ok(one.create("Projects"))
    ok(one.append("Projects", r"(\Flagged)", None, octets))
    names = [row.decode().rpartition('"/" ')[2].strip('"') for row in ok(other.list())]
    if "Projects" not in names:
        raise AssertionError(f"the other computer has {names}")
    equal(ok(other.select("Projects")), [b"1"])
    rows = ok(other.fetch("1", "(FLAGS BODY.PEEK[])"))
    equal(rows[0][1], octets, "the message on the other computer")
    if rb"\Flagged" not in rows[0][0] + rows[1]:
        raise AssertionError(f"the flag is missing: {rows}")
    ok(one.select("Projects"))
    ok(one.store("1", "+FLAGS", r"(\Seen)"))
    wait_until("the other computer sees that it was read",
               lambda: rb"\Seen" in ok(other.fetch("1", "(FLAGS)"))[0])
    one.logout()
    other.logout()


def test_imap_mail_counts_against_the_quota_and_pop3_knows_the_same_mail(site):
    deliver(site, 3, body="x" * 30000 + "\r\n")
    first = used_octets(site, 3)
    c = imap(site, 3)
    ok(c.append("INBOX", None, None, message(body="y" * 30000 + "\r\n")))
    ok(c.create("Elsewhere"))
    ok(c.append("Elsewhere", None, None, message(body="z" * 30000 + "\r\n")))
    c.logout()
    used = used_octets(site, 3)
    if not 90000 < used < 110000 or used < first + 60000:
        raise AssertionError(f"used: {first}, then {used}")
    p = pop3(site, 3)
    equal(p.stat()[0], 2, "POP3 knows INBOX only")
    p.quit()


def refusal(do, *errors):
    try:
        do()
    except errors as e:
        return e
    raise AssertionError("it was not refused")


def fill(site, user):
    """Sets a quota and fills it to some octets below."""
    site.trivet("user", "set", site.address(user), "--quota", str(QUOTA))
    c = imap(site, user)
    ok(c.append("INBOX", None, None, message(subject="large", body=("x" * 70 + "\r\n") * (QUOTA // 72 - 60))))
    c.logout()


def refused_at_rcpt(site, full, other):
    """Once it is known how full the box is, RCPT tells it, and the other recipients do not suffer."""
    s = smtp(site)
    s.ehlo()
    s.docmd("MAIL", "FROM:<a@elsewhere.test> SIZE=20000")
    code, text = s.docmd("RCPT", f"TO:<{site.address(full)}>")
    if code not in (452, 552) or text[:5] not in (b"4.2.2", b"5.2.2"):
        raise AssertionError(f"RCPT answered {code} {text}")
    code, text = s.docmd("RCPT", f"TO:<{site.address(other)}>")
    equal(code, 250, f"RCPT of another recipient, {text}")
    s.quit()


def test_a_full_box_refuses_by_smtp_and_by_imap_with_the_right_codes(site):
    fill(site, 4)
    c = imap(site, 4)
    status, answer = c.append("INBOX", None, None, message(body="y" * 20000))
    equal(status, "NO", "APPEND")
    if b"[OVERQUOTA]" not in answer[0]:
        raise AssertionError(f"APPEND answered {answer}")
    ok(c.create("Copies"))
    ok(c.select("INBOX"))
    status, answer = c.copy("1", "Copies")
    equal(status, "NO", "COPY")
    if b"[OVERQUOTA]" not in answer[0]:
        raise AssertionError(f"COPY answered {answer}")
    c.logout()
    e = refusal(lambda: send(site, message(body="y" * 20000), to="user4"),
                smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)
    code = list(e.recipients.values())[0][0] if hasattr(e, "recipients") else e.smtp_code
    if code not in (452, 552):
        raise AssertionError(f"the first attempt: {e}")
    refused_at_rcpt(site, 4, 5)
    equal(count(site, 4), 1, "messages in the full box")


def test_pop3s_delete_is_seen_by_an_idling_imap_session_and_makes_room(site):
    fill(site, 6)
    c = imap(site, 6)
    equal(c.append("INBOX", None, None, message(body="y" * 20000))[0], "NO", "APPEND to the full box")
    refusal(lambda: send(site, message(body="y" * 20000), to="user6"),
            smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)
    with Idle(site, 6) as idle:
        p = pop3(site, 6)
        p.dele(1)
        p.quit()
        idle.wait_for(rb"\* 1 EXPUNGE")
        equal(idle.done()[-1][:4], b"i OK")
    ok(c.append("INBOX", None, None, message(subject="room", body="y" * 20000)))
    c.logout()
    deliver(site, 6, subject="room again", body="z" * 20000 + "\r\n")
    equal(count(site, 6), 2, "messages")


def test_without_smtpd_and_imapd_pop3_still_works(site):
    """A trivet stands on three legs; take any one away and the other two still work."""
    for daemon in ("smtpd", "imapd"):
        os.kill(site.master(daemon), 15)
        site.wait_until_gone(daemon, 12)
    drop(site, 7, message(subject="alone"))
    p = pop3(site, 7)
    equal(p.stat()[0], 1)
    p.dele(1)
    p.quit()
    refusal(lambda: imaplib.IMAP4(site.host, site.imap_port, timeout=5), OSError)
    site.start()
    equal(count(site, 7), 0)
