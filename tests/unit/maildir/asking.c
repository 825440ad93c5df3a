/* SPDX-License-Identifier: ISC */
/* Questions to a store in memory, as clients write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/parse.h"
#include "tests/unit/maildir/asking.h"
#include "tests/unit/maildir/sentences.h"

struct mailbox *box;
struct arena *arena;

int
asking_set_up(void **state)
{
	(void)state;
	box = fake_new();
	arena = arena_new();
	return 0;
}

int
asking_tear_down(void **state)
{
	(void)state;
	fake_free(box);
	arena_free(arena);
	return 0;
}

/* ---- asking ---- */

const struct search_key *
key_of(const char *text)
{
	static struct request req;
	struct lexer lexer = lexer_of(arena, arena_printf(arena, "a SEARCH %s\r\n", text));
	uint32_t last = box->count > 0 ? box->messages[box->count - 1]->row.uid : 0;

	if (parse_head(&lexer, &req) != PARSED || parse_search(&lexer, &req) != PARSED)
		fail_msg("%s: %s", text, lexer.why);
	for (struct search_set *set = req.search.sets; set != NULL; set = set->next)
		set->key->set = sequence_set_resolve(&set->sent, last, arena);
	return req.search.key;
}

struct str
numbers_found(const struct search_key *key)
{
	struct search *search = search_new(box, key, &(struct search_extent){ 0 });
	scoped_buf found = BUF_INIT, out = BUF_INIT;
	bool done = false;
	uint32_t uid;

	while (!done)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	search_free(search);
	assert_int_equal(box->open_contents, 0);
	for (size_t i = 0; i < found.n; i += sizeof(uid)) {
		memcpy(&uid, found.p + i, sizeof(uid));
		buf_printf(&out, "%s%u", out.n ? " " : "", mailbox_seq_from_uid(box, uid));
	}
	return arena_str(arena, buf_str(&out));
}

void
check_found(const char *key, const char *want)
{
	struct str got = numbers_found(key_of(key));

	if (!str_eq(got, str_of(want)))
		fail_msg("%s\n got: %.*s\nwant: %s", key, STR_ARG(got), want);
}

void
check_all(const struct question *questions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_found(questions[i].key, questions[i].found);
}

void
check_extent(const char *key, struct search_extent extent, const char *want)
{
	struct search *search = search_new(box, key_of(key), &extent);
	scoped_buf found = BUF_INIT, out = BUF_INIT;
	bool done = false;
	uint32_t uid;

	while (!done)
		assert_int_equal(search_step(search, &found, &done), STORE_OK);
	search_free(search);
	for (size_t i = 0; i < found.n; i += sizeof(uid)) {
		memcpy(&uid, found.p + i, sizeof(uid));
		buf_printf(&out, "%s%u", out.n ? " " : "", uid);
	}
	if (!str_eq(buf_str(&out), str_of(want)))
		fail_msg("%s\n got: %.*s\nwant: %s", key, STR_ARG(buf_str(&out)), want);
}

/* ---- messages ---- */

struct fake_message *
add_text(const char *text)
{
	struct buf bytes = BUF_INIT;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_put_c(&bytes, '\r');
		buf_put_c(&bytes, *text);
	}
	return fake_add(box, bytes);
}

struct fake_message *
add_body(const char *label, const char *charset, const char *encoding, struct str utf8)
{
	struct buf bytes = BUF_INIT;
	scoped_buf converted = BUF_INIT;

	put_in_charset(&converted, charset, utf8);
	buf_put_z(&bytes, "Subject: x\r\nContent-Type: text/plain");
	if (label != NULL)
		buf_printf(&bytes, "; charset=%s", label);
	buf_printf(&bytes, "\r\nContent-Transfer-Encoding: %s\r\n\r\n", encoding);
	put_encoded(&bytes, transfer_of(str_of(encoding)), buf_str(&converted));
	return fake_add(box, bytes);
}

void
put_repeated(struct buf *out, const char *text, size_t n)
{
	while (out->n < n)
		buf_put_z(out, text);
}
