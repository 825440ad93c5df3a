/* SPDX-License-Identifier: ISC */
/*
 * What the files of imapd share. A connection is one struct session twice in its life: in a
 * front until login, then anew in its account's keeper. The steps of both stand in
 * session.c; front.c and keeper.c own the sessions; a cmd_ file reads the request, does what it
 * asks and ends in finish(). Only response.c, the steps and the long answers of cmd_ files write.
 */
#pragma once

#include <sys/queue.h>

#include "common/base/log.h"
#include "common/daemon/keeper.h"
#include "common/mime/transfer.h"
#include "common/net/stream.h"
#include "imapd/frame.h"
#include "imapd/lexer.h"
#include "imapd/parse.h"
#include "imapd/request.h"

enum {
	BAD_COMMANDS_MAX = 20,		/* then BYE */
	SLICE_MS = 10,			/* of one session before the others have their turn */
	BODY_SLICE = 64 * 1024,		/* octets of a body read at once */
	PROGRESS_MS = 10 * 1000,	/* a long command tells how far it is this often */
	IDLE_PROOF_MS = 120 * 1000,	/* IDLE: a sign of life this often */
	NUMBERS_PER_LOOK = 64,		/* of a long answer, between looks at the clock */
	CONTINUATION_MAX = 12288 + 2,	/* a line of SASL or IDLE, octets */
	SAVED_RANGES_MAX = 50000,	/* in "$": as many as 100,000 messages need, eight octets each */
};

/* What a step says: a next step is set; something must happen first; the connection is over. */
enum next { GO, WAIT, END };

enum state { GUEST = 1, USER = 2, SELECTED = 4, KNOWN = USER | SELECTED, ANY = GUEST | KNOWN };

/* What the client said it understands (RFC 5161), or showed by using it. */
enum enabled {
	ENABLED_CONDSTORE = 1 << 0,	/* RFC 7162 3.1 */
	ENABLED_QRESYNC = 1 << 1,	/* RFC 7162 3.2 */
	ENABLED_UTF8 = 1 << 2,		/* RFC 9755 */
	ENABLED_REV2 = 1 << 3,		/* RFC 9051 */
};

struct session;
struct guest;
struct room;
typedef enum next session_step(struct session *);

/* ---- the table: commands.c ---- */

struct command {
	const char *name;
	unsigned states;		/* enum state bits */
	parse_arguments *parse;
	session_step *run;		/* sets what is to be done and answered; see finish */
	bool takes_uid;			/* UID may stand before it */
	bool holds_expunges;		/* RFC 3501 7.4.1: no EXPUNGE while it is answered (without UID) */
	bool tells_modseq;		/* RFC 7162 3.2.7: HIGHESTMODSEQ in its OK, where it told of expunges */
};

/* NULL: unknown. The word is in capitals. */
const struct command *command_find(struct str word, enum command_name *);

/* A part's body as it stands, of RFC 3516. */
struct encoded_part {
	bool exists;
	uint64_t from;
	uint64_t n;
	enum transfer_encoding encoding;
	bool is_text;
};

/*
 * Where the sections of one message lie that were asked for last: clients fetch a large part piece by piece, and it is not
 * taken apart for each of them.
 */
enum { SECTIONS_KNOWN = 4, SECTION_KNOWN_DEPTH = 8, SECTION_KNOWN_ID = 24 };

struct section_memory {
	char mailbox[SECTION_KNOWN_ID];
	uint32_t uidvalidity;
	uint32_t uid;			/* 0: of none */
	size_t next;			/* the one that is given up next */
	struct known_section {
		size_t path_length;	/* 0: unused */
		uint32_t path[SECTION_KNOWN_DEPTH];
		enum section_kind kind;
		struct encoded_part part;
	} known[SECTIONS_KNOWN];
};

/* ---- a session ---- */

/* What a command under way holds beyond its arena; session_drop_work frees it. */
struct work {
	void *own;			/* the handler's struct, in the arena */
	struct content *content;
	struct search *search;
	struct order *order;
	struct append *append;
	struct copying *copying;
	struct expunging *expunging;
	struct arena *arena;		/* emptied with each message */
	struct binary_reader *binary;	/* FETCH */
	struct buf found;		/* SEARCH: uids */
	int64_t progress_due;		/* no word of it before the command is PROGRESS_MS old */
	bool refreshed;			/* the mailbox was looked at since the command began */
	bool told_expunge;		/* since the command began */
	bool mid_response;		/* one is begun and not at its end: nothing else may be said, no BYE either */
};

struct session {
	TAILQ_ENTRY(session) link;
	struct process *process;
	struct stream *stream;
	struct log log;
	session_step *step;
	enum state state;
	bool eof;			/* no more input will come */
	bool broken;			/* nothing can be sent either */
	bool leaving;			/* BYE was said: end after the tagged answer */
	bool idling;
	unsigned enabled;		/* enum enabled bits */

