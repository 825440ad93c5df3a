/* SPDX-License-Identifier: ISC */
/*
 * The mail on disk: all that a daemon may know of it. An account is one Maildir++
 * tree with its index; a mailbox is one session's handle on a folder, with a view
 * of its own that changes only when the session asks. Plain and blocking; one
 * account is used by one process and one thread at a time, several processes may
 * have the same account open.
 *
 * Names of mailboxes are UTF-8 with '/' between levels; INBOX is spelt so.
 * A `struct str` that comes out lives as long as its arena, or as its comment says.
 * Outputs come last and are written only with STORE_OK.
 */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"

enum store_result {
	STORE_OK,
	STORE_NO_SUCH,		/* no such mailbox, message or part */
	STORE_EXISTS,		/* the mailbox is there already */
	STORE_BAD_NAME,		/* a name the disk or the rules cannot hold */
	STORE_NOT_ALLOWED,	/* deleting INBOX, selecting a \Noselect name ... */
	STORE_READ_ONLY,
	STORE_OVER_QUOTA,
	STORE_TOO_LARGE,	/* over a named limit: keywords, message size */
	STORE_FULL,		/* no space on the disk: passes, try again */
	STORE_BUSY,		/* somebody else holds the index: passes, try again */
	STORE_GONE,		/* the message or mailbox went away meanwhile */
	STORE_BROKEN,		/* logged where it happened: errno and path */
};

/* ---- flags ---- */

enum {
	FLAG_ANSWERED = 1 << 0,
	FLAG_DELETED = 1 << 1,
	FLAG_DRAFT = 1 << 2,
	FLAG_FLAGGED = 1 << 3,
	FLAG_SEEN = 1 << 4,
	FLAG_ALL = (1 << 5) - 1,
};

enum {
	KEYWORDS_MAX = 64,	/* kinds of keyword in one mailbox */
	KEYWORD_LENGTH_MAX = 200,
	MAILBOX_NAME_MAX = 1000,	/* octets of UTF-8 */
	MAILBOX_DEPTH_MAX = 20,
	MESSAGE_BYTES_MAX = 1 << 30,	/* a file above this is not taken as a message */
};

/*
 * System flags as bits, keywords by name (no backslash, case kept, compared without).
 * $Forwarded is a keyword as any other; that the file's name says P for it stays in here.
 */
struct flags {
	uint32_t system;
	const struct str *keywords;
	size_t keyword_count;
};

/* ---- accounts ---- */

/* What all processes that open accounts have in common, once and before they are forked; no file is opened. */
void store_preload(void);

struct account;

struct account_options {
	struct str address;		/* user@domain, for logs */
	const char *daemon;		/* "imapd": names our notification socket */
	uint64_t quota_bytes;		/* 0: no limit */
	uint64_t quota_messages;	/* 0: no limit */
	bool searches;			/* its sessions search: what makes that quick is kept up to date */
	uint32_t undelete_days;		/* what is expunged is kept so long; 0: it is not */
	bool kept;			/* it is itself what another one keeps: nothing is put into it to begin with */
	uint32_t snapshot_from;		/* what a session saw of a mailbox of so many messages is written down; 0: 1000 */
};

struct usage {
	uint64_t bytes;
	uint64_t messages;
	uint64_t quota_bytes;
	uint64_t quota_messages;
};

/*
 * Opens the account whose Maildir is the directory dirfd (taken over: closed by
 * account_close, also on failure), making an empty one with the default folders
 * (INBOX Drafts Sent Junk Trash Archive, with their special use, subscribed) if need be. A lost or broken index is
 * rebuilt from the files here.
 */
must_check enum store_result account_open(int dirfd, const struct account_options *,
    struct account **out);
void account_close(struct account *);
must_check enum store_result account_usage(struct account *, struct usage *out);
/* The quota changed while open. */
void account_set_quota(struct account *, uint64_t bytes, uint64_t messages);

