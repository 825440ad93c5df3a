/* SPDX-License-Identifier: ISC */
/*
 * What the parsers produce and the handlers read: one struct request per command.
 * Everything in it lives in the request's arena, until that is reset. Names of
 * mailboxes are UTF-8 with '/' between levels, INBOX spelt so; words of the protocol
 * have become enums. RFC 3501 section 9 and the extensions named below.
 */
#pragma once

#include "common/base/arena.h"
#include "maildir/store.h"

enum {
	SEQUENCE_RANGES_MAX = 10000,	/* ranges in one sequence set */
	SEARCH_DEPTH_MAX = 50,		/* NOT, OR and parentheses within each other */
	SEARCH_KEYS_MAX = 1000,		/* keys in one SEARCH */
	FETCH_ITEMS_MAX = 500,		/* items in one FETCH */
	FETCH_FIELDS_MAX = 500,		/* header field names in one FETCH item */
	SECTION_DEPTH_MAX = 100,	/* numbers in one part path */
	FLAGS_IN_REQUEST_MAX = 200,	/* flags and keywords in one list */
	OBJECT_ID_MAX = 255,		/* RFC 8474 7 */
	LIST_PATTERNS_MAX = 100,
	ID_PAIRS_MAX = 30,		/* RFC 2971 3.3 */
	ENABLE_WORDS_MAX = 100,
	APPEND_MESSAGES_MAX = 10000,	/* messages in one APPEND */
};

/* The rows of the table in commands.c. UID is no command of its own: see by_uid. */
enum command_name {
	COMMAND_CAPABILITY, COMMAND_NOOP, COMMAND_LOGOUT, COMMAND_ID,
	COMMAND_STARTTLS, COMMAND_AUTHENTICATE, COMMAND_LOGIN,
	COMMAND_ENABLE, COMMAND_NAMESPACE, COMMAND_COMPRESS,
	COMMAND_SELECT, COMMAND_EXAMINE, COMMAND_CREATE, COMMAND_DELETE, COMMAND_RENAME,
	COMMAND_SUBSCRIBE, COMMAND_UNSUBSCRIBE, COMMAND_LIST, COMMAND_XLIST, COMMAND_LSUB,
	COMMAND_STATUS, COMMAND_APPEND, COMMAND_REPLACE, COMMAND_IDLE,
	COMMAND_GETQUOTA, COMMAND_GETQUOTAROOT,
	COMMAND_CHECK, COMMAND_CLOSE, COMMAND_UNSELECT, COMMAND_EXPUNGE,
	COMMAND_SEARCH, COMMAND_SORT, COMMAND_THREAD, COMMAND_FETCH, COMMAND_STORE, COMMAND_COPY, COMMAND_MOVE,
	COMMAND_COUNT,
};

/* ---- mailboxes ---- */

enum name_state {
	NAME_GOOD,
	NAME_RAW_UTF8,	/* 8-bit octets, valid UTF-8, of a client that did not enable them: .utf8 is what was sent */
	NAME_INVALID,	/* not in the one notation that holds: .utf8 is empty. Answer NO */
};

struct mailbox_name {
	struct str utf8;	/* for the store; INBOX (and INBOX/...) in capitals */
	struct str sent;	/* the octets as they came */
	enum name_state state;
};

/* DELETE SUBSCRIBE UNSUBSCRIBE GETQUOTAROOT use .name only. */
struct mailbox_arguments {
	struct mailbox_name name;
	struct mailbox_name to;		/* RENAME */
	unsigned special_use;		/* CREATE (USE ...): enum special_use bits, RFC 6154 3 */
	bool unknown_use;		/* a use we do not know: NO [USEATTR] */
};

enum status_item {
	STATUS_MESSAGES = 1 << 0,
	STATUS_RECENT = 1 << 1,
	STATUS_UIDNEXT = 1 << 2,
	STATUS_UIDVALIDITY = 1 << 3,
	STATUS_UNSEEN = 1 << 4,
	STATUS_HIGHESTMODSEQ = 1 << 5,	/* RFC 7162 3.1.7 */
	STATUS_APPENDLIMIT = 1 << 6,		/* RFC 7889 3.1 */
	STATUS_SIZE = 1 << 8,			/* RFC 8438 */
	STATUS_DELETED = 1 << 9,		/* RFC 9208 4.1.4 */
	STATUS_DELETED_STORAGE = 1 << 10,
	STATUS_MAILBOXID = 1 << 11,		/* RFC 8474 4.3 */
};

struct status_arguments {
	struct mailbox_name name;
	unsigned items;			/* enum status_item bits, never 0 */
};

enum list_selection {			/* RFC 5258 3.1, RFC 6154 2 */
	LIST_SUBSCRIBED = 1 << 0,
	LIST_REMOTE = 1 << 1,
	LIST_RECURSIVEMATCH = 1 << 2,
	LIST_SPECIAL_USE = 1 << 3,
};

