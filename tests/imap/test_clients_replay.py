# SPDX-License-Identifier: ISC
"""What mail programs really send, played again: every command must be answered OK, with the data they look for.

A line is a command; {+text} is a literal sent at once, {=text} one that waits, MAIL in it a message. $1 to $9 are the UIDs
of INBOX's first messages. DONE ends the IDLE before it. NEW is another connection. "NO " before a command: so it is
answered, with what follows " -> " in it. "HAS NAME ": the command is sent where that capability is told, as the program
would. "=> regex": a line of the answer above.
"""

import itertools
import re

from imap_session import Literal, Plus, Session
from trivet import equal

DAEMONS = ("imapd",)
USERS = 30
users = itertools.count(1)

MAIL = """\
From: =?utf-8?B?6rmA?= <kim@x.test>
To: user1@example.test
Subject: tb5 RUN
Date: Mon, 3 Feb 2025 10:00:00 +0900
Message-ID: <one@x.test>
References: <zero@x.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_b"

--=_b
Content-Type: multipart/alternative; boundary="=_c"

--=_c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

가나다라 text number 12
--=_c
Content-Type: text/html; charset=utf-8

<p>html</p>
--=_c--
--=_b
Content-Type: application/pdf; name=a.pdf
Content-Transfer-Encoding: base64

AAECAwQ=
--=_b--
""".replace("\n", "\r\n")

TB_HEADERS = "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To Received"
RC_HEADERS = "DATE FROM TO SUBJECT CONTENT-TYPE CC REPLY-TO LIST-POST DISPOSITION-NOTIFICATION-TO X-PRIORITY"

THUNDERBIRD = f"""
NAMESPACE
ID ("name" "Thunderbird" "version" "153.7.0")
LIST (subscribed) "" "*" return (special-use)
=> .*\\\\Sent.* "Sent"
list "" "INBOX"
STATUS "Work" (UIDNEXT MESSAGES UNSEEN RECENT)
STATUS "Drafts" (UIDNEXT MESSAGES UNSEEN RECENT)
append "Sent" (\\Seen) {{+MAIL}}
SELECT "Sent"
GETQUOTAROOT "Sent"
=> \\* QUOTA .*
UID fetch 1:* (FLAGS)
UID fetch 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({TB_HEADERS})])
IDLE
DONE
NEW
ID ("name" "Thunderbird" "version" "153.7.0")
SELECT "INBOX"
GETQUOTAROOT "INBOX"
UID fetch 1:* (FLAGS)
=> \\* 1 FETCH \\(UID [0-9]+ FLAGS \\(\\\\Recent\\)\\)
UID fetch $1:$9 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({TB_HEADERS})])
IDLE
DONE
UID fetch $1 (UID RFC822.SIZE BODY[])
=> (?s).*FLAGS \\([^)]*\\\\Seen.*
UID fetch $2 (UID RFC822.SIZE BODY[]<0.65536>)
UID fetch $2 (UID RFC822.SIZE BODY[]<65536.65536>)
=> (?s).*BODY\\[\\]<65536> [{{"].*
UID fetch $3 (UID RFC822.SIZE BODY.PEEK[])
UID move $3 "Work"
noop
UID fetch 1:* (FLAGS)
UID copy $4 "Work"
UID store $1,$2 +Flags (\\Seen)
UID move $4 "Trash"
EXPUNGE
UID store $5 +Flags (\\Flagged)
UID store $5 +FLAGS ($label1)
UID STORE $5 +Flags (\\Seen \\Flagged $MDNSent)
UID STORE $5 -Flags (\\Answered \\Deleted \\Draft $Forwarded)
UID SEARCH UNDELETED SUBJECT "tb5 RUN"
=> \\* SEARCH [0-9 ]+
UID SEARCH CHARSET UTF-8 UNDELETED SUBJECT {{=가나}}
SELECT "Drafts"
APPEND "Drafts" (\\Draft) {{+MAIL}}
=> \\* 1 EXISTS
NOOP
UID FETCH 1:* (FLAGS)
UID STORE 1:* +Flags (\\Seen \\Deleted)
UID EXPUNGE 1:4000000000
NEW
SELECT "Archive"
CREATE "&wMg- &0,SzVA- &- more"
SUBSCRIBE "&wMg- &0,SzVA- &- more"
LIST "" "&wMg- &0,SzVA- &- more"
=> \\* LIST .*
CREATE "&wMg- &0,SzVA- &- more/sub"
SUBSCRIBE "&wMg- &0,SzVA- &- more/sub"
LIST (subscribed) "" "&wMg- &0,SzVA- &- more/*" return (special-use)
=> .*/sub"
RENAME "&wMg- &0,SzVA- &- more" "&suS5eA- &x3S5hA-"
SUBSCRIBE "&suS5eA- &x3S5hA-"
UNSUBSCRIBE "&wMg- &0,SzVA- &- more"
SUBSCRIBE "&suS5eA- &x3S5hA-/sub"
UNSUBSCRIBE "&wMg- &0,SzVA- &- more/sub"
LIST (subscribed) "" "&suS5eA- &x3S5hA-/sub/*" return (special-use)
RENAME "&suS5eA- &x3S5hA-/sub" "Trash/sub"
SUBSCRIBE "Trash/sub"
UNSUBSCRIBE "&suS5eA- &x3S5hA-/sub"
SELECT "Trash"
STORE 1:* +FLAGS.SILENT (\\Deleted)
EXPUNGE
=> \\* 1 EXPUNGE
LIST "" "Trash/*"
=> .*Trash/sub"
DELETE "Trash/sub"
UNSUBSCRIBE "Trash/sub"
LOGOUT
"""

