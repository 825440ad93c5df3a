/* SPDX-License-Identifier: ISC */
/*
 * What the files of this floor share. The states a message can be in, and the one legal
 * next step of each; whoever meets a state may take that step, under the write lock
 * (txn_begin) where a row is decided about:
 *
 *   tmp/ only, no row           being written, or its writer died   removed after TMP_AGE
 *   row, tmp/time.unique.host   published                           renamed into cur/
 *   row, cur/ or new/ under     a flag renamed outside, or an       flags taken over, or
 *     another name, same prefix   adoption not finished               renamed as the row says
 *   row, cur/BASE:2,LETTERS     settled
 *   row, no file                removed outside, or lost            row expunged
 *   expunged row, file          expunged, not yet unlinked          unlinked, or, where the row has
 *                                                                     a mark, moved to trivet-deleted/
 *   no row, a claimed UID       a COPY or MOVE of many is at work,  left alone, or unlinked
 *                                 or died                             (claims.c)
 *   no row at all, cur/ or new/ foreign                             adopted: row, then renamed
 *
 * So the index always commits first and the directory follows. A UID is committed before
 * a name with it exists. A move is a link in the target's tmp/, one transaction that adds
 * the target's row and expunges the source's, a rename and an unlink: each crash in between is
 * one of the states above. Of many messages the UIDs are claimed first, and the links have their last name at once; they
 * are made slice by slice before the rows are (copy.c).
 */
#pragma once

#include <sys/queue.h>

#include "common/base/log.h"
#include "maildir/control.h"
#include "maildir/files.h"
#include "maildir/index.h"
#include "maildir/layout.h"
#include "maildir/store.h"

enum {
	TMP_AGE = 36 * 3600,		/* seconds after which tmp/ files are nobody's */
	DELIVERY_AGE = 14 * 86400,	/* how long (trace, recipient) pairs are kept */
	HEADER_CACHE_MAX = 8 * 1024,	/* a header block above this is read from the file */
	FLAG_DELAY_MS = 300,		/* from a flag's commit to the renaming */
	TOUCH_DELAY_MS = 1000,		/* from a change in cur/ to its mtime in the row: one for several deliveries */
	POLL_MS = 1000,			/* from a mailbox's opening to its watch; again and again without inotify */
	UNWATCH_DELAY_MS = 5000,	/* an inotify instance without a mailbox */
	SLICE_RENAMES = 100,		/* files renamed to their flags in one slice */
};

/* ---- folders on disk ---- */

/* Descriptors of one folder's directories. */
struct place {
	int dir;
	int cur;
	int new;
	int tmp;
};

#define PLACE_CLOSED ((struct place){ -1, -1, -1, -1 })
/* STORE_GONE: no such directory. Makes missing cur, new and tmp. */
must_check enum store_result place_open(struct account *, struct str name, struct place *);
void place_close(struct place *);
/*
 * INBOX, where nearly all new mail goes: its directories stay open, and its number known, from one append to the
 * next. It is taken each time, looks whether its directories are still the ones that the disk shows, and is left
 * by inbox_leave. Only box_get in a transaction tells whether the number still stands.
 */
struct inbox {
	unsigned users;
	struct place place;
	struct { uint64_t device, inode; } cur, tmp;
	int64_t box;
	char box_id[24];
	unsigned generation;	/* of the index that box is a number of */
};

must_check enum store_result inbox_enter(struct account *, struct inbox **out);
void inbox_leave(struct inbox *);
/* The next one to enter looks for everything anew. */
void inbox_forget(struct account *);
#define scoped_place __attribute__((cleanup(place_close))) struct place

/* ---- rows of mailboxes ---- */

struct box {
	int64_t number;		/* never used again for another mailbox */
	struct buf name;
	char id[24];
	uint32_t uidvalidity;
	uint32_t uid_next;
	uint32_t uid_reserve;
	uint64_t modseq;
	uint64_t modseq_reserve;
	uint32_t messages;
	uint32_t unseen;
	uint64_t bytes;
	uint32_t recent_uid;	/* messages from here on have not been shown to anyone */
	unsigned special_use;
	bool subscribed;
	struct keywords keywords;
	int64_t cur_mtime;	/* of the directories when the index last agreed with them */
	int64_t new_mtime;
	int64_t control;	/* files_identity of its trivet-mailbox */
};

