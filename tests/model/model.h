/* SPDX-License-Identifier: ISC */
/*
 * The model test of the store: several processes of ours and one that is not work on one account; what
 * they did must be what the same operations, one after the other, make of a model in memory.
 * Here is what the processes say to each other, and the model.
 */
#pragma once

#include <stdio.h>

#include "maildir/store.h"

enum {
	NAME_ROOM = 64,
	ID_ROOM = 24,
	UIDS_MAX = 16,		/* in one operation */
	MESSAGES_MAX = 200,	/* in one folder */
	FOLDERS_MAX = 40,
	HANDLES = 2,		/* mailboxes that a process has open */
	WORDS = 8,		/* keywords that there are */
};

/* Keywords are bits in this order. */
extern const char *const words[WORDS];

enum kind {
	/* through store.h */
	DO_APPEND, DO_DELIVER, DO_STORE, DO_COPY, DO_MOVE, DO_EXPUNGE, DO_SELECT, DO_CREATE, DO_DELETE,
	DO_RENAME, DO_SEVERAL, DO_REPLACE,
	/* as other programs do it */
	OUT_FLAGS, OUT_REMOVE, OUT_ADD_NEW, OUT_ADD_CUR, OUT_DOUBLE, OUT_BACK_TO_NEW, OUT_RENAME, OUT_CARRY,
	OUT_TWIN, OUT_TORN,
	/* between batches */
	ASK_SYNC, ASK_DUMP, ASK_LIST, ASK_SETTLE, ASK_REOPEN,
	KINDS,
};

extern const char *const kind_names[KINDS];

/* Sent to a process; plain data. */
struct op {
	enum kind kind;
	int handle;
	char name[NAME_ROOM];
	char to[NAME_ROOM];
	char id[ID_ROOM];		/* of the mailbox that the handle has */
	uint32_t uids[UIDS_MAX];
	uint32_t count;
	bool all;			/* DO_EXPUNGE: no set */
	enum flag_change how;
	uint32_t flags;
	uint32_t words;
	uint64_t unchanged_since;
	uint32_t mail;			/* number of the content; DO_SEVERAL: of the first of .count */
	uint32_t trace;
	bool may_create;
	bool retry;
	bool lf;
	char letters[8];		/* OUT_FLAGS: these are turned round */
	uint64_t random;
};

struct seen_message {
	uint32_t uid;
	uint32_t flags;
	uint32_t words;
	uint32_t mail;
	uint64_t modseq;
};

/* A mailbox as one process sees it. */
struct seen {
	char name[NAME_ROOM];
	char id[ID_ROOM];
	uint32_t uidvalidity;
	uint32_t uid_next;
	uint64_t modseq;
	uint32_t count;
	struct seen_message message[MESSAGES_MAX];
};

/* What comes back; of seen[] and names[] only as many as there are are sent. */
struct answer {
	enum store_result result;
	bool killed;
	uint32_t uid;
	bool was_there;
	uint32_t count;
	uint32_t from[UIDS_MAX];	/* DO_STORE: those that were modified */
	uint32_t to[UIDS_MAX];
	bool done;			/* by the outsider */
	uint32_t flags_on, flags_off, words_on, words_off;
	struct usage usage;
	char trouble[300];		/* what the process itself found wrong */
	uint32_t names;			/* ASK_LIST */
	uint32_t handles;		/* ASK_SYNC, ASK_DUMP */
	bool open[HANDLES];
	union {
		struct seen seen[HANDLES];
		struct { char name[NAME_ROOM]; char id[ID_ROOM]; } list[FOLDERS_MAX];
	};
};

/* content.c: what mail number n is; lf: as a file with bare line feeds. */
void content_put(struct buf *out, uint32_t n, bool lf);
int64_t content_date(uint32_t n);
/* 0: it is none. */
uint32_t content_number(struct str header);

/* worker.c, outsider.c: run in processes of their own and do not return. */
_Noreturn void worker_run(const char *path, const char *daemon, int fd);
_Noreturn void outsider_run(const char *path, int fd);
/* Reads one operation; false: nobody is there any more. */
bool op_receive(int fd, struct op *out);
void answer_send(int fd, const struct answer *);

/* ---- state.c: the model ---- */

struct message_state {
	uint32_t uid;		/* 0: there, but nobody has told the number yet */
	uint32_t flags;
	uint32_t words;
	uint32_t mail;
	uint32_t trace;		/* delivered as; 0: it was not */
	bool fresh;		/* came in this batch: no view has it */
	bool any_words;		/* letters of another mailbox: nobody can say what they mean here */
	bool touched;		/* its flags changed in this batch */
};

struct folder_state {
	char name[NAME_ROOM];
	char id[ID_ROOM];	/* "": not told yet */
	uint32_t uid_next;
	uint32_t count;
	struct message_state message[MESSAGES_MAX];
};

struct delivery {
	uint32_t trace;
	uint32_t uid;		/* 0: not told */
};

enum { DELIVERIES_MAX = 64 };

struct state {
	uint32_t count;
	uint32_t deliveries;
	struct delivery delivery[DELIVERIES_MAX];
	struct folder_state folder[FOLDERS_MAX];
};

void state_copy(struct state *to, const struct state *from);
struct folder_state *state_find(struct state *, const char *name);
struct folder_state *state_by_id(struct state *, const char *id);
/*
 * Does the operation; false where it cannot have answered so. An operation whose process was killed
 * is done in one of its alternatives, counted from 0: nothing of it, all of it, and for some a part.
 */
bool state_do(struct state *, const struct op *, const struct answer *, int alternative);
int state_alternatives(const struct op *, const struct answer *);
/* False where the mailbox is not as seen; why, if it is not NULL, is told. Fills in what is not known. */
bool state_agrees(struct folder_state *, const struct seen *, struct buf *why);
