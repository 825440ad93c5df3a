# SPDX-License-Identifier: ISC
"""What an IMAP server may say, and nothing else: a strict reader of RFC 3501 section 9, "greeting" and "response".

Extensions: RFC 2342 NAMESPACE, 2971 ID, 4315 UIDPLUS, 5161 ENABLE, 5258 and 3348 LIST, 6154 SPECIAL-USE, 5530 and
others' response codes, 9208 QUOTA, 4466 and 4731 ESEARCH, 5182 SEARCHRES, 9394 PARTIAL, 7162 CONDSTORE and QRESYNC, 8438
STATUS=SIZE, 8474 OBJECTID, 8514 SAVEDATE, 8970 PREVIEW, 3516 BINARY, 9755 UTF8=ACCEPT. The methods of Response are named as
the ABNF's rules. Stricter than the ABNF
where it says more in prose: INBOX's spelling, modified UTF-7, codes that nobody registered, items told twice.

    check(octets)       one response with its literals and its CRLF; raises Violation
    Watcher().feed(o)   the same of a stream, piece by piece
"""

import re


class Violation(AssertionError):
    def __init__(self, octets, at, expected):
        shown = octets if len(octets) < 400 else octets[:200] + b" ... " + octets[-150:]
        super().__init__(f"the server broke IMAP's grammar: {expected} was expected at octet {at + 1} "
                         f"(at {octets[at:at + 40]!r}) of {shown!r}")


