/* SPDX-License-Identifier: ISC */
/*
 * From a row to the file and its octets. The file may lie elsewhere for a while
 * (private.h has the states); and whatever line ends it has, CRLF comes out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "maildir/private.h"

struct search_name {
	struct str prefix;
	struct buf *found;
};

static enum store_result open_elsewhere(struct account *a, int64_t box,
    const struct place *place, struct message_row *row, int *fd, uint64_t *size);
static int open_by_prefix(const struct place *place, struct str prefix, uint64_t *size);

static int
open_settled(const struct place *place, const struct message_row *row, uint64_t *size)
{
	scoped_buf name = BUF_INIT;

	file_name_put(&name, buf_str(&row->base), buf_str(&row->letters));
	return files_open_measured(place->cur, buf_z(&name), size);
}

/* A size that is not the name's: a power cut took part of the file. Nobody is shown it. */
static bool
is_whole(struct account *a, uint64_t size, const struct message_row *row)
{
	struct file_name name;

	if (!file_name_parse(buf_str(&row->base), &name) || !name.has_size || size == name.size)
		return true;
	log_error(&a->log, "message-torn", KV("file", buf_str(&row->base)), KV("size", size));
	return false;
}

/* And how many octets the file has. */
static enum store_result
open_measured(struct account *a, int64_t box, const struct place *place, struct message_row *row, int *out,
    uint64_t *octets)
{
	uint64_t size = 0;
	scoped_fd fd = open_settled(place, row, &size);
	enum store_result r;

	if (fd < 0 && errno == ENOENT) {
		r = open_elsewhere(a, box, place, row, &fd, &size);
		if (r != STORE_OK)
			return r;
	}
	if (fd < 0)
		return files_failed(&a->log, "open", buf_str(&row->base));
	if (!is_whole(a, size, row))
		return STORE_GONE;
	*out = fd;
	*octets = size;
	fd = -1;
	return STORE_OK;
}

enum store_result
message_open_file(struct account *a, int64_t box, const struct place *place, struct message_row *row, int *out)
{
	uint64_t octets;

	return open_measured(a, box, place, row, out, &octets);
}

/*
 * Under the write lock nobody else is between a commit and its renames of flags; what is
 * not here then is in tmp/, was renamed from outside, or is gone.
 */
static enum store_result
open_elsewhere(struct account *a, int64_t box, const struct place *place,
    struct message_row *row, int *fd, uint64_t *size)
{
	struct file_name name;
	enum store_result r = txn_begin(a);

	if (r != STORE_OK)
		return r;
	r = message_get(a, box, row->uid, row);
	if (r == STORE_OK && !file_name_parse(buf_str(&row->base), &name))
		r = STORE_GONE;
	if (r == STORE_OK) {
		(void)!publish_file(a, place, buf_str(&row->base), buf_str(&row->letters));
		*fd = open_settled(place, row, size);
		if (*fd < 0 && errno == ENOENT)
			*fd = open_by_prefix(place, name.prefix, size);
		if (*fd < 0)
			r = files_failed(&a->log, "open", buf_str(&row->base));
	}
	txn_rollback(a);
	return r;
}

static int
open_by_prefix(const struct place *place, struct str prefix, uint64_t *size)
{
	scoped_buf name = BUF_INIT;

	if (message_find_name(place->cur, prefix, &name))
		return files_open_measured(place->cur, buf_z(&name), size);
	if (message_find_name(place->new, prefix, &name))
		return files_open_measured(place->new, buf_z(&name), size);
	/* Published, but its rename failed: a full disk, say. */
	buf_clear(&name);
	buf_put(&name, prefix);
	return files_open_measured(place->tmp, buf_z(&name), size);
}

static bool
see_prefix(void *arg, struct str text)
{
	struct search_name *s = arg;
	struct file_name name;

	if (!file_name_parse(text, &name) || !str_eq(name.prefix, s->prefix))
		return true;
	buf_clear(s->found);
	buf_put(s->found, text);
	return false;
}

bool
message_find_name(int dir, struct str prefix, struct buf *name)
{
	struct search_name s = { prefix, name };

	buf_clear(name);
	return files_list(dir, see_prefix, &s) && name->n > 0;
}

/* ---- line ends ---- */