THUNDERBIRD_NARROW = f"""
list "" "*"
lsub "" "*"
list "" "INBOX"
STATUS "Archive" (UIDNEXT MESSAGES UNSEEN RECENT)
append "Sent" (\\Seen) {{+MAIL}}
NEW
SELECT "INBOX"
UID fetch 1:* (FLAGS)
UID fetch $1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({TB_HEADERS})])
IDLE
DONE
UID fetch $1 (UID RFC822.SIZE BODY[])
UID copy $1 "Work"
UID store $1 +FLAGS (\\Deleted \\Seen)
UID expunge $1
=> \\* 1 EXPUNGE
noop
UID fetch 1:* (FLAGS)
UID copy $2 "Trash"
UID store $2 +FLAGS (\\Deleted \\Seen)
UID EXPUNGE $2
EXPUNGE
CHECK
UID SEARCH UNDELETED SUBJECT "tb5 RUN"
UID SEARCH CHARSET UTF-8 UNDELETED SUBJECT {{=가}}
LOGOUT
"""

ROUNDCUBE = f"""
NAMESPACE
LIST (SPECIAL-USE) "" "*" RETURN (SUBSCRIBED)
=> .*\\\\Subscribed.*\\\\Drafts.* "Drafts"
LOGOUT
NEW
LIST (SUBSCRIBED) "" "*"
UNSUBSCRIBE Vol
UNSUBSCRIBE "&1VytbcW0- &0,SzVA-/Sub &- more"
GETQUOTAROOT INBOX
LOGOUT
NEW
STATUS INBOX (MESSAGES UNSEEN)
SELECT INBOX
UID SEARCH 9
UID SEARCH ALL
UID FETCH $1:$9 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS ({RC_HEADERS})])
GETQUOTAROOT INBOX
LOGOUT
NEW
SELECT INBOX
UID THREAD REFS US-ASCII ALL
=> \\* THREAD \\(.*
UID SORT (SUBJECT) US-ASCII ALL
=> \\* SORT [0-9 ]+
UID SORT (ARRIVAL) US-ASCII UNDELETED
UID SORT (DISPLAYFROM) US-ASCII ALL
UID SORT (REVERSE DATE) US-ASCII UNSEEN
UID SORT (SUBJECT) US-ASCII OR HEADER SUBJECT "tb5 RUN" HEADER FROM "tb5 RUN"
=> \\* SORT [0-9 ]+
UID SORT (SUBJECT) UTF-8 OR HEADER SUBJECT {{+김}} HEADER FROM {{+김}}
=> \\* SORT [0-9 ]+
UID SORT (SUBJECT) UTF-8 TEXT {{+가나다라}}
UID SORT (SUBJECT) US-ASCII TEXT "number 12"
SELECT Archive
SELECT Drafts
SELECT INBOX
LOGOUT
NEW
ENABLE QRESYNC
SELECT INBOX
UID FETCH $1:$9 (FLAGS) (CHANGEDSINCE 1 VANISHED)
LOGOUT
NEW
SELECT INBOX
UID FETCH $1 (UID RFC822.SIZE FLAGS INTERNALDATE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ({RC_HEADERS} CONTENT-TRANSFER-ENCODING BCC IN-REPLY-TO MESSAGE-ID SENDER REFERENCES)])
UID FETCH $1 (BODY.PEEK[1.MIME])
LIST (SUBSCRIBED) "" "*"
UID FETCH $1 (BODY.PEEK[1.2])
=> (?s).*<p>html</p>.*
HAS BINARY UID FETCH $1 (BINARY.PEEK[2])
UID STORE $1 +FLAGS.SILENT (\\Seen)
LOGOUT
NEW
LSUB "" Sent
=> \\* LSUB .*Sent"
LIST "" Sent
APPEND Sent (\\Seen) {{+MAIL}}
APPEND Drafts (\\Seen) {{+MAIL}}
SELECT Drafts
UID STORE 1:* +FLAGS.SILENT (\\Deleted)
UID EXPUNGE 1:4000000000
LOGOUT
NEW
SELECT INBOX
UID MOVE $2 Work
STATUS INBOX (MESSAGES UNSEEN)
UID SEARCH 8
STATUS Work (MESSAGES UNSEEN)
UID STORE $3 +FLAGS.SILENT (\\Seen)
UID MOVE $3 Trash
SELECT Trash
UID STORE 1:* +FLAGS.SILENT (\\Deleted)
CLOSE
LOGOUT
NEW
CREATE foldertest17952839419498
CREATE foldertest17952839419498/foldertest
DELETE foldertest17952839419498/foldertest
DELETE foldertest17952839419498
ID ("name" "Roundcube" "version" "1.6.5" "php" "8.2.36" "os" "Linux")
CREATE "&wMg- &0,SzVA- &- more"
SUBSCRIBE "&wMg- &0,SzVA- &- more"
LIST "" "&wMg- &0,SzVA- &- more"
=> \\* LIST .*
LOGOUT
NEW
CREATE "&wMg- &0,SzVA- &- more/sub"
SUBSCRIBE "&wMg- &0,SzVA- &- more/sub"
STATUS "&wMg- &0,SzVA- &- more" (MESSAGES UNSEEN)
GETQUOTAROOT "&wMg- &0,SzVA- &- more"
LIST (SUBSCRIBED) "&wMg- &0,SzVA- &- more/" "*"
=> .*/sub"
LSUB "" "&wMg- &0,SzVA- &- more"
RENAME "&wMg- &0,SzVA- &- more" "renamed &0,SzVA-"
UNSUBSCRIBE "&wMg- &0,SzVA- &- more"
SUBSCRIBE "renamed &0,SzVA-"
UNSUBSCRIBE "&wMg- &0,SzVA- &- more/sub"
SUBSCRIBE "renamed &0,SzVA-/sub"
LIST "renamed &0,SzVA-/sub/" "*"
DELETE "renamed &0,SzVA-/sub"
UNSUBSCRIBE "renamed &0,SzVA-/sub"
LIST "renamed &0,SzVA-/" "*"
DELETE "renamed &0,SzVA-"
UNSUBSCRIBE "renamed &0,SzVA-"
LOGOUT
"""