/*
 * Becomes readable when another process changed something; then call
 * account_on_event, which empties it and remembers which mailboxes to look at: their
 * sessions call mailbox_refresh. Never blocks. Owned by the account.
 */
int account_event_fd(const struct account *);
void account_on_event(struct account *);
/*
 * One slice (about 10 ms) of what can wait: renaming files to their flags, checkpoints, rebuilding
 * caches. True while there is more. Call when idle, and at least within a second of a change.
 */
bool account_work(struct account *);
/* Has account_work seen that other programs did something? Then sessions call mailbox_refresh. Says it once. */
bool account_take_news(struct account *);
/*
 * Nothing has been asked for a while: the index is closed, and what was remembered is given back. Whatever is asked opens
 * it again: account_work_due_ms then says when it may rest next.
 */
bool account_rests(const struct account *);
/* How long until account_work or a poll has something to do, in ms; -1: nothing. */
int account_work_due_ms(const struct account *);

/*
 * What was expunged, and is kept for some days, is seen below this name: mailboxes called as they were, which can only be
 * read, and from which mailbox_copy copies back. A mailbox of the account that is called so goes before it. Where
 * nothing is kept it is empty.
 */
struct str account_kept_name(const struct account *);
/* Is this name in there? */
bool account_keeps(struct account *, struct str name);

/* ---- the folders of an account ---- */

enum special_use {
	USE_ALL = 1 << 0,
	USE_ARCHIVE = 1 << 1,
	USE_DRAFTS = 1 << 2,
	USE_FLAGGED = 1 << 3,
	USE_JUNK = 1 << 4,
	USE_SENT = 1 << 5,
	USE_TRASH = 1 << 6,
	/* RFC 9979 8 */
	USE_MEMOS = 1 << 7,
	USE_SCHEDULED = 1 << 8,
	USE_SNOOZED = 1 << 9,
};

struct mailbox_info {
	struct str name;
	bool selectable;	/* false: only a level of the hierarchy, or only subscribed */
	bool exists;		/* false: a subscribed name without a mailbox or children */
	bool has_children;
	bool subscribed;
	unsigned special_use;	/* enum special_use bits */
	/* The rest only for selectable ones, and only from mailbox_status. */
	uint32_t messages;
	uint32_t recent;
	uint32_t unseen;
	uint32_t uid_next;
	uint32_t uidvalidity;
	uint64_t bytes;
	uint64_t highest_modseq;
	struct str id;		/* with uidvalidity never another mailbox's (RFC 8474 4) */
};

/* All names: mailboxes, levels above them, subscribed names; in order of bytes, INBOX first. */
must_check enum store_result account_list(struct account *, struct arena *,
    struct mailbox_info **out, size_t *count);
/* The same of what is kept, with its whole names, the top included; none where nothing is. */
must_check enum store_result account_list_kept(struct account *, struct arena *,
    struct mailbox_info **out, size_t *count);
/* STORE_NO_SUCH where it is not selectable. */
must_check enum store_result mailbox_status(struct account *, struct str name, struct arena *,
    struct mailbox_info *out);
/* Of the messages with \Deleted. STORE_NO_SUCH as above. */
struct deleted_sums {
	uint32_t messages;
	uint64_t bytes;
};
must_check enum store_result mailbox_deleted(struct account *, struct str name,
    struct deleted_sums *out);
/* How the name would be kept: NFC, without a trailing '/', INBOX in capitals; empty where no mailbox can be called so. */
struct str mailbox_kept_name(struct str given, struct arena *);
/* Makes missing levels above too. A trailing '/' is tolerated. */
must_check enum store_result mailbox_create(struct account *, struct str name,
    unsigned special_use);
/* The same; of what was made *out has name, id and uidvalidity. */
must_check enum store_result mailbox_create_told(struct account *, struct str name,
    unsigned special_use, struct arena *, struct mailbox_info *out);
