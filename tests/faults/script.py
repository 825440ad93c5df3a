# SPDX-License-Identifier: ISC
"""The fixed work that is done while something fails, and what must be true afterwards.

Each answer of the server is a promise: of every message the script knows in which folders it may be. What is
refused must be refused for now only. Whatever the server did not answer may be or not be.
"""

import contextlib
import glob
import os
import re
import time

from lines import Broken, Gone, Imap, Pop3, Refused, RefusedAtEnd, Smtp
from machine import wait_for

HEALED = 30             # seconds until the server must be in service again
KEPT = 40               # seconds until what was promised must be there
SMALL, MIDDLE, LARGE = 900, 70_000, 300_000
SEEDS = 34              # copied with one command: more than what the store does in one transaction
SEVERAL = 5             # appended with one command


def with_folder(state, folder):
    return tuple(sorted(state + (folder,)))


def without(state, folder):
    rest = list(state)
    if folder in rest:
        rest.remove(folder)
    return tuple(rest)


class Round:
    """One run of the script on a site, and its promises."""

    numbers = iter(range(1, 10 ** 9))

    def __init__(self, site, on_promise=None, blind=False, keeps=False):
        """blind: a file may be unreadable; who searches then does not find it."""
        self.site = site
        self.blind = blind
        self.keeps = keeps      # expunged mail is kept: it is in the folder "Kept" then
        self.name = f"{os.getpid()}-{next(self.numbers)}"
        self.may = {}           # (user, Message-ID) to the set of folders it may be in, each a sorted tuple
        self.uids = {}          # (user, folder, Message-ID) to the UID that was told
        self.flags = {}         # (user, folder, uid) to flags that were answered OK
        self.folders = {}       # (user, folder) to "yes", "no" or "perhaps"
        self.seen = {}          # folder to the Message-IDs that were found there
        self.counts = {}        # folder of user1 to how many may be in it: all that were copied there, or none
        self.counted = {}
        self.refused = []
        self.acted = set()      # (user, Message-ID) that something was done to
        self.again = []         # (Message-ID, users, octets) that were not answered with 250
        self.on_promise = on_promise or (lambda text: None)
        self.smtp = None

    # -- promises --

    def octets(self, mid, size):
        line = "".join(chr(97 + (n + len(mid)) % 26) for n in range(70)) + "\r\n"
        return (f"From: sender@elsewhere.test\r\nTo: list@example.test\r\nMessage-ID: <{mid}>\r\n"
                f"Subject: {mid}\r\n\r\nword {mid}\r\n{line * (size // len(line) + 1)}").encode()[:-2]

    def change(self, user, mid, step, outcome):
        """The states that a message may be in become those after the step; outcome: ok, no, gone."""
        now = self.may.get((user, mid), {()})
        if outcome == "ok":
            now = {step(s) for s in now}
        elif outcome == "gone":
            now = now | {step(s) for s in now}
        self.may[user, mid] = now

    def tried(self, action):
        """("ok", its result), or how it ended."""
        try:
            return "ok", action()
        except (Gone, RefusedAtEnd) as e:
            self.refused += [str(a) for a in e.args]
            return "gone", None
        except Refused as e:
            self.refused.append(str(e))
            return "no", None

    def promise(self):
        self.on_promise(self)

    def expunged(self, state, folder="INBOX"):
        rest = without(state, folder)
        return with_folder(rest, "Kept") if self.keeps and rest != state else rest

    # -- the work --

    def deliver(self, mid, users, size):
        mid = f"{mid}.{self.name}"
        octets = self.octets(mid, size)
        if self.smtp is None:
            outcome, self.smtp = self.tried(lambda: Smtp(self.site))
            if outcome != "ok":
                for user in users:
                    self.change(user, mid, lambda s: s, "no")
                return
        outcome, taken = self.tried(lambda: self.smtp.send(users, octets))
        for user in users:
            its = "no" if outcome == "ok" and user not in taken else outcome
            self.change(user, mid, lambda s: with_folder(s, "INBOX"), its)
        if outcome != "ok":
            self.again.append((mid, users, octets))
        self.promise()
        if outcome != "ok":
            self.smtp.close()
            self.smtp = None

    def told_uid(self, user, folder, mid, answer):
        found = re.search(rb"\[APPENDUID (\d+) (\d+)\]|COPYUID (\d+) \d+ (\d+)\]", answer)
        if found:
            self.uids[user, folder, mid] = int(found[2] or found[4])

    def imap_work(self, c):
        """Every step is tried where the one before left its message."""
        user = "user1"
        self.tried(lambda: c.ask("CREATE Box", there_is_one=True))
        append, copy = f"append.{self.name}", f"append2.{self.name}"
        for mid, folder, size in ((append, "INBOX", SMALL), (copy, "Box", LARGE)):
            outcome, answer = self.tried(lambda m=mid, f=folder, s=size:
                                         c.ask(f"APPEND {f} (\\Seen $Label1)", self.octets(m, s)))
            self.change(user, mid, lambda s, f=folder: with_folder(s, f), outcome)
            if outcome == "ok":
                self.told_uid(user, folder, mid, answer[1])
            self.promise()
            if outcome == "gone":
                raise Gone()
        outcome, _ = self.tried(lambda: c.select("INBOX"))
        if outcome != "ok":
            return outcome
        outcome, found = self.tried(c.messages)
        if outcome != "ok":
            return outcome
        outcome, _ = self.tried(lambda: self.search_work(c, found))
        if outcome == "gone":
            return outcome
        steps = [
            (append, "UID STORE {} +FLAGS (\\Flagged $Label2)", None, {"\\Flagged", "$Label2"}),
            (append, "UID COPY {} Box", lambda s: with_folder(s, "Box"), None),
            (f"small.{self.name}", "UID MOVE {} Box", lambda s: with_folder(without(s, "INBOX"), "Box"), None),
            (f"large.{self.name}", "UID STORE {} +FLAGS (\\Deleted)", None, {"\\Deleted"}),
            (f"large.{self.name}", "UID EXPUNGE {}", self.expunged, None),
        ]
        deleted = False
        for mid, command, step, flags in steps:
            if mid not in found or ("EXPUNGE" in command and not deleted):
                continue
            uid = found[mid][0][0]
            outcome, answer = self.tried(lambda k=command, u=uid: c.ask(k.format(u)))
            if step:
                self.acted.add((user, mid))
                self.change(user, mid, step, outcome)
            if step and outcome == "ok" and "EXPUNGE" not in command:
                self.told_uid(user, "Box", mid, b" ".join(answer[0] + [answer[1]]))
            if flags and outcome == "ok":
                self.flags[user, "INBOX", uid] = flags
                deleted = deleted or "\\Deleted" in flags
            self.promise()
            if outcome == "gone":
                return outcome
        for work in (self.many_work, self.append_work):
            outcome = work(c, user)
            if outcome == "gone":
                return outcome
        return self.folder_work(c, user)

    def sow(self):
        """What many_work copies."""
        c = Imap(self.site, "user1")
        c.ask("CREATE Seed", there_is_one=True)
        for n in range(SEEDS):
            c.ask("APPEND Seed", self.octets(f"seed{n}", SMALL))
        c.close()

    def many_work(self, c, user):
        """COPY and MOVE of many do all or nothing."""
        copied, moved = f"Copied-{self.name}", f"Moved-{self.name}"
        outcome, answer = self.tried(lambda: c.ask('LIST "" Seed'))
        if outcome != "ok" or not answer[0]:
            return outcome
        for folder in (copied, moved):
            outcome, _ = self.tried(lambda f=folder: c.ask(f"CREATE {f}"))
            if outcome != "ok":
                return outcome
        outcome, _ = self.tried(lambda: c.select("Seed"))
        if outcome != "ok":
            return outcome
        outcome, _ = self.tried(lambda: c.ask(f"UID COPY 1:* {copied}"))
        self.counts[copied] = {"ok": {SEEDS}, "no": {0}, "gone": {0, SEEDS}}[outcome]
        self.promise()
        if outcome != "ok":
            return outcome
        outcome, _ = self.tried(lambda: c.select(copied))
        if outcome != "ok":
            return outcome
        outcome, _ = self.tried(lambda: c.ask(f"UID MOVE 1:* {moved}"))
        self.counts[copied] = {"ok": {0}, "no": {SEEDS}, "gone": {0, SEEDS}}[outcome]
        self.counts[moved] = {"ok": {SEEDS}, "no": {0}, "gone": {0, SEEDS}}[outcome]
        self.promise()
        return outcome

    def append_work(self, c, user):
        """APPEND of many does all or nothing (RFC 3502); REPLACE leaves one of the two (RFC 8508)."""
        box, draft, sent = (f"{word}-{self.name}" for word in ("Several", "Draft", "Sent"))
        for folder in (box, draft, sent):
            outcome, _ = self.tried(lambda f=folder: c.ask(f"CREATE {f}"))
            if outcome != "ok":
                return outcome
        mids = [f"several{n}.{self.name}" for n in range(SEVERAL)]
        outcome, _ = self.tried(lambda: c.ask(f"APPEND {box}", *(self.octets(mid, SMALL) for mid in mids)))
        self.counts[box] = {"ok": {SEVERAL}, "no": {0}, "gone": {0, SEVERAL}}[outcome]
        self.promise()
        if outcome == "gone":
            return outcome
        old = f"draft0.{self.name}"
        outcome, answer = self.tried(lambda: c.ask(f"APPEND {draft} (\\Draft)", self.octets(old, SMALL)))
        self.change(user, old, lambda s: with_folder(s, draft), outcome)
        if outcome != "ok":
            return outcome
        self.told_uid(user, draft, old, answer[1])
        outcome, _ = self.tried(lambda: c.select(draft))
        self.counts[draft] = {1}
        for n, folder in ((1, draft), (2, sent)):
            if outcome != "ok":
                break
            new = f"draft{n}.{self.name}"
            outcome, answer = self.tried(lambda f=folder, m=new: c.ask(f"REPLACE 1 {f}", self.octets(m, MIDDLE)))
            self.change(user, old, lambda s: self.expunged(s, draft), outcome)
            self.change(user, new, lambda s, f=folder: with_folder(s, f), outcome)
            if outcome == "ok":
                self.told_uid(user, folder, new, b" ".join(answer[0]))
                old = new
            if folder == sent and outcome != "no":
                self.counts[draft] = {0} if outcome == "ok" else {0, 1}
                self.counts[sent] = {1} if outcome == "ok" else {0, 1}
            self.promise()
        return outcome

    def search_work(self, c, found):
        """Nothing is too many and nothing is missing, whatever of search.db could not be read or written."""
        everything = {uid for copies in found.values() for uid, _ in copies}
        for mid, copies in found.items():
            if mid.endswith(self.name):
                self.expect(c, f'UID SEARCH BODY "word {mid}"', {uid for uid, _ in copies})
        self.expect(c, f"UID SEARCH HEADER Message-ID {self.name}>",
                    {uid for mid, copies in found.items() for uid, _ in copies if mid.endswith(self.name)})
        self.expect(c, "UID SORT (SUBJECT DATE) UTF-8 ALL", everything)
        self.expect(c, "UID THREAD REFERENCES UTF-8 ALL", everything)

    def expect(self, c, command, wanted):
        lines, _ = c.ask(command)
        uids = {int(n) for line in lines if line.startswith((b"* SEARCH", b"* SORT", b"* THREAD"))
                for n in re.findall(rb"\d+", line)}
        late = {uid for uid in uids if uid > max(wanted, default=0)}     # delivered meanwhile
        if uids - late != wanted and not (self.blind and uids - late < wanted):
            raise Broken(f"{command}: {sorted(uids)} instead of {sorted(wanted)}")

    def folder_work(self, c, user):
        """A folder with a message is renamed, another one is deleted."""
        old, new, gone = (f"{word}-{self.name}" for word in ("Old", "New", "Gone"))
        for folder in (old, gone):
            outcome, _ = self.tried(lambda f=folder: c.ask(f"CREATE {f}"))
            self.folders[user, folder] = {"ok": "yes", "no": "no", "gone": "perhaps"}[outcome]
            if outcome != "ok":
                return outcome
            mid = f"in{folder}.{self.name}"
            outcome, answer = self.tried(lambda f=folder, m=mid: c.ask(f"APPEND {f}", self.octets(m, SMALL)))
            self.change(user, mid, lambda s, f=folder: with_folder(s, f), outcome)
            if outcome == "ok":
                self.told_uid(user, folder, mid, answer[1])
            self.promise()
            if outcome == "gone":
                return outcome
        self.tried(lambda: c.ask(f"SUBSCRIBE {old}"))
        outcome, _ = self.tried(lambda: c.ask(f"RENAME {old} {new}"))
        self.folders[user, old] = {"ok": "no", "no": "yes", "gone": "perhaps"}[outcome]
        self.folders[user, new] = {"ok": "yes", "no": "no", "gone": "perhaps"}[outcome]
        self.change(user, f"in{old}.{self.name}", lambda s: tuple(new if f == old else f for f in s), outcome)
        self.promise()
        if outcome == "gone":
            return outcome
        outcome, _ = self.tried(lambda: c.ask(f"DELETE {gone}"))
        self.folders[user, gone] = {"ok": "no", "no": "yes", "gone": "perhaps"}[outcome]
        self.change(user, f"in{gone}.{self.name}", lambda s: self.expunged(s, gone), outcome)
        self.promise()
        if outcome == "gone":
            return outcome
        self.tried(lambda: c.ask("LOGOUT"))
        return "ok"

    def rename_inbox(self):
        """RFC 3501 6.3.5: its messages move, it stays."""
        user, mid, saved = "user3", f"many.{self.name}", f"Saved-{self.name}"
        c = Imap(self.site, user)
        try:
            c.select("INBOX")
            there = mid in c.messages()     # else it may come later
            outcome, _ = self.tried(lambda: c.ask(f"RENAME INBOX {saved}"))
            # A disk that stays full keeps us from taking the new folder away again.
            self.folders[user, saved] = "yes" if outcome == "ok" else "perhaps"
            if there:
                self.acted.add((user, mid))
                self.change(user, mid, lambda s: tuple(saved if f == "INBOX" else f for f in s), outcome)
            self.promise()
        finally:
            c.close()

    def pop3_work(self):
        """Deletes the message of middle size, by UIDL and TOP."""
        user, mid = "user2", f"middle.{self.name}"
        c = Pop3(self.site, user)
        try:
            count = int(c.ask("STAT").split()[1])
            for n in range(count, 0, -1):
                if any(mid.encode() in line for line in c.lines(f"TOP {n} 0")):
                    c.ask(f"DELE {n}")
                    outcome, _ = self.tried(lambda: c.ask("QUIT"))
                    self.acted.add((user, mid))
                    self.change(user, mid, self.expunged, outcome)
                    self.promise()
                    break
        finally:
            c.close()

    def imap_session(self):
        c = Imap(self.site, "user1")
        try:
            self.imap_work(c)
        finally:
            c.close()

    def play(self):
        self.deliver("small", ["user1"], SMALL)
        self.deliver("many", ["user1", "user2", "user3"], SMALL)
        self.deliver("large", ["user1"], LARGE)
        self.deliver("middle", ["user2"], MIDDLE)
        self.tried(self.imap_session)
        self.tried(self.pop3_work)
        self.tried(self.rename_inbox)
        self.deliver("late", ["user1", "user2"], SMALL)
        if self.smtp:
            self.tried(lambda: self.smtp.ask(b"QUIT\r\n"))
            self.smtp.close()

    # -- what must be true --

    def in_service(self):
        """Mail is taken, read and fetched again."""
        try:
            c = Smtp(self.site)
            c.send(["user4"], self.octets(f"alive.{self.name}", SMALL))
            c.close()
            c = Imap(self.site, "user4")
            c.select("INBOX")
            c.close()
            c = Pop3(self.site, "user4")
            c.ask("STAT")
            c.close()
            return True
        except (Gone, Refused):
            return False

    def wait_for_service(self):
        if not wait_for(HEALED, self.in_service, 0.02):
            raise Broken(f"not in service {HEALED} s after the fault")

    def send_again(self):
        """As a sender does that heard no 250: in the end each is there, once."""
        for mid, users, octets in self.again:
            if any((user, mid) in self.acted for user in users):
                continue        # it was there, and has been moved or removed
            if not wait_for(HEALED, lambda u=users, o=octets: self.is_taken(u, o), 0.1):
                raise Broken(f"{mid} is not taken for {users}")
            for user in users:
                self.may[user, mid] = {("INBOX",)}

    def is_taken(self, users, octets):
        try:
            c = Smtp(self.site)
            try:
                return c.send(users, octets) == users
            finally:
                c.close()
        except (Gone, Refused):
            return False

    def look(self):
        """{(user, Message-ID): folders}, {(user, folder, uid): flags}, {(user, folder, Message-ID): uids}, folders."""
        where, flags, uids, folders = {}, {}, {}, set()
        for user in ("user1", "user2", "user3"):
            c = Imap(self.site, user)
            try:
                lines, _ = c.ask('LIST "" *')
                names = {line.split()[-1].strip(b'"').decode() for line in lines}
                folders |= {(user, name) for name in names}
                places = {name: name for name in {"INBOX", *names} if name in ("INBOX", "Box") or name.endswith(self.name)}
                for real, folder in {**places, **self.kept_places(c)}.items():
                    c.select(f'"{real}"')
                    found = c.messages()
                    self.counted[folder] = sum(len(copies) for copies in found.values())
                    self.seen[folder] = set(found)
                    for mid, copies in found.items():
                        if not mid.endswith(self.name):
                            continue
                        where[user, mid] = tuple(sorted(where.get((user, mid), ()) + (folder,) * len(copies)))
                        for uid, its in copies:
                            flags[user, folder, uid] = its
                            uids.setdefault((user, folder, mid), []).append(uid)
            finally:
                c.close()
        return where, flags, uids, folders

    def kept_places(self, c):
        """Real names of what is kept, all "Kept" in promises."""
        if not self.keeps:
            return {}
        lines, _ = c.ask('LIST "" "Recently Deleted/*"')
        names = [line.split(b'"/" ')[-1].strip().strip(b'"').decode() for line in lines]
        return {name: "Kept" for name in names if name.endswith(("/INBOX", self.name))}

    def faults(self):
        """What is not as it was promised, in words; None: could not be looked at."""
        try:
            where, flags, uids, folders = self.look()
        except (Gone, Refused):
            return None
        found = []
        for (user, mid), states in self.may.items():
            if where.get((user, mid), ()) not in states:
                found.append(f"{mid} of {user} is in {where.get((user, mid), ())}, not in one of {sorted(states)}")
        for (user, folder, mid), uid in self.uids.items():
            if uid not in uids.get((user, folder, mid), [uid]):
                found.append(f"{mid} in {folder} of {user} has the UIDs {uids[user, folder, mid]}, was told {uid}")
        for key, its in self.flags.items():
            if key in flags and not its <= flags[key]:
                found.append(f"{key} has the flags {flags[key]}, was told {its}")
        for folder, numbers in self.counts.items():
            if self.counted.get(folder, 0) not in numbers:
                found.append(f"{folder} has {self.counted.get(folder, 0)} messages, not {sorted(numbers)}")
        for key, word in self.folders.items():
            if word != "perhaps" and (key in folders) != (word == "yes"):
                found.append(f"the folder {key}: there {key in folders}, was told {word}")
        return found

    def check(self):
        """Waits until all is as it was promised: what could not be delivered at once is tried again later."""
        began = time.monotonic()
        turned = 0.3
        while True:
            found = self.faults()
            if found == []:
                return
            if time.monotonic() - began > KEPT:
                raise Broken("; ".join(found) if found else "cannot be looked at")
            if time.monotonic() - began > turned:
                self.site.turn_clock(self.site.clock() + 31 * 60)
                turned += 1
            time.sleep(0.02)

    # -- after it --

    def sweep(self):
        """Empties the mailboxes."""
        for user in ("user1", "user2", "user3", "user4"):
            c = Imap(self.site, user)
            lines, _ = c.ask('LIST "" *')
            for line in lines:
                folder = line.split()[-1].strip(b'"').decode()
                if folder == "Seed":
                    continue
                if folder in ("INBOX", "Box"):
                    c.select(folder)
                    c.ask("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
                    c.ask("EXPUNGE")
                else:
                    c.ask(f"DELETE {folder}")
            c.close()
            for path in glob.glob(f"{self.site.maildir(user)}/trivet-deleted/**/cur/*", recursive=True) if self.keeps else ():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
