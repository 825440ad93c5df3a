# SPDX-License-Identifier: ISC
"""What an IMAP server may say, and nothing else: a strict reader of RFC 3501 section 9, "greeting" and "response".

Extensions: RFC 2342 NAMESPACE, 2971 ID, 4315 UIDPLUS, 5161 ENABLE, 5258 and 3348 LIST, 6154 SPECIAL-USE, 5530 and
others' response codes, 9208 QUOTA, 4466 and 4731 ESEARCH, 5182 SEARCHRES, 9394 PARTIAL, 7162 CONDSTORE and QRESYNC, 8438
STATUS=SIZE, 8474 OBJECTID, 8514 SAVEDATE, 8970 PREVIEW, 3516 BINARY, 9755 UTF8=ACCEPT. The methods of Response are named as
the ABNF's rules. Stricter than the ABNF where it says more in prose: INBOX's spelling, modified UTF-7, codes that nobody
registered, items told twice. imap_words.py has the words, imap_fetched.py what FETCH tells.

    check(octets)       one response with its literals and its CRLF; raises Violation
    Watcher().feed(o)   the same of a stream, piece by piece
"""

import re

from imap_fetched import Fetched
from imap_words import NUMBER, SYSTEM_FLAGS, Violation   # noqa: F401

TAG = re.compile(rb"""[^\x00-\x20\x7f-\xff(){%*"\\+]+""")
TEXT = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]+")
ENDS_IN_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")
UID_SET = re.compile(rb"[1-9][0-9]*(?::[1-9][0-9]*)?(?:,[1-9][0-9]*(?::[1-9][0-9]*)?)*")
PARTIAL_RANGE = re.compile(rb"[1-9][0-9]*:[1-9][0-9]*|-[1-9][0-9]*:-[1-9][0-9]*")
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

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
FIELDS_OF_ID_MAX, FIELD_OF_ID_MAX, VALUE_OF_ID_MAX = 30, 30, 1024       # RFC 2971 3.3


class Response(Fetched):
    """One response; .kind and .number say which ("FETCH", 3), .items what a FETCH told. utf8: RFC 9755 3 holds."""
    def __init__(self, octets, utf8=False):
        super().__init__(octets, utf8)
        self.kind, self.number = None, None

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