/* Of a mailbox with children only the content goes (RFC 3501 6.3.4). */
must_check enum store_result mailbox_delete(struct account *, struct str name);
/* Takes the children along; renaming INBOX moves its messages (RFC 3501 6.3.5). */
must_check enum store_result mailbox_rename(struct account *, struct str from, struct str to);
/* Subscribing a name that does not exist is allowed (RFC 3501 6.3.6). */
must_check enum store_result mailbox_subscribe(struct account *, struct str name, bool on);

/* ---- one session's view of a mailbox ---- */

struct mailbox;

enum mailbox_access { MAILBOX_READ_WRITE, MAILBOX_READ_ONLY };

/* The first read-write opening makes new messages lose \Recent for all later ones. */
must_check enum store_result mailbox_open(struct account *, struct str name,
    enum mailbox_access, struct mailbox **out);
void mailbox_close(struct mailbox *);
bool mailbox_is_read_only(const struct mailbox *);
struct account *mailbox_account(const struct mailbox *);
/* Lives until the next mailbox_refresh, which follows a rename. */
struct str mailbox_name(const struct mailbox *);
uint32_t mailbox_uidvalidity(const struct mailbox *);
/* Constant while the mailbox is open in this process. */
struct str mailbox_id(const struct mailbox *);
/* As of the last refresh. */
uint32_t mailbox_uid_next(const struct mailbox *);
uint64_t mailbox_highest_modseq(const struct mailbox *);
/* As this session was told: by opening, then by mailbox_next_change. */
uint32_t mailbox_exists(const struct mailbox *);
uint32_t mailbox_recent(const struct mailbox *);
/* Sequence number of the first message without \Seen, 0: none. */
uint32_t mailbox_first_unseen(const struct mailbox *);
/* Keyword number k, 0 .. count-1; the name lives until mailbox_close. Numbers never change meaning. */
size_t mailbox_keyword_count(const struct mailbox *);
struct str mailbox_keyword(const struct mailbox *, size_t k);
/* May clients make new keywords (\* in PERMANENTFLAGS)? */
bool mailbox_takes_keywords(const struct mailbox *);

struct message {
	uint32_t seq;
	uint32_t uid;
	uint32_t flags;		/* FLAG_ bits */
	uint64_t keywords;	/* bit k: mailbox_keyword(k) */
	uint64_t modseq;
	uint32_t size;		/* octets as sent on the wire, CRLF line ends */
	int64_t internal_date;	/* seconds since 1970 */
	bool recent;
	bool gone;		/* expunged, which mailbox_next_change is still to tell */
};

/* False where seq is 0 or beyond mailbox_exists. */
must_check bool mailbox_message(const struct mailbox *, uint32_t seq, struct message *out);
/* 0 where the view has no such uid. */
uint32_t mailbox_seq_of_uid(const struct mailbox *, uint32_t uid);
/* The first message of the view with a uid of at least this; exists + 1 where none. */
uint32_t mailbox_seq_from_uid(const struct mailbox *, uint32_t uid);

/*
 * Learns what happened meanwhile, here and in other processes; tells nothing yet. The
 * view stays as it is. STORE_GONE: the mailbox was deleted, close it.
 */
must_check enum store_result mailbox_refresh(struct mailbox *);

enum change_kind { CHANGE_EXPUNGED, CHANGE_EXISTS, CHANGE_FLAGS, CHANGE_KEYWORDS };

struct change {
	enum change_kind kind;
	uint32_t seq;	/* EXPUNGED: as it was just before; FLAGS: as it is now; EXISTS: the new count */
	uint32_t uid;	/* EXPUNGED, FLAGS */
	uint64_t modseq;
};

/*
 * The next thing this session has to be told, in the order in which it may be told; telling it
 * changes the view. Expunges wait while hold_expunges. KEYWORDS: the list of keywords grew.
 * What the session itself stored (see mailbox_store) is not told again. False: nothing (more).
 */
must_check bool mailbox_next_change(struct mailbox *, bool hold_expunges, struct change *out);