void box_free(struct box *);
#define scoped_box __attribute__((cleanup(box_free))) struct box
#define BOX_NONE ((struct box){ 0 })

/* STORE_NO_SUCH where there is none. */
must_check enum store_result box_get(struct account *, int64_t number, struct box *out);
must_check enum store_result box_find(struct account *, struct str name, struct box *out);
must_check enum store_result box_by_id(struct account *, struct str id, struct box *out);
/* Numbers of all mailboxes, into an array of int64_t. */
must_check enum store_result box_numbers(struct account *, struct buf *out);

/* The following only within a transaction; they keep row and struct alike. */

/* Adds a row for what the control file says; the number is filled in. */
must_check enum store_result box_add(struct account *, struct str name, const struct control *,
    struct box *out);
/* A new modseq for the changes of this transaction. */
must_check enum store_result box_take_modseq(struct account *, struct box *, uint64_t *out);
/* UIDs first .. first+count-1 belong to the caller. STORE_FULL: there are no more. */
must_check enum store_result box_take_uids(struct account *, struct box *, uint32_t count,
    uint32_t *first);
/* What is given out from now on; uid_next is at least a step below the last one there is. All is saved, file first. */
must_check enum store_result box_renew(struct account *, struct box *, uint32_t uid_next, uint64_t modseq);
/* Writes counts, uid_next and modseq back. */
must_check enum store_result box_save_counts(struct account *, const struct box *);
/* Subscription, special use and keywords changed: file first, then the row. */
must_check enum store_result box_save_settings(struct account *, const struct box *);
/* Bits of keywords by name, adding unknown ones to *box; *grew: box_save_settings is due. */
must_check enum store_result box_keyword_bits(struct box *, const struct flags *, uint64_t *bits,
    bool *grew);
void box_count(struct box *, int messages, uint32_t size, uint32_t flags);

/* ---- rows of messages ---- */

/* messages.pending: does the file's name say the flags? */
enum {
	NAME_SAYS = 0,
	NAME_PENDING = 1,
	NAME_MISSED = 2,	/* the file was not there under its name; once a scan has found it, it is NAME_PENDING */
};

struct message_row {
	uint32_t uid;
	uint32_t flags;
	uint64_t keywords;
	uint64_t modseq;
	uint32_t size;
	int64_t internal_date;
	int64_t saved;		/* when it came into this mailbox; 0: what the name says. message_get does not fill it in */
	bool no_nul;		/* its octets have been looked at, and none is NUL */
	struct buf base;
	struct buf letters;	/* as last written into the name */
};

void message_row_free(struct message_row *);
#define scoped_message __attribute__((cleanup(message_row_free))) struct message_row
#define MESSAGE_NONE ((struct message_row){ 0 })

/* STORE_GONE where there is none. */
must_check enum store_result message_get(struct account *, int64_t box, uint32_t uid,
    struct message_row *out);
/*
 * The same of what an open message needs (not flags, keywords and modseq), and the next ones with it where the one before
 * was asked for last (ahead.c).
 */
must_check enum store_result message_get_next(struct account *, int64_t box, uint32_t uid,
    struct message_row *out);
void rows_ahead_forget(struct account *);
/* Adds row and file name. Counts are the caller's. */
must_check enum store_result message_add(struct account *, int64_t box,
    const struct message_row *);
/* Takes it out, remembers it as expunged, counts. In a transaction; the file is the caller's. */
must_check enum store_result message_drop(struct account *, struct box *,
    const struct message_row *, uint64_t modseq);
/* All rows from one uid to another at once; the counts are the caller's. */
must_check enum store_result messages_drop(struct account *, int64_t box, uint32_t first,
    uint32_t last, uint64_t modseq);
/*
 * What was dropped is there again, in a transaction, under its UID: no session has been told otherwise. Counts; its flags
 * may be newer than its name.
 */
must_check enum store_result message_put_back(struct account *, struct box *, const struct message_row *);
/*
 * Writes flags into the row; the name follows later (account_work), or has been seen to be
 * `named` already. Counts.
 */
must_check enum store_result message_set_flags(struct account *, struct box *,
    const struct message_row *, uint32_t flags, uint64_t keywords, uint64_t modseq,
    const struct str *named);
/* The letters of flags and keywords, and of `before` those that mean nothing to us. */
void message_put_letters(struct buf *out, const struct keywords *, uint32_t flags,
    uint64_t keywords, struct str before);