OUTLOOK = """
CAPABILITY
ID ("name" "Microsoft Outlook" "version" "16.0" "os" "Windows" "vendor" "Microsoft")
NAMESPACE
LIST "" "*"
LSUB "" "*"
LIST "" ""
LIST "" "%"
XLIST "" "*"
=> .*\\\\Inbox.* "INBOX"
LIST (SPECIAL-USE) "" "*"
LIST "" "*" RETURN (SPECIAL-USE)
IDLE
DONE
STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)
SELECT "INBOX"
UID FETCH 1:* (UID FLAGS)
FETCH 1:* (UID)
UID FETCH $1:$9 (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER] INTERNALDATE)
UID FETCH $1 (UID FLAGS BODY.PEEK[])
UID FETCH $1 (UID RFC822.SIZE)
UID FETCH $1 (UID FLAGS RFC822.SIZE RFC822.HEADER INTERNALDATE)
UID FETCH $1 (UID FLAGS RFC822.PEEK)
=> (?s).*RFC822 \\{.*
UID FETCH $1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM TO CC MESSAGE-ID REFERENCES IN-REPLY-TO CONTENT-TYPE IMPORTANCE X-PRIORITY LIST-UNSUBSCRIBE)])
UID FETCH $1 (UID BODY.PEEK[1.1] BODY.PEEK[1.2] BODY.PEEK[1.MIME] BODY.PEEK[2])
UID SEARCH SINCE 1-Jan-2020 NOT DELETED
UID SEARCH UID $1:* ALL
UID STORE $1 +FLAGS (\\Seen)
UID STORE $1 +FLAGS (\\Answered)
UID STORE $1 -FLAGS (\\Flagged)
UID STORE $1 +FLAGS.SILENT (\\Flagged)
UID STORE $1 -FLAGS (\\Seen)
CREATE "Outlook folder"
SUBSCRIBE "Outlook folder"
UID MOVE $2 "Outlook folder"
=> \\* OK \\[COPYUID .*
APPEND "Outlook folder" (\\Seen) "03-Feb-2025 10:00:00 +0900" {=MAIL}
UID STORE $3 +FLAGS (\\Deleted)
UID EXPUNGE $3
CHECK
NOOP
RENAME "Outlook folder" "Outlook 2"
UNSUBSCRIBE "Outlook folder"
DELETE "Outlook 2"
NEW
CAPABILITY
SELECT INBOX
IDLE
DONE
LOGOUT
"""

