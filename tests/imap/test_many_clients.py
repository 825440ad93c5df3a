# SPDX-License-Identifier: ISC
"""Many clients of all kinds on one mailbox, and an oracle that knows what is true.

A script at random, the same for each seed: STORE with and without conditions, APPEND, COPY, MOVE, EXPUNGE, deliveries by file, flags in files' names, DELE by
POP3, clients that lose their connection in the middle of an answer and come back; in the long run keepers that are killed with a
STORE under way, and an index that is lost. After it, and now and then, every view is the truth; who comes back knows all
that happened, and by QRESYNC is told of nothing else.

RFC 7162 3.1, 3.1.3, 3.1.11, 3.1.12, 3.2, 3.2.4, 3.2.5.1, 3.2.5.2, 3.2.6, 3.2.10.2, 6; RFC 3501 7.4.1; RFC 8508 4.5. TRIVET_TEST_SEED adds a seed.
"""

import glob
import itertools
import os
import random
import re
import select
import time

from imap_session import Plus, Session
from resyncing import CONDSTORE, PLAIN, QRESYNC, Client, flags_of, modified_of, set_of, uids_of
from trivet import drop, equal, kill_keepers, only_long, pop3, seconds, slow_build, wait_until

DAEMONS = ("imapd", "pop3d")
SYSTEM = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft")
SHARED = SYSTEM + ("\\Deleted", "$Work", "Later")
MOST = 60               # messages; above it more of them go than come
TOLD_SECONDS = 10
LETTERS = {"\\DRAFT": "D", "\\FLAGGED": "F", "\\ANSWERED": "R", "\\SEEN": "S", "\\DELETED": "T"}
KINDS = {"plain": PLAIN, "condstore": CONDSTORE, "qresync": QRESYNC, "idle": CONDSTORE, "idleq": QRESYNC, "away": QRESYNC}
users = itertools.count(1)


def upper(flags):
    return frozenset(f.upper() for f in flags)


class Truth:
    """What the mailbox holds; of each message between which two modseqs its last change lies (above the first)."""

    def __init__(self):
        self.flags, self.when, self.gone = {}, {}, {}
        self.modseq = 1
        self.renewed = 0        # the index was lost: what is older is not known any more

    def touch(self, uids, before, after):
        for uid in uids:
            self.when[uid] = (before, after)

    def remove(self, uids, before, after):
        for uid in uids:
            del self.flags[uid]
            self.when.pop(uid, None)
            self.gone[uid] = (before, after)


