/* SPDX-License-Identifier: ISC */
/*
 * The keys of one SEARCH and what is known of the message in hand (RFC 3501 6.4.4). A key
 * answers YES, NO, or MAYBE until what it asks for has been read; so does the tree, and it
 * says what its MAYBE hangs on. Pure: search.c does the reading.
 */
#pragma once

#include "maildir/match.h"
#include "maildir/store.h"

enum answer { NO, MAYBE, YES };

struct search_node {
	const struct search_key *key;
	struct search_node *first, *next;	/* as the key's */
	struct match_key text;	/* found: YES */
	bool is_always;		/* the empty text: in every text there is */
	bool is_never;		/* a text that is not UTF-8: in no text */
	struct str name;	/* HEADER: the field's, folded */
	bool is_brief;		/* HEADER: that field is in brief records (digest.h) */
	uint64_t keyword;	/* its bit; 0: unknown in this mailbox */
};

/* Nodes of some kinds, for who goes through a message. */
struct node_list {
	struct search_node **nodes;
	struct match_key **texts;	/* the same ones' */
	size_t count;
};

struct search_tree {
	struct arena *arena;
	struct search_node *root;
	size_t node_count;
	struct node_list fields;	/* HEADER */
	struct node_list header_texts;	/* TEXT */
	struct node_list body_texts;	/* TEXT, BODY */

	/* The three kinds above, each node once: what a filter is asked about. */
	struct node_list all_texts;

	int64_t now;			/* what intervals count from, seconds since 1970 */

	/* What is known. */
	struct message message;
	int32_t sent_day;		/* once the header is read, or knows_day */
	bool knows_day;
	int32_t saved_day;
	bool knows_saved;
	char email_id[FACT_ID_LENGTH + 1], thread_id[FACT_ID_LENGTH + 1];	/* empty: not known yet */
	enum { READ_ROW, READ_HEADER, READ_ALL } has_read;
	/* What the last MAYBE hangs on. */
	enum { WANTS_HEADER = 1, WANTS_BODY = 2, WANTS_SAVED = 4, WANTS_EMAILID = 8, WANTS_THREADID = 16 } wants;
};

/* The keys live as long as the tree, whose own memory is the arena's. */
void search_tree_init(struct search_tree *, struct arena *, const struct mailbox *,
    const struct search_key *);
/* By .message, the days, the ids, .has_read and the texts that are found. Sets .wants. */
enum answer search_tree_answer(struct search_tree *);
/* Of another message nothing has been read or found. */
void search_tree_forget(struct search_tree *);