IMAPFLOW = """
ID ("name" "harness" "version" "1" "vendor" "Postal Systems" "support-url" "https://github.com/postalsys/imapflow/issues")
NAMESPACE
ENABLE CONDSTORE QRESYNC
LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN UIDNEXT HIGHESTMODSEQ) SPECIAL-USE CHILDREN SUBSCRIBED)
=> \\* STATUS .*HIGHESTMODSEQ.*
STATUS INBOX (MESSAGES)
CREATE "&1VytbcW0- &0,SzVA-"
SUBSCRIBE "&1VytbcW0- &0,SzVA-"
CREATE "&1VytbcW0- &0,SzVA-/Sub &- more"
SUBSCRIBE "&1VytbcW0- &0,SzVA-/Sub &- more"
SELECT INBOX
FETCH 1:* (UID FLAGS BODYSTRUCTURE ENVELOPE INTERNALDATE RFC822.SIZE MODSEQ BODY.PEEK[HEADER.FIELDS (references)])
UID FETCH $1 (UID RFC822.SIZE MODSEQ BODY.PEEK[2.MIME] BODY.PEEK[2]<0.65536>)
FETCH 1 (BODY.PEEK[] MODSEQ UID)
SEARCH SUBJECT "tb5 RUN"
SEARCH CHARSET UTF-8 BODY "가나다라"
=> \\* SEARCH 1 .*
SEARCH OR FLAGGED UNSEEN YOUNGER 3600
STORE 1 +FLAGS (\\Flagged $Label1)
STORE 1 -FLAGS ($Label1)
COPY 1 "&1VytbcW0- &0,SzVA-"
APPEND "&1VytbcW0- &0,SzVA-" (\\Seen) " 3-Feb-2025 10:00:00 +0900" {+MAIL}
APPEND INBOX {=MAIL}
MOVE 2 "&1VytbcW0- &0,SzVA-"
STATUS INBOX (HIGHESTMODSEQ)
FETCH 1:* (FLAGS MODSEQ UID) (CHANGEDSINCE 1)
NOOP
LIST "" "&1VytbcW0- &0,SzVA-" RETURN (SPECIAL-USE CHILDREN SUBSCRIBED)
EXAMINE "&1VytbcW0- &0,SzVA-"
CLOSE
GETQUOTAROOT INBOX
DELETE "&1VytbcW0- &0,SzVA-/Sub &- more"
RENAME "&1VytbcW0- &0,SzVA-" "&1VytbcW0- &0,SzVA-2"
UNSUBSCRIBE "&1VytbcW0- &0,SzVA-"
DELETE "&1VytbcW0- &0,SzVA-2"
LOGOUT
"""