	/* the command under way */
	struct frame frame;
	const struct frame_limits *limits;
	struct arena *arena;
	struct lexer lexer;
	struct request req;
	const struct command *command;	/* NULL: none */
	bool message_due;		/* APPEND: a literal was announced, and not dealt with yet */
	struct buf reply;		/* "OK ...": the tagged answer to come */
	struct work work;

	/* limits */
	struct timer *wake;		/* runs the step: the next slice, IDLE's sign of life */
	struct timer *patience;		/* ends the session */
	int64_t slice_end;	/* by clock_tick_ms */
	int64_t proof_due;		/* IDLE */
	unsigned bad_commands;
	uint64_t bytes_in;
	uint64_t bytes_out;
	size_t unsent;			/* of the output, counted already */
	struct compression *compression;	/* NULL: what comes and goes is plain */
	bool compresses;		/* from the next answer on (RFC 4978 3) */

	/* of the front: NULL after login */
	struct guest *guest;
	/* of the keeper: NULL before login */
	struct room *room;
	struct lease *lease;
	struct mailbox *mailbox;	/* the selected one */
	size_t keywords_told;		/* of its keywords, by FLAGS */
	struct section_memory sections;
	uint64_t modseq_known;		/* what the client takes for its HIGHESTMODSEQ (RFC 7162 6) */
	uint64_t modseq_seen;		/* the largest MODSEQ told since the last tagged answer */
	bool modseq_due;		/* HIGHESTMODSEQ is to be told, come what may */
	struct buf saved;		/* see saved.c */

	void (*on_end)(struct session *);	/* the owner frees the session */
};

/* session.c */
void session_begin(struct session *, struct process *, struct stream *, enum state);
/*
 * Frees what the session holds, itself included; the stream, if still there, sends what is
 * left and closes.
 */
void session_end(struct session *);
/* Runs steps until one waits. The session may be gone afterwards. */
void session_run(struct session *);
/* Says BYE and ends, from outside of any step. The text may begin with a code. */
void session_bye(struct session *, const char *text);
void session_drop_work(struct session *);
session_step read_command;
/* Must this step wait: for room in the output, or for the others' turn? */
bool session_must_wait(struct session *);
void session_flush(struct session *);
/* Can what is said next go from a file to the client? */
bool session_takes_file(const struct session *);
/* Says n octets of a file; fd is owned from here on. */
void session_put_file(struct session *, int fd, uint64_t from, uint64_t n);
/* Does the client take UTF-8 for names of mailboxes, and modified UTF-7 for nothing? RFC 9755 3, RFC 9051 5.1 */
bool speaks_utf8(const struct session *);
/*
 * From a command that may take long, not in the middle of a line: done of all so far (0: not known) is told now and
 * then (RFC 9585).
 */
void session_progress(struct session *, uint32_t done, uint32_t all);
/* What the client said and nobody took yet. */
struct buf *session_input(struct session *);
/* Takes octets off the input. */
void session_take(struct session *, size_t n);
/*
 * A line outside of commands, without its end; take `octets` when done with it. False: *next is what the step
 * returns, for there is no line yet, or it was longer than CONTINUATION_MAX and the client was told.
 */
must_check bool session_line(struct session *, struct str *line, size_t *octets, enum next *next);
/*
 * The answer to the command: "OK ...", "NO ...", "BAD ...". Changes of the mailbox are told
 * before it.
 */
enum next finish(struct session *, const char *format, ...) printf_like(2, 3);
/* "OK NAME completed" */
enum next finish_done(struct session *);
enum next finish_bad(struct session *, const char *why);

/* ---- compression.c: RFC 4978 ---- */

struct compression *compression_new(void);
void compression_free(struct compression *);	/* takes NULL */
struct buf *compression_input(struct compression *);
struct buf *compression_output(struct compression *);
/* So much is said and not deflated yet that it should be. */
bool compression_is_full(const struct compression *);

enum inflated {
	INFLATED_SOME,
	INFLATED_NOTHING,
	INFLATED_LAST,		/* the client's half has ended, or cannot be read: told once */
};

/* Takes what it can off `from`, up to `limit` octets of plain input. */
enum inflated compression_receive(struct compression *, struct buf *from, size_t limit);
/* Appends all that was said to `to`, flushed. */
void compression_send(struct compression *, struct buf *to);

/* ---- announce.c: LIST lines for those who enabled IMAP4rev2 ---- */

/* The mailbox of this name, with its attributes; OLDNAME where it was `sent` otherwise. */
void announce_mailbox(struct session *, struct str name, struct str sent);
/*
 * Only where a name that was sent is not as we keep it. DELETE: what was named is gone. RENAME: it is called otherwise
 * now (is); else NULL.
 */