/* ---- snapshots, shared by the handles of one process ---- */

/* A mailbox of 100,000 is in memory for as long as a session has it selected. */
struct row {
	uint32_t uid;
	uint32_t size;
	uint64_t keywords;
	uint64_t modseq;	/* of a dead one: its place in the log */
	int64_t internal_date : 56;
	uint64_t flags : 7;
	uint64_t dead : 1;	/* expunged, but some view has not been told */
};
_Static_assert(sizeof(struct row) == 32, "a row is packed");

/* Something views have to be told; folder.log, numbered from log_first. */
struct log_entry {
	uint64_t modseq;
	const struct mailbox *by;	/* the handle that did it itself: is not told of flags */
	/* The message before its flags changed; modseq 0: not known. */
	uint64_t before_modseq;
	uint64_t before_keywords;
	uint32_t uid;
	uint8_t before_flags;
	bool expunged;
};
_Static_assert(sizeof(struct log_entry) == 40, "an entry is packed");

TAILQ_HEAD(folder_list, folder);
TAILQ_HEAD(view_list, mailbox);

struct folder {
	TAILQ_ENTRY(folder) link;
	struct account *account;
	struct view_list views;
	struct box box;		/* as of the last refresh */
	unsigned generation;	/* of the account's index that box.number belongs to */
	bool gone;
	struct place place;
	bool look;		/* the directory has something that the index does not say */
	bool watch_tried;
	int64_t seen_cur;	/* mtimes of the directories when they were compared with the index last */
	int64_t seen_new;
	int watch_cur;
	int watch_new;
	struct row *rows;	/* by uid; in map, or allocated */
	void *map;		/* the file they came from; NULL: none */
	size_t map_octets;
	size_t count;
	size_t room;
	size_t *dead;		/* positions of the dead rows, ascending */
	size_t dead_count;
	size_t dead_room;
	struct log_entry *log;
	size_t log_count;
	size_t log_room;
	uint64_t log_first;
	uint64_t version;	/* counts what moves positions */
	bool loaded;
	bool filed;		/* rows came from a file of theirs, or have one */
	bool file_is_old;	/* it had to be read to be believed */
	size_t changed;		/* rows since then */
};

struct recent_range {
	uint32_t from;
	uint32_t to;	/* not included */
};

struct mailbox {
	TAILQ_ENTRY(mailbox) link;
	struct folder *folder;
	bool read_only;
	uint32_t exists;
	uint32_t uid_told;	/* messages above are not in the view yet */
	uint64_t expunges_at;	/* log entries before this one have been told */
	uint64_t flags_at;
	size_t keywords_told;
	uint64_t stored_modseq;	/* of the last change of flags that it made itself */
	struct recent_range *recent;
	size_t recent_count;
	/* The last message asked for: walking on from it is cheap. */
	uint32_t hint_seq;
	size_t hint_at;
	uint64_t hint_version;
	/* Of the first dead_at dead rows this view does not see dead_hidden. */
	size_t dead_at;
	size_t dead_hidden;
	uint64_t dead_version;
	uint64_t version;	/* counts what moves sequence numbers of this view */
	struct making *making;	/* made.c; NULL: nothing is half made */
};

/* Tells SQLite of take_row(), by which a whole mailbox is loaded. What SQLite says. */
must_check int snapshot_install(struct account *);
must_check enum store_result folder_get(struct account *, struct str name, struct folder **out);
/* Frees it with its last view. */
void folder_release(struct folder *);
/*
 * Brings the snapshot up to date; what changed with its stored_modseq is logged as `by` the handle given. What others
 * did since is not. NULL: by nobody.
 */
must_check enum store_result folder_refresh(struct folder *, const struct mailbox *by);
/*
 * The same without reading them again: `by` has just committed these (an array of struct row), and the mailbox's
 * row as it is now; the snapshot was refreshed in the same transaction. box is swapped.
 */
void folder_changed(struct folder *, struct box *box, struct str rows, const struct mailbox *by);
/*
 * After a rebuild the mailbox has another number: to be called before box.number is used
 * outside a refresh. STORE_GONE: it is no more.
 */