AERC = """
SELECT INBOX
LIST "" "*" RETURN (STATUS (MESSAGES RECENT UNSEEN))
IDLE
DONE
SELECT INBOX
UID SEARCH CHARSET UTF-8 ALL
UID FETCH $1:$9 (BODYSTRUCTURE ENVELOPE INTERNALDATE FLAGS UID BODY.PEEK[HEADER])
UID STORE $1 +FLAGS (\\Seen)
UID FETCH $1 (ENVELOPE UID BODYSTRUCTURE FLAGS BODY.PEEK[HEADER] BODY.PEEK[TEXT])
UID MOVE $1 "Work"
UID SEARCH CHARSET UTF-8 SUBJECT "ae0"
CREATE "NewBox"
SELECT "NewBox"
UID SEARCH CHARSET UTF-8 ALL
=> \\* SEARCH
APPEND "Sent" (\\Seen) "03-Feb-2025 10:00:00 +0900" {+MAIL}
IDLE
DONE
"""

ALPINE = """
ID ("name" "alpine" "version" "2.26")
SELECT INBOX
SEARCH UNANSWERED UNDELETED UNSEEN
FETCH 1:9 FLAGS
FETCH 1:9 (UID ENVELOPE BODY.PEEK[HEADER.FIELDS (Newsgroups Content-MD5 Content-Disposition Content-Language Content-Location resent-to resent-date resent-from resent-cc resent-subject List-Help)])
FETCH 1 (BODYSTRUCTURE FLAGS)
FETCH 1 BODY[1]
STORE 1 +Flags (\\DELETED)
NOOP
EXPUNGE
=> \\* 1 EXPUNGE
LIST "" Work
COPY 1 Work
STORE 1 +Flags (\\DELETED)
EXPUNGE
LIST "" %
LIST "" postponed-msgs
LIST "" Sent
LOGOUT
"""

OFFLINEIMAP = """
CAPABILITY
ID ("name" "OfflineIMAP" "version" "8.0.0")
LIST "" ""
LIST "" "*"
SELECT Archive
EXAMINE Archive
SELECT INBOX
EXAMINE INBOX
FETCH 1:* (FLAGS UID INTERNALDATE)
=> .*INTERNALDATE.*
UID FETCH $1 (BODY.PEEK[])
SELECT INBOX
APPEND INBOX () "03-Feb-2025 10:00:00 +0900" {=MAIL}
CHECK
UID STORE $1 +FLAGS (\\Deleted)
EXPUNGE
UID STORE $2 +FLAGS (\\Seen)
LOGOUT
"""

MBSYNC = """
NAMESPACE
LIST "" "*"
SELECT "INBOX"
UID FETCH 1:* (UID FLAGS)
UID FETCH $1 (BODY.PEEK[])
UID STORE $1 +FLAGS.SILENT (\\Flagged \\Seen)
CHECK
APPEND "INBOX" {+MAIL}
=> .* OK \\[APPENDUID .*
CLOSE
CREATE "New&1VytbQ-"
SELECT "New&1VytbQ-"
APPEND "New&1VytbQ-" {+MAIL}
CLOSE
SELECT "INBOX"
UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])
NO CREATE "New한국"
LOGOUT
"""

NEOMUTT = """
CAPABILITY
ENABLE UTF8=ACCEPT
ENABLE QRESYNC
LIST "" ""
LSUB "" "*"
SELECT "INBOX" (CONDSTORE)
FETCH 1:9 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES LIST-POST)])
STATUS "INBOX" (UIDNEXT UIDVALIDITY UNSEEN RECENT MESSAGES)
STATUS "Work" (UIDNEXT UIDVALIDITY UNSEEN RECENT MESSAGES)
IDLE
DONE
UID FETCH $1 BODY.PEEK[]
UID COPY $1 "Trash"
UID STORE $1 +FLAGS.SILENT (\\Deleted)
UID STORE $2:$3 +FLAGS.SILENT (\\Flagged)
EXPUNGE
CLOSE
LOGOUT
"""

IMAPFILTER = """
CAPABILITY
NAMESPACE
STATUS "INBOX" (MESSAGES RECENT UNSEEN UIDNEXT)
SELECT "INBOX"
UID SEARCH ALL SUBJECT "if0"
NO UID COPY $1 "Moved" -> TRYCREATE
CREATE "Moved"
SUBSCRIBE "Moved"
UID COPY $1 "Moved"
UID STORE $1 +FLAGS.SILENT (\\Deleted)
EXPUNGE
UID SEARCH ALL UNSEEN
UID SEARCH ALL BODY "text"
UID SEARCH ALL LARGER 100
UID STORE $2 +FLAGS.SILENT (MyTag)
UID SEARCH ALL BEFORE 04-Sep-2018
LIST "" "%"
"""

