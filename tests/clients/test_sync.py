# SPDX-License-Identifier: ISC
"""Two computers keep a copy of one account, by mbsync or by offlineimap, and somebody works on the server besides: all
three come to the same messages, with the same marks, in the same folders, and nothing is there twice."""

import glob
import itertools
import os
import re

from programs import HOST, Background, environment, made_test, run, write
from runner import need, run_program
from trivet import drop, equal, imap, message, ok, wait_until
from work import FOLDER, Refusals, idles, large_message, modified_utf7, other_ca

DAEMONS = ("imapd",)
SETTINGS = {"log_level": "debug"}
USERS = 20
users = itertools.count(1)
NEW_FOLDER = "Neue Post"
MARKS = {"\\Seen": "S", "\\Flagged": "F", "\\Answered": "R"}


class Copy:
    """One computer's Maildirs. A program's class says how it names folders, and how it is run."""

    def __init__(self, site, user, mode, folder, name):
        self.site, self.user, self.mode, self.folder = site, user, mode, f"{folder}/{name}"
        os.makedirs(f"{self.folder}/mail")
        self.password, self.ca_file, self.count = site.password, site.ca_file, 0

    def port(self):
        return self.site.imaps_port if self.mode == "tls" else self.site.imap_port

    def files(self, box):
        return glob.glob(f"{glob.escape(self.path(box))}/cur/*") + glob.glob(f"{glob.escape(self.path(box))}/new/*")

    def find(self, subject, box="INBOX"):
        for path in self.files(box):
            with open(path, "rb") as f:
                if subject_of(f.read()) == subject:
                    return path
        raise AssertionError(f"{subject} is not in {self.folder}, {box}")

    def view(self):
        """Folder to its messages, each with its marks."""
        found = {}
        for box in self.boxes():
            rows = []
            for path in self.files(box):
                with open(path, "rb") as f:
                    octets = f.read()
                rows.append((subject_of(octets), body_of(octets), marks_of(path)))
            found[box] = sorted(rows)
        return found

    def mark(self, subject, letter, box="INBOX"):
        path = self.find(subject, box)
        base = os.path.basename(path).partition(":2,")[0]
        letters = "".join(sorted(set(marks_of(path)) | {letter}))
        os.rename(path, f"{self.path(box)}/cur/{base}:2,{letters}")

    def remove(self, subject, box="INBOX"):
        os.unlink(self.find(subject, box))

    def move(self, subject, to):
        """As a mail program does: the file goes over under a name of its own."""
        path = self.find(subject)
        self.count += 1
        os.rename(path, f"{self.path(to)}/cur/{self.count}.moved.here:2,{marks_of(path)}")

    def add(self, subject, box="INBOX"):
        for part in ("tmp", "new", "cur"):
            os.makedirs(f"{self.path(box)}/{part}", exist_ok=True)
        self.count += 1
        with open(f"{self.path(box)}/cur/{self.count}.written.here:2,S", "wb") as f:
            f.write(message(subject=subject, body=f"written: {subject}\r\n").replace(b"\r\n", b"\n"))


def subject_of(octets):
    return re.search(rb"(?im)^subject: *([^\r\n]+)", octets).group(1).decode()


def body_of(octets):
    return hash(octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2])


def marks_of(path):
    return "".join(letter for letter in path.partition(":2,")[2] if letter in "SFR")


class Mbsync(Copy):
    """It takes modified UTF-7 as it is."""

    modes = ("tls", "starttls")

    def path(self, box):
        return f"{self.folder}/mail/{modified_utf7(box)}"

    def boxes(self):
        names = {modified_utf7(FOLDER): FOLDER}
        return [names.get(n, n) for n in os.listdir(f"{self.folder}/mail") if not n.startswith(".")]

    def words(self):
        rc = write(self.folder, "mbsyncrc", f"""
IMAPAccount a
Host {HOST}
Port {self.port()}
User user{self.user}
Pass {self.password}
SSLType {'IMAPS' if self.mode == 'tls' else 'STARTTLS'}
CertificateFile {self.ca_file}

IMAPStore far
Account a

MaildirStore near
Path {self.folder}/mail/
Inbox {self.folder}/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Sync All
CopyArrivalDate yes
SyncState *
""")
        return ["mbsync", "-c", rc, "c"]

    def sync(self):
        need("mbsync")
        run(self.folder, *self.words())