/*
 * The session knows the mailbox as of this modseq: no change up to it is still to be told by mailbox_next_change. Less
 * than mailbox_highest_modseq while one is held back. What the session stored itself counts as told.
 */
uint64_t mailbox_told_modseq(const struct mailbox *);

/* Sorted, disjoint ranges, first <= last. */
struct uid_range {
	uint32_t first;
	uint32_t last;
};

struct uid_set {
	const struct uid_range *ranges;
	size_t count;
};

bool uid_set_has(const struct uid_set *, uint32_t uid);

/*
 * For a client that knows the mailbox as of a modseq (RFC 7162 3.2.5.1): uids below mailbox_uid_next that went away
 * since, as of the last refresh; none that is there. Where that is no longer known, after the index was made anew or a
 * backup was put back, all that are not there.
 */
must_check enum store_result mailbox_vanished(struct mailbox *, uint64_t since, struct arena *,
    struct uid_set *out);

/* Messages of the view with a larger modseq than that: new ones too, no gone ones. In memory, and nothing that fails. */
void mailbox_changed(const struct mailbox *, uint64_t since, struct arena *, struct uid_set *out);

enum flag_change { FLAGS_ADD, FLAGS_REMOVE, FLAGS_REPLACE };

struct stored {
	struct uid_set modified;	/* left alone: changed since; in the arena */
	uint64_t modseq;		/* of what was changed; 0: all was so already */
	bool gone;			/* some of the set are gone, though the view shows them */
	bool took_more;			/* keywords went that were not named: the caller tells the result in any case */
};

/*
 * Changes flags of the messages of the set that exist. Of keywords that exclude each other (RFC 9979 4, 5) the new one takes
 * the other away, and \Flagged goes with its colours (RFC 9979 3.2). The caller tells the client the result
 * (mailbox_message shows it at once) unless it was silent; either way next_change does not. Messages gone
 * meanwhile are skipped. unchanged_since: a message is left alone where what is to be changed of it has changed after
 * that modseq (RFC 7162 3.1.3, 3.1.12); with 0 where it has such a keyword, or a system flag is to be changed. UINT64_MAX: never.
 */
must_check enum store_result mailbox_store(struct mailbox *, const struct uid_set *,
    enum flag_change, const struct flags *, uint64_t unchanged_since, struct arena *,
    struct stored *out);

/* UIDs of copies, for COPYUID (RFC 4315 3): pairs in ascending order of source. */
struct copied {
	uint32_t uidvalidity;
	const uint32_t *from;
	const uint32_t *to;
	size_t count;
};

/* COPY or MOVE under way. */
struct copying;

/*
 * The set's ranges and the arena, in which the result will be, live until copying_free; the mailbox stays open. Many are read
 * from the disk here to be sure that they are there.
 */
must_check enum store_result copying_begin(struct mailbox *, const struct uid_set *, struct str to, bool move,
    struct arena *, struct copying **out);
/*
 * One slice (about 10 ms; the rows of a COPY are one of them, 4 microseconds for each message, and so is each sync of the
 * disk). *done: it is over, with this result. A COPY is all or nothing, and nobody sees a part of it. Of a MOVE each
 * message is moved or not, also where it fails: the sources are expunged (told by next_change). All that is told by
 * copying_result is on the disk. STORE_NO_SUCH: no such target (TRYCREATE).
 */
must_check enum store_result copying_step(struct copying *, bool *done);
/* It has done so much of so much. */
void copying_progress(const struct copying *, uint32_t *done, uint32_t *all);
/* When it is over; what has been moved also where it failed. */
void copying_result(const struct copying *, struct copied *out);
/* What is not at its end is undone, or, where others may know of it, done. Takes NULL. */
void copying_free(struct copying *);

/* All of it at once, and a MOVE too is all or nothing. */
must_check enum store_result mailbox_copy(struct mailbox *, const struct uid_set *,
    struct str to, struct arena *, struct copied *out);