IMAPTALK = """
CAPABILITY
NOOP
LIST "" "*"
STATUS INBOX (messages unseen uidnext uidvalidity)
SELECT "inbox"
UID SEARCH subject tb5
UID FETCH $1 (flags internaldate rfc822.size envelope bodystructure)
UID FETCH $1 body.peek[header.fields (subject from)]
UID FETCH $1 (body.peek[1.mime] body.peek[2]<0.100>)
CREATE ptbox
UID COPY $1 ptbox
UID STORE $1 +flags (\\flagged)
UID SORT (arrival) us-ascii all
UID THREAD REFERENCES us-ascii all
UID MOVE $2 ptbox
APPEND ptbox (\\seen) {=MAIL}
SELECT "ptbox"
UID STORE 1:* +flags (\\deleted)
EXPUNGE
CLOSE
GETQUOTAROOT INBOX
DELETE ptbox
LOGOUT
"""

FETCHERS = """
SELECT "INBOX"
SEARCH UNSEEN UNDELETED
FETCH 1:9 RFC822.SIZE
FETCH 1 RFC822.HEADER
FETCH 1 BODY.PEEK[TEXT]
STORE 1 +FLAGS (\\Seen \\Deleted)
EXPUNGE
NEW
EXAMINE INBOX
FETCH 1:* (UID RFC822.SIZE)
UID FETCH $2 (BODY.PEEK[])
CLOSE
SELECT INBOX
UID STORE $2 FLAGS (\\Deleted \\Seen)
EXPUNGE
FETCH 1 BODY[]
FETCH 1 (FLAGS BODY[HEADER.FIELDS (SUBJECT)])
FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE RFC822)
LIST "" *
UID SEARCH CHARSET UTF-8 BODY {=가나다라}
=> \\* SEARCH [0-9 ]+
CLOSE
LOGOUT
"""

# From its published source, not measured.
K9 = """
CAPABILITY
ID ("name" "K-9 Mail")
NAMESPACE
LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE)
LSUB "" "*"
STATUS "INBOX" (UIDVALIDITY)
SELECT "INBOX"
UID SEARCH 1:9 NOT DELETED
UID SEARCH 1:* SINCE 01-Jan-2020 NOT DELETED
UID FETCH $1,$2 (UID FLAGS)
UID FETCH $1:$9 (UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (date subject from content-type to cc reply-to message-id references in-reply-to list-unsubscribe sender X-K9mail-Identity Chat-Version)])
UID FETCH $1 (BODY.PEEK[])
UID FETCH $1 (UID BODY.PEEK[]<0.32768>)
UID FETCH $1 (UID BODY.PEEK[1.1])
UID STORE $1 +FLAGS.SILENT (\\Seen)
UID COPY $1 "Archive"
UID MOVE $2 "Archive"
UID SEARCH HEADER MESSAGE-ID "<one@x.test>"
=> \\* SEARCH [0-9 ]+
APPEND "Sent" (\\Seen) {=MAIL}
UID SEARCH TEXT "number" UNSEEN
UID EXPUNGE $1
CLOSE
SELECT "INBOX"
IDLE
DONE
NOOP
"""

# From its published source, not measured; one connection for each request, like Roundcube.
SNAPPYMAIL_HEADERS = ("RETURN-PATH RECEIVED MIME-VERSION MESSAGE-ID CONTENT-TYPE FROM TO CC BCC SENDER REPLY-TO DELIVERED-TO "
                      "IN-REPLY-TO REFERENCES DATE SUBJECT X-MSMAIL-PRIORITY IMPORTANCE X-PRIORITY X-DRAFT-INFO "
                      "DISPOSITION-NOTIFICATION-TO AUTHENTICATION-RESULTS LIST-UNSUBSCRIBE X-SPAM-STATUS")