class Offlineimap(Copy):
    """It decodes the names. Its STARTTLS is no use: imaplib2's reader may end before the answer to it, and then it waits
    for ever; and it looks at no certificate there, whatever its file says."""

    modes = ("tls",)

    def path(self, box):
        return f"{self.folder}/mail/{box}"

    def boxes(self):
        return os.listdir(f"{self.folder}/mail")

    def words(self, waits=False):
        rc = write(self.folder, "offlineimaprc", f"""
[general]
accounts = a
metadata = {self.folder}/state
ui = basic

[Account a]
localrepository = near
remoterepository = far
utf8foldernames = yes
{'autorefresh = 60' if waits else ''}

[Repository near]
type = Maildir
localfolders = {self.folder}/mail

[Repository far]
type = IMAP
remotehost = {HOST}
remoteport = {self.port()}
remoteuser = user{self.user}
remotepass = {self.password}
ssl = {'yes' if self.mode == 'tls' else 'no'}
starttls = {'no' if self.mode == 'tls' else 'yes'}
sslcacertfile = {self.ca_file}
maxconnections = 2
{"idlefolders = ['INBOX']" if waits else ''}
""")
        return ["offlineimap", "-c", rc, *([] if waits else ["-o"])]

    def sync(self):
        need("offlineimap")
        run(self.folder, *self.words())


# ---- the server's side ----

def quoted(box):
    return f'"{modified_utf7(box)}"'


def server_view(site, user):
    c = imap(site, user)
    found = {}
    for row in ok(c.list()):
        name = re.search(rb'"([^"]*)"$', row).group(1).decode()
        box = {modified_utf7(FOLDER): FOLDER}.get(name, name)
        count, rows = int(ok(c.select(f'"{name}"', readonly=True))[0]), []
        told = ok(c.fetch("1:*", "(FLAGS BODY.PEEK[])")) if count else []
        for head, octets in [part for part in told if isinstance(part, tuple)]:
            marks = "".join(sorted(MARKS[f] for f in MARKS if f.encode() in head))
            rows.append((subject_of(octets), body_of(octets), marks))
        found[box] = sorted(rows)
    c.logout()
    return found


def next_uids(site, user):
    c = imap(site, user)
    found = {box: ok(c.status(quoted(box), "(UIDNEXT MESSAGES)")) for box in ("INBOX", FOLDER, NEW_FOLDER)}
    c.logout()
    return found


def fill(site, user):
    for n in range(1, 11):
        drop(site, user, message(subject=f"m{n}", body=f"가나다라 {n}\r\n"))
    c = imap(site, user)
    ok(c.create(quoted(FOLDER)))
    ok(c.append(quoted(FOLDER), "(\\Seen)", None, large_message()))
    c.logout()


def work_on_the_server(site, user):
    c = imap(site, user, select="INBOX")
    uid = {n: ok(c.uid("search", "SUBJECT", f'"m{n}"'))[0].split()[0] for n in (6, 7, 8)}
    ok(c.uid("store", uid[6], "+FLAGS", "(\\Answered)"))
    ok(c.uid("store", uid[7], "+FLAGS", "(\\Deleted)"))
    ok(c.expunge())
    ok(c.uid("move", uid[8], quoted(FOLDER)))
    ok(c.append("INBOX", "(\\Flagged)", None, message(subject="from the server", body="server\r\n")))
    c.logout()


WANTED = {
    "INBOX": ["from the desk", "from the laptop", "from the server", "m1 F", "m10", "m3 S", "m6 R", "m9"],
    FOLDER: ["large", "m5", "m8"],
    NEW_FOLDER: ["in a new folder"],
}


def subjects_in(view):
    """INBOX's with the marks that the work has set, others bare."""
    found = {}
    for box in WANTED:
        found[box] = sorted(f"{s} {marks}" if re.fullmatch("m(1|3|6)", s) else s for s, _, marks in view[box])
    return found


