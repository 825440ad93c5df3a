# SPDX-License-Identifier: ISC
"""The words of RFC 3501 section 9 that an IMAP server's responses are made of, each read strictly; methods are named as
the ABNF's rules. imap_grammar.py has the responses.
"""

import re


class Violation(AssertionError):
    def __init__(self, octets, at, expected):
        shown = octets if len(octets) < 400 else octets[:200] + b" ... " + octets[-150:]
        super().__init__(f"the server broke IMAP's grammar: {expected} was expected at octet {at + 1} "
                         f"(at {octets[at:at + 40]!r}) of {shown!r}")


ATOM = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\\]]+""")
ASTRING_ATOM = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\]+""")
QUOTED = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"')
UTF8_QUOTED = re.compile(QUOTED.pattern.replace(rb"[\x01", rb"[\x80-\xff\x01"))
LITERAL = re.compile(rb"\{(0|[1-9][0-9]*)\}\r\n")
NUMBER = re.compile(rb"[0-9]+")
OBJECT_ID = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,254}(?![A-Za-z0-9_-])")
MODIFIED_BASE64 = re.compile(rb"&([A-Za-z0-9+,]*)-")

SYSTEM_FLAGS = {b"\\ANSWERED", b"\\FLAGGED", b"\\DELETED", b"\\SEEN", b"\\DRAFT"}


class Words:
    """A response that is read from its beginning on; utf8: RFC 9755 3 holds."""

    def __init__(self, octets, utf8=False):
        self.octets, self.at, self.utf8 = octets, 0, utf8

    # ---- tools ----

    def fail(self, expected):
        raise Violation(self.octets, self.at, expected)

    def find(self, pattern):
        found = pattern.match(self.octets, self.at)
        if found:
            self.at = found.end()
        return found

    def run(self, pattern, expected):
        return (self.find(pattern) or self.fail(expected)).group()

    def peek(self, word):
        return self.octets[self.at:self.at + len(word)].upper() == word

    def take(self, word):
        if not self.peek(word):
            return False
        self.at += len(word)
        return True

    def word(self, word):
        """The word, with nothing of an atom behind it."""
        if not self.peek(word) or ASTRING_ATOM.match(self.octets, self.at + len(word)):
            return False
        self.at += len(word)
        return True

    def need(self, word):
        if not self.take(word):
            self.fail(repr(word.decode()))

    def sp(self):
        self.need(b" ")

    def several(self, one, between=b" ", end=b")"):
        """one *(between one) end"""
        values = [one()]
        while not self.take(end):
            self.need(between)
            values.append(one())
        return values

    def parenthesised(self, one, may_be_empty=True):
        self.need(b"(")
        if may_be_empty and self.take(b")"):
            return []
        return self.several(one)

    def no_twins(self, values, what):
        if len(set(values)) != len(values):
            self.fail(f"no {what} twice")
        return values

    # ---- words ----

    def nil(self):
        return self.word(b"NIL")

    def atom(self):
        return self.run(ATOM, "an atom")

    def number_of(self, limit, least):
        digits = self.run(NUMBER, "a number")
        if len(digits) > 1 and digits[0] == 0x30:
            self.fail("no leading zero before")
        if not least <= int(digits) < limit:
            self.fail(f"a number from {least} to {limit - 1} before")
        return int(digits)

    def a_number(self):
        return self.number_of(1 << 32, 0)

    def nz_number(self):
        return self.number_of(1 << 32, 1)

    def number64(self):
        return self.number_of(1 << 63, 0)

    def mod_sequence_value(self):
        return self.number_of(1 << 63, 1)

    def string(self):
        quoted = self.find(UTF8_QUOTED if self.utf8 else QUOTED)
        if quoted:
            self.need_utf8(quoted.group(1))
            return re.sub(rb"\\(.)", rb"\1", quoted.group(1))
        literal = self.find(LITERAL)
        if not literal:
            self.fail("a string")
        n = int(literal.group(1))
        octets = self.octets[self.at:self.at + n]
        if len(octets) != n:
            self.fail(f"a literal of {n} octets")
        if b"\0" in octets:
            self.fail("a literal without NUL")
        self.at += n
        return octets

    def need_utf8(self, octets):
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            self.fail("UTF-8 before")

    def nstring(self):
        return None if self.nil() else self.string()

    def astring(self):
        return self.string() if self.peek(b'"') or self.peek(b"{") else self.run(ASTRING_ATOM, "an astring")

    def quoted_char(self):
        """nil, or one character between quotes"""
        if self.nil():
            return None
        text = (self.find(QUOTED) or self.fail("a hierarchy separator")).group(1)
        if len(text.replace(b"\\", b"", 1)) != 1:
            self.fail("one character in quotes before")
        return text

    def mailbox(self):
        name = self.astring()
        if name.upper() == b"INBOX" and name != b"INBOX":
            self.fail("INBOX in capitals before")
        if self.utf8:
            self.need_utf8(name)
        elif not is_modified_utf7(name):
            self.fail("modified UTF-7 before")
        return name

    # ---- flags ----

    def flag(self):
        if self.peek(b"\\"):
            self.at += 1
            return b"\\" + self.atom().upper()
        return self.atom()

    def flags_of(self, allowed):
        flags = self.parenthesised(self.flag)
        for flag in flags:
            if flag[:1] == b"\\" and flag not in allowed:
                self.fail(f"no {flag.decode()} before")
        self.no_twins([flag.upper() for flag in flags], "flag")
        return flags

    def flag_list(self):
        return self.flags_of(SYSTEM_FLAGS)

    def flag_fetch_list(self):
        return self.flags_of(SYSTEM_FLAGS | {b"\\RECENT"})

    def flag_perm(self):
        if self.take(b"\\*"):
            return b"\\*"
        flag = self.flag()
        if flag[:1] == b"\\" and flag not in SYSTEM_FLAGS:
            self.fail(f"no {flag.decode()} before")
        return flag

    def object_id(self):
        """RFC 8474 7, in its parentheses; 8.1: nothing that could be taken for something else"""
        self.need(b"(")
        text = self.run(OBJECT_ID, "an object's id")
        self.need(b")")
        return text


def is_modified_utf7(name):
    """RFC 3501 5.1.3, in its one canonical form."""
    at = 0
    while at < len(name):
        if not 0x20 <= name[at] < 0x7f:
            return False
        if name[at] != 0x26:
            at += 1
            continue
        shift = MODIFIED_BASE64.match(name, at)
        if not shift or (shift.group(1) and not is_shifted(shift.group(1), name[shift.end():])):
            return False
        at = shift.end()
    return True


def is_shifted(run, rest):
    """Is it base64 of UTF-16 that needed to be shifted, to its end? (&...-&...- is one run.)"""
    bits = "".join(f"{b'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,'.index(c):06b}" for c in run)
    units, left = divmod(len(bits), 16)
    if left >= 6 or "1" in bits[units * 16:] or (rest[:1] == b"&" and rest[1:2] != b"-"):
        return False
    try:
        text = int(bits[:units * 16] or "0", 2).to_bytes(units * 2, "big").decode("utf-16-be")
    except UnicodeDecodeError:
        return False
    return bool(text) and not any(" " <= c <= "~" for c in text)