SNAPPYMAIL = f"""
CAPABILITY
ID ("name" "SnappyMail" "version" "2.38.2" "vendor" "SnappyMail")
NAMESPACE
LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ MAILBOXID))
=> \\* STATUS "INBOX" .*MAILBOXID.*
GETQUOTAROOT "INBOX"
LOGOUT
NEW
SELECT "INBOX" (CONDSTORE)
STATUS "INBOX" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ)
UID SEARCH RETURN (ALL COUNT) UNDELETED
=> \\* ESEARCH .*COUNT 9.*
UID SORT RETURN (ALL) (REVERSE DATE) UTF-8 UNDELETED
UID SORT RETURN (ALL) (SUBJECT REVERSE DATE) UTF-8 TEXT {{+가나다라}}
=> \\* ESEARCH .*ALL .*
UID THREAD REFS UTF-8 UNDELETED
UID FETCH $1:$9 (UID RFC822.SIZE INTERNALDATE FLAGS BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS ({SNAPPYMAIL_HEADERS})])
HAS PREVIEW UID FETCH $1:$9 (UID PREVIEW)
UID FETCH $1 (UID RFC822.SIZE INTERNALDATE FLAGS EMAILID THREADID BODYSTRUCTURE BODY.PEEK[HEADER])
UID FETCH $1 (BODY.PEEK[1.1] BODY.PEEK[1.2])
HAS BINARY UID FETCH $1 (BINARY.PEEK[2])
UID FETCH $1 (BODY.PEEK[2.MIME] BODY.PEEK[2]<0.32768>)
UID STORE $1 +FLAGS.SILENT (\\Seen)
UID STORE $1 +FLAGS.SILENT ($Junk)
UID STORE $1 -FLAGS.SILENT ($NotJunk)
UID MOVE $2 "Archive"
UID COPY $3 "Work"
UID STORE $4 +FLAGS.SILENT (\\Deleted)
UID EXPUNGE $4
UID SEARCH RETURN (ALL) OR OR OR FROM {{+김}} TO {{+김}} CC {{+김}} SUBJECT {{+김}}
LOGOUT
NEW
APPEND "Drafts" (\\Seen \\Draft) {{+MAIL}}
HAS REPLACE SELECT "Drafts"
HAS REPLACE REPLACE 1 "Drafts" (\\Seen \\Draft) {{+MAIL}}
LOGOUT
"""

# From notes of others and Apple's own (TN3191), not measured. Mail on a Mac, then on a phone.
APPLE_HEADERS = ("date subject from to cc message-id in-reply-to references content-type x-priority reply-to list-id "
                 "x-uniform-type-identifier x-universally-unique-identifier list-unsubscribe")
APPLE_MAIL = f"""
ID ("name" "Mac OS X Mail" "version" "16.0 (3826.400.131)" "os" "Mac OS X" "os-version" "15.3 (24D60)" "vendor" "Apple Inc.")
CAPABILITY
NAMESPACE
LIST "" ""
LIST "" "*" RETURN (SPECIAL-USE STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ))
=> \\* STATUS "INBOX" .*
ENABLE CONDSTORE
STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)
SELECT "INBOX" (CONDSTORE)
FETCH 1:9 (FLAGS UID)
UID SEARCH RETURN (ALL) UNDELETED
=> \\* ESEARCH .*ALL .*
UID FETCH $1:$9 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({APPLE_HEADERS})])
UID FETCH $1 (BODYSTRUCTURE BODY.PEEK[HEADER])
UID FETCH $1 BODY.PEEK[1.1]<0.65536>
UID FETCH $1 (UID BODY.PEEK[])
UID STORE $1 +FLAGS.SILENT (\\Seen)
UID STORE $1 +FLAGS.SILENT (\\Flagged $MailFlagBit0 $MailFlagBit2)
UID STORE $1 -FLAGS.SILENT ($MailFlagBit2)
UID STORE $2 +FLAGS.SILENT ($NotJunk NotJunk)
UID STORE $2 -FLAGS.SILENT ($Junk Junk JunkRecorded)
UID COPY $3 "Trash"
UID STORE $3 +FLAGS.SILENT (\\Deleted)
UID EXPUNGE $3
UID MOVE $4 "Archive"
APPEND "Drafts" (\\Seen \\Draft $NotJunk NotJunk) "03-Feb-2025 10:00:00 +0900" {{+MAIL}}
GETQUOTAROOT "INBOX"
FETCH 1:* (FLAGS UID MODSEQ) (CHANGEDSINCE 1)
=> \\* [0-9]+ FETCH .*MODSEQ.*
IDLE
DONE
NOOP
CHECK
CLOSE
LOGOUT
NEW
ID ("name" "iPhone Mail" "version" "22D63" "os" "iOS" "os-version" "18.3 (22D63)")
LIST "" "%" RETURN (CHILDREN SPECIAL-USE)
STATUS "INBOX" (UIDNEXT UIDVALIDITY HIGHESTMODSEQ)
SELECT INBOX (CONDSTORE)
UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0)
UID SEARCH 1:* NOT DELETED
UID FETCH $1 (BODYSTRUCTURE UID BODY.PEEK[HEADER])
UID FETCH $1 BODY.PEEK[1.2]
IDLE
DONE
LOGOUT
"""


