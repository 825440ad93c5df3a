# SPDX-License-Identifier: ISC
"""tests/harness/imap_grammar.py itself: what it must let through, and what it must not."""

from imap_grammar import Violation, Watcher, check
from trivet import equal

GOOD = [
    b"* OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] Ready",
    b"* PREAUTH IMAP4rev1 server logged in as Smith",
    b"* BYE Autologout; idle for too long",
    b"a1 OK done", b"]x.1 NO [TRYCREATE] no such mailbox", b"* BAD Empty command line",
    b"+ idling", b"+ ", b"+ AGFsaWNl", b"+ YGgGCSqGSIb3EgECAgIAAGFZMA==", b"+ [ALERT] Say it",
    b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=GSSAPI LOGINDISABLED",
    b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Label1 NonJunk)", b"* FLAGS ()",
    b"* 172 EXISTS", b"* 0 RECENT", b"* 44 EXPUNGE",
    b"* OK [UNSEEN 12] Message 12 is first unseen", b"* OK [UIDVALIDITY 3857529045] UIDs valid",
    b"* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited", b"* OK [PERMANENTFLAGS ()] No permanent flags permitted",
    b"A003 OK [APPENDUID 38505 3955] APPEND completed", b"A004 OK [COPYUID 38505 304,319:320 3956:3958] Done",
    b"* NO [BADCHARSET (US-ASCII UTF-8)] unknown", b"* NO [BADCHARSET] unknown", b"a NO [OVERQUOTA] full",
    b"* LIST (\\Noselect) \"/\" \"\"", b"* LIST () NIL INBOX", b"* LIST () \".\" #news.comp.mail.misc",
    b"* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"", b"* LIST () \"\\\\\" \"a\\\\b\"",
    b"* LIST (\\NonExistent \\Subscribed) \"/\" \"Fruit\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
    b"* LIST () \"/\" \"f\" (tablecloth ((edge dotted)) X-Sample \"text\")",
    b"* LIST () \"/\" {5}\r\na\"b&-", b"* LIST () \"/\" \"&1VytbcW0- &0,SzVA-\"",
    b"* LIST () \"/\" \"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"",
    b"* XLIST (\\HasNoChildren \\Inbox) \"/\" \"INBOX\"", b"* LSUB () \".\" #news.comp.mail.misc",
    b"* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)",
    b"* STATUS x (SIZE 9223372036854775807 DELETED 1 DELETED-STORAGE 5000000000 MAILBOXID (F2212ea87-6097))",
    b"* 1 FETCH (EMAILID (M6d99ac3275bb4e) THREADID (T64b478a75b7ea9))", b"* 1 FETCH (THREADID NIL SAVEDATE NIL)",
    b"* 2 FETCH (PREVIEW NIL)",
    b"* 2 FETCH (BINARY[1] ~{2}\r\na\0 BINARY[1.2]<5> {1}\r\na BINARY[2] NIL BINARY.SIZE[] 5)", b"3 NO [UNKNOWN-CTE] No", b"* 2 FETCH (PREVIEW \"\")", b"3 OK [MAILBOXID (F1)] Completed", b"* STATUS \"x\" ()",
    b"* SEARCH", b"* SEARCH 2 3 6",
    b"* ESEARCH (TAG \"A282\") MIN 2 COUNT 3", b"* ESEARCH (TAG \"A283\") ALL 2,10:11", b"* ESEARCH (TAG \"a\") UID",
    b"* ESEARCH (TAG \"A285\") UID MIN 7 MAX 3800", b"* ESEARCH (TAG \"A01\") UID PARTIAL (-1:-100 7,9:12)",
    b"* ESEARCH (TAG \"A04\") UID PARTIAL (24000:24500 NIL)", b"a NO [NOTSAVED] too much",
    b"* QUOTA \"\" (STORAGE 10 512)", b"* QUOTA \"User quota\" ()", b"* QUOTAROOT INBOX \"\"",
    b"* QUOTAROOT comp.mail.mime",
    b"* NAMESPACE ((\"\" \"/\")) NIL NIL",
    b"* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\" \"X-PARAM\" (\"FLAG1\" \"FLAG2\"))) ((\"~\" \"/\")) NIL",
    b"* ID NIL", b"* ID (\"name\" \"Cyrus\" \"version\" \"1.5\" \"os\" NIL)", b"* ENABLED",
    b"* ENABLED CONDSTORE X-GOOD",
    b"* 23 FETCH (FLAGS (\\Seen \\Recent) RFC822.SIZE 44827 UID 6)",
    b"* 12 FETCH (BODY[HEADER] {4}\r\na: b)", b"* 1 FETCH (BODY[1.2.HEADER.FIELDS.NOT (From \"T o\")]<0> NIL)",
    b"* 1 FETCH (BODY[] \"a\" BODY[1.MIME] {0}\r\n BODY[TEXT] \"\")", b"* 1 FETCH (RFC822 {6}\r\n)\r\n* 1)",
    b"* 2 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")",
    b"* 2 FETCH (INTERNALDATE \" 7-Jul-1996 02:44:25 +0000\")",
    # RFC 3501 section 8
    b"* 12 FETCH (FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 ENVELOPE "
    b"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
    b"((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
    b"((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) "
    b"((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
    b"\"<B27397-0100000@cac.washington.edu>\") BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92))",
    # RFC 3501 7.4.2
    b"* 1 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1152 23)"
    b"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") \"<960723163407.20117h@cac.washington.edu>\" "
    b"\"Compiler diff\" \"BASE64\" 4554 73) \"MIXED\"))",
    b"* 1 FETCH (BODYSTRUCTURE ((\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL (\"attachment\" (\"filename\" \"x\")) (\"en\" \"de\") NIL 5 (NIL))"
    b" \"mixed\" (\"boundary\" \"b\") NIL NIL NIL))",
    b"* 1 FETCH (BODY (\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 10 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "
    b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) 3))",
]

