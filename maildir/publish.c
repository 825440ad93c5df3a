/* SPDX-License-Identifier: ISC */
/* Names for message files, and the way from tmp/ to cur/. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "maildir/private.h"

enum { HOST_MAX = 64, TOKEN_MAX = 64, RANDOM_CHARS = 8 };

/* Our host's name, as it was when we first asked, with what a Maildir name cannot hold written as Maildir has it. */
static void
put_host(struct buf *out)
{
	static char host[HOST_MAX + 1];

	if (host[0] == '\0' && (gethostname(host, HOST_MAX) != 0 || host[0] == '\0'))
		host[0] = 'l';
	for (const char *c = host; *c != '\0'; c++)
		if (ascii_is_alnum(*c) || *c == '-' || *c == '.' || *c == '_')
			buf_put_c(out, *c);
		else
			buf_put_c(out, '_');
}

/* FNV-1a; it need not resist anyone: the index compares the texts themselves. */
static uint64_t
hash(struct str s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h;
}

void
publish_put_token(struct buf *out, struct str trace, struct str recipient)
{
	bool plain = trace.n > 0 && trace.n <= TOKEN_MAX;

	for (size_t i = 0; i < trace.n && plain; i++)
		plain = ascii_is_alnum(trace.p[i]);
	if (plain)
		buf_put(out, trace);
	else
		buf_printf(out, "%016llx", (unsigned long long)hash(trace));
	buf_printf(out, "-%016llx", (unsigned long long)hash(recipient));
}

void
publish_put_prefix(struct buf *out, int64_t seconds, struct str token)
{
	scoped_buf id = BUF_INIT;

	id_put_new(&id);
	buf_printf(out, "%lld.", (long long)seconds);
	if (token.n > 0) {
		buf_put(out, token);
		buf_put_c(out, '-');
		buf_cut(&id, RANDOM_CHARS);
	}
	buf_put(out, buf_str(&id));
	buf_put_c(out, '.');
	put_host(out);
}

void
publish_put_numbered(struct buf *out, struct str prefix, size_t number)
{
	size_t seconds = str_index(prefix, '.') + 1;
	size_t unique = seconds + str_index(str_from(prefix, seconds), '.');

	buf_put(out, str_sub(prefix, 0, unique));
	buf_put_c(out, '-');
	buf_put_u64(out, number);
	buf_put(out, str_from(prefix, unique));
}

enum store_result
publish_file(struct account *a, const struct place *place, struct str base, struct str letters)
{
	scoped_buf to = BUF_INIT, from = BUF_INIT;
	struct file_name name;
	uint64_t size;
	int64_t mtime;

	file_name_put(&to, base, letters);
	if (!file_name_parse(base, &name))
		return STORE_BROKEN;
	buf_put(&from, name.prefix);
	if (renameat(place->tmp, buf_z(&from), place->cur, buf_z(&to)) == 0)
		return STORE_OK;
	if (errno == ENOENT && files_stat(place->cur, buf_z(&to), &size, &mtime))
		return STORE_OK;
	return files_failed(&a->log, "rename", buf_str(&to));
}

static struct known_dir *
known_find(struct account *a, int64_t box)
{
	for (size_t i = 0; i < KNOWN_DIRS; i++)
		if (a->known[i].box == box)
			return &a->known[i];
	return NULL;
}

void
touch_note(struct account *a, int64_t box, int64_t mtime)
{
	struct known_dir *k = known_find(a, box);

	if (k == NULL) {
		k = &a->known[a->known_next++ % KNOWN_DIRS];
		if (k->dirty)
			touch_flush(a);
	}
	*k = (struct known_dir){ .box = box, .mtime = mtime };
}

bool
touch_knows(struct account *a, int64_t box, int64_t mtime)
{
	const struct known_dir *k = known_find(a, box);

	return k != NULL && k->mtime == mtime;
}

void
touch_begin(struct account *a, int64_t box, const struct place *place, struct touch *t)
{
	scoped_box row = BOX_NONE;

	*t = (struct touch){ .box = box, .before = files_mtime_ns(place->cur) };
	t->known = touch_knows(a, box, t->before) ||
	    (box_get(a, box, &row) == STORE_OK && row.cur_mtime == t->before);
}

void
touch_begin_with(struct account *a, const struct box *row, const struct place *place,
    struct touch *t)
{
	*t = (struct touch){ .box = row->number, .before = files_mtime_ns(place->cur) };
	t->known = touch_knows(a, row->number, t->before) || row->cur_mtime == t->before;
}

enum store_result
touch_doubt(struct account *a, int64_t box)
{
	return index_do(a, Q_BOX_CUR_MTIME, BIND(V(0), V(box)));
}

void
touch_end(struct account *a, const struct place *place, const struct touch *t)
{
	if (!t->known)
		return;
	touch_note(a, t->box, files_mtime_ns(place->cur));
	known_find(a, t->box)->dirty = true;
	if (a->touch_due == 0)
		a->touch_due = clock_monotonic_ms() + TOUCH_DELAY_MS;
}

/* Without it only a scan too many is made: a failure is no matter. */
void
touch_flush(struct account *a)
{
	for (size_t i = 0; i < KNOWN_DIRS; i++) {
		struct known_dir *k = &a->known[i];

		if (!k->dirty)
			continue;
		/* If who holds it dies, the next opening looks at the directory. */
		if (claims_are_live(a, k->box)) {
			a->touch_due = clock_monotonic_ms() + TOUCH_DELAY_MS;
			continue;
		}
		if (txn_begin(a) == STORE_OK)
			(void)!txn_end(a, index_do(a, Q_BOX_CUR_MTIME,
			    BIND(V(k->mtime), V(k->box))));
		k->dirty = false;
	}
}
