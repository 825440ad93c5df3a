/* SPDX-License-Identifier: ISC */
#include "maildir/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "maildir/files.h"
#include "maildir/layout.h"

static const char file_name[] = "trivet-mailbox";

static const struct {
	const char *word;
	unsigned use;
} use_words[] = {
	{ "all", USE_ALL },
	{ "archive", USE_ARCHIVE },
	{ "drafts", USE_DRAFTS },
	{ "flagged", USE_FLAGGED },
	{ "junk", USE_JUNK },
	{ "sent", USE_SENT },
	{ "trash", USE_TRASH },
	{ "memos", USE_MEMOS },
	{ "scheduled", USE_SCHEDULED },
	{ "snoozed", USE_SNOOZED },
};

static bool read_line(struct control *c, struct str line);
static bool is_copy(int fd, int64_t said);
static void put(struct buf *out, const struct control *c);

void
control_free(struct control *c)
{
	keywords_free(&c->keywords);
	buf_free(&c->subscribed_names);
}

void
control_new(struct control *c, uint32_t above)
{
	scoped_buf id = BUF_INIT;

	*c = (struct control){ .uid_reserve = 1 + UID_RESERVE_STEP,
		.modseq_reserve = 1 + MODSEQ_RESERVE_STEP };
	id_put_new(&id);
	memcpy(c->id, id.p, ID_LENGTH);
	/*
	 * RFC 3501 2.3.1.1: never one that an earlier mailbox of this name had, not even where
	 * one is deleted and made again within a second: so the last one given out counts too.
	 */
	c->uidvalidity = (uint32_t)clock_now();
	if (c->uidvalidity <= above)
		c->uidvalidity = above + 1;
}

enum store_result
control_read(const struct log *log, int dir, struct control *out)
{
	scoped_buf text = BUF_INIT;
	scoped_fd fd = files_open_message(dir, file_name);
	struct control c = { 0 };
	struct str rest, line = STR_EMPTY;
	bool ok;

	if (fd < 0 || !files_read_all(fd, CONTROL_BYTES_MAX, &text))
		return files_failed(log, "read", str_of(file_name));
	rest = buf_str(&text);
	ok = str_cut(&rest, '\n', &line) && str_eq(line, STR("trivet-mailbox 1"));
	while (ok && str_cut(&rest, '\n', &line))
		ok = read_line(&c, line);
	c.copied = is_copy(fd, c.file);
	c.file = files_identity(fd, "");
	if (!ok || c.uidvalidity == 0 || c.id[0] == '\0' || c.uid_reserve == 0) {
		log_error(log, "mailbox-file-bad", KV("file", file_name), KV("line", line));
		control_free(&c);
		return STORE_BROKEN;
	}
	*out = c;
	return STORE_OK;
}

/* It names the very file that it was written to: what was copied, or put back from a backup, says another. */
static bool
is_copy(int fd, int64_t said)
{
	int64_t is = files_identity(fd, "");

	return is == 0 || is != said || (is < 0 && files_times_set(fd, ""));
}

static unsigned
use_of_word(struct str word)
{
	for (size_t i = 0; i < countof(use_words); i++)
		if (str_eq(word, str_of(use_words[i].word)))
			return use_words[i].use;
	return 0;
}

/* A letter that is none, or that another has, is no letter: the keyword lives without. */
static bool
read_keyword(struct control *c, struct str rest)
{
	struct str letter;
	int number;
	char given;

	if (!str_cut(&rest, ' ', &letter) || letter.n != 1 ||
	    keywords_find(&c->keywords, rest) >= 0)
		return false;
	given = letter.p[0];
	if (given != LETTER_PASSED && !(given >= 'a' && given <= 'z'))
		given = LETTER_NONE;
	if (given != LETTER_NONE && keywords_has_letter(&c->keywords, given))
		given = LETTER_NONE;
	if (keywords_add(&c->keywords, rest, &number) != STORE_OK)
		return false;
	c->keywords.k[number].letter = given;
	return true;
}

