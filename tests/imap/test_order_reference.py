# SPDX-License-Identifier: ISC
"""THREAD gives the trees of RFC 5256 3, done step by step as it is written there, over messages whose references are as
they come; and SORT the order of a plain sort by the same criteria (RFC 5256 2.1, 2.2, 3)."""

import random

from imap_session import Session
from polyglot import fold
from runner import seconds
from trivet import drop, equal

USERS = 2
COUNT = 400


class Mail:
    def __init__(self, r, n):
        self.number = n
        self.id = f"<{r.randrange(COUNT)}@ref.test>" if r.random() < 0.9 else None
        self.references = [f"<{r.randrange(COUNT + 20)}@ref.test>" for _ in range(r.choice([0, 0, 1, 1, 2, 3, 5]))]
        self.base = r.choice(["plan", "Budget", "회의", "", "Größe", "x y"]) + r.choice(["", " one", " two"])
        self.prefix = r.choice(["", "", "Re: ", "Fwd: ", "[list] Re: "])
        # Some at the same moment: then the order in which they came counts.
        self.date = r.randrange(COUNT // 2)
        self.sender = r.choice(["ann", "Bob", "carl", "Zoe"])
        self.size = 0

    @property
    def is_reply(self):
        return self.prefix not in ("", "[list] ")

    @property
    def subject(self):
        return fold(self.base.strip())

    def octets(self):
        day, minute = 1 + self.date // 1440, self.date % 1440
        lines = [f"From: {self.sender}@ref.test", f"Subject: {self.prefix}{self.base}",
                 f"Date: {day} Nov 2026 {minute // 60:02}:{minute % 60:02}:00 +0000"]
        if self.id:
            lines.append(f"Message-ID: {self.id}")
        if self.references:
            lines.append("References: " + "\r\n ".join(self.references))
        octets = ("\r\n".join(lines) + "\r\n\r\n" + "x" * (self.number % 37) + "\r\n").encode()
        self.size = len(octets)
        return octets


class Node:
    def __init__(self):
        self.mail, self.parent, self.children = None, None, []

    def link(self, child):
        child.parent = self
        self.children.append(child)

    def unlink(self):
        if self.parent:
            self.parent.children.remove(self)
        self.parent = None

    def is_below(self, other):
        n = self
        while n:
            if n is other:
                return True
            n = n.parent
        return False

    def moment(self):
        m = self.mail or self.children[0].mail
        return m.date, m.number

    def speaker(self):
        return self.mail or self.children[0].mail


def link_all(mails):
    by_id, every = {}, []

    def known(name):
        if name not in by_id:
            by_id[name] = Node()
            every.append(by_id[name])
        return by_id[name]

    for mail in mails:
        node = known(mail.id) if mail.id else None
        if node is None or node.mail:
            node = Node()
            every.append(node)
        node.mail = mail
        before = None
        for name in mail.references:
            n = known(name)
            if before and not n.parent and not before.is_below(n):
                before.link(n)
            before = n
        node.unlink()
        if before and not before.is_below(node):
            before.link(node)
    return [n for n in every if not n.parent]


def pruned(node, at_top):
    """What stands in the node's place."""
    node.children = [c for child in node.children for c in pruned(child, False)]
    if node.mail or (at_top and len(node.children) > 1):
        return [node]
    return node.children


def sort_all(nodes):
    for n in nodes:
        sort_all(n.children)
    nodes.sort(key=Node.moment)


def join_subjects(roots):
    table = {}
    for root in roots:
        subject = root.speaker().subject
        if not subject:
            continue
        other = table.get(subject)
        if other is None or (other.mail and (not root.mail or (other.mail.is_reply and not root.mail.is_reply))):
            table[subject] = root
    for root in list(roots):
        subject = root.speaker().subject
        other = table.get(subject)
        if not subject or other is root:
            continue
        if not other.mail and not root.mail:
            other.children += root.children
        elif not other.mail or (root.mail.is_reply and not other.mail.is_reply):
            other.children.append(root)
        else:
            both = Node()
            both.children = [other, root]
            roots[roots.index(other)] = both
            table[subject] = both
        roots.remove(root)


def written(node):
    text = str(node.mail.number) if node.mail else ""
    if not node.children:
        return text
    if node.mail and len(node.children) == 1:
        return f"{text} {written(node.children[0])}"
    return f"{text} {''.join(f'({written(c)})' for c in node.children)}".strip()


def by_references(mails):
    roots = [n for root in link_all(mails) for n in pruned(root, True)]
    sort_all(roots)
    join_subjects(roots)
    sort_all(roots)
    return "".join(f"({written(n)})" for n in roots)


def by_refs(mails):
    def newest(node):
        return max([node.mail.number if node.mail else 0] + [newest(c) for c in node.children])
    roots = [n for root in link_all(mails) for n in pruned(root, True)]
    sort_all(roots)
    roots.sort(key=newest)
    return "".join(f"({written(n)})" for n in roots)


def by_subject(mails):
    threads = {}
    for mail in sorted(mails, key=lambda m: (m.date, m.number)):
        node = Node()
        node.mail = mail
        if mail.subject in threads:
            threads[mail.subject].children.append(node)
        else:
            threads[mail.subject] = node
    return "".join(f"({written(n)})" for n in sorted(threads.values(), key=Node.moment))


def fill(site, user):
    r = random.Random(user)
    mails = [Mail(r, n + 1) for n in range(COUNT)]
    for mail in mails:
        # Their internal dates ascend: it is the time of the file.
        drop(site, user, mail.octets(), name=f"{1700000000 + mail.number}.P{mail.number:06}.ref", when=1700000000 + mail.number)
    return mails


def answer_of(session, command):
    lines = [r.octets for r in session.ok(command).untagged if r.kind in ("THREAD", "SORT")]
    equal(len(lines), 1, "one answer")
    return lines[0].decode().rstrip("\r\n").partition(" ")[2].partition(" ")[2]


@seconds(120)
def test_threads_are_those_of_the_rfc_done_step_by_step(site):
    mails = fill(site, 1)
    with Session(site, 1, timeout=30) as session:
        session.ok("SELECT INBOX")
        equal(session.exists, COUNT)
        for _ in range(2):
            equal(answer_of(session, "THREAD REFERENCES UTF-8 ALL"), by_references(mails))
            equal(answer_of(session, "THREAD REFS UTF-8 ALL"), by_refs(mails))
            equal(answer_of(session, "THREAD ORDEREDSUBJECT UTF-8 ALL"), by_subject(mails))
            half = mails[::2]
            numbers = ",".join(str(m.number) for m in half)
            equal(answer_of(session, f"THREAD REFERENCES UTF-8 {numbers}"), by_references(half))


def test_sort_is_a_plain_sort_by_the_same_criteria(site):
    mails = fill(site, 2)
    orders = {
        "SUBJECT DATE": lambda m: (m.subject.encode(), m.date),
        "FROM REVERSE SIZE": lambda m: (m.sender.lower(), -m.size),
        "REVERSE DATE": lambda m: -m.date,
        "REVERSE ARRIVAL": lambda m: -m.number,
        "REVERSE SIZE SUBJECT": lambda m: (-m.size, m.subject.encode()),
        "DISPLAYFROM DATE": lambda m: (m.sender.lower() + "@ref.test", m.date),
    }
    with Session(site, 2, timeout=30) as session:
        session.ok("SELECT INBOX")
        equal(session.exists, COUNT)
        for criteria, key in orders.items():
            expected = " ".join(str(m.number) for m in sorted(mails, key=key))
            equal(answer_of(session, f"SORT ({criteria}) UTF-8 ALL"), expected, criteria)