must_check enum store_result folder_ready(struct folder *);
/* Position of a uid, or of the first above it; count where there is none. */
size_t folder_position(const struct folder *, uint32_t uid);
/* For so many rows, at least those that are there; they are in memory of their own then. */
void folder_make_room(struct folder *, size_t rows);
void folder_drop_rows(struct folder *);
/* Forgets the dead and the log that every view knows. */
void folder_trim(struct folder *);
/* Is it in the view? The dead are until their expunge is told. */
bool view_sees(const struct mailbox *, const struct row *);
/* How many messages of the view lie before this position. */
uint32_t view_before(struct mailbox *, size_t position);

/* ---- snapshot_file.c: the rows of a large mailbox, kept for the next process ---- */

/* In .trivet/, and behind it the mailbox's number. */
#define SNAPSHOT_FILE "snapshot."
struct totals {
	uint64_t messages;
	uint64_t unseen;
	uint64_t octets;
};

/*
 * Rows of a folder that has none, whose box has just been read, as they were at *modseq, and how many. False where there
 * is no file that the index vouches for.
 */
must_check bool snapshot_file_read(struct folder *, uint64_t *modseq, struct totals *);
/* Are these the rows that the mailbox counts? */
must_check bool snapshot_is_whole(const struct totals *, const struct box *);
/* For a folder that no view is left of: where it is large, and has changed enough, its rows are written down. */
void snapshot_file_write(struct folder *);
/* In a transaction: the index vouches no longer for a mailbox's, or for any. */
must_check enum store_result snapshot_file_drop(struct account *, int64_t box);
must_check enum store_result snapshot_files_drop(struct account *);
/* Removes those that nobody needs. */
void snapshot_files_sweep(struct account *);
/* The disk is full: removes all; true where there was one. */
bool snapshot_files_release(struct account *);

/* Walks the rows of a set that a view has and that live; over when the snapshot is refreshed. */
struct set_walk {
	const struct mailbox *m;
	const struct uid_set *set;
	size_t range;
	size_t at;
};

struct set_walk set_walk(const struct mailbox *, const struct uid_set *);
const struct row *set_walk_next(struct set_walk *);

/* ---- accounts ---- */

/* made.c: what is kept goes along with a copy; has: the source mailbox has any. Both in a transaction. */
must_check enum store_result made_any(struct account *, int64_t box, bool *has);
must_check enum store_result made_copy(struct account *, int64_t to, int64_t from);
void making_free(struct making *);

/* The texts that are kept; others are made of them. */
enum { TEXTS_KEPT = TEXT_BODY };

/* What FETCH copies, rendered from a message. */
struct texts {
	struct buf text[TEXTS_KEPT];
	bool no_nul;		/* of the message they are made from */
};

/*
 * Who asks for a text of one message after the other is given it from here. A message never changes, so what was read
 * once stays true.
 */
enum { AHEAD_MESSAGES = 32, AHEAD_TEXTS = 64, AHEAD_BYTES = 32 * 1024 };

struct text_ahead {
	unsigned generation;
	int64_t asked;		/* the key before */
	struct buf texts;	/* of each its key, its length, itself */
	size_t next;		/* in there */
};

/*
 * The same of rows, for who opens one message after the other. Their names may be older than the rows (flags change
 * them): then there is no file of that name, and the row is read again.
 */
struct rows_ahead {
	int64_t box;
	unsigned generation;
	uint32_t asked;		/* the uid before */
	size_t count;
	size_t next;
	struct {
		uint32_t uid;
		uint32_t size;
		int64_t internal_date;
		size_t letters, base, end;	/* where they begin, one behind the other */
		bool no_nul;
	} rows[AHEAD_MESSAGES];
	struct buf bytes;
};

enum { KNOWN_DIRS = 16 };

/* A folder whose cur/ we changed: the index agrees with it as of this mtime. */
struct known_dir {
	int64_t box;	/* 0: unused */
	int64_t mtime;
	bool dirty;	/* the row does not say so yet */
};

/* Messages of a mailbox that are known to be on the disk (durable.c). */
struct synced {
	int64_t box;	/* 0: unused */
	uint32_t uid;	/* those below are */
	size_t singly;	/* and so many above, that are not remembered */
};

