/* SPDX-License-Identifier: ISC */
/*
 * Records of search.db may hold any bytes: reading them ends, stays within them, and never ends the process. And what
 * is made of any message is read back: its words are found where they are, and its grams say so too.
 */
#include "maildir/digest.h"
#include "maildir/grams.h"
#include "maildir/match.h"
#include "maildir/sorting.h"
#include "maildir/threads.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
read_as_header(struct str record)
{
	struct digest_header header;
	scoped_buf addresses = BUF_INIT;

	if (!digest_read_header(record, &header))
		return;
	digest_field_has(&header, STR("from"), STR("a"));
	digest_field_has(&header, STR("a"), STR_EMPTY);
	digest_header_has(&header, STR("abc"));
	digest_put_addresses(&addresses, &header);
	must(addresses.n <= record.n, "what comes out is in it");
}

static void
read_as_grams(struct str row)
{
	struct members members = { 0 };

	(void)!grams_read(row, -1, &members);
	(void)!grams_read(row, 'a', &members);
}

static void
read_as_sorting(struct str record)
{
	struct threads *threads = threads_new(THREAD_REFERENCES);
	struct sorting s;
	size_t seen = 0;

	if (sorting_read(record, &s)) {
		must(threads_add(threads, &(struct message){ .uid = 1 }, &s), "one message");
		must(threads_add(threads, &(struct message){ .uid = 2 }, &s), "two messages");
	}
	while (threads_step(threads))
		continue;
	for (uint32_t n = threads_list(threads).first; n != THREAD_NONE;
	    n = threads_list(threads).nodes[n].next)
		must(++seen <= 2, "threads of two messages");
	threads_free(threads);
}

/* ---- what we make ourselves ---- */

struct probe {
	unsigned pair;
	unsigned char third;
	bool found;
};

static bool
look_at_row(void *arg, unsigned pair, struct str row)
{
	struct probe *probe = arg;
	struct members members = { 0 };

	if (pair == probe->pair) {
		must(grams_read(row, probe->third, &members), "a row of ours");
		probe->found = members_has(&members, 7);
	}
	return true;
}

/* Three bytes from somewhere in it, with no break between them. */
static void
check_grams(struct str texts)
{
	struct grams *grams = grams_new();
	const size_t at = texts.n / 2;
	const unsigned char *p = (const unsigned char *)texts.p + at;
	struct probe probe = { 0 };

	must(grams_add(grams, 7, texts), "a digest has not too many grams");
	if (texts.n >= at + 3 && p[0] != DIGEST_BREAK && p[1] != DIGEST_BREAK &&
	    p[2] != DIGEST_BREAK) {
		probe.pair = (unsigned)p[0] << 8 | p[1];
		probe.third = p[2];
		must(grams_rows(grams, look_at_row, &probe), "rows");
		must(probe.found, "a gram is found");
	}
	grams_free(grams);
}

/* Of its fields a brief record says what the whole one does. */
static void
check_brief(const struct digest_header *header, const struct digest_header *brief, struct str name,
    struct str value)
{
	scoped_buf folded = BUF_INIT;

	must(digest_field_has(brief, name, STR_EMPTY), "the field is there too");
	match_fold_text(&folded, str_sub(value, value.n / 2, 3));
	must(digest_field_has(header, name, buf_str(&folded)) ==
	    digest_field_has(brief, name, buf_str(&folded)), "one answer");
}

static void
check_message(struct str message)
{
	scoped_digest digest = { BUF_INIT, BUF_INIT, BUF_INIT };
	scoped_buf record = BUF_INIT;
	struct digest_header header, brief;
	struct header_walk walk = header_walk(str_sub(message, 0, header_end(message)));
	struct header_field field;
	struct sorting sorting;

	sorting_put(&record, str_sub(message, 0, header_end(message)), 0);
	must(sorting_read(buf_str(&record), &sorting), "what is put can be read");
	if (!digest_make(&digest, message))
		return;
	must(digest_read_header(buf_str(&digest.header), &header), "what is made can be read");
	must(digest.brief.n <= DIGEST_BRIEF_MAX, "brief");
	must(digest.brief.n == 0 || digest_read_header(buf_str(&digest.brief), &brief),
	    "what is made can be read");
	while (header_next(&walk, &field)) {
		scoped_buf name = BUF_INIT;

		match_fold_text(&name, field.name);
		must(digest_field_has(&header, buf_str(&name), STR_EMPTY), "the field is there");
		if (digest.brief.n > 0 && digest_is_brief(field.name))
			check_brief(&header, &brief, buf_str(&name), field.value);
	}
	check_grams(header.lines);
	check_grams(buf_str(&digest.body));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str input = { (const char *)data, size };

	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		read_as_header(str_from(input, 1));
		break;
	case 1:
		read_as_grams(str_from(input, 1));
		break;
	case 2:
		read_as_sorting(str_from(input, 1));
		break;
	default:
		check_message(str_from(input, 1));
		break;
	}
	return 0;
}
