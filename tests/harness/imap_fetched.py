# SPDX-License-Identifier: ISC
"""What FETCH tells of a message: RFC 3501 "msg-att" with ENVELOPE and BODYSTRUCTURE, BINARY (RFC 3516) and others."""

import re

from imap_words import LITERAL, NUMBER, Words

DATE_TIME = re.compile(rb'"(?: [1-9]|[0-3][0-9])-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-[0-9]{4} '
                       rb'[0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-][0-9]{4}"')
SECTION_PATH = re.compile(rb"[1-9][0-9]*(?:\.[1-9][0-9]*)*")
SECTION_TEXT = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
PREVIEW_MAX = 256                       # RFC 8970 3.3, characters


class Fetched(Words):
    """.items is what was told, by its names."""

    def __init__(self, octets, utf8=False):
        super().__init__(octets, utf8)
        self.items = {}

    def nstrings(self, count):
        values = [self.nstring()]
        for _ in range(count - 1):
            self.sp()
            values.append(self.nstring())
        return values

    def address(self):
        self.need(b"(")
        _name, _route, mailbox, host = self.nstrings(4)
        if mailbox is None and host is not None:
            self.fail("a host of NIL where the mailbox is (end of a group) before")
        self.need(b")")

    def addresses(self):
        """NIL or "(" 1*address ")", with nothing between them"""
        if self.nil():
            return
        self.need(b"(")
        self.address()
        while not self.take(b")"):
            self.address()

    def envelope(self):
        self.need(b"(")
        self.nstrings(2)
        for _ in range(6):
            self.sp()
            self.addresses()
        self.sp()
        self.nstrings(2)
        self.need(b")")

    def body_fld_param(self):
        if self.nil():
            return
        self.parenthesised(self.param, may_be_empty=False)

    def param(self):
        self.string()
        self.sp()
        self.string()

    def body_fields(self):
        """body-fields, the type and subtype taken"""
        self.body_fld_param()
        self.sp()
        self.nstrings(2)
        self.sp()
        self.string()
        self.sp()
        self.a_number()

    def body_fld_dsp(self):
        if self.nil():
            return
        self.need(b"(")
        self.string()
        self.sp()
        self.body_fld_param()
        self.need(b")")

    def body_fld_lang(self):
        if self.peek(b"("):
            self.parenthesised(self.string, may_be_empty=False)
        else:
            self.nstring()

    def body_extension(self):
        if self.peek(b"("):
            self.parenthesised(self.body_extension, may_be_empty=False)
        elif not self.find(NUMBER):
            self.nstring()

    def body_ext(self, first, extensible):
        """body-ext-1part or body-ext-mpart, which differ in their first field"""
        if not self.peek(b" "):
            return
        if not extensible:
            self.fail("no extension data in BODY")
        for field in (first, self.body_fld_dsp, self.body_fld_lang, self.nstring):
            if not self.take(b" "):
                return
            field()
        while self.take(b" "):
            self.body_extension()

    def body(self, extensible):
        self.need(b"(")
        if self.peek(b"("):
            while self.peek(b"("):
                self.body(extensible)
            self.sp()
            self.string()
            self.body_ext(self.body_fld_param, extensible)
        else:
            self.body_type_1part(extensible)
        self.need(b")")

    def body_type_1part(self, extensible):
        kind = self.string().upper()
        self.sp()
        subtype = self.string().upper()
        self.sp()
        if kind == b"MULTIPART":
            self.fail("a multipart's parts before")
        self.body_fields()
        if kind == b"MESSAGE" and subtype == b"RFC822":
            self.sp()
            self.envelope()
            self.sp()
            self.body(extensible)
        if kind == b"TEXT" or (kind == b"MESSAGE" and subtype == b"RFC822"):
            self.sp()
            self.a_number()
        self.body_ext(self.nstring, extensible)

    def section(self):
        """What stands between BODY's brackets."""
        path = self.find(SECTION_PATH)
        if path and not self.take(b"."):
            return
        if self.peek(b"]"):
            if path:
                self.fail("a section's text")
            return
        text = self.run(SECTION_TEXT, "HEADER, TEXT or the like").upper()
        if text == b"MIME" and not path:
            self.fail("a part number before MIME")
        if text.startswith(b"HEADER.FIELDS"):
            self.sp()
            self.parenthesised(self.astring, may_be_empty=False)

    def body_section(self):
        begin = self.at
        self.need(b"[")
        self.section()
        self.need(b"]")
        if self.take(b"<"):
            self.a_number()
            self.need(b">")
        name = b"BODY" + self.octets[begin:self.at]
        self.sp()
        return name, self.nstring()

    def fetch_value(self, name):
        if name == b"ENVELOPE":
            return self.envelope()
        if name == b"FLAGS":
            return self.flag_fetch_list()
        if name == b"INTERNALDATE":
            return self.run(DATE_TIME, "a date and time")
        if name in (b"RFC822", b"RFC822.HEADER", b"RFC822.TEXT"):
            return self.nstring()
        if name == b"RFC822.SIZE":
            return self.a_number()
        if name == b"EMAILID":
            return self.object_id()
        if name == b"THREADID":
            return None if self.nil() else self.object_id()
        if name == b"SAVEDATE":
            return None if self.nil() else self.run(DATE_TIME, "a date and time")
        if name == b"PREVIEW":
            return self.preview()
        if name == b"UID":
            return self.nz_number()
        if name == b"MODSEQ":
            return self.parenthesised(self.mod_sequence_value, may_be_empty=False)[0]
        if name in (b"BODY", b"BODYSTRUCTURE"):
            return self.body(name == b"BODYSTRUCTURE")
        return self.fail("an item of FETCH before")

    def preview(self):
        """RFC 8970 3.3"""
        value = self.nstring()
        try:
            if value is not None and len(value.decode()) > PREVIEW_MAX:
                self.fail("a shorter preview before")
        except UnicodeDecodeError:
            self.fail("a preview in UTF-8 before")
        return value

    def section_binary(self):
        """RFC 3516 7"""
        begin = self.at
        self.need(b"[")
        self.find(SECTION_PATH)
        self.need(b"]")
        return self.octets[begin:self.at]

    def literal8(self):
        """A literal8 has a NUL, else it is a string: RFC 3516 4.3."""
        if not self.peek(b"~{"):
            return self.nstring()
        literal = LITERAL.match(self.octets, self.at + 1) or self.fail("a literal8")
        self.at = literal.end() + int(literal.group(1))
        value = self.octets[literal.end():self.at]
        if len(value) != int(literal.group(1)) or b"\0" not in value:
            self.fail("a whole literal8, with a NUL, before")
        return value

    def binary(self):
        """What stands behind BINARY: its name, and its value."""
        if self.take(b".SIZE"):
            name = b"BINARY.SIZE" + self.section_binary()
            self.sp()
            return name, self.a_number()
        name = b"BINARY" + self.section_binary()
        if self.take(b"<"):
            name += b"<%d>" % self.a_number()
            self.need(b">")
        self.sp()
        return name, self.literal8()

    def msg_att_item(self):
        if self.peek(b"BINARY[") or self.peek(b"BINARY.SIZE["):
            self.at += 6
            name, value = self.binary()
        elif self.peek(b"BODY["):
            self.at += 4
            name, value = self.body_section()
        else:
            name = self.atom().upper()
            self.sp()
            value = self.fetch_value(name)
        self.items[name] = value
        return name

    def msg_att(self):
        names = self.parenthesised(self.msg_att_item, may_be_empty=False)
        self.no_twins([name for name in names if not name.startswith((b"BODY[", b"BINARY"))], "item of FETCH")