must_check enum store_result mailbox_move(struct mailbox *, const struct uid_set *,
    struct str to, struct arena *, struct copied *out);

/* Removal of messages with \Deleted, of the set only, if one is given: it lives until expunging_free. */
struct expunging;
must_check enum store_result expunging_begin(struct mailbox *, const struct uid_set *only, struct expunging **out);
/* One slice (about 10 ms). What went is gone, whatever comes after it. */
must_check enum store_result expunging_step(struct expunging *, bool *done);
/* It has looked at so many of so many messages. */
void expunging_progress(const struct expunging *, uint32_t *done, uint32_t *all);
/* Takes NULL. */
void expunging_free(struct expunging *);
/* All at once. */
must_check enum store_result mailbox_expunge(struct mailbox *, const struct uid_set *only);

/* ---- content ---- */

/* The texts made when the message arrived; IMAP's own notation, ready to send. TEXT_BODY is made of BODYSTRUCTURE. */
enum message_text { TEXT_ENVELOPE, TEXT_BODYSTRUCTURE, TEXT_HEADER, TEXT_BODY, TEXT_COUNT };

/*
 * Points out[t] at each text of `which` (bits 1 << TEXT_x); made anew and kept if
 * it is missing. TEXT_HEADER is the whole header block, blank line included. The views live until
 * the next call of a store function. STORE_GONE: the message is gone.
 */
must_check enum store_result message_texts(struct mailbox *, uint32_t uid, unsigned which,
    struct str out[TEXT_COUNT]);

/*
 * What is made of a message when it is first asked for, and kept. EMAILID and THREADID (RFC 8474) are letters and digits,
 * FACT_ID_LENGTH of them, the same for all copies, here and after a rebuild. PREVIEW (RFC 8970) is UTF-8 on one line, of at
 * most PREVIEW_CHARACTERS_MAX (common/mime/preview.h) characters; empty where there is no text.
 */
enum message_fact { FACT_EMAILID, FACT_THREADID, FACT_PREVIEW, FACT_COUNT };
enum { FACT_ID_LENGTH = 33 };

/*
 * One slice (about 10 ms). *done false: not all of `which` (bits 1 << FACT_x) is made yet, ask again for the same message;
 * a handle makes one message at a time. Of only_kept nothing is made: .p is NULL where it is not there. The views
 * live until the next call of a store function. STORE_GONE: the message is gone.
 */
must_check enum store_result message_facts(struct mailbox *, uint32_t uid, unsigned which,
    unsigned only_kept, struct str out[FACT_COUNT], bool *done);
/* When it came into this mailbox (RFC 8514), seconds since 1970. */
must_check enum store_result message_saved(struct mailbox *, uint32_t uid, int64_t *out);

/* An open message: octets with CRLF line ends, whatever the file has. */
struct content;

must_check enum store_result content_open(struct mailbox *, uint32_t uid, struct content **out);
void content_close(struct content *);
uint64_t content_size(const struct content *);
/* Appends octets from..from+n (less at the end) to out. */
must_check enum store_result content_read(struct content *, uint64_t from, size_t n,
    struct buf *out);
/* All octets at once; the view lives until content_close or content_forget. */
must_check enum store_result content_bytes(struct content *, struct str *out);
/* Is there a file with these very octets, of which none is known to be NUL? */
bool content_is_plain_file(const struct content *);
/* A descriptor of it, the caller's from now on; after the last one the content can only be closed. -1: see errno. */
must_check int content_take_file(struct content *, bool last);
/* Gives their memory back, where pieces can be read from the file as well. */
void content_forget(struct content *);

/* ---- a new message ---- */

struct append;

