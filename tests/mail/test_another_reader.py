# SPDX-License-Identifier: ISC
"""What trivet-maildir(5) says is enough to read an account without us: a reader written from that page alone."""

import os
import re
import sqlite3

from trivet import equal, imap, message, ok, send, wait_until

DAEMONS = ("imapd", "smtpd")
USERS = 2
SETTINGS = {"undelete_days": 2}
SYSTEM = {"D": r"\Draft", "F": r"\Flagged", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted", "P": "$Forwarded"}
BITS = {1: r"\Answered", 2: r"\Deleted", 4: r"\Draft", 8: r"\Flagged", 16: r"\Seen"}


def level_to_text(level):
    """Modified UTF-7 (RFC 3501 5.1.3)."""
    def shifted(m):
        if not m[1]:
            return "&"
        import base64
        text = m[1].replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")
    return re.sub(r"&([^-]*)-", shifted, level)


def folders(account):
    yield "INBOX", account
    for name in os.listdir(account):
        if name.startswith(".") and name != ".trivet" and os.path.isdir(f"{account}/{name}"):
            yield "/".join(level_to_text(level) for level in name[1:].split(".")), f"{account}/{name}"


def identity(folder):
    lines = open(f"{folder}/trivet-mailbox", encoding="utf-8").read().splitlines()
    equal(lines[0], "trivet-mailbox 1")
    one = {line.split(" ", 1)[0]: line.split(" ", 1)[-1] for line in lines[1:]}
    keywords = dict(line.split(" ", 2)[1:] for line in lines if line.startswith("keyword "))
    return one, keywords


def by_files(account):
    """mailbox: (uidvalidity, {uid: (flags, date, octets)})"""
    found = {}
    for mailbox, folder in folders(account):
        one, keywords = identity(folder)
        rows = {}
        for name in os.listdir(f"{folder}/cur"):
            base, _, letters = name.partition(":2,")
            fields = dict(re.findall(r",([SWU])=(\d+)", base))
            path = f"{folder}/cur/{name}"
            equal(os.path.getsize(path), int(fields["S"]), f"S= of {name}")
            octets = open(path, "rb").read()
            equal(len(re.sub(rb"\r?\n", b"\r\n", octets)), int(fields["W"]), f"W= of {name}")
            flags = {SYSTEM.get(letter) or keywords.get(letter) for letter in letters}
            rows[int(fields["U"])] = (flags, int(os.stat(path).st_mtime), octets)
        found[mailbox] = (int(one["uidvalidity"]), rows)
    return found


def by_index(account):
    """The same, without octets."""
    db = sqlite3.connect(f"file:{account}/.trivet/index.db?mode=ro", uri=True)
    found = {}
    for number, name, validity, words, messages, octets in db.execute(
            "SELECT number, name, uidvalidity, keywords, messages, bytes FROM mailboxes"):
        words = [w[1:] for w in words.split(" ") if w]
        rows, total = {}, 0
        for key, flags, keywords, size, date in db.execute(
                "SELECT key, flags, keywords, size, internal_date FROM messages WHERE mailbox = ?", (number,)):
            equal(key >> 32, number)
            total += size
            rows[key & 0xffffffff] = ({f for b, f in BITS.items() if flags & b} |
                                      {w for k, w in enumerate(words) if keywords >> k & 1}, date)
        equal((messages, octets), (len(rows), total), f"sums of {name}")
        found[name] = (validity, rows)
    db.close()
    return found


def texts_of(account):
    """(mailbox's name, uid): (envelope, bodystructure, header), as the index keeps them."""
    db = sqlite3.connect(f"file:{account}/.trivet/index.db?mode=ro", uri=True)
    names = dict(db.execute("SELECT number, name FROM mailboxes"))
    found = {(names[key >> 32], key & 0xffffffff): tuple(text.encode() for text in texts)
             for key, *texts in db.execute("SELECT key, envelope, bodystructure, header FROM texts JOIN headers USING (key)")}
    db.close()
    return found


def by_imap(site, user):
    c = imap(site, user)
    found = {}
    for row in ok(c.list()):
        name = re.search(rb'"/" "?([^"]*)"?$', row)[1].decode()
        ok(c.select(f'"{name}"', readonly=True))
        validity = int(ok(c.status(f'"{name}"', "(UIDVALIDITY)"))[0].split()[-1].strip(b")"))
        rows = {}
        if c.untagged_responses.get("EXISTS", [b"0"])[-1] != b"0":
            for part in ok(c.fetch("1:*", "(UID FLAGS BODY.PEEK[])")):
                if isinstance(part, tuple):
                    head = part[0].decode()
                    flags = set(re.search(r"FLAGS \(([^)]*)\)", head)[1].split()) - {r"\Recent"}
                    rows[int(re.search(r"UID (\d+)", head)[1])] = (flags, part[1])
        found[level_to_text(name)] = (validity, rows)
    c.logout()
    return found


def use(site, user):
    c = imap(site, user)
    ok(c.create('"a.b/&ZeVnLIqe-"'))
    for n in range(8):
        ok(c.append("INBOX" if n % 2 else '"a.b/&ZeVnLIqe-"', None, '"17-Jul-1996 02:44:25 -0700"',
                    message(subject=f"message {n}")))
    ok(c.select("INBOX"))
    ok(c.store("1:2", "+FLAGS", r"(\Flagged \Seen todo $Forwarded)"))
    ok(c.store("2", "+FLAGS", r"(\Answered other)"))
    ok(c.copy("2", "Archive"))
    ok(c.store("3", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    c.logout()
    send(site, message(subject="delivered"), to=f"user{user}")


def test_a_reader_of_the_files_and_one_of_the_index_see_what_imap_shows(site):
    use(site, 1)
    account = site.maildir("user1")
    shown = by_imap(site, 1)

    def agrees():
        return {m: (v, {u: (f, o) for u, (f, _, o) in rows.items()}) for m, (v, rows) in by_files(account).items()} == shown
    wait_until("names say the flags", agrees)
    files = by_files(account)
    equal(by_index(account), {m: (v, {u: (f, d) for u, (f, d, _) in rows.items()}) for m, (v, rows) in files.items()},
          "index and files")
    equal(len(files), 8)
    texts = texts_of(account)
    equal(set(texts), {(mailbox, uid) for mailbox, (_, rows) in files.items() for uid in rows}, "messages with texts")
    c = imap(site, 1)
    ok(c.select("INBOX", readonly=True))
    for (mailbox, uid), (envelope, structure, header) in texts.items():
        octets = files[mailbox][1][uid][2]
        equal(header, re.sub(rb"\r?\n", b"\r\n", octets).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        if mailbox == "INBOX":
            equal(ok(c.uid("FETCH", str(uid), "(ENVELOPE BODYSTRUCTURE)"))[0].partition(b" (")[2],
                  b"UID %d ENVELOPE %s BODYSTRUCTURE %s)" % (uid, envelope, structure))
    c.logout()
    if "a.b/日本語" not in files:
        raise AssertionError(f"mailboxes: {sorted(files)}")


def test_what_is_kept_is_a_maildir_of_the_same_kind(site):
    use(site, 2)
    kept = f"{site.maildir('user2')}/trivet-deleted"
    name, = os.listdir(f"{kept}/cur")
    fields = dict(re.findall(r",([DSWU])=(\d+)", name))
    equal(sorted(fields), ["D", "S", "W"])
    # Back by hand, as the page says.
    os.rename(f"{kept}/cur/{name}", f"{site.maildir('user2')}/cur/" + re.sub(r",D=\d+", "", name))
    c = imap(site, 2, select="INBOX")
    equal(len(ok(c.search(None, "ALL"))[0].split()), 5)
    c.logout()


def used(site):
    use(site, 1)
    account = site.maildir("user1")
    wait_until("names say the flags", lambda: any("other" in f for _, rows in by_files(account).values()
                                                  for f, _, _ in rows.values()))
    before = by_imap(site, 1)
    site.stop()
    return account, before


def test_a_restored_copy_is_what_it_was(fresh):
    account, before = used(fresh)
    os.system(f"cp -a {account} {account}.copy && rm -rf {account} && mv {account}.copy {account}")
    fresh.start()
    equal(by_imap(fresh, 1), before)


def test_a_restored_copy_without_our_folder_has_all_mail_under_another_uidvalidity(fresh):
    account, before = used(fresh)
    os.system(f"cp -a {account} {account}.copy && rm -rf {account} {account}.copy/.trivet && mv {account}.copy {account}")
    fresh.start()
    after = by_imap(fresh, 1)
    equal({name: rows for name, (_, rows) in after.items()}, {name: rows for name, (_, rows) in before.items()})
    for name, (validity, _) in after.items():
        if validity <= before[name][0]:
            raise AssertionError(f"{name}: UIDVALIDITY {before[name][0]}, then {validity}")
