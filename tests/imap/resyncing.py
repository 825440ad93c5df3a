# SPDX-License-Identifier: ISC
"""A client that keeps what it was told, goes away, and comes back: without an extension, with CONDSTORE, with QRESYNC.

What it keeps is a Memory: flags by UID, UIDVALIDITY, and the modseq by RFC 7162 6, no more than a tagged answer allows.
"""

import re

from imap_session import Session, uids_of
from trivet import equal

PLAIN, CONDSTORE, QRESYNC = range(3)


def set_of(uids):
    """As short as it can be."""
    runs = []
    for u in sorted(uids):
        if runs and runs[-1][1] == u - 1:
            runs[-1][1] = u
        else:
            runs.append([u, u])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in runs)


def flags_of(words):
    return frozenset(w.decode().upper() for w in words) - {"\\RECENT"}


class Memory:
    """What a client has on its own disk."""

    def __init__(self):
        self.flags, self.validity, self.modseq = {}, None, None
        self.known_to = 0       # each message up to this UID was seen


class Client(Session):
    def __init__(self, site, user, level, memory=None):
        self.level = level
        self.memory = memory or Memory()
        self.highest, self.code, self.seen = 0, None, 0
        self.synchronised = False
        self.earlier = []       # UIDs of VANISHED (EARLIER)
        super().__init__(site, user)
        if level:
            self.ok("ENABLE QRESYNC" if level == QRESYNC else "ENABLE CONDSTORE")

    # ---- what is told ----

    def follow(self, r):
        command = self.commands[0] if self.commands else ""
        if r.kind == "VANISHED":
            self.vanished(r, command)
            return
        gone = None
        if r.kind == "EXPUNGE":
            equal(self.level < QRESYNC, True, "EXPUNGE after ENABLE QRESYNC")
            gone = self.uids[r.number - 1]
        super().follow(r)
        self.memory.flags.pop(gone, None)
        if r.kind == "FETCH":
            self.fetched(r, command)
        elif "modseq" in r.items:
            self.code = r.items["modseq"]

    def fetched(self, r, command):
        told = r.items
        if self.level and b"FLAGS" in told and "FETCH" not in command:
            # RFC 7162 3.2.4
            equal({b"UID", b"MODSEQ"} <= told.keys(), True, f"UID and MODSEQ in {r.octets!r}")
        uid = self.uids[r.number - 1]
        if uid is not None and b"FLAGS" in told:
            self.memory.flags[uid] = flags_of(told[b"FLAGS"])
        self.seen = max(self.seen, told.get(b"MODSEQ", 0))

    def vanished(self, r, command):
        equal(self.level, QRESYNC, "VANISHED without ENABLE QRESYNC")
        uids = uids_of(r.octets.split()[-1].decode())
        opening = command.startswith(("SELECT", "EXAMINE"))
        if b"(EARLIER)" in r.octets:
            equal(opening or "VANISHED" in command, True, f"VANISHED (EARLIER) within {command}")
            # RFC 7162 3.2.10.2: nothing that the session sees
            equal([u for u in uids if u in self.uids], [], "seen UIDs in VANISHED (EARLIER)")
            self.earlier += uids
        elif opening or command.startswith(("FETCH", "STORE", "SEARCH", "SORT", "THREAD")) or not command:
            raise AssertionError(f"VANISHED within {command}")
        else:
            for uid in uids:
                self.remove(uid)
        for uid in uids:
            self.memory.flags.pop(uid, None)

    def end(self, tag):
        answer = super().end(tag)
        # RFC 7162 6
        self.highest = self.code if self.code is not None else max(self.highest, self.seen)
        self.code, self.seen = None, 0
        if self.synchronised:
            self.memory.modseq = self.highest
        return answer

    # ---- coming and going ----

    def learn_new(self):
        """UIDs and flags of what it knows only from EXISTS."""
        while None in self.uids:
            before = [u for u in self.uids[:self.uids.index(None)]]
            self.ok(f"UID FETCH {before[-1] + 1 if before else 1}:* (FLAGS)")
        self.memory.known_to = max([self.memory.known_to, *self.uids])

    def come(self, how=""):
        """Selects INBOX; afterwards it knows it all. The answer of SELECT."""
        self.synchronised = False
        memory = self.memory
        self.earlier = []
        if self.level == QRESYNC and memory.modseq:
            answer = self.ok(f"SELECT INBOX (QRESYNC ({memory.validity} {memory.modseq}{self.known(how)}))")
        else:
            answer = self.ok("SELECT INBOX (CONDSTORE)" if self.level == CONDSTORE else "SELECT INBOX")
        validity = int(answer.code("UIDVALIDITY"))
        if memory.validity not in (None, validity):
            raise AssertionError(f"UIDVALIDITY was {memory.validity}, is {validity}")
        if memory.validity is None or self.level == PLAIN:
            memory.flags = {}
            if self.exists:
                self.ok("UID FETCH 1:* (FLAGS)")
        elif self.level == CONDSTORE:
            self.catch_up()
        elif self.exists != len(memory.flags):
            # Messages that were told of by EXISTS only, when it left, or that it did not ask for.
            self.ok(f"UID FETCH {memory.known_to + 1}:* (FLAGS)")
        memory.validity = validity
        self.place()
        self.synchronised = True
        memory.modseq = self.highest
        return answer

    def known(self, how):
        """The third and the fourth argument of QRESYNC."""
        uids = sorted(self.memory.flags)
        if not uids or not how:
            return ""
        if how == "uids":
            return f" 1:{max(uids)}"
        numbers = [i + 1 for i in range(0, len(uids), 3)]
        return f" ({set_of(numbers)} {set_of(uids[i - 1] for i in numbers)})"

    def catch_up(self):
        """RFC 7162 3.1.2.1, 3.2.1: what is gone by its UID, what changed by CHANGEDSINCE."""
        memory = self.memory
        there = set(self.ok("UID SEARCH ALL").found())
        for uid in set(memory.flags) - there:
            del memory.flags[uid]
        if self.exists:
            self.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {memory.modseq})")
            if there - set(memory.flags):
                self.ok(f"UID FETCH {memory.known_to + 1}:* (FLAGS)")

    def place(self):
        """The numbers of what it knows, which must be what it was told meanwhile."""
        uids = sorted(self.memory.flags)
        equal(len(uids), self.exists, f"messages known, {uids}, of {self.uids}")
        equal([u for u, told in zip(uids, self.uids) if told], [u for u in self.uids if u], "UIDs told")
        self.uids = uids
        self.memory.known_to = max([self.memory.known_to, *uids])

    def idle(self):
        self.idling = self.begin("IDLE")
        while self.response().kind != "+":
            pass

    def done(self):
        self.send(b"DONE\r\n")
        return self.end(self.idling)

    def drop_within(self, command, responses):
        """The connection is lost in the middle of an answer."""
        tag = self.begin(command)
        while responses > 0 and self.response().kind != tag:
            responses -= 1
        self.socket.close()


def modified_of(answer):
    """The numbers in [MODIFIED ...]."""
    found = re.match(r"\[MODIFIED ([0-9:,]+)\]", answer.text)
    return set(uids_of(found.group(1))) if found else set()
