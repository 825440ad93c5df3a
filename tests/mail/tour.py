# SPDX-License-Identifier: ISC
"""The steps of contrib/tour, which shows them, and of test_tour.py, which asks whether they hold.

Each step is a function of a Story: it does one thing on two throw-away sites, shows what really came, and
asserts it. A step makes what it needs itself, so that each may run alone; in order they are one story.
"""

import atexit
import base64
import contextlib
import email
import email.policy
import imaplib
import os
import poplib
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import textwrap

from trivet import Trouble, Wire, imap, message, ok, pop3, smtp, tls, two_sites, wait_until

HALF_HOUR, HOUR, DAY = 1800, 3600, 86400
ACCOUNTS = {"a": ("shop",), "b": ("minji", "sora", "taeho")}
SUBJECT = "주문이 접수되었습니다"

PROGRAM = '''\
import smtplib, ssl
from email.message import EmailMessage

mail = EmailMessage()
mail["From"], mail["To"] = "shop@a.test", "minji@b.test"
mail["Subject"] = "주문이 접수되었습니다"
mail.set_content("민지 님, 주문하신 책을 내일 보내 드립니다.\\n")

server = smtplib.SMTP_SSL("{host}", {port}, context=ssl.create_default_context(cafile="{ca}"))
server.login("shop@a.test", "{password}")
server.send_message(mail)
server.sock.close()     # no QUIT: the program just ends, as programs do
'''