struct append_options {
	struct str mailbox;
	uint64_t size;		/* octets to come, 0: not known */
	struct flags flags;
	int64_t internal_date;	/* 0: now */
	/* Exactly once: a delivery with both set that was published before is not doubled. */
	struct str trace;
	struct str recipient;
	bool may_create;	/* make the mailbox if it is missing (deliveries) */
	bool retry;		/* may have been published before: look in the directory too */
	bool renew;		/* and its file may be damaged, whatever it looks like: take the place of it */
	bool binary;		/* it may hold NULs: parts that do and say so become base64 (RFC 3516 4.4) */
	struct mailbox *replaces;	/* NULL, or the message replaced_uid in there goes when this one comes */
	uint32_t replaced_uid;
};

struct appended {
	uint32_t uidvalidity;
	uint32_t uid;		/* of the first; those of the others follow it */
	uint32_t count;
	bool was_there;		/* an earlier attempt had published it */
};

/*
 * Quota and name are looked at here, so that a literal that has no room is refused before it is sent. STORE_GONE: the
 * message to be replaced is not there.
 */
must_check enum store_result append_begin(struct account *, const struct append_options *,
    struct append **out);
/*
 * What was written is a message, and another one for the same mailbox follows: of the options .size .flags .internal_date
 * .binary count. All are published together. What cannot be is only to be abandoned.
 */
must_check enum store_result append_next(struct append *, const struct append_options *);
must_check enum store_result append_write(struct append *, struct str bytes);
/*
 * Ends the writing: complete in tmp/, parsed, quota looked at again, nothing visible yet. STORE_NOT_ALLOWED: binary, with
 * NULs in what says that it has none.
 */
must_check enum store_result append_prepare(struct append *);
/*
 * Makes all visible, or none: uids and rows committed, files renamed; with sync, files and directory are on disk
 * when it returns. Calls append_prepare if that was not done. Frees the append only with STORE_OK. STORE_GONE: the message
 * to be replaced went.
 */
must_check enum store_result append_publish(struct append *, bool sync, struct appended *out);
/*
 * One slice of that (about 10 ms; the rows of all are one of them, and so is the sync). *done: it is over, with this result, of
 * which *out and the freeing are as above.
 */
must_check enum store_result append_step(struct append *, bool sync, struct appended *out, bool *done);
/* Removes what was written; where others may know of it it stays. Takes NULL. */
void append_abandon(struct append *);
/*
 * A delivery with both was published before, as far as the index knows; one that was cut off is finished, not
 * synced. False also where it cannot say.
 */
bool append_was_made(struct account *, struct str trace, struct str recipient);

/* ---- search ---- */

enum search_kind {
	SEARCH_ALL, SEARCH_AND, SEARCH_OR, SEARCH_NOT,
	SEARCH_SEQ, SEARCH_UID,			/* .set: already uids */
	SEARCH_FLAG,				/* .flags: this bit is set */
	SEARCH_KEYWORD,				/* .text */
	SEARCH_RECENT,
	SEARCH_NEW, SEARCH_OLD,
	SEARCH_BEFORE, SEARCH_ON, SEARCH_SINCE,			/* internal date; .day */
	SEARCH_SENTBEFORE, SEARCH_SENTON, SEARCH_SENTSINCE,	/* Date: field; .day */
	SEARCH_OLDER, SEARCH_YOUNGER,		/* internal date, .number seconds before the search's `now`; so old too */
	SEARCH_LARGER, SEARCH_SMALLER,		/* .number octets */
	SEARCH_HEADER,				/* .field, .text; empty text: field is there */
	SEARCH_BODY, SEARCH_TEXT,		/* .text */
	SEARCH_MODSEQ,				/* .number or larger */
	SEARCH_SAVEDBEFORE, SEARCH_SAVEDON, SEARCH_SAVEDSINCE,	/* message_saved; .day */
	SEARCH_EMAILID, SEARCH_THREADID,	/* .text, case and all */
};

/*
 * A tree in the request's arena. Text is UTF-8. FROM, TO, CC, BCC and SUBJECT are
 * SEARCH_HEADER. UNSEEN and such are NOT of FLAG.
 */