class Script:
    def __init__(self, site, seed, hard=False):
        self.random = random.Random(seed)
        self.site, self.user, self.hard = site, next(users), hard
        self.truth, self.mails, self.burst = Truth(), 0, False
        self.observer = None
        self.memories, self.online, self.idling = {}, {}, set()
        self.told = {"resyncs": 0, "messages": 0, "kills": 0, "lost": 0}
        self.look()
        self.observer.ok("CREATE Other")
        for _ in range(5):
            self.op_append(self.observer)
        for name in KINDS:
            self.come(name)

    # ---- tools ----

    def look(self):
        """(modseq before, modseq now)"""
        if self.observer is None:
            self.observer = Session(self.site, self.user)
        before = self.truth.modseq
        now = self.observer.ok("STATUS INBOX (HIGHESTMODSEQ)").status()["HIGHESTMODSEQ"]
        if now < before:
            raise AssertionError(f"HIGHESTMODSEQ fell from {before} to {now}")
        self.truth.modseq = now
        return before, now

    def changed(self, uids):
        """An operation has just changed these; RFC 7162 3.1: with a modseq of its own, and only then."""
        before, now = self.look()
        equal(now > before, len(uids) > 0, f"a new modseq, {before} {now}, for the change of {sorted(uids)}")
        return before, now

    def some(self, values, most=4):
        values = list(values)
        return self.random.sample(values, min(len(values), self.random.randint(1, most)))

    def mail(self):
        self.mails += 1
        return b"Subject: number %d\r\n\r\n%s\r\n" % (self.mails, b"x" * self.random.randrange(200))

    def client(self):
        """One that is not idling, or leaves off."""
        name = self.random.choice(list(self.online))
        self.leave_off(name)
        return self.online[name]

    def leave_off(self, name):
        if name in self.idling:
            self.idling.discard(name)
            self.online[name].done()
            self.online[name].learn_new()

    def check_modseqs(self, answer):
        """What FETCH tells is what the oracle knows."""
        for r in answer.of("FETCH"):
            uid, modseq = r.items.get(b"UID"), r.items.get(b"MODSEQ")
            before, after = self.truth.when.get(uid, (0, None))
            if modseq and after and not before < modseq <= after:
                raise AssertionError(f"UID {uid} changed in {before + 1}:{after}, told is {r.octets!r}")

    # ---- changes ----

    def op_append(self, client=None):
        client = client or self.client()
        flags = self.random.sample(SYSTEM, self.random.randrange(3))
        uid = client.append("INBOX", self.mail(), f"({' '.join(flags)}) ")
        self.arrived({uid: upper(flags)})
        if client is not self.observer:
            client.learn_new()

    def arrived(self, flags):
        before, now = self.changed(flags)
        for uid, words in flags.items():
            equal(uid in self.truth.flags or uid in self.truth.gone, False, f"UID {uid} was used before")
            self.truth.flags[uid] = words
        self.truth.touch(flags, before, now)

    def op_delivery(self):
        """A file that another program puts there."""
        letters, flags = self.random.choice(((None, ()), (":2,S", ("\\Seen",)), (":2,FR", ("\\Flagged", "\\Answered"))))
        drop(self.site, self.user, self.mail(), "cur" if letters else "new", flags=letters or "")
        with Session(self.site, self.user) as reader:
            def is_there():
                return reader.ok("SELECT INBOX").number("EXISTS") == len(self.truth.flags) + 1
            wait_until("the file is a message", is_there)
            told = reader.ok("FETCH * (UID FLAGS)").items()
        equal(flags_of(told[b"FLAGS"]), upper(flags), "flags of the file's name")
        self.arrived({told[b"UID"]: upper(flags)})

    def op_outside(self):
        """Another program sets a flag in a file's name, once that says what the row does."""
        chosen = self.some([u for u, flags in self.truth.flags.items() if "\\ANSWERED" not in flags] or [0], 1)[0]
        if not chosen:
            return
        letters = "".join(sorted(LETTERS[f] for f in self.truth.flags[chosen] if f in LETTERS))
        place = f"{self.site.maildir(f'user{self.user}')}/cur"

        def name():
            return next((n for n in os.listdir(place) if re.search(rf",U={chosen}:2,{letters}(?![DFPRST])", n)), None)
        wait_until(f"the name of {chosen} has {letters}", name)
        base, _, have = name().partition(":2,")
        os.rename(f"{place}/{base}:2,{have}", f"{place}/{base}:2,{''.join(sorted(have + 'R'))}")
        wait_until("the flag is seen", lambda: "\\ANSWERED" in self.read()[chosen])
        self.truth.flags[chosen] |= {"\\ANSWERED"}
        self.truth.touch([chosen], *self.changed([chosen]))

    def op_dele(self):
        """By POP3."""
        p = pop3(self.site, self.user)
        uids = sorted(self.truth.flags)
        equal(p.stat()[0], len(uids), "messages by POP3")
        numbers = self.some(range(1, len(uids) + 1), 3)
        for n in numbers:
            p.dele(n)
        p.quit()
        self.gone([uids[n - 1] for n in numbers])

    def gone(self, uids):
        before, now = self.changed(uids)
        self.truth.remove(uids, before, now)

    def targets(self, client):
        """(UID or nothing, the set as it is sent, UIDs): what the client knows."""
        known = [u for u in client.uids if u]
        chosen = self.some(known, 6) if self.random.random() < 0.8 else known
        if self.random.random() < 0.5:
            return "UID ", set_of(chosen), chosen
        return "", set_of(client.uids.index(u) + 1 for u in chosen), chosen

    def apply(self, verb, flags, words):
        if verb == "+":
            return flags | words
        return flags - words if verb == "-" else frozenset(words)

    def op_store(self):
        client = self.client()
        if not client.exists:
            return
        uid, numbers, chosen = self.targets(client)
        verb, silent = self.random.choice("+-+- ").strip(), self.random.choice(("", ".SILENT"))
        words, since, condition = self.random.sample(SHARED, self.random.randint(1, 2)), None, ""
        if client.level and self.random.random() < 0.4:
            since = max(1, client.memory.modseq - self.random.choice((0, 0, 1, 5)))
            condition = f"(UNCHANGEDSINCE {since}) "
        client.memory_before = dict(client.memory.flags)
        answer = client.do(f"{uid}STORE {numbers} {condition}{verb}FLAGS{silent} ({' '.join(words)})")
        alive = [u for u in chosen if u in self.truth.flags]
        # RFC 2180 4.2: who wants to see what it set is told that some are gone.
        equal(answer.word, "NO" if len(alive) < len(chosen) and not uid and not silent else "OK", answer.text)
        passed = self.passed(client, answer, uid, alive, verb, upper(words), since)
        self.stored(client, passed, verb, upper(words), silent)
        self.check_modseqs(answer)
        if since is not None:
            told = {r.items.get(b"UID") for r in answer.of("FETCH") if b"MODSEQ" in r.items}
            equal(set(alive) - told, set(), f"each MODSEQ told, silent or not, of {alive}")
        client.learn_new()

    def passed(self, client, answer, uid, alive, verb, words, since):
        """
        RFC 7162 3.1.3: who was changed since is left alone and named, nobody else; 3.1.12: but where only other flags changed,
        of which the client knows nothing, it may pass.
        """
        known = client.memory_before
        modified = modified_of(answer)
        if not uid:
            modified = {client.uids[n - 1] for n in modified}
        equal(modified <= set(alive), True, f"modified, {modified}, of {alive}")
        for u in alive:
            before, after = self.truth.when[u]
            if since is None or after <= since:
                equal(u in modified, False, f"UID {u}, changed at {after}, not since {since}")
            elif before >= since and (not verb or known[u] & words != self.truth.flags[u] & words):
                equal(u in modified, True, f"UID {u}, changed after {before}, so since {since}")
        return [u for u in alive if u not in modified]

    def stored(self, client, passed, verb, words, silent):
        changed = {u: new for u in passed if (new := self.apply(verb, self.truth.flags[u], words)) != self.truth.flags[u]}
        self.truth.flags.update(changed)
        self.truth.touch(changed, *self.changed(changed))
        for u in passed:
            if silent and u in client.memory.flags:
                client.memory.flags[u] = self.apply(verb, client.memory.flags[u], words)

    def op_replace(self):
        """RFC 8508 4.5: the old one goes as by UID EXPUNGE."""
        client = self.client()
        chosen = self.some([u for u in client.uids if u in self.truth.flags], 1)
        if not chosen:
            return
        answer = client.ok(f"UID REPLACE {chosen[0]} INBOX (\\Draft) ", Plus(self.mail()))
        before, now = self.look()
        self.truth.remove(chosen, before, now)
        new = int(answer.code("APPENDUID").split()[1])
        self.truth.flags[new] = upper(["\\Draft"])
        self.truth.touch([new], before, now)
        equal(chosen[0] in client.uids, False, "what it replaced")
        client.learn_new()

    def op_read(self):
        """A body, which sets \\Seen."""
        client = self.client()
        if not client.exists:
            return
        uid, numbers, chosen = self.targets(client)
        answer = client.do(f"{uid}FETCH {numbers} BODY[TEXT]<0.1>")
        changed = {u: self.truth.flags[u] | {"\\SEEN"} for u in chosen
                   if u in self.truth.flags and "\\SEEN" not in self.truth.flags[u]}
        self.truth.flags.update(changed)
        self.truth.touch(changed, *self.changed(changed))
        self.check_modseqs(answer)
        client.learn_new()

    def op_expunge(self):
        client = self.client()
        doomed = [u for u in client.uids if u and "\\DELETED" in self.truth.flags.get(u, ())]
        if self.random.random() < 0.5:
            doomed = self.some(doomed) if doomed else []
            if not doomed:
                return
            answer = client.ok(f"UID EXPUNGE {set_of(doomed)}")
        else:
            answer = client.ok("EXPUNGE")
        if client.level == QRESYNC and doomed:
            # RFC 7162 3.2.7, 3.2.9
            equal(answer.tagged.items.get("modseq"), client.highest, "HIGHESTMODSEQ in the tagged OK")
        equal(set(doomed) & set(client.uids), set(), "what it expunged")
        self.gone(doomed)
        client.learn_new()

    def op_move(self):
        client = self.client()
        if not client.exists:
            return
        uid, numbers, chosen = self.targets(client)
        answer = client.do(f"{uid}MOVE {numbers} Other")
        alive = [u for u in chosen if u in self.truth.flags]
        if answer.word == "OK":
            equal(set(uids_of((answer.code("COPYUID") or "0 0 0").split()[1])) - {0}, set(alive), "what was moved")
            self.gone(alive)
        else:
            equal(len(alive) < len(chosen), True, answer.text)
            self.look()
        client.learn_new()

    def op_copy(self):
        """Into the mailbox itself."""
        client = self.client()
        chosen = self.some([u for u in client.uids if u], 3)
        if not chosen or len(self.truth.flags) > MOST:
            return
        answer = client.do(f"UID COPY {set_of(chosen)} INBOX")
        alive = [u for u in chosen if u in self.truth.flags]
        if answer.word != "OK":
            equal(len(alive) < len(chosen), True, answer.text)
            return
        if alive:
            _, source, target = answer.code("COPYUID").split()
            self.arrived({new: self.truth.flags[old] for old, new in zip(uids_of(source), uids_of(target))})
        client.learn_new()

    def op_close(self):
        """CLOSE expunges, and tells nothing."""
        client = self.client()
        doomed = [u for u in client.uids if u and "\\DELETED" in self.truth.flags.get(u, ())]
        client.learn_new()
        client.synchronised = False
        equal(client.ok("CLOSE").untagged, [], "CLOSE")
        self.gone(doomed)
        self.resync(client)

    # ---- looking ----

    def op_noop(self):
        client = self.client()
        self.check_modseqs(client.ok("NOOP"))
        client.learn_new()

    def op_changed(self):
        """CHANGEDSINCE, VANISHED and SEARCH MODSEQ find what the oracle knows."""
        client = self.client()
        if not client.level or not client.exists:
            return
        client.ok("NOOP")
        client.learn_new()
        since = max(1, self.truth.modseq - self.random.randrange(12))
        vanished = client.level == QRESYNC
        client.earlier = []
        answer = client.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {since}{' VANISHED' if vanished else ''})")
        self.check_told({r.items[b"UID"] for r in answer.of("FETCH")}, since, self.truth.when, "CHANGEDSINCE")
        if vanished:
            self.check_told(set(client.earlier), since, self.truth.gone, "VANISHED")
        found = client.ok(f"UID SEARCH MODSEQ {since + 1}").of("SEARCH")[0].octets.split(b" (")[0].split()[2:]
        self.check_told({int(n) for n in found}, since, self.truth.when, "SEARCH MODSEQ")

    def check_told(self, told, since, when, what):
        """All that came after `since`, and nothing that came before."""
        must = {u for u, (before, after) in when.items() if before >= since}
        may = {u for u, (before, after) in when.items() if after > since}
        if since < self.truth.renewed:
            may = set(when) | (set(range(1, max(self.truth.gone, default=0) + 1)) - set(self.truth.flags) if what == "VANISHED" else set())
        if not must <= told <= may:
            raise AssertionError(f"{what} {since}: {sorted(told)}, missing {sorted(must - told)}, not asked for {sorted(told - may)}")

    # ---- coming, going, idling ----

    def op_idle(self):
        for name in ("idle", "idleq"):
            if name in self.online and name not in self.idling:
                self.online[name].learn_new()
                self.online[name].idle()
                self.idling.add(name)

    def op_leave(self):
        """Some go with words, some without, some in the middle of an answer."""
        if len(self.online) < 3:
            return
        name = self.random.choice(list(self.online))
        client, how = self.online.pop(name), self.random.randrange(4)
        if name in self.idling or how == 0:
            self.idling.discard(name)
            client.socket.close()
        elif how == 1 or not client.exists:
            client.ok("LOGOUT")
            client.socket.close()
        else:
            command = self.random.choice(("NOOP", "UID FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS MODSEQ)" if client.level else "NOOP"))
            client.drop_within(command, self.random.randrange(5))
        self.memories[name] = client.memory

    def op_come(self):
        away = [n for n in KINDS if n not in self.online]
        if away:
            self.come(self.random.choice(away))

    def come(self, name):
        client = Client(self.site, self.user, KINDS[name], self.memories.get(name))
        self.online[name] = client
        self.resync(client)

    def resync(self, client):
        """After SELECT it knows the truth; by QRESYNC nothing else was told."""
        since, how = client.memory.modseq, self.random.choice(("", "uids", "match"))
        known_to = max(client.memory.flags, default=0)
        if not known_to:
            how = ""        # an empty set cannot be said
        answer = client.come(how)
        self.told["resyncs"] += 1
        equal(client.memory.flags, self.truth.flags, "what it knows when it is back")
        equal(client.uids, sorted(self.truth.flags), "UIDs when it is back")
        if client.level < QRESYNC or not since:
            return
        told = {r.items[b"UID"] for r in answer.of("FETCH")}
        self.told["messages"] += len(told)
        when = {u: w for u, w in self.truth.when.items() if how != "uids" or u <= known_to}
        self.check_told(told, since, when, "QRESYNC")
        if how == "":
            self.check_told(set(client.earlier), since, self.truth.gone, "VANISHED")
        self.check_modseqs(answer)

    def op_again(self):
        """Who knows all is told nothing when it selects anew."""
        client = self.client()
        if client.level < QRESYNC:
            return
        client.ok("NOOP")
        client.learn_new()
        equal(client.memory.modseq, self.truth.modseq, "the modseq of a client that was told all")
        answer = client.come()
        equal(answer.of("FETCH") + answer.of("VANISHED"), [], "news for who knows all")

    def op_held(self):
        """An expunge is held back, a larger modseq is seen, the connection is lost: the expunge must be told after it."""
        name = self.random.choice([n for n in self.online if KINDS[n] == QRESYNC] or [None])
        doomed = self.some(self.truth.flags, 2)
        left = sorted(set(self.truth.flags) - set(doomed))
        if name is None or not left:
            return
        self.leave_off(name)
        client = self.online.pop(name)
        client.ok("NOOP")
        client.learn_new()
        with Client(self.site, self.user, PLAIN) as other:
            other.come()
            other.ok(f"UID STORE {set_of(doomed)} +FLAGS (\\Deleted)")
            other.ok(f"UID EXPUNGE {set_of(doomed)}")
        self.gone(doomed)
        uid = self.random.choice(left)
        answer = client.ok(f"STORE {client.uids.index(uid) + 1} +FLAGS.SILENT (\\Flagged)")
        self.stored(client, [uid], "+", {"\\FLAGGED"}, True)
        equal(answer.of("VANISHED"), [], "VANISHED within STORE")
        client.socket.close()
        self.memories[name] = client.memory
        self.come(name)

    # ---- at the same time ----

    def op_burst(self):
        """Each changes a keyword of its own, so that it does not matter who is first; and what is \\Deleted goes."""
        clients = {n: c for n, c in self.online.items() if n not in self.idling and c.exists}
        begun, going, touched = [], set(), set()
        for name, client in clients.items():
            for _ in range(self.random.randint(1, 3)):
                begun.append((client, *self.one_of_burst(name, client, going)))
        self.random.shuffle(begun)
        tags = [(client, client.begin(command), command, chosen, verb, word) for client, command, chosen, verb, word in begun]
        for client, tag, command, chosen, verb, word in tags:
            answer = client.end(tag)
            equal(answer.word, "OK", f"{command}: {answer.text}")
            for u in chosen:
                before = self.truth.flags.get(u)
                if before is not None and self.apply(verb, before, {word}) != before:
                    self.truth.flags[u] = self.apply(verb, before, {word})
                    touched.add(u)
                if ".SILENT" in command and u in client.memory.flags:
                    client.memory.flags[u] = self.apply(verb, client.memory.flags[u], {word})
        before, now = self.look()
        self.truth.touch(touched, before, now)
        self.truth.remove(going & set(self.truth.flags), before, now)
        for client in clients.values():
            client.ok("NOOP")
            client.learn_new()

    def one_of_burst(self, name, client, going):
        """(command, UIDs, verb, keyword)"""
        known = [u for u in client.uids if u]
        what = self.random.randrange(6)
        doomed = [u for u in known if "\\DELETED" in self.truth.flags.get(u, ())]
        if what == 0 and doomed:
            doomed = self.some(doomed, 2)
            going.update(doomed)
            return f"UID EXPUNGE {set_of(doomed)}", [], "", ""
        if what == 1:
            return "UID FETCH 1:* (FLAGS)", [], "", ""
        if what == 2:
            return "UID SEARCH ALL", [], "", ""
        chosen, verb = self.some(known), self.random.choice("+-")
        silent = self.random.choice(("", ".SILENT"))
        return f"UID STORE {set_of(chosen)} {verb}FLAGS{silent} (Own-{name})", chosen, verb, f"OWN-{name.upper()}"

    # ---- what must not matter ----

    def all_gone(self):
        for name, client in self.online.items():
            client.socket.close()
            self.memories[name] = client.memory
        self.online, self.idling = {}, set()
        self.observer.socket.close()
        self.observer = None

    def op_kill(self):
        """The keeper dies with a STORE under way: done or not done, and all else as it was."""
        client = self.client()
        chosen = self.some([u for u in client.uids if u in self.truth.flags] or [0])
        word = self.random.choice(("Later", "\\Answered"))
        if chosen != [0]:
            client.begin(f"UID STORE {set_of(chosen)} +FLAGS ({word})")
        time.sleep(self.random.random() * 0.003)
        kill_keepers(self.site, self.user, "imapd")
        self.all_gone()
        self.told["kills"] += 1
        wait_until("there is a keeper again", self.can_log_in)
        self.resolve(chosen, upper([word]))

    def can_log_in(self):
        """Who comes while the dead one is not missed yet is lost with it."""
        try:
            self.observer = Session(self.site, self.user)
        except (AssertionError, OSError):
            return False
        return True

    def resolve(self, uids, words):
        before, now = self.look()
        for u, flags in self.read().items():
            if flags == self.truth.flags[u]:
                continue
            equal((u in uids, flags), (True, self.truth.flags[u] | words), f"flags of {u}, half done")
            self.truth.flags[u] = flags
            self.truth.touch([u], before, now)
        for name in list(KINDS)[:3]:
            self.come(name)

    def op_lose_index(self):
        """Everything has to be found again in the files; who was away is told of all that is not there."""
        self.all_gone()
        equal(self.site.stop() or "", "", "stopping")
        for path in glob.glob(f"{self.site.maildir(f'user{self.user}')}/**/index.db*", recursive=True):
            os.unlink(path)
        self.site.start()
        self.told["lost"] += 1
        _, now = self.look()
        self.truth.renewed = now + 1
        self.truth.when = {u: (0, now) for u in self.truth.flags}
        for name in list(KINDS)[:3]:
            self.come(name)

    def read(self):
        """The mailbox as a newcomer sees it."""
        with Client(self.site, self.user, PLAIN) as fresh:
            fresh.come()
            return fresh.memory.flags

    # ---- the whole ----

    def settle(self):
        equal(self.read(), self.truth.flags, "the mailbox")
        for name, client in self.online.items():
            if name in self.idling:
                self.wait_for(name, client)
                self.leave_off(name)
            client.ok("NOOP")
            client.learn_new()
            equal(client.uids, sorted(self.truth.flags), f"UIDs known to {name}")
            equal(client.memory.flags, self.truth.flags, f"flags known to {name}")

    def is_told(self, client):
        known = [u for u in client.uids if u]
        return client.exists == len(self.truth.flags) and \
            {u: client.memory.flags[u] for u in known} == {u: self.truth.flags.get(u) for u in known}

    def wait_for(self, name, client):
        """It idles, so it is told without asking."""
        until = time.monotonic() + TOLD_SECONDS * slow_build()
        while not self.is_told(client):
            left = until - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{name} was not told: it knows {client.uids}, {client.memory.flags}; true is {self.truth.flags}")
            if client.waiting or select.select([client.socket], [], [], left)[0]:
                client.response()

    def step(self):
        many = len(self.truth.flags) > MOST
        ops = {"append": 3 if many else 8, "delivery": 0 if many else 2, "dele": 2, "outside": 1, "store": 30, "read": 5, "expunge": 10 if many else 5,
               "move": 6 if many else 2, "replace": 2, "copy": 2, "close": 1, "noop": 6, "changed": 5, "idle": 4, "leave": 5, "come": 8,
               "again": 2, "held": 3, "burst": 8}
        if not self.truth.flags:
            ops = {"append": 1}
        elif self.hard:
            ops.update({"kill": 0.7, "lose_index": 0.07})
        name = self.random.choices(list(ops), list(ops.values()))[0]
        getattr(self, f"op_{name}")()
        return name

    def run(self, steps, last=True):
        done = []
        try:
            for n in range(steps):
                done.append("?")
                done[-1] = self.step()
                if n % 25 == 24:
                    self.settle()
            self.settle()
            for name in KINDS if last else ():
                if name not in self.online:
                    self.come(name)
            self.settle()
        except Exception as why:
            raise AssertionError(f"user{self.user}, step {len(done)} of {steps}, after {done[-4:]}: {why!r}") from why
        if last:
            self.all_gone()
        return self.told


def test_views_converge_and_who_comes_back_knows_what_changed(site):
    for seed in [1, 2] + [int(word) for word in os.environ.get("TRIVET_TEST_SEED", "").split()]:
        Script(site, seed).run(120)


def test_a_killed_keeper_and_a_lost_index_change_nothing_for_clients(fresh):
    script = Script(fresh, 7)
    for op in (script.op_kill, script.op_lose_index, script.op_kill):
        script.run(15, last=False)
        op()
    script.run(15)


@only_long
@seconds(1800)
def test_thousands_of_operations_with_killed_keepers_and_lost_indexes(fresh):
    for seed in range(100, 110):
        told = Script(fresh, seed, hard=True).run(3000)
        print(f"    seed {seed}: {told['resyncs']} times somebody came back, {told['messages']} messages told by QRESYNC, "
              f"{told['kills']} keepers killed, {told['lost']} indexes lost")
