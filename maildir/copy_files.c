/* SPDX-License-Identifier: ISC */
/*
 * The files of a COPY or MOVE: links, the names they get, and how they go again. Where its UID is claimed a link
 * has its last name in cur/ at once; else it waits in tmp/ under its prefix.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "maildir/copy.h"

enum { MISSES_MAX = 16 };	/* files looked for by name, before the next scan has to find them */

struct span
copy_put_name(struct copying *c, struct str text)
{
	struct span s = { c->names.n, text.n };

	buf_put(&c->names, text);
	return s;
}

struct str
copy_name(const struct copying *c, struct span s)
{
	return str_sub(buf_str(&c->names), s.at, s.n);
}

/* Where the link is, and what it is called there. */
static int
put_link(const struct copying *c, bool in_tmp, struct str link, struct str letters, struct buf *out)
{
	buf_clear(out);
	if (in_tmp)
		buf_put(out, link);
	else
		file_name_put(out, link, letters);
	return in_tmp ? c->place.tmp : c->place.cur;
}

/* Somebody renamed it to other flags, or its writer died before it had its name: it is there all the same. */
static bool
link_elsewhere(struct copying *c, const struct copy_one *one, int dir)
{
	const struct place *place = &c->m->folder->place;
	struct str base = copy_name(c, one->from_base);
	const int dirs[] = { place->cur, place->new };
	scoped_buf name = BUF_INIT;
	struct file_name parsed;

	(void)!publish_file(c->account, place, base, copy_name(c, one->from_letters));
	if (!file_name_parse(base, &parsed))
		return false;
	for (size_t i = 0; i < countof(dirs); i++)
		if (message_find_name(dirs[i], parsed.prefix, &name) &&
		    linkat(dirs[i], buf_z(&name), dir, buf_z(&c->to_name), 0) == 0)
			return true;
	errno = ENOENT;
	return false;
}

static enum store_result
link_file(struct copying *c, const struct copy_one *one, struct str link, struct str letters)
{
	const struct folder *f = c->m->folder;
	int dir = put_link(c, c->staged, link, letters, &c->to_name);
	enum store_result r;

	buf_clear(&c->from_name);
	file_name_put(&c->from_name, copy_name(c, one->from_base), copy_name(c, one->from_letters));
	if (linkat(f->place.cur, buf_z(&c->from_name), dir, buf_z(&c->to_name), 0) == 0)
		return STORE_OK;
	/* Left in tmp/ by a move that died: under the write lock it is nobody's. */
	if (errno == EEXIST && c->few && unlinkat(dir, buf_z(&c->to_name), 0) == 0 &&
	    linkat(f->place.cur, buf_z(&c->from_name), dir, buf_z(&c->to_name), 0) == 0)
		return STORE_OK;
	if (errno == ENOENT && link_elsewhere(c, one, dir))
		return STORE_OK;
	r = files_failed(&c->account->log, "link", buf_str(&c->from_name));
	c->lost = r == STORE_GONE;
	return c->lost ? STORE_BUSY : r;
}

enum store_result
copy_link(struct copying *c, struct copy_one *one)
{
	scoped_buf prefix = BUF_INIT, base = BUF_INIT, letters = BUF_INIT;
	size_t number = (size_t)(one - c->ones);
	struct file_name name;
	struct str link;
	enum store_result r;

	if (!file_name_parse(copy_name(c, one->from_base), &name))
		return STORE_BROKEN;
	/* What had gone was put back meanwhile. */
	if (!c->staged && number > c->claim.last - c->claim.first)
		return STORE_BUSY;
	/* A move keeps its prefix, by which a delivery that comes again is known. */
	if (c->move && c->target != &c->source)
		buf_put(&prefix, name.prefix);
	else
		publish_put_numbered(&prefix, buf_str(&c->prefix), number);
	if (!c->staged) {
		one->to_uid = c->claim.first + (uint32_t)number;
		file_name_put_base(&base, buf_str(&prefix), name.has_size ? name.size : 0, one->size,
		    one->to_uid);
	}
	link = c->staged ? buf_str(&prefix) : buf_str(&base);
	message_put_letters(&letters, &c->target->keywords, one->flags,
	    copy_keywords(c, one->keywords), STR_EMPTY);
	r = link_file(c, one, link, buf_str(&letters));
	if (r == STORE_OK) {
		one->in_tmp = c->staged;
		one->link = copy_put_name(c, link);
		one->to_letters = copy_put_name(c, buf_str(&letters));
	}
	return r;
}

static enum store_result
rename_link(struct copying *c, struct copy_one *one)
{
	struct str letters = copy_name(c, one->to_letters);

	buf_clear(&c->from_name);
	file_name_put(&c->from_name, copy_name(c, one->link), letters);
	buf_clear(&c->to_name);
	file_name_put(&c->to_name, copy_name(c, one->to_base), letters);
	if (renameat(c->place.cur, buf_z(&c->from_name), c->place.cur, buf_z(&c->to_name)) == 0)
		return STORE_OK;
	return files_failed(&c->account->log, "rename", buf_str(&c->from_name));
}

enum store_result
copy_publish(struct copying *c, struct copy_one *one)
{
	enum store_result r = STORE_OK;

	if (one->gone || (!one->in_tmp && one->link.at == one->to_base.at))
		return STORE_OK;
	if (one->in_tmp)
		r = publish_file(c->account, &c->place, copy_name(c, one->to_base),
		    copy_name(c, one->to_letters));
	else
		r = rename_link(c, one);
	/* Already there, also under a newer name, or expunged: others are quick. */
	return r == STORE_GONE ? STORE_OK : r;
}

void
copy_unlink(struct copying *c, struct copy_one *one)
{
	int dir;

	if (one->link.n == 0)
		return;
	dir = put_link(c, one->in_tmp, copy_name(c, one->link), copy_name(c, one->to_letters), &c->to_name);
	unlinkat(dir, buf_z(&c->to_name), 0);
	one->link = (struct span){ 0 };
}

/* Most have one name and are there; a scan in between may have removed all. */
void
copy_unlink_source(struct copying *c, const struct copy_one *one)
{
	struct folder *f = c->m->folder;

	if (one->gone)
		return;
	buf_clear(&c->from_name);
	file_name_put(&c->from_name, copy_name(c, one->from_base), copy_name(c, one->from_letters));
	if (unlinkat(f->place.cur, buf_z(&c->from_name), 0) == 0)
		return;
	if (++c->misses <= MISSES_MAX)
		expunge_file(&f->place, copy_name(c, one->from_base), copy_name(c, one->from_letters));
	else
		f->look = true;
}