def modified_utf7(name):
    """RFC 3501 5.1.3, for a name without ASCII."""
    return "&" + base64.b64encode(name.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"


def parse(octets):
    return email.message_from_bytes(octets, policy=email.policy.default)


class Story:
    """Two sites, and what has happened so far. show(line) gets what really came."""

    def __init__(self, show=lambda line: None):
        self.show_line = show
        self.stack = contextlib.ExitStack()
        self.a = self.b = None
        self.waits = False      # the mail that cannot be delivered has been sent

    def show(self, text):
        for line in str(text).rstrip().splitlines():
            self.show_line(line)

    def begin(self):
        """Starts the sites, once."""
        if self.a is not None:
            return
        self.folder = tempfile.mkdtemp(prefix="trivet-tour-")
        os.chmod(self.folder, 0o755)
        atexit.register(self.end)
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.a, self.b, _ = self.stack.enter_context(two_sites(self.folder))
        for site, names in ((self.a, ACCOUNTS["a"]), (self.b, ACCOUNTS["b"])):
            for name in names:
                site.trivet("user", "add", f"{name}@{site.domain}", "--password-stdin", text=site.password + "\n")

    def end(self):
        """Stops them; raises where one of them had something to complain about."""
        self.stack.close()

    def inbox(self, site, name):
        """The messages of an INBOX, octets."""
        c = imap(site, f"{name}@{site.domain}", port="imaps_port")
        try:
            if int(ok(c.select("INBOX", readonly=True))[0]) == 0:
                return []
            return [part[1] for part in ok(c.fetch("1:*", "(BODY.PEEK[])")) if isinstance(part, tuple)]
        finally:
            c.logout()

    def korean_mails(self):
        return [m for m in self.inbox(self.b, "minji") if parse(m)["Subject"] == SUBJECT]

    def send_korean_mail(self):
        text = PROGRAM.format(host=self.a.host, port=self.a.submissions_port, ca=self.a.ca_file,
                              password=self.a.password)
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return text

    # -- the mail that waits --

    def log_lines(self, site, word):
        with open(site.log, encoding="utf-8", errors="replace") as f:
            return [line.rstrip("\n") for line in f if f" {word} " in line]

    def attempts(self):
        return len(self.log_lines(self.a, "attempt")) - self.attempts_before

    def let_a_mail_wait(self):
        """b.test takes no mail any more; the shop writes to it."""
        if self.waits:
            return
        self.waits = True
        self.attempts_before = len(self.log_lines(self.a, "attempt"))
        os.kill(self.b.master("smtpd"), 15)
        assert self.b.wait_until_gone("smtpd", 15), "b.test's smtpd does not end"
        c = smtp(self.a, "submissions_port", "shop@a.test")
        c.sendmail("shop@a.test", ["minji@b.test"],
                   message(subject="Second order", sender="shop@a.test", to="minji@b.test"))
        c.quit()
        wait_until("the first attempt", lambda: len(self.log_lines(self.a, "deferred")) >= 1)

    def turn_to(self, seconds, attempts):
        """The clock to so many seconds after the start, if it is not there yet; that many attempts were made then."""
        self.let_a_mail_wait()
        if self.a.clock() < seconds:
            self.a.turn_clock(seconds)
        wait_until(f"{attempts} attempts by {seconds // 60} minutes", lambda: self.attempts() >= attempts)

    def report(self, action):
        """The report with this action in the shop's INBOX, or None."""
        for octets in self.inbox(self.a, "shop"):
            if re.search(rb"(?im)^Action: " + action.encode(), octets):
                return parse(octets)
        return None


# ---- the steps ----

def a_program_sends_a_korean_mail_from_a_to_b(story):
    """A program at a.test sends a Korean mail to b.test: TLS on the port that 465 is elsewhere."""
    before = len(story.korean_mails())
    story.show(story.send_korean_mail())
    mails = wait_until("the mail is in b.test's INBOX", story.korean_mails)
    assert len(mails) == before + 1, f"it came {len(mails) - before} times"
    mail = parse(mails[-1])
    story.show("b.test has it, once:")
    story.show(f"  Subject: {mail['Subject']}")
    story.show(f"  {mail.get_content().strip()}")
    assert mail["Subject"] == SUBJECT and "민지 님" in mail.get_content()
    for received in mail.get_all("Received"):
        story.show(textwrap.shorten("  Received: " + received, 150))


def pop3_takes_it_away(story):
    """POP3: minji's computer fetches the mail and deletes it. It is hers now, and gone from the server."""
    if not story.korean_mails():
        story.send_korean_mail()
        wait_until("a mail to fetch", story.korean_mails)
    c = pop3(story.b, "minji@b.test", port="pop3s_port")
    count, octets = c.stat()
    story.show(f"STAT   -> +OK {count} {octets}")
    answer, lines, _ = c.retr(1)
    story.show(f"RETR 1 -> {answer.decode()}")
    assert parse(b"\r\n".join(lines))["Subject"] == SUBJECT
    for n in range(1, count + 1):
        story.show(f"DELE {n} -> {c.dele(n).decode()}")
    story.show(f"QUIT   -> {c.quit().decode()}")
    c = pop3(story.b, "minji@b.test", port="pop3s_port")
    left = c.stat()
    story.show(f"a second computer looks: STAT -> +OK {left[0]} {left[1]}")
    c.quit()
    assert left == (0, 0), left
    files = [n for part in ("new", "cur") for n in os.listdir(f"{story.b.maildir('minji')}/{part}")]
    story.show(f"files left in her Maildir: {len(files)}")
    assert files == [], files


def two_computers_share_a_folder(story):
    """IMAP: sora has two computers. A folder made on one is on the other; a mail put in shows at once."""
    name = "프로젝트"
    folder = modified_utf7(name)
    office = imap(story.b, "sora@b.test", port="imaps_port")
    home = Wire(story.b, "imaps_port")
    home.until(b"* OK")
    home.say(b"a LOGIN sora@b.test " + story.b.password.encode())
    home.until(b"a OK")
    with contextlib.suppress(imaplib.IMAP4.error):
        office.delete(folder)
    ok(office.create(folder))
    story.show(f"office: CREATE {folder} ({name}) -> OK")
    home.say(b'b LIST "" "*"')
    listed = [line.decode() for line in home.until(b"b ") if line.startswith(b"* LIST")]
    story.show("home:   LIST")
    for line in listed:
        story.show("        " + line)
    assert any(folder in line for line in listed), listed
    home.say(b"c SELECT " + folder.encode())
    home.until(b"c OK")
    home.say(b"d IDLE")
    home.until(b"+")
    ok(office.append(folder, r"(\Seen)", None, message(subject="Plan", sender="sora@b.test", to="sora@b.test")))
    story.show("office: APPEND one message -> OK")
    seen = home.until(b"* 1 EXISTS")[-1].decode()
    story.show(f"home:   (idling) {seen}")
    home.say(b"DONE")
    home.until(b"d OK")
    home.say(b"e FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    got = home.until(b"e OK")
    story.show("home:   " + b" ".join(got[:2]).decode())
    assert b"\\Seen" in b"".join(got) and b"Subject: Plan" in got, got
    home.close()
    office.logout()


def refusal_of(call):
    """(code, text) of the SMTP answer that says no."""
    try:
        call()
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error
    raise AssertionError("it was taken")


def a_full_box_refuses_until_there_is_room(story):
    """A box of 20 KB: what does not fit is refused, in SMTP and in IMAP, until POP3 makes room."""
    story.b.trivet("user", "set", "taeho@b.test", "--quota", "20K")
    mail = message(subject="Filler", body="0123456789abcdef\r\n" * 420, to="taeho@b.test")

    def deliver():
        c = smtp(story.b)
        try:
            c.sendmail("friend@elsewhere.test", ["taeho@b.test"], mail)
        finally:
            c.close()

    deliver()
    deliver()
    code, text = refusal_of(deliver)
    story.show(f"the third mail of 8 KB, by SMTP:  {code} {text.decode()}")
    assert code in (452, 552), (code, text)
    c = imap(story.b, "taeho@b.test", port="imaps_port")
    kind, answer = c.append("INBOX", None, None, mail)
    story.show(f"the same by IMAP's APPEND:        {kind} {answer[0].decode()}")
    assert kind == "NO" and b"[OVERQUOTA]" in answer[0], (kind, answer)
    c.logout()
    c = pop3(story.b, "taeho@b.test", port="pop3s_port")
    c.dele(1)
    c.quit()
    story.show("POP3 fetches one and deletes it.")
    deliver()
    story.show("the third mail again, by SMTP:    250")


def a_stranger_cannot_relay(story):
    """A stranger asks b.test to carry his mail to somewhere else. Only who logged in may."""
    with Wire(story.b, "smtp_port") as c:
        c.until(b"220 ")
        for line in (b"EHLO spammer.test", b"MAIL FROM:<stranger@elsewhere.test>", b"RCPT TO:<victim@elsewhere.test>",
                     b"RCPT TO:<victim%elsewhere.test@b.test>"):
            c.say(line)
            while True:
                answer = c.line().decode()
                if answer[3:4] != "-":
                    break
            story.show(f"> {line.decode():45} < {answer}")
            if line.startswith(b"RCPT"):
                assert answer.startswith("5"), answer
    c = smtp(story.b, "submission_port", starttls=True)
    refused = refusal_of(lambda: c.sendmail("minji@b.test", ["friend@elsewhere.test"], b"Subject: x\r\n\r\n"))
    story.show(f"and at the users' door, without a login: {refused[0]} {refused[1].decode()}")
    assert refused[0] == 530, refused
    c.close()


def the_queue_says_when_it_tries_again(story):
    """b.test's smtpd is stopped, the shop writes to it. a.test keeps the mail and says what is next."""
    story.let_a_mail_wait()
    out = story.a.trivet("queue").stdout
    story.show("$ trivet queue")
    story.show(out)
    assert "minji@b.test" in out and "shop@a.test" in out, out


def attempts_are_made_at_0_30_and_60_minutes(story):
    """The sites' clock can be turned. Every half hour there is another attempt."""
    for n in range(3):
        story.turn_to(n * HALF_HOUR, n + 1)
        line = wait_until("it is put off again", lambda n=n: story.log_lines(story.a, "deferred")[n:n + 1])[0]
        story.show(f"after {n * 30:2} minutes: attempt {n + 1}, " + answer_in(line))


def answer_in(line):
    found = re.search(r'answer=("[^"]*"|\S+)', line)
    return found[1] if found else line


def the_sender_is_told_after_4_hours(story):
    """After four hours the shop is told that its mail still waits."""
    story.turn_to(2 * HALF_HOUR, 1)
    story.turn_to(4 * HOUR + 1, 4)
    report = wait_until("the notice is in the sender's INBOX", lambda: story.report("delayed"))
    story.show(f"Subject: {report['Subject']}")
    story.show(first_words(report))
    assert report.get_content_type() == "multipart/report"
    assert story.report("failed") is None


def a_dsn_comes_back_after_5_days(story):
    """After five days a.test gives up: the mail comes back, and the queue is empty."""
    story.turn_to(5 * DAY + HOUR, 2)
    report = wait_until("the DSN is in the sender's INBOX", lambda: story.report("failed"))
    story.show(f"From: {report['From']}")
    story.show(f"Subject: {report['Subject']}")
    story.show(first_words(report))
    status = next(p for p in report.walk() if p.get_content_type() == "message/delivery-status")
    story.show(status.as_string().partition("\n\n")[2])
    assert report.get_content_type() == "multipart/report"
    assert "minji@b.test" in status.as_string()
    wait_until("the queue is empty", lambda: "minji@b.test" not in story.a.trivet("queue").stdout)


def first_words(report):
    text = next(p for p in report.walk() if p.get_content_type() == "text/plain").get_content()
    return textwrap.indent("\n".join(text.strip().splitlines()[:8]), "  ")


def both_sites_end_cleanly(story):
    """The sites are stopped and removed."""
    if story.waits:
        story.b.start()
    story.end()


STEPS = (
    a_program_sends_a_korean_mail_from_a_to_b,
    pop3_takes_it_away,
    two_computers_share_a_folder,
    a_full_box_refuses_until_there_is_room,
    a_stranger_cannot_relay,
    the_queue_says_when_it_tries_again,
    attempts_are_made_at_0_30_and_60_minutes,
    the_sender_is_told_after_4_hours,
    a_dsn_comes_back_after_5_days,
    both_sites_end_cleanly,
)
