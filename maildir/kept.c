/* SPDX-License-Identifier: ISC */
#include "maildir/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"

enum { LEFT_SECONDS = 2 };	/* a file's ctime may be that much later than its row went */

const char kept_dir[] = "trivet-deleted";

/* ---- names ---- */

bool
kept_time(const struct file_name *name, int64_t *since, struct str *prefix)
{
	size_t at = str_find(name->prefix, STR(",D="));
	uint64_t seconds;

	if (at == name->prefix.n || !str_to_u64(str_from(name->prefix, at + 3), &seconds))
		return false;
	*since = (int64_t)seconds;
	*prefix = str_sub(name->prefix, 0, at);
	return true;
}

/* Without U=, which there would be another message's; fresh: the name is taken there, or too long. */
static void
put_name(struct buf *out, const struct file_name *name, struct str letters, bool fresh)
{
	struct str prefix = name->prefix;
	int64_t since;

	/* What was put back by hand with its old name is kept from now on. */
	(void)!kept_time(name, &since, &prefix);
	if (fresh)
		publish_put_prefix(out, clock_now(), STR_EMPTY);
	else
		buf_put(out, prefix);
	buf_printf(out, ",D=%lld", (long long)clock_now());
	if (name->has_size)
		buf_printf(out, ",S=%llu", (unsigned long long)name->size);
	if (name->has_wire)
		buf_printf(out, ",W=%llu", (unsigned long long)name->wire);
	buf_put_z(out, ":2,");
	buf_put(out, letters);
}

/* ---- folders there ---- */

int
kept_open_cur(struct account *a, struct str mailbox)
{
	scoped_buf path = BUF_INIT;
	scoped_fd top = files_make_dir(a->dir, kept_dir), dir = -1;

	/* What lies there instead is nobody's mail. */
	if (top < 0 && (errno == ELOOP || errno == ENOTDIR) && files_set_aside(&a->log, a->dir, kept_dir))
		top = files_make_dir(a->dir, kept_dir);

	layout_put_dir(&path, mailbox);
	dir = top < 0 ? -1 : files_make_dir(top, buf_z(&path));
	return dir < 0 ? -1 : files_make_dir(dir, "cur");
}

enum store_result
kept_learn_keywords(struct account *a, struct str mailbox, const struct keywords *words, uint64_t used,
    struct keywords *out)
{
	struct account *there;
	scoped_box box = BOX_NONE;
	size_t before;
	int number;
	enum store_result r = kept_view(a, &there);

	if (r == STORE_OK && files_mtime_ns(there->dir) != there->root_mtime)
		r = tree_sync(there);
	if (r == STORE_OK)
		r = txn_begin(there);
	if (r != STORE_OK)
		return r;
	r = box_find(there, mailbox, &box);
	before = box.keywords.count;
	for (size_t k = 0; r == STORE_OK && k < words->count; k++)
		if ((used >> k & 1) != 0)
			/* One too many has no letter there: the message goes without. */
			(void)!keywords_add(&box.keywords, words->k[k].name, &number);
	if (r == STORE_OK && box.keywords.count > before)
		r = box_save_settings(there, &box);
	r = txn_end(there, r);
	if (r == STORE_OK)
		keywords_copy(out, &box.keywords);
	return r;
}

void
kept_put_letters(struct buf *out, uint32_t flags, uint64_t bits, const struct keywords *words,
    const struct keywords *there)
{
	scoped_buf all = BUF_INIT;
	uint64_t theirs = 0;
	int number;

	letters_put_flags(&all, flags & ~(uint32_t)FLAG_DELETED);
	for (size_t k = 0; k < words->count; k++) {
		number = (bits >> k & 1) != 0 ? keywords_find(there, words->k[k].name) : -1;
		if (number >= 0)
			theirs |= (uint64_t)1 << number;
	}
	keywords_put_letters(&all, there, theirs);
	letters_put_sorted(out, buf_str(&all));
}

