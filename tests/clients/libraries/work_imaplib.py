# SPDX-License-Identifier: ISC
"""The work of ../work.py by Python's imaplib, which has no IDLE of its own before 3.14."""

import imaplib
import ssl
import sys

host, port, mode, ca_file, user, password, folder, large, _ = sys.argv[1:]
WORD = "가나다라".encode()


def must(answer):
    if answer[0] != "OK":
        raise SystemExit(f"{answer}")
    return answer[1]


def same(what, got, wanted):
    if got != wanted:
        raise SystemExit(f"{what}: {got!r} instead of {wanted!r}")


def quoted(name):
    return f'"{name}"'


def idle(c):
    """Until EXISTS."""
    tag = c._new_tag()
    c.send(tag + b" IDLE\r\n")
    same("the answer to IDLE", c.readline()[:1], b"+")
    print("idle", flush=True)
    line = b""
    while b"EXISTS" not in line:
        line = c.readline()
    c.send(b"DONE\r\n")
    while not line.startswith(tag):
        line = c.readline()
    same("IDLE's end", line.split()[1], b"OK")


context = ssl.create_default_context(cafile=ca_file)
if mode == "tls":
    c = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=20)
else:
    c = imaplib.IMAP4(host, int(port), timeout=20)
    c.starttls(context)
c.login(user, password)

must(c.namespace())
must(c.getquotaroot("INBOX"))
same("the folder in the list", any(folder.encode() in row for row in must(c.list())), True)
must(c.create(quoted(folder + "/&xUg-")))
for name in (folder, folder + "/&xUg-"):
    must(c.subscribe(quoted(name)))
same("the new one in LSUB", any(b"/&xUg-" in row for row in must(c.lsub())), True)

must(c.select("INBOX"))
uid = {s: must(c.uid("search", "SUBJECT", s))[0] for s in ("first", "second", "third", "fourth")}
c.literal = WORD
same("found by a word", len(must(c.uid("search", "CHARSET", "UTF-8", "BODY"))[0].split()), 4)
c.literal = WORD
same("found by number", len(must(c.search("UTF-8", "TEXT"))[0].split()), 4)
same("sorted", len(must(c.uid("sort", "(ARRIVAL)", "US-ASCII", "ALL"))[0].split()), 4)
same("threads", must(c.uid("thread", "REFERENCES", "US-ASCII", "ALL"))[0].count(b"("), 4)
told = must(c.fetch("1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE RFC822)"))
same("messages", len([part for part in told if isinstance(part, tuple)]), 4)
must(c.uid("store", uid["first"], "+FLAGS", "(\\Flagged Work)"))
must(c.uid("copy", uid["second"], quoted(folder)))
must(c.uid("move", uid["third"], quoted(folder)))
must(c.uid("store", uid["fourth"], "+FLAGS.SILENT", "(\\Deleted)"))
must(c.expunge())
same("left", len(must(c.search(None, "ALL"))[0].split()), 2)

with open(large, "rb") as f:
    octets = f.read()
must(c.append(quoted(folder), "(\\Seen)", imaplib.Time2Internaldate(1500000000), octets))
must(c.select(quoted(folder)))
number = must(c.search(None, "SUBJECT", "large"))[0]
same("the large message is the same", must(c.fetch(number, "(BODY.PEEK[])"))[0][1] == octets, True)
same("a piece of it", must(c.fetch(number, "(BODY.PEEK[]<1000.65536>)"))[0][1] == octets[1000:66536], True)
same("its date", b"14-Jul-2017" in must(c.fetch(number, "(INTERNALDATE)"))[0], True)
must(c.check())
must(c.close())

must(c.select("INBOX"))
idle(c)
same("found after IDLE", len(must(c.search(None, "SUBJECT", "fifth"))[0].split()), 1)

must(c.rename(quoted(folder + "/&xUg-"), quoted(folder + "/&vBY-")))
must(c.unsubscribe(quoted(folder + "/&xUg-")))
must(c.status(quoted(folder + "/&vBY-"), "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))
must(c.delete(quoted(folder + "/&vBY-")))
c.logout()