struct account {
	int dir;	/* the Maildir */
	int ours;	/* .trivet */
	int lock_fd;	/* lock.c */
	int lock_depth;
	struct log log;
	struct buf address;
	struct buf daemon;
	uint64_t quota_bytes;
	uint64_t quota_messages;
	uint32_t snapshot_from;
	int64_t boot;	/* of the machine; 0: not known */
	sqlite3 *db;
	sqlite3_stmt *statements[QUERY_COUNT];
	enum store_result statement_result;
	unsigned generation;
	uint64_t index_device;
	uint64_t index_inode;
	bool reserve_kept;
	bool index_lost;	/* SQLite says it is corrupt */
	int64_t unreadable_since;	/* since then no transaction has ended well; 0: it can be read */
	bool syncs;	/* the transaction under way */
	bool index_doubt;	/* a call of SQLite failed: it is opened anew before the next */
	bool news;		/* account_take_news */
	bool index_asked;	/* since rest_due was set */
	bool resting;		/* index_rest.c: closed, and opened again by the next to ask */
	int64_t index_identity;	/* of the file that was closed then */
	bool rebuilding;
	int64_t root_mtime;	/* of dir, when rows and folders last agreed */
	struct folder_list folders;
	struct folder *loading;	/* whose rows take_row() takes */
	struct inbox *inbox;	/* NULL: not known */
	struct text_ahead ahead[TEXTS_KEPT];	/* behind the views of message_texts */
	struct texts texts;	/* and so is this, where it was made anew, */
	struct buf body;	/* and this */
	struct rows_ahead rows_ahead;
	struct buf facts[FACT_COUNT];	/* behind those of message_facts */
	struct known_dir known[KNOWN_DIRS];
	unsigned known_next;	/* the one that is given up next */
	struct synced synced[KNOWN_DIRS];
	unsigned synced_next;
	SLIST_HEAD(live_claims, live_claim) claims;
	/* watch.c */
	int events;		/* epoll */
	int inotify;
	int socket;
	uint64_t socket_device;
	uint64_t socket_inode;
	/* Due times on the monotonic clock in ms, 0: nothing to do. */
	int64_t rename_due;
	int64_t touch_due;
	int64_t poll_due;
	int64_t unwatch_due;
	int64_t rest_due;
	int64_t sweep_due;
	int64_t search_due;
	bool searches;		/* keeps search.db up to date */
	struct search_db *search;	/* search_db.h; NULL: not open */
	struct search_build *build;	/* search_build.c */
	/* kept.c */
	int64_t keep_seconds;	/* what is expunged is kept so long; 0: it is not */
	int64_t keep_due;
	uint64_t keep_added;	/* octets since the last look for what is too old, or too much */
	struct buf keep_old;	/* files that are too old */
	struct account *kept;	/* the account in trivet-deleted/; NULL: not open */
	bool is_kept;		/* this is one of those */
	struct account *kept_of;	/* whose */
};

/* account.c: the account rests when nobody asks for a while from now on. */
void account_rest_later(struct account *);

/* lock.c: one process at a time makes or rebuilds an index. STORE_BUSY after a while. */
must_check enum store_result lock_take(struct account *);
void lock_release(struct account *);

/* quota.c; in a transaction or not. STORE_OVER_QUOTA when so much more does not fit. */
must_check enum store_result quota_check(struct account *, uint64_t bytes, uint64_t messages);

/* tree.c: the folders of the disk and the rows say the same afterwards. */
must_check enum store_result tree_sync(struct account *);
/* box_find, not in a transaction; a folder that another program made is looked for. */
must_check enum store_result tree_find(struct account *, struct str name, struct box *out);
must_check enum store_result tree_make_defaults(struct account *);
/* Removes what deleted mailboxes left. */
/* In .trivet/: what account_work empties, and what stays for as long as a DELETE may take. */
#define TREE_DELETED "deleted-"
#define TREE_DELETING "deleting-"
void tree_sweep(struct account *);

/* ---- reserve.c ---- */

/* Makes sure that there is some room set aside; else tries again later. */
void reserve_keep(struct account *);
/* For something that makes room, with step 0, 1 ..: gives some back to a full disk. False: there is no more. */
bool reserve_release(struct account *, int step);
/* In a transaction: a control with a uidvalidity that none has had. */
must_check enum store_result tree_new_control(struct account *, struct control *);
/* In a transaction: all rows of a mailbox go. */
must_check enum store_result tree_drop_box(struct account *, int64_t box);
/* Numbers that the index keeps for itself; 0 where there is none. */
must_check enum store_result state_get(struct account *, const char *key, int64_t *out);
must_check enum store_result state_put(struct account *, const char *key, int64_t value);