BAD = [
    b"", b"*", b"* ", b"a1", b"a1 OK", b"a1 OK ", b"a1 PREAUTH x", b"a1  OK x", b"a+b OK x", b"a1 FINE x", b"+", b"+x",
    b"* OK [UNSEEN 0] x", b"* OK [UNSEEN] x", b"* OK [NEVERHEARD] x", b"* OK [ALERT]", b"* OK [ALERT]x",
    b"* OK [ALERT x",
    b"a OK [COPYUID 1 1:3 4:5] Done", b"a OK [COPYUID 1 1:* 4:5] Done", b"a OK [APPENDUID 0 1] Done",
    b"* OK caf\xc3\xa9", b"* OK a\0b", b"* OK a\rb",
    b"* OK a\nb", b"* CAPABILITY LITERAL+", b"* CAPABILITY IMAP4rev1 IDLE IDLE", b"* CAPABILITY IMAP4rev1  IDLE",
    b"* CAPABILITY IMAP4rev1 ",
    b"* FLAGS (\\Recent)", b"* FLAGS (\\Seen \\Seen)", b"* FLAGS (\\Seen\\Draft)", b"* FLAGS (\\Seen )",
    b"* FLAGS \\Seen",
    b"* 01 EXISTS", b"* 4294967296 EXISTS", b"* 0 EXPUNGE", b"* 1 EXPUNGE ", b"* -1 EXISTS", b"* 1 VANISHED",
    b"* 1 FETCH",
    b"* LIST () \"/\" Inbox", b"* LIST () \"/\" \"caf\xe9\"", b"* LIST () \"/\" \"a&b\"",
    b"* LIST () \"/\" \"&AGE-\"", b"* LIST () \"/\" \"&1Vw\"",
    b"* LIST () \"/\" \"&1VytbcW0-&0,SzVA-\"", b"* LIST () \"//\" x", b"* LIST () / x",
    b"* LIST (\\Noselect \\NonExistent) \"/\" x",
    b"* LIST (\\HasChildren \\HasNoChildren) \"/\" x", b"* LIST (\\Sent \\Sent) \"/\" x", b"* LIST (\\Odd) \"/\" x",
    b"* LIST () \"/\" a b", b"* LIST () \"/\" x (\"CHILDINFO\" ())", b"* LIST () \"/\"",
    b"* LIST (\\Inbox) \"/\" INBOX",
    b"* STATUS x (MESSAGES)", b"* STATUS x (MESSAGES 1 MESSAGES 1)", b"* STATUS x (UIDNEXT 0)",
    b"* STATUS x (SIZES 1)", b"* STATUS x (MAILBOXID F1)", b"* STATUS x (SIZE 01)", b"* STATUS x MESSAGES 1",
    b"* 1 FETCH (EMAILID (1))", b"* 1 FETCH (EMAILID NIL)", b"* 1 FETCH (THREADID ())", b"* 1 FETCH (SAVEDATE \"now\")",
    b"* 1 FETCH (PREVIEW {2}\r\n\xff\xff)",
    b"* 1 FETCH (BINARY[1] ~{1}\r\na)", b"* 1 FETCH (BINARY[1.MIME] NIL)", b"* 1 FETCH (BINARY.SIZE[1]<0> 1)", b"a OK [MAILBOXID F1] done",
    b"* SEARCH ", b"* SEARCH 0", b"* SEARCH 1 1", b"* SEARCH 1  2", b"* SEARCH 1,2",
    b"* QUOTA User quota ()", b"* QUOTA \"\" (STORAGE 1)", b"* QUOTA \"\" (STORAGE 1 2 STORAGE 1 2)",
    b"* NAMESPACE NIL NIL", b"* NAMESPACE () NIL NIL", b"* NAMESPACE ((\"\" \"/\") (\"x\" \"/\")) NIL NIL",
    b"* ID ()x", b"* ID (\"name\")",
    b"* ID (NIL \"x\")", b"* ENABLED ", b"* ESEARCH", b"* WHATEVER 1",
    b"* ESEARCH (TAG a) COUNT 1", b"* ESEARCH (TAG \"a\") MIN 0", b"* ESEARCH (TAG \"a\") ALL", b"* ESEARCH (TAG \"a\") MIN 1 MIN 1",
    b"* ESEARCH (TAG \"a\") ALL 1 PARTIAL (1:2 1)", b"* ESEARCH (TAG \"a\") PARTIAL (1:-2 1)", b"* ESEARCH (TAG \"a\") ALL 1:*",
    b"* ESEARCH (TAG \"a\") PARTIAL (1:2)", b"* ESEARCH (TAG \"a\") SAVE 1", b"* ESEARCH UID (TAG \"a\")",
    b"* 1 FETCH ()", b"* 1 FETCH (UID 0)", b"* 1 FETCH (UID 1 UID 1)", b"* 1 FETCH (UID 1 )", b"* 1 FETCH (UID 1",
    b"* 1 FETCH (FLAGS)",
    b"* 1 FETCH (FLAGS (\\Foo))", b"* 1 FETCH (BODY[1.] NIL)", b"* 1 FETCH (BODY[0] NIL)",
    b"* 1 FETCH (BODY[MIME] NIL)", b"* 1 FETCH (BODY[] x)",
    b"* 1 FETCH (BODY.PEEK[] NIL)", b"* 1 FETCH (BODY[]<0.5> NIL)", b"* 1 FETCH (BODY[HEADER.FIELDS ()] NIL)",
    b"* 1 FETCH (BODY[] {3}\r\nab)",
    b"* 1 FETCH (BODY[] {3}\r\na\0b)", b"* 1 FETCH (BODY[] \"a\xff\")", b"* 1 FETCH (BODY[] \"a\\b\")",
    b"* 1 FETCH (INTERNALDATE \"7-Jul-1996 02:44:25 -0700\")",
    b"* 1 FETCH (INTERNALDATE \"17-JUL-1996 02:44:25 -0700\")",
    b"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL))",
    b"* 1 FETCH (ENVELOPE (NIL NIL () NIL NIL NIL NIL NIL NIL NIL))",
    b"* 1 FETCH (ENVELOPE (NIL NIL ((NIL NIL \"a\" \"b\") (NIL NIL \"c\" \"d\")) NIL NIL NIL NIL NIL NIL NIL))",
    b"* 1 FETCH (BODY (\"text\" \"plain\" NIL NIL NIL NIL 0 0))",
    b"* 1 FETCH (BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0))",
    b"* 1 FETCH (BODY (\"text\" \"plain\" () NIL NIL \"7bit\" 0 0))",
    b"* 1 FETCH (BODY (\"text\" \"plain\" (\"a\") NIL NIL \"7bit\" 0 0))",
    b"* 1 FETCH (BODY (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0 NIL))",
    b"* 1 FETCH (BODY (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0))",
    b"* 1 FETCH (BODYSTRUCTURE (\"multipart\" \"mixed\" NIL NIL NIL \"7bit\" 0))",
    b"* 1 FETCH (BODYSTRUCTURE (\"mixed\"))",
    b"* 1 FETCH (BODYSTRUCTURE ((\"a\" \"b\" NIL NIL NIL \"7bit\" 0)\"mixed\"))",
]


