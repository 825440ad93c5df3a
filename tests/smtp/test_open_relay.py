# SPDX-License-Identifier: ISC
"""Nobody relays through us but who may: every trick, at each door, from a stranger and from relay_networks.

The verdict on a row is the first refusal to MAIL or RCPT ("550 5.7.1"), or "250" where both are taken.
"""

import base64
import contextlib
import smtplib
import ssl

OURS = "example.test"
STRANGER, TRUSTED = "127.0.0.1", "127.0.0.2"
SETTINGS = {"relay_domains": "relayed.test", "relay_networks": f"::ffff:{TRUSTED}/128"}
DAEMONS = ("smtpd",)
USERS = 2

NO_RELAY, NO_SUCH, LOG_IN, NOT_YOURS, TAKEN = "550 5.7.1", "550 5.1.1", "530 5.7.0", "553 5.7.1", "250"
BAD = "501 5.1.3"

# What a stranger may say to the door of other servers, and what relay_networks get for the same.
RECIPIENTS = (
    # recipient, stranger, relay_networks
    (f"<user1@{OURS}>", TAKEN, TAKEN),
    (f"<user1@{OURS.upper()}>", TAKEN, TAKEN),
    ("<postmaster>", TAKEN, TAKEN),
    ("<x@other.test>", NO_RELAY, TAKEN),
    ("<x@relayed.test>", TAKEN, TAKEN),
    ("<x@RELAYED.test>", TAKEN, TAKEN),
    ("<x@sub.relayed.test>", NO_RELAY, TAKEN),
    ("<x@notrelayed.test>", NO_RELAY, TAKEN),
    (f"<x@sub.{OURS}>", NO_RELAY, TAKEN),
    (f"<x@{OURS}.other.test>", NO_RELAY, TAKEN),
    # source routes: where they go through does not count
    (f"<@{OURS}:x@other.test>", NO_RELAY, TAKEN),
    (f"<@{OURS},@relayed.test:x@other.test>", NO_RELAY, TAKEN),
    ("<@relayed.test:x@other.test>", NO_RELAY, TAKEN),
    (f"<@other.test:user1@{OURS}>", TAKEN, TAKEN),
    (f"<@{OURS}:x%other.test@{OURS}>", NO_SUCH, NO_SUCH),
    # %, !, quoted @: letters of a local part
    (f"<x%other.test@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<x%other.test%{OURS}@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<user1%{OURS}@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<other.test!x@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<{OURS}!other.test!x@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<x%other.test@relayed.test>", TAKEN, TAKEN),
    (f'<"x@other.test"@{OURS}>', NO_SUCH, NO_SUCH),
    (f'<"x%other.test"@{OURS}>', NO_SUCH, NO_SUCH),
    (f'<"@{OURS}:x@other.test"@{OURS}>', NO_SUCH, NO_SUCH),
    (f'<"x@{OURS}"@other.test>', NO_RELAY, TAKEN),
    (f'<"user1"@{OURS}>', TAKEN, TAKEN),
    (f"<x@other.test@{OURS}>", BAD, BAD),
    (f"<x@{OURS}@other.test>", BAD, BAD),
    (f"<x%other.test>", "553 5.1.3", "553 5.1.3"),
    (f"<other.test!x>", "553 5.1.3", "553 5.1.3"),
    ('<"x@other.test">', "553 5.1.3", "553 5.1.3"),
    (f"x@other.test", BAD, BAD),
    (f"<x@other.test > <user1@{OURS}>", BAD, BAD),
    (f"<user1@{OURS}> <x@other.test>", "501 5.5.4", "501 5.5.4"),
    # address literals, ours or not, mapped or not
    ("<x@[192.0.2.1]>", NO_RELAY, TAKEN),
    ("<x@[127.0.0.1]>", NO_RELAY, TAKEN),
    ("<user1@[127.0.0.1]>", NO_RELAY, TAKEN),
    ("<x@[IPv6:::ffff:192.0.2.1]>", NO_RELAY, TAKEN),
    ("<x@[IPv6:2001:db8::1]>", NO_RELAY, TAKEN),
    ("<x@[::ffff:192.0.2.1]>", BAD, BAD),
    # what a shell or a log might stumble over
    ("<|/bin/sh@other.test>", NO_RELAY, TAKEN),
    (f"<|/bin/sh@{OURS}>", NO_SUCH, NO_SUCH),
    (f"<;id;@{OURS}>", BAD, BAD),
)
SENDERS = ("<a@b.test>", "<>", f"<user1@{OURS}>", f"<nobody@{OURS}>", "<postmaster>", f"<@{OURS}:a@b.test>",
           "<a@[127.0.0.1]>", f"<mailer-daemon@{OURS}>")

