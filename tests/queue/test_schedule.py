# SPDX-License-Identifier: ISC
"""When the queue tries, what it tells the sender, and when it gives up; on a clock that is turned."""

import email
import glob
import os

from remote import elsewhere
from trivet import equal, wait_until

MINUTE, HOUR, DAY = 60, 3600, 86400


def report(octets):
    """(words, per-message fields, per-recipient fields, original header) of a report (RFC 3464 2)."""
    m = email.message_from_bytes(octets)
    equal(m.get_content_type(), "multipart/report")
    equal(m.get_param("report-type"), "delivery-status")
    words, status, header = m.get_payload()
    equal([words.get_content_type(), status.get_content_type(), header.get_content_type()],
          ["text/plain", "message/delivery-status", "text/rfc822-headers"])
    first, *recipients = status.get_payload()
    return words.get_payload(), first, recipients, email.message_from_string(header.get_payload()), m


def test_attempts_come_at_0_30_and_60_minutes(folder):
    """RFC 5321 4.5.4.1."""
    with elsewhere(folder) as e:
        e.domain("down.test", e.address())
        trace = e.submit("x@down.test")
        e.wait(trace, "deferred")
        e.site.turn_clock(29 * MINUTE)
        assert not wait_quietly(lambda: e.count(trace, "attempt") > 1)
        e.site.turn_clock(30 * MINUTE + 2)
        e.wait(trace, "deferred", 2)
        e.site.turn_clock(59 * MINUTE)
        assert not wait_quietly(lambda: e.count(trace, "attempt") > 2)
        e.site.turn_clock(60 * MINUTE + 5)
        e.wait(trace, "deferred", 3)
        row, = e.rows()
        equal(row["attempts"], 3)
        assert "Connection refused" in row["answer"], row


def wait_quietly(condition, limit=0.7):
    try:
        return wait_until("", condition, limit)
    except AssertionError:
        return False


def test_a_list_of_retries_is_followed_and_its_last_repeats(folder):
    with elsewhere(folder, queue_retry="5m,15m") as e:
        e.domain("down.test", e.address())
        trace = e.submit("x@down.test")
        e.wait(trace, "deferred")
        for n, minutes in enumerate((5, 20, 35, 50)):
            e.site.turn_clock(minutes * MINUTE + 3 * (n + 1))
            e.wait(trace, "deferred", n + 2)
        waits = [int(f["next_in"]) for _, f in e.events(trace, "deferred")]
        equal([round(w / 60) for w in waits], [5, 15, 15, 15, 15])


def test_the_sender_is_told_of_a_delay_after_4_hours_and_once(folder):
    """RFC 3464 2.3.3, 2.3.9."""
    with elsewhere(folder) as e:
        e.domain("down.test", e.address())
        trace = e.submit("x@down.test", subject="The original")
        e.wait(trace, "deferred")
        e.site.turn_clock(4 * HOUR - MINUTE)
        e.wait(trace, "deferred", 2)
        equal(e.inbox(), [])
        e.site.turn_clock(4 * HOUR + MINUTE)
        words, first, (recipient,), original, whole = report(e.mail_for(1))
        assert "waiting for 4 hours" in words and "You need not do anything" in words, words
        equal(recipient["Action"], "delayed")
        equal(recipient["Final-Recipient"], "rfc822;x@down.test")
        assert recipient["Will-Retry-Until"] and recipient["Status"].startswith("4."), str(recipient)
        equal(original["Subject"], "The original")
        equal(whole["Return-Path"], "<>")
        e.site.turn_clock(9 * HOUR)
        e.wait(trace, "deferred", 3)
        assert not wait_quietly(e.inbox)


