# SPDX-License-Identifier: ISC
"""Several sessions at random in the same mailboxes: no view ever contradicts itself, and in the end all are the same.

The first seeds are always the same; TRIVET_TEST_SEED adds one.
"""

import itertools
import os
import random

from imap_session import Session
from trivet import equal, only_long, seconds

DAEMONS = ("imapd",)
USERS = 30
users = itertools.count(1)
BOXES = ("INBOX", "other")
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "\\Draft", "$One", "Two")
ROUNDS = 120


class Reader(Session):
    """Also remembers each UID's subject and flags; a message must stay itself."""

    def __init__(self, *args):
        super().__init__(*args)
        self.box, self.subjects, self.flags = None, {}, {}

    def follow(self, r):
        super().follow(r)
        if r.kind != "FETCH":
            return
        uid = self.uids[r.number - 1]
        if uid is None:
            return
        subject = r.items.get(b"BODY[HEADER.FIELDS (SUBJECT)]")
        if subject is not None:
            equal(self.subjects.setdefault((self.box, uid), subject), subject, f"the subject of {self.box} {uid}")
        if b"FLAGS" in r.items:
            self.flags[uid] = frozenset(f.upper() for f in r.items[b"FLAGS"]) - {b"\\RECENT"}

    def choose(self, box):
        self.flags = {}
        self.box = box
        self.ok(f"SELECT {box}")


class Storm:
    def __init__(self, site, seed):
        self.random = random.Random(seed)
        self.site, self.user = site, next(users)
        self.count = 0
        self.readers = [Reader(site, self.user) for _ in range(3)]
        self.readers[0].ok("CREATE other")
        for _ in range(6):
            self.append(self.readers[0])
        for reader in self.readers:
            reader.choose("INBOX")

    def mail(self):
        self.count += 1
        return b"Subject: number %d\r\n\r\n%s\r\n" % (self.count, b"x" * self.random.randrange(300))

    def append(self, reader):
        flags = " ".join(self.random.sample(FLAGS, self.random.randrange(3)))
        reader.append(self.random.choice(BOXES), self.mail(), f"({flags}) ")

    def some_set(self, most):
        def one():
            return self.random.choice((str(self.random.randint(1, most)), "*"))
        return ",".join(self.random.choice((one(), f"{one()}:{one()}")) for _ in range(self.random.randint(1, 3)))

    def by_number(self, reader):
        """A set of sequence numbers or of UIDs, with its command's begin."""
        if self.random.random() < 0.5 or not reader.exists:
            known = [u for u in reader.uids if u]
            return "UID ", self.some_set(max(known, default=1))
        return "", self.some_set(reader.exists)

    def step(self, reader):
        uid, numbers = self.by_number(reader)
        flags = " ".join(self.random.sample(FLAGS, self.random.randint(1, 2)))
        verb = self.random.choice(("", "+", "-"))
        silent = self.random.choice(("", ".SILENT"))
        what = self.random.randrange(14)
        if what < 3:
            return f"{uid}FETCH {numbers} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
        if what < 5:
            return f"{uid}STORE {numbers} {verb}FLAGS{silent} ({flags})"
        if what == 5:
            keys = ("ALL", "UNSEEN", "DELETED", "NOT KEYWORD Two", "SUBJECT 1", "BODY x")
            return f"{uid}SEARCH {self.random.choice(keys)}"
        if what == 6:
            return f"{uid}COPY {numbers} {self.random.choice(BOXES)}"
        if what == 7:
            return f"{uid}MOVE {numbers} {self.random.choice(BOXES)}"
        if what == 8:
            return "EXPUNGE"
        if what == 9:
            return f"UID FETCH {numbers} BODY[]"
        return self.random.choice(("NOOP", "CHECK",
                f"STATUS {self.random.choice(BOXES)} (MESSAGES RECENT UIDNEXT UNSEEN)"))

    def turn(self):
        chosen = self.random.sample(self.readers, self.random.randint(1, 3))
        begun = []
        for reader in chosen:
            if self.random.random() < 0.25:
                self.append(reader)
            elif self.random.random() < 0.05:
                reader.choose(self.random.choice(BOXES))
            else:
                begun.append((reader, self.step(reader)))
        # They are under way at the same time.
        for reader, tag, command in [(reader, reader.begin(command), command) for reader, command in begun]:
            answer = reader.end(tag)
            if ".SILENT" in command:
                reader.flags = {}       # it was not told what became of them
            if answer.word == "BAD":
                raise AssertionError(f"{command}, of {reader.exists}: BAD {answer.text}")

    def settle(self):
        """All look once more; each one's view is what the mailbox is to a newcomer."""
        told = {}
        for box in BOXES:
            with Reader(self.site, self.user) as fresh:
                fresh.box = box
                fresh.ok(f"EXAMINE {box}")
                fresh.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
                told[box] = (fresh.uids, {u: fresh.flags[u] for u in fresh.uids}, fresh.subjects)
        for reader in self.readers:
            reader.ok("NOOP")
            uids, flags, subjects = told[reader.box]
            equal(reader.exists, len(uids), f"EXISTS of {reader.box}")
            equal([u for u in reader.uids if u], [u for u, mine in zip(uids, reader.uids) if mine],
                    f"UIDs of {reader.box}")
            # What it was told by untagged FETCH or asked for must be true still.
            equal({u: f for u, f in reader.flags.items() if u in flags},
                  {u: flags[u] for u in reader.flags if u in flags}, f"flags in {reader.box}")
            for key, subject in reader.subjects.items():
                equal(subjects.get(key, subject), subject, f"subject of {key}")
            reader.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            equal(reader.uids, uids)


def weather(site, seed):
    storm = Storm(site, seed)
    try:
        for _ in range(ROUNDS):
            storm.turn()
        storm.settle()
    except AssertionError as why:
        raise AssertionError(f"seed {seed}: {why}") from why
    finally:
        for reader in storm.readers:
            reader.socket.close()


def test_views_never_contradict_themselves_and_agree_in_the_end(site):
    for seed in [1, 2, 3] + [int(word) for word in os.environ.get("TRIVET_TEST_SEED", "").split()]:
        weather(site, seed)


@only_long
@seconds(600)
def test_views_agree_after_many_storms(site):
    for seed in range(100, 120):
        weather(site, seed)