struct search_key {
	enum search_kind kind;
	struct search_key *first;	/* AND, OR, NOT: children, linked by next */
	struct search_key *next;
	struct uid_set set;
	uint32_t flags;
	struct str field;
	struct str text;
	uint64_t number;
	int32_t day;			/* days since 1970-01-01 */
};

struct search;

/* How far a search goes, where not through the whole view from its first message on. */
struct search_extent {
	int64_t now;		/* seconds since 1970: what OLDER and YOUNGER count from */
	uint32_t most;		/* so many messages are enough; 0: all */
	uint32_t above;		/* only those with a larger uid are looked at */
	bool backwards;		/* from the last message on: the uids found descend */
};

/* The tree and its arena live until search_free. Searches the view of this session. */
struct search *search_new(struct mailbox *, const struct search_key *,
    const struct search_extent *);
/*
 * One slice: appends the uids found to *found (an array of uint32_t). *done when it has gone as far as
 * it should. A message whose file cannot be read does not match.
 */
must_check enum store_result search_step(struct search *, struct buf *found, bool *done);
void search_free(struct search *);
/* It is through with so many messages of so many. */
void search_progress(const struct search *, uint32_t *done, uint32_t *all);

/* ---- order: SORT and THREAD (RFC 5256, RFC 5957) ---- */

enum sort_key {
	SORT_ARRIVAL, SORT_CC, SORT_DATE, SORT_FROM, SORT_SIZE, SORT_SUBJECT, SORT_TO,
	SORT_DISPLAY_FROM, SORT_DISPLAY_TO,
};

enum { SORT_CRITERIA_MAX = 20 };

struct sort_criterion {
	enum sort_key key;
	bool reverse;
};

enum thread_kind { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };

/* One message in its thread. child and next are indexes of others, THREAD_NONE where there is none. */
struct thread_node {
	uint32_t uid;		/* 0: one that is not here holds its children together */
	uint32_t child;		/* the first one */
	uint32_t next;		/* with the same parent, or the next thread */
};

enum { THREAD_NONE = UINT32_MAX };

struct thread_list {
	const struct thread_node *nodes;
	uint32_t first;		/* thread */
};

struct order;

/*
 * Orders these messages of the view, uids ascending; they live until order_free. Text is compared
 * as SEARCH compares it. At most SORT_CRITERIA_MAX criteria.
 */
struct order *order_sort(struct mailbox *, const uint32_t *uids, size_t count,
    const struct sort_criterion *, size_t criteria);
struct order *order_thread(struct mailbox *, const uint32_t *uids, size_t count,
    enum thread_kind);
/*
 * One slice. What cannot be read comes out as if it had no header. STORE_TOO_LARGE: over a limit of sorted.h or
 * threads.h.
 */
must_check enum store_result order_step(struct order *, bool *done);
/* So many messages' keys are there. */
uint32_t order_progress(const struct order *);
/* After that, until order_free: what came of order_sort, an array of as many uids as went in ... */
const uint32_t *order_uids(const struct order *, size_t *count);
/* ... or of order_thread. */
struct thread_list order_threads(const struct order *);
/* Takes NULL. */
void order_free(struct order *);

/* ---- for the administrator: an account from outside, beside whoever serves it ---- */

