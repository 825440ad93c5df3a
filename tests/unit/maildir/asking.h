/* SPDX-License-Identifier: ISC */
/*
 * What the tests of SEARCH share: messages in memory, and keys written as clients write them and read by imapd's
 * own parser, so that what is tested is what RFC 3501 6.4.4 says.
 */
#pragma once

#include "tests/unit/maildir/fake_store.h"

/* Of the test that runs. */
extern struct mailbox *box;
extern struct arena *arena;

int asking_set_up(void **state);
int asking_tear_down(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, asking_set_up, asking_tear_down)

struct question {
	const char *key, *found;
};

/* Lives as long as the arena. */
const struct search_key *key_of(const char *text);
/* The sequence numbers found: "1 3 4". */
struct str numbers_found(const struct search_key *);
void check_found(const char *key, const char *want);
void check_all(const struct question *, size_t count);
/* "30 20": the uids in the order in which they are found. */
void check_extent(const char *key, struct search_extent, const char *want);

/* A whole message, its lines ended by LF. */
struct fake_message *add_text(const char *text);
/* One of plain text. label: what its header says of the charset, NULL: nothing. */
struct fake_message *add_body(const char *label, const char *charset, const char *encoding, struct str utf8);
/* Until out has at least n octets. */
void put_repeated(struct buf *out, const char *text, size_t n);