uint64_t
crlf_missing(struct str bytes, bool *last_cr)
{
	uint64_t missing = 0;
	const char *p = bytes.p, *end = bytes.p + bytes.n, *lf;

	if (bytes.n == 0)
		return 0;
	while ((lf = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		missing += lf > bytes.p ? lf[-1] != '\r' : !*last_cr;
		p = lf + 1;
		if (p == end)
			break;
	}
	*last_cr = end[-1] == '\r';
	return missing;
}

void
crlf_put(struct buf *out, struct str bytes, bool *last_cr)
{
	struct str line;
	size_t at;

	while (bytes.n > 0) {
		at = str_index(bytes, '\n');
		line = str_sub(bytes, 0, at);
		buf_put(out, line);
		if (line.n > 0)
			*last_cr = line.p[line.n - 1] == '\r';
		if (at < bytes.n) {
			if (!*last_cr)
				buf_put_c(out, '\r');
			buf_put_c(out, '\n');
			*last_cr = false;
		}
		bytes = str_from(bytes, at + 1);
	}
}

enum store_result
message_read(struct account *a, int fd, struct buf *out)
{
	scoped_buf raw = BUF_INIT;
	bool last_cr = false;

	if (!files_read_all(fd, MESSAGE_BYTES_MAX, &raw))
		return files_failed(&a->log, "read", STR("message"));
	buf_clear(out);
	if (crlf_missing(buf_str(&raw), &last_cr) == 0) {
		struct buf swap = *out;

		*out = raw;
		raw = swap;
		return STORE_OK;
	}
	last_cr = false;
	crlf_put(out, buf_str(&raw), &last_cr);
	return STORE_OK;
}

/* ---- an open message, for daemons ---- */

struct content {
	struct account *account;
	int fd;
	uint64_t size;
	int64_t internal_date;
	bool as_stored;		/* file and wire are alike: pieces are read straight */
	bool no_nul;		/* as far as is known */
	bool loaded;
	struct buf bytes;
};

enum store_result
content_open(struct mailbox *m, uint32_t uid, struct content **out)
{
	struct folder *f = m->folder;
	scoped_message row = MESSAGE_NONE;
	struct content *c;
	uint64_t octets;
	enum store_result r = folder_ready(f);
	scoped_fd fd = -1;

	if (r == STORE_OK)
		r = message_get_next(f->account, f->box.number, uid, &row);
	if (r == STORE_OK)
		r = open_measured(f->account, f->box.number, &f->place, &row, &fd, &octets);
	if (r != STORE_OK) {
		f->look |= r == STORE_GONE;
		return r;
	}
	c = xcalloc(1, sizeof(*c));
	c->account = f->account;
	c->size = row.size;
	c->internal_date = row.internal_date;
	/* As long as what is sent: so no CR is missing. */
	c->as_stored = octets == row.size;
	c->no_nul = row.no_nul;
	c->fd = fd;
	fd = -1;
	*out = c;
	return STORE_OK;
}

void
content_close(struct content *c)
{
	if (c == NULL)
		return;
	close_fd(&c->fd);
	buf_free(&c->bytes);
	free(c);
}

uint64_t
content_size(const struct content *c)
{
	return c->size;
}

int64_t
content_internal_date(const struct content *c)
{
	return c->internal_date;
}

static enum store_result
load(struct content *c)
{
	enum store_result r;

	if (c->loaded)
		return STORE_OK;
	r = message_read(c->account, c->fd, &c->bytes);
	c->loaded = r == STORE_OK;
	return r;
}

enum store_result
content_read(struct content *c, uint64_t from, size_t n, struct buf *out)
{
	enum store_result r;

	if (from >= c->size)
		return STORE_OK;
	if (n > c->size - from)
		n = (size_t)(c->size - from);
	if (c->as_stored && !c->loaded)
		return files_read_at(c->fd, from, n, out) ? STORE_OK :
		    files_failed(&c->account->log, "read", STR("message"));
	r = load(c);
	if (r == STORE_OK)
		buf_put(out, str_sub(buf_str(&c->bytes), (size_t)from, n));
	return r;
}

bool
content_is_plain_file(const struct content *c)
{
	return c->as_stored && c->no_nul;
}

int
content_take_file(struct content *c, bool last)
{
	int fd = c->fd;

	if (!last)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	c->fd = -1;
	return fd;
}

void
content_forget(struct content *c)
{
	if (!c->as_stored)
		return;
	buf_free(&c->bytes);
	c->loaded = false;
}

enum store_result
content_bytes(struct content *c, struct str *out)
{
	enum store_result r = load(c);

	if (r == STORE_OK)
		*out = buf_str(&c->bytes);
	return r;
}