/* What is not as it should be. */
enum finding_kind {
	FOUND_INDEX_MISSING,	/* none, or none of our version */
	FOUND_INDEX_DAMAGED,	/* .detail: SQLite's words */
	FOUND_INDEX_ROWS,	/* .is rows that belong to nothing */
	FOUND_SEARCH_DAMAGED,	/* .detail */
	FOUND_FOLDER_NEW,	/* .file: a directory that the index does not know */
	FOUND_FOLDER_GONE,	/* a mailbox without its directory */
	FOUND_FOLDER_BROKEN,	/* cur, new or tmp cannot be opened; .file */
	FOUND_CONTROL_MISSING,	/* trivet-mailbox is not there */
	FOUND_CONTROL_BAD,	/* or cannot be read */
	FOUND_CONTROL_DIFFERS,	/* or says something else than the index; .detail: of what */
	FOUND_COUNTS,		/* sums of the mailbox; .detail: which; .is, .should */
	FOUND_UID_NEXT,		/* not above all UIDs, or not below the reserve; .is, .should */
	FOUND_FILE_MISSING,	/* a message without its file */
	FOUND_FILE_NEW,		/* a file that is no message yet */
	FOUND_FILE_UNFINISHED,	/* a message whose file is not in its place */
	FOUND_FILE_LEFT,	/* an expunged message's file */
	FOUND_FILE_SIZE,	/* not the octets that S= says: .is, .should */
	FOUND_FILE_WIRE,	/* nor on the wire those that W= says, or the index */
	FOUND_FILE_UID,		/* the name says another UID; .is, .should */
	FOUND_FILE_FLAGS,	/* the letters in the name are not those of the message's flags; .detail */
	FOUND_FILE_FOREIGN,	/* a link, a directory, what cannot be read */
	FOUND_FILE_OLD,		/* in tmp/, and nobody's any more */
	FOUND_NOT_OURS,		/* something else in the account's directory: left alone */
	FOUND_KINDS,
};

struct finding {
	enum finding_kind kind;
	struct str mailbox;	/* empty: the account */
	struct str file;	/* empty: none */
	struct str detail;
	uint32_t uid;		/* 0: none */
	uint64_t is;
	uint64_t should;
	bool later;		/* the next session puts it right by itself */
	bool repaired;
};

/* Views live until the call returns. */
typedef void finding_seen(void *context, const struct finding *);
/* So many messages of the mailbox have been looked at. */
typedef void messages_seen(void *context, struct str mailbox, uint64_t done, uint64_t all);

struct check_options {
	bool repair;
	finding_seen *found;
	messages_seen *progress;	/* may be NULL */
	void *context;
};

struct check_result {
	uint64_t mailboxes;
	uint64_t messages;
	uint64_t bytes;
	uint64_t faults;	/* that are still there */
	uint64_t repaired;
	uint64_t later;
	uint64_t notes;		/* FOUND_NOT_OURS */
};

/*
 * Holds files and index of the account at dirfd (taken over) against each other; every file is read. It changes
 * nothing unless it repairs. Others may work on the account meanwhile: what is only on its way is not told. STORE_OK
 * where all could be looked at, whatever was found.
 */
must_check enum store_result account_check(int dirfd, const struct account_options *,
    const struct check_options *, struct check_result *out);
/*
 * What the account at dirfd (taken over) holds, by its index; nothing is changed. STORE_GONE: it has no index, as where
 * nobody has used it yet.
 */
must_check enum store_result account_look(int dirfd, const struct account_options *, struct usage *out);
/* Looks at all files and counts anew: what was counted before, and what is. */
must_check enum store_result account_recount(struct account *, struct usage *before,
    struct usage *now);

/* ---- what is kept, put back ---- */

struct undeleted {
	struct str mailbox;	/* where it was, and is again */
	int64_t at;		/* when it was expunged, seconds since 1970 */
	uint64_t size;		/* octets of its file */
};

struct undelete_options {
	struct str mailbox;	/* this one and those below it; empty: all */
	int64_t since;		/* only what was expunged then or later */
	bool dry_run;		/* only tells */
	void (*found)(void *context, const struct undeleted *);	/* what was put back, or would be */
	void *context;
};

struct undelete_result {
	uint64_t messages;
	uint64_t bytes;
	uint64_t left;		/* found no room within the quota */
};

/*
 * Puts messages back into the mailboxes they were in, which are made again if need be; they get new UIDs. Where one goes
 * into is by the name the mailbox had. STORE_OK also where some found no room.
 */
must_check enum store_result account_undelete(struct account *, const struct undelete_options *,
    struct undelete_result *out);