def test_what_the_grammar_has_is_let_through():
    for line in GOOD:
        check(line + b"\r\n")


def test_what_the_grammar_has_not_is_a_violation():
    passed = []
    for line in BAD:
        try:
            check(line + b"\r\n")
            passed.append(line)
        except Violation:
            pass
    equal(passed, [])


def test_utf_8_stands_in_quotes_once_it_was_enabled():
    name = "* LIST () \"/\" \"R&D \ud55c\"\r\n".encode()
    for before, after, good in ((b"* ENABLED UTF8=ACCEPT\r\n", name, True), (b"* ENABLED IMAP4rev2\r\n", name, True),
                                (b"* ENABLED CONDSTORE\r\n", name, False),
                                (b"* ENABLED UTF8=ACCEPT\r\n", b"* LIST () \"/\" \"caf\xe9\"\r\n", False)):
        watcher = Watcher()
        try:
            watcher.feed(before + after)
        except Violation:
            equal(good, False, repr(after))
            continue
        equal(good, True, repr(after))


def test_a_line_ends_in_crlf_and_there_is_one():
    for octets in (b"a OK x", b"a OK x\n", b"a OK x\r", b"a OK x\r\n\r\n", b"* 1 EXISTS\r\n* 1 RECENT\r\n"):
        try:
            check(octets)
        except Violation:
            continue
        raise AssertionError(octets)


def test_a_stream_is_the_same_in_whatever_pieces():
    stream = b"".join(line + b"\r\n" for line in GOOD)
    for size in (1, 2, 3, 7, 64, len(stream)):
        watcher = Watcher()
        for at in range(0, len(stream), size):
            watcher.feed(stream[at:at + size])
        equal((watcher.responses, bytes(watcher.held)), (len(GOOD), b""), f"in pieces of {size}")


def test_a_violation_in_a_stream_is_found():
    for octets in (b"* OK x\r\n\r\n", b"* 1 FETCH (RFC822 {3}\r\nabc\r\n", b"a OK x\nb OK x\r\n"):
        try:
            Watcher().feed(octets)
        except Violation:
            continue
        raise AssertionError(octets)