# ---- the player ----

def parts_of(text):
    """The command with its literals."""
    for piece in re.split(r"(\{[+=][^}]*\})", text):
        if piece[:2] in ("{+", "{="):
            kind = Plus if piece[1] == "+" else Literal
            yield kind(piece[2:-1].replace("MAIL", MAIL).encode())
        else:
            yield piece


class Player:
    def __init__(self, site, script, port):
        self.site, self.user, self.port = site, next(users), port
        self.script = script.strip().split("\n")
        self.session = self.idle = self.answer = None
        with Session(site, self.user) as s:
            self.uids = [s.append("INBOX", MAIL.encode()) for _ in range(9)]
            s.ok("CREATE Work")
            s.ok("SUBSCRIBE Work")

    def line(self, line):
        if line == "NEW":
            self.session = Session(self.site, self.user, self.port)
        elif line == "IDLE":
            self.idle = self.session.begin("IDLE")
            equal(self.session.response().kind, "+")
        elif line == "DONE":
            self.session.send(b"DONE\r\n")
            equal(self.session.end(self.idle).word, "OK")
        elif line.startswith("=> "):
            lines = [r.octets[:-2].decode("utf-8", "replace") for r in [*self.answer.untagged, self.answer.tagged]]
            if not any(re.fullmatch(line[3:], told) for told in lines):
                raise AssertionError(f"no {line[3:]} in {lines}")
        elif line.startswith("HAS "):
            _, name, line = line.split(" ", 2)
            if name in self.capabilities():
                self.command(line)
        else:
            self.command(line)

    def capabilities(self):
        return self.session.ok("CAPABILITY").lines()[0].decode().split()

    def command(self, line):
        text = re.sub(r"\$([1-9])", lambda found: str(self.uids[int(found.group(1)) - 1]), line)
        if not line.startswith("NO "):
            self.answer = self.session.ok(*parts_of(text))
            return
        text, _, code = text[3:].partition(" -> ")
        self.answer = self.session.no(*parts_of(text))
        if code:
            equal(self.answer.code(code) is not None, True, code)

    def play(self):
        self.line("NEW")
        for line in self.script:
            self.line(line)
        self.session.socket.close()


def replay_of(name, script, port):
    def play(site):
        Player(site, script, port).play()

    play.__name__ = f"test_{name}_is_answered_ok_throughout"
    return play


def more_tests():
    return [replay_of(name, script, port) for name, script, port in (
        ("thunderbird", THUNDERBIRD, "imaps_port"), ("thunderbird_with_few_capabilities", THUNDERBIRD_NARROW,
        "imap_port"),
        ("roundcube", ROUNDCUBE, "imaps_port"), ("outlook", OUTLOOK, "imaps_port"),
        ("imapflow", IMAPFLOW, "imap_port"), ("aerc", AERC, "imap_port"),
        ("alpine", ALPINE, "imap_port"), ("offlineimap", OFFLINEIMAP, "imap_port"), ("mbsync", MBSYNC, "imap_port"),
        ("neomutt", NEOMUTT, "imap_port"),
        ("imapfilter", IMAPFILTER, "imap_port"), ("mail_imaptalk", IMAPTALK, "imap_port"),
        ("fetchmail_getmail_and_curl", FETCHERS, "imap_port"), ("k9", K9, "imap_port"),
        ("snappymail", SNAPPYMAIL, "imaps_port"), ("apple_mail", APPLE_MAIL, "imaps_port"))]