ATOM = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\\]]+""")
ASTRING_ATOM = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\]+""")
TAG = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\+]+""")
TEXT = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]+")
CODE_TEXT = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x5c\x5e-\x7f]+")
QUOTED = re.compile(rb'"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"')
UTF8_QUOTED = re.compile(QUOTED.pattern.replace(rb"[\x01", rb"[\x80-\xff\x01"))
LITERAL = re.compile(rb"\{(0|[1-9][0-9]*)\}\r\n")
ENDS_IN_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")
NUMBER = re.compile(rb"[0-9]+")
DATE_TIME = re.compile(rb'"(?: [1-9]|[0-3][0-9])-(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-[0-9]{4} '
                       rb'[0-2][0-9]:[0-5][0-9]:[0-6][0-9] [+-][0-9]{4}"')
UID_SET = re.compile(rb"[1-9][0-9]*(?::[1-9][0-9]*)?(?:,[1-9][0-9]*(?::[1-9][0-9]*)?)*")
PARTIAL_RANGE = re.compile(rb"[1-9][0-9]*:[1-9][0-9]*|-[1-9][0-9]*:-[1-9][0-9]*")
SECTION_PATH = re.compile(rb"[1-9][0-9]*(?:\.[1-9][0-9]*)*")
SECTION_TEXT = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
OBJECT_ID = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,254}(?![A-Za-z0-9_-])")
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
MODIFIED_BASE64 = re.compile(rb"&([A-Za-z0-9+,]*)-")

SYSTEM_FLAGS = {b"\\ANSWERED", b"\\FLAGGED", b"\\DELETED", b"\\SEEN", b"\\DRAFT"}
SELECTABLE_FLAGS = {b"\\NOSELECT", b"\\MARKED", b"\\UNMARKED", b"\\NONEXISTENT"}
LIST_FLAGS = SELECTABLE_FLAGS | {
    b"\\NOINFERIORS", b"\\HASCHILDREN", b"\\HASNOCHILDREN", b"\\SUBSCRIBED", b"\\REMOTE",
    b"\\MEMOS", b"\\SCHEDULED", b"\\SNOOZED",
    b"\\ALL", b"\\ARCHIVE", b"\\DRAFTS", b"\\FLAGGED", b"\\JUNK", b"\\SENT", b"\\TRASH"}
XLIST_FLAGS = LIST_FLAGS | {b"\\INBOX", b"\\ALLMAIL", b"\\SPAM", b"\\STARRED"}
BARE_CODES = {
    b"ALERT", b"PARSE", b"READ-ONLY", b"READ-WRITE", b"TRYCREATE", b"UIDNOTSTICKY",             # 3501, 4315
    b"UNAVAILABLE", b"AUTHENTICATIONFAILED", b"AUTHORIZATIONFAILED", b"EXPIRED", b"PRIVACYREQUIRED",
    b"CONTACTADMIN", b"NOPERM", b"INUSE", b"EXPUNGEISSUED", b"CORRUPTION", b"SERVERBUG", b"CLIENTBUG",
    b"CANNOT", b"LIMIT", b"OVERQUOTA", b"ALREADYEXISTS", b"NONEXISTENT",                        # 5530
    b"USEATTR", b"TOOBIG", b"HASCHILDREN", b"CLOSED",                                           # 6154, 4469, 9051, 7162
    b"NOTSAVED", b"COMPRESSIONACTIVE", b"UNKNOWN-CTE"}                                          # 5182, 4978, 3516
STATUS_ITEMS = {b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"DELETED",
                b"APPENDLIMIT"}
STATUS_ITEMS_64 = {b"SIZE", b"DELETED-STORAGE", b"HIGHESTMODSEQ"}                            # 8438, 9208, 7162
ENCODINGS = {b"7BIT", b"8BIT", b"BINARY", b"BASE64", b"QUOTED-PRINTABLE"}
FIELDS_OF_ID_MAX, FIELD_OF_ID_MAX, VALUE_OF_ID_MAX = 30, 30, 1024       # RFC 2971 3.3
PREVIEW_MAX = 256                       # RFC 8970 3.3, characters


class Response:
    """One response; .kind and .number say which ("FETCH", 3), .items what a FETCH told. utf8: RFC 9755 3 holds."""

    def __init__(self, octets, utf8=False):
        self.octets, self.at, self.utf8 = octets, 0, utf8
        self.kind, self.number, self.items = None, None, {}

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

    # ---- response codes ----

    def capability_data(self):
        words = []
        while self.take(b" "):
            words.append(self.atom().upper())
        if b"IMAP4REV1" not in words:
            self.fail("IMAP4rev1 before")
        return self.no_twins(words, "capability")

    def uid_set(self):
        text = self.run(UID_SET, "a set of UIDs")
        return sum(1 + abs(int(last or first) - int(first)) for first, _, last in
                   (r.partition(b":") for r in text.split(b",")))

    def code_copyuid(self):
        self.nz_number()
        self.sp()
        source = self.uid_set()
        self.sp()
        if self.uid_set() != source:
            self.fail("as many UIDs copied to as from before")

    def code_inprogress(self):
        """RFC 9585 5."""
        self.need(b"(")
        self.nstring()
        self.sp()
        if self.take(b"NIL NIL"):
            return self.need(b")")
        done = self.a_number()
        self.sp()
        if not self.take(b"NIL") and self.nz_number() <= done:
            self.fail("a goal above what is done")
        return self.need(b")")

    def code_badcharset(self):
        if self.take(b" "):
            self.parenthesised(self.astring, may_be_empty=False)

    def resp_text_code(self):
        name = self.atom().upper()
        if name in BARE_CODES:
            return
        if name == b"BADCHARSET":
            self.code_badcharset()
        elif name == b"CAPABILITY":
            self.capability_data()
        else:
            self.code_with_argument(name)

    def code_with_argument(self, name):
        self.sp()
        if name == b"PERMANENTFLAGS":
            self.no_twins(self.parenthesised(self.flag_perm), "flag")
        elif name in (b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN"):
            self.nz_number()
        elif name == b"INPROGRESS":
            self.code_inprogress()
        elif name == b"APPENDUID":
            self.nz_number()
            self.sp()
            self.uid_set()
        elif name == b"COPYUID":
            self.code_copyuid()
        elif name == b"HIGHESTMODSEQ":
            self.items["modseq"] = self.mod_sequence_value()
        elif name == b"MODIFIED":
            self.uid_set()
        elif name == b"MAILBOXID":
            self.object_id()
        else:
            self.fail("a registered response code before")

    def resp_text(self):
        if self.take(b"["):
            self.resp_text_code()
            self.need(b"]")
            self.sp()
        self.run(TEXT, "text")

    # ---- mailboxes ----

    def tagged_ext_val(self):
        """RFC 4466: tagged-ext-simple or a parenthesised tagged-ext-comp"""
        if self.peek(b"("):
            return self.parenthesised(self.tagged_ext_val)
        return self.astring()

    def extended_item(self):
        name = self.astring().upper()
        self.sp()
        if name == b"CHILDINFO":
            self.no_twins(self.parenthesised(self.string, may_be_empty=False), "criterion")
        else:
            self.tagged_ext_val()
        return name

    def mailbox_list(self, allowed):
        flags = self.flags_of(allowed)
        upper = {flag.upper() for flag in flags}
        if len(upper & SELECTABLE_FLAGS) > 1:
            self.fail("one of \\Noselect, \\Marked, \\Unmarked, \\NonExistent before")
        if {b"\\HASCHILDREN", b"\\HASNOCHILDREN"} <= upper:
            self.fail("one of \\HasChildren and \\HasNoChildren before")
        self.sp()
        self.quoted_char()
        self.sp()
        self.items["mailbox"], self.items["flags"] = self.mailbox(), flags
        if self.take(b" "):
            self.no_twins(self.parenthesised(self.extended_item), "extended item")

    def status_att(self):
        name = self.atom().upper()
        if name not in STATUS_ITEMS | STATUS_ITEMS_64 | {b"MAILBOXID"}:
            self.fail("an item of STATUS before")
        self.sp()
        if name == b"MAILBOXID":
            self.object_id()
        elif name in STATUS_ITEMS_64:
            self.number64()
        else:
            self.nz_number() if name in (b"UIDNEXT", b"UIDVALIDITY") else self.a_number()
        return name

    def status(self):
        self.mailbox()
        self.sp()
        self.no_twins(self.parenthesised(self.status_att), "item of STATUS")

    # ---- FETCH ----

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

    # ---- other untagged data ----

    def quota_resource(self):
        name = self.atom().upper()
        self.sp()
        self.number64()
        self.sp()
        self.number64()
        return name

    def namespace(self):
        if self.nil():
            return
        self.need(b"(")
        while True:
            self.need(b"(")
            self.string()
            self.sp()
            self.quoted_char()
            while self.take(b" "):
                self.string()
                self.sp()
                self.parenthesised(self.string, may_be_empty=False)
            self.need(b")")
            if self.take(b")"):
                return

    def id_pair(self):
        name = self.string()
        self.sp()
        value = self.nstring()
        if len(name) > FIELD_OF_ID_MAX or len(value or b"") > VALUE_OF_ID_MAX:
            self.fail("a shorter field of ID before")
        return name.upper()

    def untagged_word(self):
        word = self.atom().upper()
        self.kind = word.decode()
        if word in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
            self.sp()
            self.resp_text()
        elif word == b"CAPABILITY":
            self.capability_data()
        elif word == b"ENABLED":
            self.items["enabled"] = set()
            while self.take(b" "):
                self.items["enabled"].add(self.atom().upper())
        elif word in (b"SEARCH", b"SORT"):
            self.found()
        elif word == b"THREAD":
            self.threads()
        elif word == b"ESEARCH":
            self.esearch()
        else:
            self.sp()
            self.untagged_data(word)

    def found(self):
        """*(SP nz-number) [SP search-sort-mod-seq]"""
        numbers = []
        while self.take(b" "):
            if numbers and self.take(b"(MODSEQ "):
                self.mod_sequence_value()
                self.need(b")")
                break
            numbers.append(self.nz_number())
        self.no_twins(numbers, "number")

    def vanished(self):
        if self.take(b"(EARLIER)"):
            self.sp()
        self.uid_set()

    def esearch(self):
        """RFC 4466 "esearch-response"; always with the tag that asked, and each item once"""
        self.need(b" (TAG ")
        self.items["tag"] = self.string()
        self.need(b")")
        self.items["uid"] = self.word(b" UID")
        while self.take(b" "):
            name = self.atom().upper()
            self.sp()
            if name in self.items:
                self.fail("no result twice before")
            self.items[name] = self.search_return_data(name)
        if {b"ALL", b"PARTIAL"} <= self.items.keys():
            self.fail("one of ALL and PARTIAL before")

    def search_return_data(self, name):
        """RFC 4731 4, RFC 9394 4"""
        if name in (b"MIN", b"MAX"):
            return self.nz_number()
        if name == b"COUNT":
            return self.a_number()
        if name == b"MODSEQ":
            return self.mod_sequence_value()
        if name == b"ALL":
            return self.run(UID_SET, "a set of messages")
        if name == b"PARTIAL":
            self.need(b"(")
            self.run(PARTIAL_RANGE, "a range of results")
            self.sp()
            found = None if self.nil() else self.run(UID_SET, "a set of messages")
            self.need(b")")
            return found
        return self.fail("a result option before")

    def threads(self):
        """RFC 5256 5: [SP 1*thread-list], without recursion, as threads are deep."""
        numbers, lists = [], [0]
        if not self.take(b" "):
            return
        while True:
            if self.take(b"("):
                lists[-1] += 1
                lists.append(0)
                # thread-members, then maybe thread-nested
                while not self.peek(b"("):
                    numbers.append(self.nz_number())
                    if not self.take(b" "):
                        break
                if not self.peek(b"("):
                    lists[-1] = -1
            elif len(lists) > 1 and self.take(b")"):
                if lists.pop() == 1:
                    self.fail("two threads within, or none, before")
            else:
                break
        if len(lists) != 1:
            self.fail(")")
        self.no_twins(numbers, "number")

    def untagged_data(self, word):
        if word == b"FLAGS":
            self.flag_list()
        elif word in (b"LIST", b"LSUB"):
            self.mailbox_list(LIST_FLAGS)
        elif word == b"XLIST":
            self.mailbox_list(XLIST_FLAGS)
        elif word == b"STATUS":
            self.status()
        elif word == b"VANISHED":
            self.vanished()
        elif word == b"QUOTA":
            self.astring()
            self.sp()
            self.no_twins(self.parenthesised(self.quota_resource), "resource")
        elif word == b"QUOTAROOT":
            self.mailbox()
            while self.take(b" "):
                self.astring()
        elif word == b"NAMESPACE":
            self.namespace()
            self.sp()
            self.namespace()
            self.sp()
            self.namespace()
        elif word == b"ID":
            if not self.nil():
                pairs = self.no_twins(self.parenthesised(self.id_pair), "field of ID")
                if len(pairs) > FIELDS_OF_ID_MAX:
                    self.fail("fewer fields of ID before")
        else:
            self.fail("an untagged response that is known before")

    def untagged_number(self):
        self.number = self.a_number()
        self.sp()
        word = self.atom().upper()
        self.kind = word.decode()
        if word not in (b"EXISTS", b"RECENT", b"EXPUNGE", b"FETCH"):
            self.fail("EXISTS, RECENT, EXPUNGE or FETCH before")
        if word in (b"EXPUNGE", b"FETCH") and self.number == 0:
            self.fail("a number that is not 0 before")
        if word == b"FETCH":
            self.sp()
            self.msg_att()

    def continue_req(self):
        """"+" SP (resp-text / base64) CRLF"""
        self.kind = "+"
        self.sp()
        if BASE64.fullmatch(self.octets, self.at, len(self.octets) - 2):
            self.at = len(self.octets) - 2
        else:
            self.resp_text()

    def response_tagged(self):
        self.kind = self.run(TAG, "a tag, * or +").decode()
        self.sp()
        if not self.word(b"OK") and not self.word(b"NO") and not self.word(b"BAD"):
            self.fail("OK, NO or BAD")
        self.sp()
        self.resp_text()

    def response(self):
        if self.take(b"* "):
            if NUMBER.match(self.octets, self.at):
                self.untagged_number()
            else:
                self.untagged_word()
        elif self.take(b"+"):
            self.continue_req()
        else:
            self.response_tagged()
        if self.octets[self.at:] != b"\r\n":
            self.fail("CRLF, and nothing more,")
        return self


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


def check(octets, utf8=False):
    """One whole response, its literals and its CRLF in it. Returns what was read, or raises Violation."""
    return Response(bytes(octets), utf8).response()


class Watcher:
    """Reads a server's stream along; .responses is how many were whole. It notices what was enabled."""

    def __init__(self):
        self.held = bytearray()     # of the response that is not whole yet
        self.line = 0               # where the line goes on behind its last literal
        self.scanned = 0            # no line end between .line and here
        self.responses = 0
        self.utf8 = False

    def feed(self, octets):
        """Returns the responses that have become whole."""
        self.held += octets
        done = []
        while (end := self.held.find(b"\r\n", self.scanned)) >= 0:
            literal = ENDS_IN_LITERAL.search(self.held, max(self.line, end - 24), end + 2)
            if literal:
                self.line = self.scanned = end + 2 + int(literal.group(1))
                continue
            whole = bytes(self.held[:end + 2])
            del self.held[:end + 2]
            self.line = self.scanned = 0
            self.responses += 1
            done.append(check(whole, self.utf8))
            self.utf8 |= bool({b"UTF8=ACCEPT", b"IMAP4REV2"} & done[-1].items.get("enabled", set()))
        # The last octet may be a CR whose LF is to come.
        self.scanned = max(self.line, len(self.held) - 1)
        return done
