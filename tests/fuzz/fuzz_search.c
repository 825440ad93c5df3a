/* SPDX-License-Identifier: ISC */
/*
 * Any message can be read to its end, in whole characters of UTF-8 and pieces of limited
 * size, and its own first words are found in it.
 */
#include "common/base/utf8.h"
#include "maildir/match.h"
#include "maildir/reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEY_LENGTH = 20 };

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

/* The key is the first text's beginning, as far as its end cannot change by what follows. */
static void
take_key(struct buf *key, struct str piece)
{
	size_t n = 0;

	while (n < piece.n && n < KEY_LENGTH && (unsigned char)piece.p[n] < 0x80)
		n++;
	if (n > 1 && key->n == 0)
		must(match_fold_key(key, str_sub(piece, 0, n - 1)), "ASCII is UTF-8");
}

static void
look(struct str text, const struct buf *folded)
{
	struct match_key key = { .folded = buf_str(folded) }, *keys[] = { &key };
	struct match match = { 0 };

	if (folded->n == 0)
		return;
	match_begin(&match, keys, 1);
	match_feed(&match, text);
	match_end(&match);
	match_free(&match);
	must(key.found, "what is there is found");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading *reading = reading_new((struct str){ (const char *)data, size });
	enum reading_step step;

	do {
		scoped_buf piece = BUF_INIT, key = BUF_INIT;

		step = reading_next(reading, &piece);
		must(utf8_valid(buf_str(&piece)), "whole characters");
		must(step != READING_BODY || piece.n <= 4 * READING_PIECE + 64, "size of a piece");
		must((step != READING_TEXT_ENDS && step != READING_ENDS) || piece.n == 0, "no text");
		take_key(&key, buf_str(&piece));
		look(buf_str(&piece), &key);
	} while (step != READING_ENDS);
	reading_free(reading);
	return 0;
}