# At the users' doors: login, sender, recipient, verdict.
SUBMISSIONS = (
    (None, f"<user1@{OURS}>", "<x@other.test>", LOG_IN),
    (None, f"<user1@{OURS}>", f"<user1@{OURS}>", LOG_IN),
    (None, "<>", "<x@relayed.test>", LOG_IN),
    (("user1", "wrong"), f"<user1@{OURS}>", "<x@other.test>", LOG_IN),
    (("user1", ""), f"<user1@{OURS}>", "<x@other.test>", LOG_IN),
    (("nobody", "secret"), f"<user1@{OURS}>", "<x@other.test>", LOG_IN),
    (("", ""), f"<user1@{OURS}>", "<x@other.test>", LOG_IN),
    (("user1", "secret"), f"<user1@{OURS}>", "<x@other.test>", TAKEN),
    ((f"user1@{OURS}", "secret"), f"<user1@{OURS}>", "<x@other.test>", TAKEN),
    (("user1", "secret"), f"<user1@{OURS}>", f"<x%other.test@{OURS}>", NO_SUCH),
    (("user1", "secret"), "<>", "<x@other.test>", TAKEN),
    (("user1", "secret"), f"<user2@{OURS}>", "<x@other.test>", NOT_YOURS),
    (("user1", "secret"), f"<nobody@{OURS}>", "<x@other.test>", NOT_YOURS),
    (("user1", "secret"), "<a@b.test>", f"<user2@{OURS}>", NOT_YOURS),
    (("user1", "secret"), f'<"user1@{OURS}"@other.test>', f"<user2@{OURS}>", NOT_YOURS),
)



@contextlib.contextmanager
def connection(site, port, source=STRANGER):
    if port == "submissions_port":
        context = ssl.create_default_context(cafile=site.ca_file)
        smtp = smtplib.SMTP_SSL("localhost", site.submissions_port, context=context, source_address=(source, 0))
    else:
        smtp = smtplib.SMTP(site.host, getattr(site, port), source_address=(source, 0))
    try:
        smtp.ehlo("relay.test")
        yield smtp
    finally:
        smtp.close()


def say(smtp, line):
    code, text = smtp.docmd(line)
    return TAKEN if code == 250 else f"{code} {text.decode().split(' ')[0]}"


def log_in(smtp, name, password):
    smtp.docmd("AUTH PLAIN", base64.b64encode(f"\0{name}\0{password}".encode()).decode())


def verdict(smtp, sender, recipient):
    smtp.docmd("RSET")
    said = say(smtp, f"MAIL FROM:{sender}")
    return said if said != TAKEN else say(smtp, f"RCPT TO:{recipient}")


def check_all(site, source, column):
    wrong = []
    for row in RECIPIENTS:
        with connection(site, "smtp_port", source) as smtp:
            for sender in SENDERS:
                came = verdict(smtp, sender, row[0])
                if came != row[column]:
                    wrong.append(f"{sender} to {row[0]}: expected {row[column]}, came {came}")
    if wrong:
        raise AssertionError("\n".join(wrong))


def test_a_stranger_reaches_ours_and_relay_domains_only(site):
    """RFC 5321 3.6.2, 7.9."""
    check_all(site, STRANGER, 1)


def test_relay_networks_reach_everyone_by_whole_addresses_only(site):
    check_all(site, TRUSTED, 2)


def test_a_refused_login_at_the_mail_exchange_changes_nothing(site):
    for line in ("AUTH PLAIN AHVzZXIxAHNlY3JldA==", "AUTH LOGIN", "AUTH PLAIN", "STARTTLS x"):
        with connection(site, "smtp_port") as smtp:
            smtp.docmd(line)
            assert verdict(smtp, "<a@b.test>", "<x@other.test>") == NO_RELAY, line


def test_submission_is_for_who_has_logged_in_and_sends_as_himself(site):
    wrong = []
    for port in ("submission_port", "submissions_port"):
        for login, sender, recipient, wanted in SUBMISSIONS:
            with connection(site, port) as smtp:
                if login is not None:
                    log_in(smtp, *login)
                came = verdict(smtp, sender, recipient)
                if came != wanted:
                    wrong.append(f"{port} {login} {sender} to {recipient}: expected {wanted}, came {came}")
    if wrong:
        raise AssertionError("\n".join(wrong))


def test_a_login_does_not_outlive_starttls(site):
    """RFC 3207 4.2"""
    with connection(site, "submission_port") as smtp:
        log_in(smtp, "user1", "secret")
        smtp.starttls(context=ssl.create_default_context(cafile=site.ca_file))
        smtp.ehlo("relay.test")
        assert verdict(smtp, f"<user1@{OURS}>", "<x@other.test>") == LOG_IN


def test_a_login_that_was_cut_short_is_none(site):
    with connection(site, "submission_port") as smtp:
        smtp.docmd("AUTH LOGIN", base64.b64encode(b"user1").decode())
        smtp.docmd("*")
        assert verdict(smtp, f"<user1@{OURS}>", "<x@other.test>") == LOG_IN


def test_relay_networks_need_no_login_at_submission(site):
    """RFC 5321 3.6.3."""
    with connection(site, "submission_port", TRUSTED) as smtp:
        assert verdict(smtp, "<a@b.test>", "<x@other.test>") == TAKEN