void announce_other_name(struct session *, const struct mailbox_name *named, const struct mailbox_name *is);

/* ---- response.c ---- */

/* Where answers go; unsent until the session waits. */
struct buf *out_of(struct session *);
/* "* " text CRLF */
void untagged(struct session *, const char *format, ...) printf_like(2, 3);
/* A quoted string where that can hold it, else a literal. */
void put_string(struct buf *, struct str);
void put_literal(struct buf *, struct str);
/*
 * RFC 3501 section 9: a literal has no NUL. Mail that came by other ways may; from `from` on
 * each becomes the octet 0x80, so that sizes and offsets stay.
 */
void mask_nul(struct buf *, size_t from);
/* Quoted, modified UTF-7 or UTF-8 as the client knows it. False, and nothing put, for a name that cannot be told. */
must_check bool put_mailbox(const struct session *, struct buf *, struct str name);
/* "* LIST (attributes) "/" name", the line's end excepted; attributes: each with a blank before it. False as above. */
must_check bool put_list_line(struct session *, const char *word, struct str attributes,
    struct str name);
/* "(\Seen word)" */
void put_flags(struct session *, struct buf *, const struct message *);
/* "* n FETCH (UID u FLAGS (...))" CRLF, with MODSEQ for who knows CONDSTORE. */
void put_flags_response(struct session *, const struct message *);
/* "* n FETCH (UID u MODSEQ (m))" CRLF */
void put_modseq_response(struct session *, const struct message *);
/* "MODSEQ (m)" */
void put_modseq(struct session *, const struct message *);
/* "1:3,7" */
void put_uids(struct buf *, const uint32_t *uids, size_t count);
/* "1:3", "7" */
void put_uid_range(struct buf *, uint32_t first, uint32_t last);
/*
 * "MAILBOXID (...)". RFC 8474 4: another UIDVALIDITY is another mailbox, so that is part of it; 8.1: a letter first.
 */
void put_mailbox_id(struct buf *, struct str id, uint32_t uidvalidity);
/* " \Sent" for each use. */
void put_special_use(struct buf *, unsigned uses);

/* What the store's word is about: tells NO [TRYCREATE] from NO [NONEXISTENT]. */
enum about { ABOUT_MAILBOX, ABOUT_TARGET, ABOUT_MESSAGES };
/* "NO [CODE] words" for anything but STORE_OK. */
const char *words_of(enum store_result, enum about);
enum next finish_result(struct session *, enum store_result, enum about);
/* NO for a name that is none; see enum name_state. */
enum next finish_bad_name(struct session *);

/* ---- capability.c ---- */

/* "CAPABILITY IMAP4rev1 ...", as this session may see it. */
void put_capabilities(struct buf *, const struct session *);
/* Is it in that list? */
bool capability_is_offered(const struct session *, struct str name);
/* Logs names that are none. */
void capability_check_setting(const struct settings *);

/* ---- sync.c ---- */

/* RFC 9051 appendix E, 12: \Recent and RECENT are not told of there. */
bool sync_tells_recent(const struct session *);

/* Tells what changed in the selected mailbox, in slices; GO when all is told. */
enum next sync_tell(struct session *, bool hold_expunges);
/* The client showed or said that it knows these extensions: enum enabled bits. */
void sync_enable(struct session *, unsigned bits);
/* "* OK [HIGHESTMODSEQ n]", or the same in the reply, where the client would be wrong without; see sync.c. */
void sync_tell_modseq(struct session *);
/* The same at any rate: of a mailbox just selected. */
void sync_put_modseq(struct session *);
/* "* VANISHED (EARLIER) 1:3,7" from range *at on, in slices; GO when all is told. */
enum next sync_put_vanished(struct session *, const struct uid_set *, size_t *at);
/* "* FLAGS (...)" and "* OK [PERMANENTFLAGS (...)]" */
void sync_put_keywords(struct session *);
/* The same if there are keywords that were not told yet. */
void sync_put_new_keywords(struct session *);

/* mailbox_seq_of_uid, where it is probably `guess`. */
uint32_t seq_of_uid_near(const struct mailbox *, uint32_t uid, uint32_t guess);

/* Messages of a sequence set, one after the other, as this session's view has them. */
struct walk {
	struct uid_set set;		/* of uids or sequence numbers */
	bool by_uid;
	size_t range;
	uint32_t seq;			/* the next one */
	uint32_t last;			/* of this range */
};

/* False: a sequence number that is not there. */
must_check bool walk_begin(struct session *, const struct sequence_set *, bool by_uid,
    struct walk *);
bool walk_next(const struct mailbox *, struct walk *, struct message *);
/* The same of uids. */
struct walk walk_of(const struct uid_set *);
/* The set as uids; false as above. */
must_check bool set_to_uids(struct session *, const struct sequence_set *, bool by_uid,
    struct uid_set *);