/* scan.c: the directory's files and the rows say the same afterwards. */
enum scan_mode {
	SCAN_CHANGED,	/* only if a directory's mtime is not the one we know */
	SCAN_ALWAYS,
	SCAN_TRUST_UIDS,	/* after a crash: UIDs in names are taken where they are free */
};

must_check enum store_result scan_mailbox(struct account *, int64_t box, const struct place *,
    enum scan_mode);
/* A directory's time that is still this one: what comes in the same tick of the clock would never be seen. 0: look again. */
int64_t scan_settled(int64_t mtime);

/*
 * claims.c; what is stored in a transaction, but for claims_get. A live one is of this process, and in its owner's memory; until
 * it is released the mailbox's row says nothing of when cur/ changed. The files of what is moved away are held likewise.
 */
struct live_claim {
	SLIST_ENTRY(live_claim) link;
	int64_t box;		/* 0: it is not held */
	unsigned generation;
	uint32_t first;
	uint32_t last;
};

void claim_hold(struct account *, struct live_claim *, int64_t box);
/* Nothing where it is not held. */
void claim_release(struct account *, struct live_claim *);
bool claims_are_live(const struct account *, int64_t box);
bool claim_is_live(const struct account *, int64_t box, uint32_t uid);
must_check enum store_result claim_make(struct account *, int64_t box, uint32_t first, uint32_t last);
must_check enum store_result claim_check(struct account *, int64_t box, uint32_t first, bool *good);
must_check enum store_result claim_drop(struct account *, int64_t box, uint32_t first);
/* As the index has it. */
struct claim {
	uint32_t first;
	uint32_t last;
	bool broken;	/* whoever made it begins anew, and its files go */
	bool seen;	/* there was one of them */
};

/* Of one mailbox, an array of struct claim; not those that are live. */
must_check enum store_result claims_get(struct account *, int64_t box, struct buf *out);
/* NULL: it is not claimed. */
struct claim *claims_find(struct buf *claims, uint32_t uid);
must_check enum store_result claims_break(struct account *, int64_t box, const struct buf *claims);
/* Those that were broken, and of which no file was seen. */
must_check enum store_result claims_drop_broken(struct account *, int64_t box, const struct buf *claims);
must_check enum store_result claims_drop(struct account *, int64_t box);

/* durable.c: the files of these messages are on the disk afterwards. */
must_check enum store_result durable_sources(struct mailbox *, const struct uid_set *);
/* Somebody else changed the directory: what is known of it counts no more. */
void durable_forget(struct account *, int64_t box);

/* rebuild.c */
must_check enum store_result rebuild_index(struct account *);

/* renew.c: numbers that nobody can have been told, where what we know may be older than what clients know. */

enum renew_why {
	RENEW_BOOT,	/* the machine went down: the last transactions may be lost */
	RENEW_COPY,	/* the index is a copy, put back from a backup or brought from elsewhere */
};

must_check enum store_result renew_account(struct account *, enum renew_why);
/*
 * In a transaction: uid_next and modseq of a mailbox become what nobody was told, above what its trivet-mailbox says,
 * and far above where that is a copy itself. All of its messages changed then, and what was expunged before is forgotten.
 */
must_check enum store_result renew_box(struct account *, struct box *, const struct control *);
/* In a transaction: under another UIDVALIDITY no number was ever given. */
must_check enum store_result renew_validity(struct account *, struct box *);
/* In a transaction: mailboxes made from now on have one that none can have had, whatever we know of them. */
must_check enum store_result renew_validities(struct account *);
/* The mailbox's trivet-mailbox is not the one that we wrote last: somebody changed it or put it back. */
must_check enum store_result renew_control(struct account *, int64_t box, const struct place *);

/* publish.c: from a committed row and a file in tmp/ to a name in cur/. */

/*
 * tmp/PREFIX becomes cur/BASE:2,LETTERS; somebody may have done it already. STORE_GONE: neither
 * is there. Within touch_begin and touch_end.
 */
must_check enum store_result publish_file(struct account *, const struct place *, struct str base,
    struct str letters);
/*
 * A new "time.unique.host". A delivery's unique part begins with its token, the same for each
 * attempt (publish_put_token); else it is empty.
 */
void publish_put_prefix(struct buf *out, int64_t seconds, struct str token);
void publish_put_token(struct buf *out, struct str trace, struct str recipient);
/* One of several that belong together: a prefix with no token, and a number for each. */
void publish_put_numbered(struct buf *out, struct str prefix, size_t number);