def test_after_5_days_it_is_given_up_and_the_sender_is_told(folder):
    """RFC 3464 2, 2.1, 2.1.1, 2.4, 3, RFC 6522 3, 4, RFC 3834 5, 5.1, 5.2."""
    with elsewhere(folder) as e:
        e.domain("down.test", e.address())
        trace = e.submit("x@down.test", subject="The original")
        e.wait(trace, "deferred")
        e.site.turn_clock(5 * HOUR)
        e.mail_for(1)
        e.site.turn_clock(5 * DAY - MINUTE)
        e.wait(trace, "deferred", 2)
        equal(e.inbox(), [])
        e.site.turn_clock(5 * DAY + MINUTE)
        words, first, (recipient,), original, whole = report(e.mail_for(1))
        e.wait(trace, "expired")
        assert "could not be delivered" in words and "did not answer" in words, words
        equal(recipient["Action"], "failed")
        assert recipient["Status"].startswith("5."), recipient["Status"]
        equal(first["X-Trivet-Trace"], trace)
        equal(whole["Auto-Submitted"], "auto-replied")
        assert whole["Message-ID"] and whole["Date"]
        equal(original["Subject"], "The original")
        e.is_empty()


def test_a_refusal_is_told_at_once(folder):
    """RFC 5321 6.1, RFC 3464 2.1.2, 2.3.2 to 2.3.6."""
    with elsewhere(folder) as e:
        e.server("b.test", RCPT=lambda line: "550 5.1.1 no one of that name" if "nobody" in line else "250 ok")
        trace = e.submit(["nobody@b.test", "somebody@b.test"])
        words, _, (recipient,), _, _ = report(e.mail_for(1))
        words = " ".join(words.split())
        assert "There is no such mailbox" in words and "no one of that name" in words, words
        equal(recipient["Final-Recipient"], "rfc822;nobody@b.test")
        equal(recipient["Status"], "5.1.1")
        equal(recipient["Diagnostic-Code"], "smtp; 550 5.1.1 no one of that name")
        equal(recipient["Remote-MTA"], "dns;mx0.b.test")
        equal([m.recipients for m in e.servers[0].mails], [["somebody@b.test"]])
        equal([f["to"] for _, f in e.wait(trace, "relayed")], ["somebody@b.test"])
        e.is_empty()


def test_there_is_never_a_bounce_to_a_bounce(folder):
    """RFC 5321 4.5.5, 6.1."""
    with elsewhere(folder) as e:
        e.server("b.test", RCPT="550 5.1.1 no")
        trace = e.submit("nobody@b.test", sender="")
        e.wait(trace, "bounce_dropped")
        # And where the sender's own server refuses the bounce.
        trace = e.submit("nobody@b.test", sender="forged@b.test")
        _, fields = e.wait(trace, "bounced")[0]
        e.wait(fields["report"], "bounce_dropped")
        e.is_empty()


def test_a_message_waits_for_its_server_and_a_restart_forgets_nothing(folder):
    with elsewhere(folder) as e:
        host = e.address()
        e.domain("late.test", host)
        traces = [e.submit("x@late.test", subject=f"Number {n}") for n in range(5)]
        for t in traces:
            e.wait(t, "deferred")
        e.site.kill()
        e.site.start()
        rows = e.rows()
        equal([r["attempts"] for r in rows], [1] * 5)
        server = e.server(host=host)
        e.site.turn_clock(31 * MINUTE)
        for t in traces:
            e.wait(t, "relayed")
        equal(len(server.mails), 5)
        e.is_empty()


def rebuilt(folder, spoil):
    """What waits is sent, though spoil(path) befell each file of queue.db while nothing ran."""
    with elsewhere(folder) as e:
        host = e.address()
        e.domain("late.test", host)
        traces = [e.submit("x@late.test") for n in range(3)]
        for t in traces:
            e.wait(t, "deferred")
        e.site.kill()
        for path in glob.glob(f"{e.site.folder}/state/queue.db*"):
            spoil(path)
        server = e.server(host=host)
        e.site.start()
        for t in traces:
            e.wait(t, "relayed")
        equal(len(server.mails), 3)
        e.is_empty()


def test_without_its_database_the_queue_is_rebuilt_from_the_spool(folder):
    rebuilt(folder, os.unlink)


def write_rubbish(path):
    with open(path, "r+b") as f:
        f.truncate(0)
        f.write(b"this is no database, and what stood here is gone\n" * 200)


def test_with_rubbish_for_a_database_the_queue_is_rebuilt_from_the_spool(folder):
    rebuilt(folder, write_rubbish)