/* Whatever else stands there is no file's. */
static int64_t
read_identity(struct str value)
{
	bool negative = str_starts(value, STR("-"));
	uint64_t n = 0;

	if (!str_to_u64(str_from(value, negative), &n) || n > INT64_MAX)
		return 0;
	return negative ? -(int64_t)n : (int64_t)n;
}

/* Lines that a later version may add are passed over. */
static bool
read_line(struct control *c, struct str line)
{
	struct str key = str_sub(line, 0, str_index(line, ' ')), value = str_from(line, key.n + 1);

	if (str_eq(key, STR("uidvalidity")))
		return str_to_u32(value, &c->uidvalidity);
	if (str_eq(key, STR("uid_reserve")))
		return str_to_u32(value, &c->uid_reserve);
	if (str_eq(key, STR("modseq_reserve")))
		return str_to_u64(value, &c->modseq_reserve);
	if (str_eq(key, STR("file")))
		c->file = read_identity(value);
	else if (str_eq(key, STR("subscribed")))
		c->subscribed = true;
	else if (str_eq(key, STR("special_use")))
		c->special_use |= use_of_word(value);
	else if (str_eq(key, STR("keyword")))
		return read_keyword(c, value);
	else if (str_eq(key, STR("subscribed_name")))
		buf_printf(&c->subscribed_names, "%.*s\n", STR_ARG(value));
	else if (str_eq(key, STR("id")) && id_valid(value))
		memcpy(c->id, value.p, value.n);
	return true;
}

/* A rename takes the place of anything but a directory. */
static bool
take_name(const struct log *log, int dir, const char *tmp)
{
	if (renameat(dir, tmp, dir, file_name) == 0)
		return true;
	return errno == EISDIR && files_set_aside(log, dir, file_name) &&
	    renameat(dir, tmp, dir, file_name) == 0;
}

enum store_result
control_write(const struct log *log, int dir, struct control *c)
{
	scoped_buf text = BUF_INIT, tmp = BUF_INIT;
	scoped_fd fd = -1;
	bool ok;

	buf_put_z(&tmp, "trivet-mailbox.");
	id_put_new(&tmp);
	fd = files_open(dir, buf_z(&tmp), O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return files_failed(log, "create", buf_str(&tmp)) == STORE_FULL ?
		    STORE_FULL : STORE_BROKEN;
	c->file = files_identity(fd, "");
	put(&text, c);
	ok = files_write(fd, buf_str(&text)) && fsync(fd) == 0 &&
	    take_name(log, dir, buf_z(&tmp)) && fsync(dir) == 0;
	if (!ok) {
		enum store_result why = files_failed(log, "write", str_of(file_name));

		unlinkat(dir, buf_z(&tmp), 0);
		return why == STORE_GONE ? STORE_BROKEN : why;
	}
	return STORE_OK;
}

static void
put(struct buf *out, const struct control *c)
{
	struct str rest = buf_str(&c->subscribed_names), name;

	buf_printf(out, "trivet-mailbox 1\nuidvalidity %u\nid %s\nuid_reserve %u\n"
	    "modseq_reserve %llu\n", c->uidvalidity, c->id, c->uid_reserve,
	    (unsigned long long)c->modseq_reserve);
	buf_printf(out, "file %lld\n", (long long)c->file);
	if (c->subscribed)
		buf_put_z(out, "subscribed\n");
	for (size_t i = 0; i < countof(use_words); i++)
		if ((c->special_use & use_words[i].use) != 0)
			buf_printf(out, "special_use %s\n", use_words[i].word);
	for (size_t k = 0; k < c->keywords.count; k++)
		buf_printf(out, "keyword %c %.*s\n", c->keywords.k[k].letter,
		    STR_ARG(c->keywords.k[k].name));
	while (str_cut(&rest, '\n', &name))
		buf_printf(out, "subscribed_name %.*s\n", STR_ARG(name));
}