/*
 * Our own changes in cur/ move its mtime on, by which outside changes are noticed. Between
 * these two only we change it: what was known before is known after.
 */
struct touch {
	int64_t box;
	int64_t before;
	bool known;
};

void touch_begin(struct account *, int64_t box, const struct place *, struct touch *);
/* The same where the row has just been read. */
void touch_begin_with(struct account *, const struct box *, const struct place *, struct touch *);
/*
 * In the transaction whose files are to be removed: where we die before the first of them
 * is, the next opening looks at the directory all the same. After touch_begin.
 */
must_check enum store_result touch_doubt(struct account *, int64_t box);
void touch_end(struct account *, const struct place *, const struct touch *);
/* What is known of cur/; also from the scan. */
void touch_note(struct account *, int64_t box, int64_t mtime);
bool touch_knows(struct account *, int64_t box, int64_t mtime);
/* Writes what touch_end found into the rows. */
void touch_flush(struct account *);

/*
 * message.c. Opens a message's file by its row, wherever it is (see the states above).
 * row is read anew if it has changed. STORE_GONE: expunged, or its file is lost.
 */
must_check enum store_result message_open_file(struct account *, int64_t box,
    const struct place *, struct message_row *row, int *fd);
/* All octets of a file with CRLF line ends. */
must_check enum store_result message_read(struct account *, int fd, struct buf *out);
/* How many LFs of these bytes have no CR before them; *last_cr carries over pieces. */
uint64_t crlf_missing(struct str bytes, bool *last_cr);
/* Appends bytes with those made CRLF. */
void crlf_put(struct buf *out, struct str bytes, bool *last_cr);
/* Of an open message: as its row says. */
int64_t content_internal_date(const struct content *);
/* Finds the file with this prefix in dir (cur or new): its name. */
must_check bool message_find_name(int dir, struct str prefix, struct buf *name);

/* texts.c */
/* Gives back what it holds; it is empty then. */
void texts_free(struct texts *);
/* Into what is empty. */
void texts_render(struct texts *out, struct str message);
must_check enum store_result texts_save(struct account *, int64_t key, const struct texts *);
/* Of one that is still there; what it has already stays. */
must_check enum store_result texts_copy(struct account *, int64_t to, int64_t from);
must_check enum store_result texts_drop(struct account *, int64_t key);
/* Gives back what was read ahead. */
void texts_rest(struct account *);

/* flags.c: names of files follow the flags in their rows. */
void flags_rename_later(struct account *);
/* True while there is more. */
bool flags_rename_slice(struct account *);

/*
 * vanished.c; in a transaction: of what was expunged up to the box's modseq only a part may be known. A row of
 * `expunged` with UID 0 says so.
 */
must_check enum store_result vanished_forget(struct account *, const struct box *);

/* expunge.c: the file of a message whose row is gone. */
void expunge_file(const struct place *, struct str base, struct str letters);
/*
 * One message, \Deleted or not, that goes in the transaction in which another takes its place. STORE_GONE: it is not
 * there (any more).
 */
struct expunge_one;
must_check enum store_result expunge_one_new(struct mailbox *, uint32_t uid, struct expunge_one **out);
uint64_t expunge_one_size(const struct expunge_one *);
/* In the transaction, before it changes anything: is it still there? */
must_check enum store_result expunge_one_look(struct expunge_one *);
/* In the transaction, last: the mailbox's row is read anew. */
must_check enum store_result expunge_one_drop(struct expunge_one *);
/* After the commit and when nothing can fail any more: the file goes. */
void expunge_one_finish(struct expunge_one *);
/* Or in another transaction: it is there again, under its UID. */
must_check enum store_result expunge_one_undo(struct expunge_one *);
/* Takes NULL. */
void expunge_one_free(struct expunge_one *);

/* watch.c */
void watch_open(struct account *);
void watch_close(struct account *);
void watch_folder(struct folder *);
void watch_forget(struct folder *);
/* Where it is not watched, or not yet: marks it if its directories changed. */
void watch_look(struct folder *);
/* No mailbox has been open for a while: gives the instance back. */
void watch_rest(struct account *);
/* Watches folders that have been open for a while; without inotify, watch_look for all. */
void watch_poll(struct account *);
/* A byte to every other daemon's socket of this account. */
void watch_notify(struct account *);