/* Of the messages of the view that the set has, counted by their order, those in the range; in the session's arena. */
struct uid_set set_part(struct session *, const struct uid_set *uids, const struct partial_range *);

/* ---- saved.c ---- */

/* What "$" stands for: until it is set or cleared. */
struct uid_set saved_uids(const struct session *);
/* uids of the view, ascending. False: more than SAVED_RANGES_MAX would be needed; it is empty now. */
must_check bool saved_set(struct session *, const uint32_t *uids, size_t count);
void saved_clear(struct session *);

/* ---- esearch.c ---- */

/* What this SEARCH, SORT or THREAD is to tell: enum search_result bits; 0: the answer of RFC 3501 or RFC 5256. */
unsigned search_results_of(const struct session *);
/*
 * Tells and saves what is asked for (never 0) of the uids found, in the order asked for; they live until the
 * command's end. Without COUNT and ALL those that MIN, MAX and PARTIAL do not tell may be missing.
 */
enum next esearch_answer(struct session *, unsigned results, const uint32_t *uids, size_t count);

/* ---- section.c ---- */

/* What a section is: octets of the content, or text made of them. */
struct piece {
	enum piece_kind { PIECE_NIL, PIECE_TEXT, PIECE_CONTENT } kind;
	struct str text;		/* TEXT: lives until the next store call or the arena's reset */
	uint64_t from;			/* CONTENT */
	uint64_t n;
};

/* From now on it is about this message. */
void section_memory_of(struct section_memory *, const struct mailbox *, uint32_t uid);

struct part_cache;
/* May a header alone, TEXT_HEADER, answer it? */
bool section_is_header(const struct section *);
/*
 * Finds the section in the open content (`header` where section_is_header). *cache, NULL at a
 * message's begin, keeps its parts in the arena. The partial is applied.
 */
must_check enum store_result section_find(struct content *, struct str header,
    const struct section *, struct arena *, struct part_cache **cache, struct section_memory *,
    struct piece *out);

/* The body of the part at the section's path; without one the message itself, which nothing encodes. */
must_check enum store_result section_find_encoded(struct content *, const struct section *, struct arena *,
    struct part_cache **cache, struct section_memory *, struct encoded_part *out);

/* ---- keeper.c ---- */

struct account *room_account(const struct session *);
/* user@domain */
struct str room_address(const struct session *);
/*
 * This session changed the store: the account's other sessions and auth are told when it
 * waits.
 */
void room_changed(struct session *);
/* The same where the account holds as much as before. */
void room_flags_changed(struct session *);
/* After a session has run. */
void room_settle(struct room *);
void keeper_start(struct process *, const struct keeper_grant *, int maildir_fd);

/* ---- front.c, cmd_login.c ---- */

void front_start(struct process *);
bool guest_is_secure(const struct session *);
/* May it send a password as things are? */
bool guest_may_login(const struct session *);
bool guest_can_tls(const struct session *);
enum next guest_start_tls(struct session *);
/* Asks whether this is somebody; sets the step that waits for the answer. */
enum next guest_ask(struct session *, struct str authzid, struct str authcid,
    struct str password);
/* The exchange of an AUTHENTICATE under way. */
struct sasl *guest_sasl(struct session *);

/* ---- the handlers ---- */

session_step cmd_capability, cmd_noop, cmd_logout, cmd_id, cmd_enable, cmd_compress;
session_step cmd_starttls, cmd_authenticate, cmd_login;
session_step cmd_create, cmd_delete, cmd_rename, cmd_subscribe, cmd_unsubscribe, cmd_status;
session_step cmd_list, cmd_lsub, cmd_namespace;
session_step cmd_select, cmd_examine, cmd_unselect;
/* Nothing is selected any more. */
void leave_mailbox(struct session *);
session_step cmd_append;		/* and REPLACE */
/* What stands behind a message announces another one, or ends the command. */
enum next cmd_append_next(struct session *, struct lexer *);
enum next cmd_append_end(struct session *, struct lexer *);
/* Octets of the largest message that is taken. */
uint64_t append_limit(const struct session *);
session_step cmd_fetch, cmd_store, cmd_copy, cmd_move, cmd_search;
session_step cmd_expunge, cmd_close;
/* RFC 7162 3.1.6, 3.1.10: the largest modseq of these messages; 0: none is there. */
uint64_t search_modseq(const struct session *, const uint32_t *uids, size_t count);
session_step cmd_idle;
session_step cmd_getquota, cmd_getquotaroot;
/*
 * "* STATUS name (...)" into out. STORE_BAD_NAME: a name that cannot be told; nothing is put unless STORE_OK. The arena is
 * for the time of the call.
 */
must_check enum store_result put_status(struct session *, struct buf *out, struct str name, unsigned items,
    struct arena *);