bool
kept_move_file(int from, const char *name, int cur, const struct file_name *parsed, struct str letters)
{
	for (int i = 0; i < 2; i++) {
		scoped_buf to = BUF_INIT;

		put_name(&to, parsed, letters, i > 0);
		if (renameat2(from, name, cur, buf_z(&to), RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST && errno != ENAMETOOLONG)
			return false;
	}
	return false;
}

/* ---- one command's messages ---- */

struct kept_file {
	uint32_t flags;
	uint64_t keywords;
	size_t base;	/* both offsets in names, each with a NUL behind */
	size_t letters;
};

struct kept_batch {
	struct account *account;
	struct buf mailbox;
	struct keywords words;
	uint64_t used;		/* keywords that any of them has */
	uint64_t bytes;
	struct kept_file *files;
	size_t count;
	size_t room;
	struct buf names;
};

struct kept_batch *
kept_batch_new(struct account *a, const struct box *box)
{
	struct kept_batch *b;

	if (a->keep_seconds == 0)
		return NULL;
	b = xcalloc(1, sizeof(*b));
	b->account = a;
	buf_put(&b->mailbox, buf_str(&box->name));
	keywords_copy(&b->words, &box->keywords);
	return b;
}

void
kept_forget(struct kept_batch *b)
{
	if (b == NULL)
		return;
	buf_free(&b->mailbox);
	buf_free(&b->names);
	keywords_free(&b->words);
	free(b->files);
	free(b);
}

static size_t
add_name(struct kept_batch *b, struct str text)
{
	size_t at = b->names.n;

	buf_put(&b->names, text);
	buf_put_c(&b->names, '\0');
	return at;
}

/* No name of a file begins so. */
static const char mark = '/';

bool
kept_names(struct str expunged_base, struct str base)
{
	if (expunged_base.n > 0 && expunged_base.p[0] == mark)
		expunged_base = str_from(expunged_base, 1);
	return str_eq(expunged_base, base);
}

void
kept_note(struct kept_batch *b, uint32_t flags, uint64_t keywords, struct str base, struct str letters)
{
	struct file_name name;

	if (b->count == b->room) {
		b->room = b->room < 16 ? 16 : b->room * 2;
		b->files = xrealloc(b->files, b->room * sizeof(*b->files));
	}
	b->files[b->count].flags = flags;
	b->files[b->count].keywords = keywords;
	b->files[b->count].base = add_name(b, base);
	b->files[b->count].letters = add_name(b, letters);
	b->count++;
	b->used |= keywords;
	if (file_name_parse(base, &name))
		b->bytes += name.size;
}

enum store_result
kept_mark(struct kept_batch *b, int64_t box, uint64_t modseq)
{
	return b == NULL ? STORE_OK : index_do(b->account, Q_EXPUNGED_MARK, BIND(V(box), V((int64_t)modseq)));
}

/* It may lie where it was before it had its name, or under another that somebody gave it. */
static bool
take_elsewhere(const struct place *place, int cur, const struct file_name *parsed, struct str letters)
{
	const int dirs[] = { place->cur, place->new };
	scoped_buf name = BUF_INIT;
	struct file_name there;

	buf_put(&name, parsed->prefix);
	if (kept_move_file(place->tmp, buf_z(&name), cur, parsed, letters))
		return true;
	for (size_t i = 0; i < countof(dirs); i++)
		/* One with another UID is another message, or this one moved away and back. */
		if (message_find_name(dirs[i], parsed->prefix, &name) && file_name_parse(buf_str(&name), &there) &&
		    (!there.has_uid || there.uid == parsed->uid))
			return kept_move_file(dirs[i], buf_z(&name), cur, parsed, letters);
	errno = ENOENT;
	return false;
}

/* False: it is still where it was. */
static bool
take_file(const struct kept_batch *b, const struct kept_file *f, const struct place *place, int cur,
    const struct keywords *there)
{
	struct str base = str_of(b->names.p + f->base), before = str_of(b->names.p + f->letters);
	scoped_buf name = BUF_INIT, letters = BUF_INIT;
	struct file_name parsed;

	if (!file_name_parse(base, &parsed))
		return true;
	kept_put_letters(&letters, f->flags, f->keywords, &b->words, there);
	file_name_put(&name, base, before);
	if (kept_move_file(place->cur, buf_z(&name), cur, &parsed, buf_str(&letters)) || errno != ENOENT ||
	    take_elsewhere(place, cur, &parsed, buf_str(&letters)))
		return true;
	if (errno == ENOENT)
		return true;
	(void)files_failed(&b->account->log, "keep", buf_str(&name));
	return false;
}

bool
kept_take(struct kept_batch *b, const struct place *place)
{
	struct keywords there = { 0 };
	scoped_fd cur = -1;
	bool all = true;

	if (b == NULL)
		return true;
	cur = b->count == 0 ? -1 : kept_open_cur(b->account, buf_str(&b->mailbox));
	if (cur < 0 && b->count > 0)
		(void)files_failed(&b->account->log, "make", str_of(kept_dir));
	if (cur >= 0 && b->used != 0)
		(void)!kept_learn_keywords(b->account, buf_str(&b->mailbox), &b->words, b->used, &there);
	for (size_t i = 0; cur >= 0 && i < b->count; i++)
		all &= take_file(b, &b->files[i], place, cur, &there);
	all &= cur >= 0 || b->count == 0;
	kept_look_later(b->account, b->bytes);
	keywords_free(&there);
	kept_forget(b);
	return all;
}

/* ---- left behind by a crash ---- */

/* When it was expunged, in ms; false where it was not, or is not to be kept. */
static bool
is_marked(struct account *a, const struct box *box, const struct file_name *name, int64_t *out)
{
	sqlite3_stmt *q = index_ask(a, Q_EXPUNGED_FILE, BIND(V(box->number), V(name->uid)));
	bool marked = false;

	while (index_row(a, q)) {
		struct str base = index_text(q, 0);

		if (base.n == 0 || base.p[0] != mark || !str_eq(str_from(base, 1), name->base))
			continue;
		marked = true;
		*out = sqlite3_column_int64(q, 1);
	}
	return index_end(a, q) == STORE_OK && marked;
}

bool
kept_take_leftover(struct account *a, const struct box *box, const struct place *place,
    const struct file_name *name, bool in_new)
{
	scoped_buf letters = BUF_INIT, text = BUF_INIT;
	scoped_fd cur = -1;
	struct keywords none = { 0 };
	struct stat st;
	int64_t at = 0;

	if (!name->has_uid || in_new || !is_marked(a, box, name, &at))
		return false;
	file_name_put(&text, name->base, name->letters);
	/* What was put there since is somebody's wish: a backup's, say. */
	if (fstatat(place->cur, buf_z(&text), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    (int64_t)st.st_ctim.tv_sec > at / 1000 + LEFT_SECONDS)
		return false;
	kept_put_letters(&letters, letters_flags(name->letters), 0, &none, &none);
	cur = kept_open_cur(a, buf_str(&box->name));
	if (cur >= 0 && (kept_move_file(place->cur, buf_z(&text), cur, name, buf_str(&letters)) || errno == ENOENT))
		return true;
	(void)files_failed(&a->log, "keep", buf_str(&text));
	return true;
}