enum list_return {			/* RFC 5258 3.2, RFC 6154 2, RFC 5819 */
	RETURN_SUBSCRIBED = 1 << 0,
	RETURN_CHILDREN = 1 << 1,
	RETURN_SPECIAL_USE = 1 << 2,
	RETURN_STATUS = 1 << 3,
};

/* LIST, XLIST; LSUB with .extended false and one pattern. */
struct list_arguments {
	struct mailbox_name reference;	/* a trailing '/' is kept */
	struct mailbox_name *patterns;	/* with % and *; at least one */
	size_t pattern_count;
	bool extended;			/* any syntax of RFC 5258 was used */
	unsigned selection;		/* enum list_selection bits */
	unsigned returns;		/* enum list_return bits */
	unsigned status_items;		/* with RETURN_STATUS */
};

/* ---- before and around login ---- */

struct login_arguments {
	struct str user;
	struct str password;
};

struct authenticate_arguments {
	struct str mechanism;		/* in capitals */
	bool has_initial;		/* RFC 4959 */
	struct str initial;		/* still base64; "=" has become empty */
};

struct id_pair {
	struct str field;
	struct str value;
	bool is_nil;
};

struct id_arguments {			/* RFC 2971; count 0 for NIL */
	struct id_pair *pairs;
	size_t count;
};

struct enable_arguments {		/* RFC 5161; as sent */
	struct str *words;
	size_t count;
};

struct compress_arguments {		/* RFC 4978 */
	struct str mechanism;		/* in capitals */
};

struct quota_arguments {		/* GETQUOTA: RFC 9208 4.1.2 */
	struct str root;
};

/* ---- sets ---- */

enum { SEQUENCE_STAR = 0 };		/* "*" in a range: the largest number in use */

struct sequence_range {			/* as sent: first may be the larger */
	uint32_t first;
	uint32_t last;
};

struct sequence_set {
	struct sequence_range *ranges;
	size_t count;
	bool saved;		/* and "$", what the last search saved (RFC 5182); then count may be 0 */
};

/*
 * The set as sorted, disjoint, not adjoining ranges in the arena, "*" being `max`. With max 0
 * (an empty mailbox) ranges with a "*" vanish. Numbers beyond max stay in.
 */
struct uid_set sequence_set_resolve(const struct sequence_set *, uint32_t max, struct arena *);
/* What is in both, in the arena. */
struct uid_set uid_set_both(const struct uid_set *, const struct uid_set *, struct arena *);
/* The largest number named ("*" does not count), 0: none. To find sequence numbers out of range. */
uint32_t sequence_set_largest(const struct sequence_set *);
/* What is in either; in the arena, or one of the two. */
struct uid_set uid_set_join(struct uid_set, struct uid_set, struct arena *);

/* ---- SELECT and EXAMINE ---- */

/* What a client knows that was here before: RFC 7162 3.2.5. No set has a "*". */
struct resync_arguments {
	uint32_t uidvalidity;
	uint64_t modseq;		/* never 0 */
	bool has_uids;
	struct sequence_set uids;	/* with has_uids: only of these */
	/* 3.2.5.2: as many numbers in both, each ascending; number n of the one is n of the other. */
	struct sequence_set known_seqs;
	struct sequence_set known_uids;
};

struct select_arguments {
	struct mailbox_name name;
	bool condstore;			/* RFC 7162 3.1.8 */
	bool qresync;
	struct resync_arguments resync;	/* with .qresync */
};

/* RFC 9394 3.1, 3.3, as sent: first may be the larger; both from 1. */
struct partial_range {
	uint32_t first;
	uint32_t last;
	bool from_end;			/* 1 is the last one */
};

/* Where in a list of `count` the range lies: `from` counts from 0; n 0: nowhere. */
struct partial_span { size_t from, n; };
struct partial_span partial_range_in(const struct partial_range *, size_t count);

/* ---- messages ---- */

/* APPEND, REPLACE; all but the first two anew for each message of an APPEND. */
struct append_arguments {
	uint32_t replaced;		/* REPLACE: a number as in a sequence set */
	struct mailbox_name name;
	struct flags flags;
	bool has_date;
	int64_t date;			/* seconds since 1970 */
	bool binary;			/* a literal8: RFC 3516 4.4 */
	bool in_utf8;			/* UTF8 (literal8): RFC 6855 4; a ")" follows the message */
};

enum fetch_kind {
	FETCH_FLAGS, FETCH_UID, FETCH_INTERNALDATE, FETCH_ENVELOPE, FETCH_BODY,
	FETCH_BODYSTRUCTURE, FETCH_RFC822, FETCH_RFC822_SIZE, FETCH_RFC822_HEADER,
	FETCH_RFC822_TEXT, FETCH_SECTION,
	FETCH_MODSEQ,			/* RFC 7162 3.1.4.2 */
	FETCH_EMAILID, FETCH_THREADID,		/* RFC 8474 5.3 */
	FETCH_SAVEDATE,				/* RFC 8514 4.2 */
	FETCH_PREVIEW, FETCH_PREVIEW_LAZY,	/* RFC 8970 */
	FETCH_BINARY, FETCH_BINARY_SIZE,	/* RFC 3516 4.2 */
};

