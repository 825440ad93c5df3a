# SPDX-License-Identifier: ISC
"""A day's work that every IMAP library is put to, what must have come of it, and what the server refused meanwhile.

The programs in libraries/ do the work in their own language, each the same:
  log in by TLS or STARTTLS, the certificate checked; find FOLDER in the list, make CHILD in it and subscribe to both;
  find the message "first" by its subject and all four by a Korean word; flag the first with \\Flagged and Work, copy
  the second to FOLDER, move the third there, delete and expunge the fourth; append the large message to FOLDER and
  read it back octet for octet; wait by IDLE for a message, having printed "idle"; rename CHILD and delete it.
They end with 0 only where all they were told is as it must be.
"""

import base64
import os
import re
import subprocess

from programs import HOST, environment, imap_port
from runner import slow_build
from trivet import drop, equal, fetch_all, header_of, imap, message, ok, send, wait_until

FOLDER = "새 편지 & 봉투"
CHILD = FOLDER + "/안"
WORD = "가나다라"
LINES = 60000        # of 50 octets: 3 MB


def modified_utf7(name):
    """RFC 3501 5.1.3."""
    def shifted(found):
        if found.group() == "&":
            return "&-"
        octets = base64.b64encode(found.group().encode("utf-16-be"))
        return "&" + octets.decode().rstrip("=").replace("/", ",") + "-"
    return re.sub("&|[^ -~]+", shifted, name)


def large_message():
    return (b"From: a@x.test\r\nTo: user1@example.test\r\nSubject: large\r\nMessage-ID: <large@x.test>\r\n\r\n"
            + b"".join(b"%08d a line of a large message, fifty octets.\r\n" % n for n in range(LINES)))


class Refusals:
    """The commands that were not answered OK since this was made. The site's log_level has to be debug."""

    def __init__(self, site):
        self.site, self.before = site, os.path.getsize(site.log)

    def lines(self):
        with open(self.site.log, encoding="utf-8", errors="replace") as f:
            f.seek(self.before)
            return [line.strip() for line in f if " imapd" in line and "refused" in line]

    def expect(self, *allowed):
        """Only what has one of these in it was refused, and each of them was."""
        lines = self.lines()
        for line in lines:
            if not any(text in line for text in allowed):
                raise AssertionError(f"the server refused what a client really sends: {line}")
        for text in allowed:
            equal(any(text in line for line in lines), True, f"a refusal with {text}")


def idles(site, refusals):
    """Did a command IDLE begin since the refusals are counted?"""
    with open(site.log, encoding="utf-8", errors="replace") as f:
        f.seek(refusals.before)
        return "name=IDLE" in f.read()


def prepare(site, user):
    """The account as the work finds it."""
    for subject in ("first", "second", "third", "fourth"):
        drop(site, user, message(subject=subject, body=f"{WORD} text of the {subject}\r\n"))
    c = imap(site, user)
    ok(c.create(f'"{modified_utf7(FOLDER)}"'))
    c.logout()


def check(site, user):
    """What the work must have come to."""
    def subjects(octets):
        return sorted(re.search(rb"(?im)^subject: *(\S+)", header_of(m)).group(1).decode() for m in octets)

    name = f'"{modified_utf7(FOLDER)}"'
    equal(subjects(fetch_all(site, user)), ["fifth", "first", "second"], "the subjects in INBOX")
    kept = fetch_all(site, user, name)
    equal(subjects(kept), ["large", "second", "third"], f"the subjects in {FOLDER}")
    equal(next(m for m in kept if b"Subject: large\r\n" in header_of(m)), large_message(), "the large message")
    c = imap(site, user, select="INBOX")
    found = ok(c.search(None, "FLAGGED", "KEYWORD", "Work", "SUBJECT", "first"))[0].split()
    equal(len(found), 1, "messages with the flags")
    listed = b"\n".join(ok(c.list()))
    equal(modified_utf7(FOLDER).encode() in listed, True, f"{FOLDER} in LIST")
    equal(b"/" in listed.replace(b' "/" ', b" "), False, f"a folder in a folder in {listed}")
    subscribed = b"\n".join(ok(c.lsub()))
    equal(modified_utf7(FOLDER).encode() in subscribed, True, f"{FOLDER} in LSUB")
    c.logout()


def do(site, folder, user, mode, words, password=None, ca_file=None, env=None):
    """Runs a library's program; sends the message that its IDLE waits for. Returns its exit code and all it said."""
    large = f"{folder}/large.eml"
    with open(large, "wb") as f:
        f.write(large_message())
    words = [*words, HOST, str(imap_port(site, mode)), mode, ca_file or site.ca_file, f"user{user}",
             password or site.password, modified_utf7(FOLDER), large, FOLDER]
    with open(f"{folder}/said", "wb+") as said:
        child = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                 env={**environment(folder), **(env or {})})
        try:
            wait_until("it waits by IDLE, or ends", lambda: child.poll() is not None or said_idle(folder), 30)
            if child.poll() is None:
                send(site, subject="fifth", to=f"user{user}")
            code = child.wait(30 * slow_build())
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        said.seek(0)
        return code, said.read().decode("utf-8", "replace")


def said_idle(folder):
    with open(f"{folder}/said", "rb") as f:
        return b"idle\n" in f.read()


def other_ca(site, folder):
    """A certificate that has nothing to do with the server's."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=Somebody else", "-keyout", f"{folder}/other.key", "-out",
                    f"{folder}/other.pem"], check=True, capture_output=True)
    return f"{folder}/other.pem"