def converges(site, folder, kind, mode):
    user = next(users)
    fill(site, user)
    refusals = Refusals(site)
    laptop, desk = (kind(site, user, mode, folder, name) for name in ("laptop", "desk"))
    for copy in (laptop, desk):
        copy.sync()
        equal(copy.view(), server_view(site, user), f"the first copy on the {os.path.basename(copy.folder)}")

    laptop.mark("m1", "F")
    laptop.remove("m2")
    laptop.add("from the laptop")
    laptop.add("in a new folder", NEW_FOLDER)
    desk.mark("m3", "S")
    desk.remove("m4")
    desk.move("m5", FOLDER)
    desk.add("from the desk")
    work_on_the_server(site, user)
    for copy in (laptop, desk, laptop):
        copy.sync()

    view = server_view(site, user)
    equal(subjects_in(view), {box: sorted(rows) for box, rows in WANTED.items()}, "what is on the server")
    equal(laptop.view(), view, "the laptop's copy")
    equal(desk.view(), view, "the desk's copy")
    before = next_uids(site, user)
    for copy in (laptop, desk):
        copy.sync()
    equal(next_uids(site, user), before, "the server after a run without changes")
    equal(laptop.view(), view, "the laptop's copy after a run without changes")
    equal(desk.view(), view, "the desk's copy after a run without changes")
    refusals.expect()


def harms_nothing(site, folder, kind):
    """A wrong password, a stranger's certificate: it fails, and all is as it was on both sides."""
    user = next(users)
    fill(site, user)
    copy = kind(site, user, "tls", folder, "laptop")
    copy.sync()
    near, far = copy.view(), server_view(site, user)
    copy.password = "wrong"
    equal(fails(copy), True, "it fails with a wrong password")
    copy.password = site.password
    for copy.mode in kind.modes:
        copy.ca_file = other_ca(site, folder)
        equal(fails(copy), True, f"it fails with a stranger's certificate, {copy.mode}")
    equal(copy.view(), near, "the copy")
    equal(server_view(site, user), far, "the server")
    copy.ca_file = site.ca_file
    copy.sync()
    equal(copy.view(), far, "the copy after a good run")


def fails(copy):
    words = copy.words()
    need(words[0])
    return run_program(*words, env=environment(copy.folder), cwd=copy.folder).returncode != 0


def test_a_folder_made_again_stops_mbsync_and_nothing_is_lost(site, folder):
    """RFC 3501 2.3.1.1: another UIDVALIDITY says that no UID means what it meant."""
    user = next(users)
    fill(site, user)
    copy = Mbsync(site, user, "tls", folder, "laptop")
    copy.sync()
    c = imap(site, user)
    ok(c.delete(quoted(FOLDER)))
    ok(c.create(quoted(FOLDER)))
    ok(c.append(quoted(FOLDER), None, None, message(subject="another", body="another\r\n")))
    c.logout()
    near = copy.view()[FOLDER]
    equal(fails(copy), True, "it stops at that folder")
    equal(copy.view()[FOLDER], near, "the copy of that folder")
    equal([row[0] for row in server_view(site, user)[FOLDER]], ["another"], "the server's")


def test_offlineimap_takes_along_what_comes_while_it_idles(site, folder):
    user = next(users)
    copy = Offlineimap(site, user, "tls", folder, "laptop")
    copy.sync()
    refusals = Refusals(site)
    with Background(copy.folder, *copy.words(waits=True)):
        wait_until("it idles", lambda: idles(site, refusals))
        c = imap(site, user)
        ok(c.append("INBOX", None, None, message(subject="m1")))
        c.logout()
        wait_until("the message is in the copy", lambda: [row[0] for row in copy.view()["INBOX"]] == ["m1"])
    refusals.expect()


def more_tests():
    tests = []
    for kind in (Mbsync, Offlineimap):
        name = kind.__name__.lower()
        tests += [made_test(f"two_computers_with_{name}_over_{mode}_and_the_server_come_to_the_same", converges, kind,
                            mode) for mode in kind.modes]
        tests.append(made_test(f"{name}_harms_nothing_with_a_wrong_password_or_a_strangers_certificate", harms_nothing,
                               kind))
    return tests