enum section_kind {
	SECTION_ALL,			/* BODY[] or BODY[1.2] */
	SECTION_HEADER, SECTION_HEADER_FIELDS, SECTION_HEADER_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME,			/* only with a path */
};

struct section {
	uint32_t *path;			/* part numbers, outermost first */
	size_t path_length;
	enum section_kind kind;
	struct str *fields;		/* of HEADER.FIELDS[.NOT], as sent */
	size_t field_count;
	bool peek;
	bool partial;			/* <offset.length>; length is never 0 */
	uint32_t offset;
	uint32_t length;
	struct str echo;		/* BODY[HEADER.FIELDS (From To)]<0>: the name to answer with */
};

struct fetch_item {
	enum fetch_kind kind;
	struct section section;		/* of FETCH_SECTION, FETCH_BINARY, FETCH_BINARY_SIZE */
};

/* Macros are expanded; a kind without a section stands once. UID FETCH has FETCH_UID first. */
struct fetch_arguments {
	struct sequence_set set;
	struct fetch_item *items;
	size_t count;
	bool marks_seen;		/* an item that sets \Seen: RFC 3501 6.4.5 */
	uint64_t changed_since;		/* only what has a larger modseq: RFC 7162 3.1.4.1; 0: not asked */
	bool vanished;			/* RFC 7162 3.2.6; with .changed_since and UID FETCH only */
	bool is_partial;		/* RFC 9394 3.3; with UID FETCH only */
	struct partial_range partial;	/* of the messages that the set has */
};

struct store_arguments {
	struct sequence_set set;
	enum flag_change change;
	bool silent;
	uint64_t unchanged_since;	/* RFC 7162 3.1.3; UINT64_MAX: whatever it is */
	struct flags flags;
};

struct copy_arguments {			/* COPY, MOVE */
	struct sequence_set set;
	struct mailbox_name to;
};

struct expunge_arguments {		/* by_uid only: RFC 4315 2.1 */
	struct sequence_set set;
};

/* A SEARCH_SEQ or SEARCH_UID key, whose .set the handler fills from what was sent. */
struct search_set {
	struct search_set *next;
	struct search_key *key;
	struct sequence_set sent;
};

/* What is to be told of the messages found, and done with them: the words after RETURN. */
enum search_result {
	RESULT_MIN = 1 << 0,		/* RFC 4731 3.1 */
	RESULT_MAX = 1 << 1,
	RESULT_COUNT = 1 << 2,
	RESULT_ALL = 1 << 3,
	RESULT_SAVE = 1 << 4,		/* RFC 5182 */
	RESULT_PARTIAL = 1 << 5,	/* RFC 9394 3.1 */
};

/* SEARCH, SORT, THREAD */
struct search_arguments {
	unsigned results;		/* enum search_result bits; 0: there was no RETURN */
	struct partial_range partial;	/* RESULT_PARTIAL */
	struct str charset;		/* in capitals; empty: none given */
	bool charset_known;		/* none, US-ASCII or UTF-8; else NO [BADCHARSET] and no key */
	bool text_invalid;		/* a text that is not UTF-8: matches nothing, NO is fitting */
	struct search_key *key;		/* one key, an AND where several were given */
	struct search_set *sets;
	bool by_modseq;			/* a key is MODSEQ: RFC 7162 3.1.5, 3.1.9 */
	struct sort_criterion *criteria;	/* SORT: at least one, at most SORT_CRITERIA_MAX */
	size_t criterion_count;
	enum thread_kind thread;	/* THREAD */
};

/* ---- the request ---- */

struct request {
	struct str tag;
	struct str word;		/* the command's name in capitals, without UID */
	bool by_uid;			/* UID FETCH, STORE, COPY, MOVE, SEARCH, SORT, THREAD, EXPUNGE, REPLACE */
	enum command_name command;	/* set by who looked the word up */
	union {				/* which one: the row's parser */
		struct login_arguments login;
		struct authenticate_arguments authenticate;
		struct id_arguments id;
		struct enable_arguments enable;
		struct mailbox_arguments mailbox;
		struct select_arguments select;
		struct status_arguments status;
		struct list_arguments list;
		struct quota_arguments quota;
		struct compress_arguments compress;
		struct append_arguments append;		/* REPLACE too */
		struct fetch_arguments fetch;
		struct store_arguments store;
		struct copy_arguments copy;
		struct expunge_arguments expunge;
		struct search_arguments search;		/* SORT, THREAD too */
	};
};
