/* SPDX-License-Identifier: ISC */
/*
 * What the model test's coordinator is made of: choose.c makes up operations, test_model.c has them done, look.c
 * holds what is there against the model; processes.c are those who do them.
 */
#pragma once

#include <sys/types.h>

#include "common/base/map.h"
#include "tests/model/model.h"

enum {
	WORKERS = 4,
	OUTSIDER = WORKERS,
	ACTORS = WORKERS + 1,
};

/* What a seed is allowed to do. */
enum { WITH_OUTSIDER = 1, WITH_KILLS = 2, WITHOUT_INDEX = 4 };

struct actor {
	pid_t pid;
	int fd;
	char open[HANDLES][ID_ROOM];	/* ids of the mailboxes that its handles have */
};

struct known {
	uint32_t mail, flags, words;
	uint64_t modseq;
};

struct coordinator {
	uint64_t seed, random, step, done, batches, killed, busy, rebuilt;
	unsigned with;
	bool keep;
	bool tell;	/* how far a long run is */
	char path[64];
	struct actor actor[ACTORS];
	struct op op[ACTORS];
	struct answer answer[ACTORS];
	bool active[ACTORS];
	struct state now, trial[ACTORS + 1];
	struct seen seen[FOLDERS_MAX];
	uint32_t seen_count;
	bool saw_all;
	bool index_lost;	/* in the batch to come modseqs are not what they were */
	struct buf why;
	struct map *messages;	/* "id uidvalidity uid" to struct known */
	struct map *boxes;	/* "id" to struct seen, of which no message is kept */
	uint32_t mails, traces;
	uint32_t carried;	/* the UID that the outsider takes along, or renumbers: nobody else moves it */
	char carried_from[NAME_ROOM];
};

extern struct coordinator c;

/* choose.c: chance is the seed's, the same every time. */
uint32_t random_below(uint32_t n);
bool one_in(uint32_t n);
/* c.op and c.active: what is to be done at once. */
void choose_batch(void);

/* processes.c: starts process i, the outsider being the last. */
void start_actor(int i);
void send_op(int i, const struct op *);
/* False: it ended. */
bool receive(int i, struct answer *);
/* Sends, and receives an answer without trouble. */
void ask(int i, const struct op *, struct answer *);
/* Says what the batch was, and what c.why says, and ends the test. */
_Noreturn void wrong(const char *what);

/* look.c: every process synchronizes; compare: what it has open is what the model has. */
void sync_all(bool compare);
/* Some process shows what there is: c.seen. */
void look(void);
/* The batch, in some order, makes c.now of what was before, and is what look saw. */
void explain_batch(void);
/* Against all that was seen before: numbers that must not fall, and names that must not change. */
void see(const struct seen *);
/* Nobody has anything left to do: the files and the sums of the quota are those of the model. */
void settle(void);
