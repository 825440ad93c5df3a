/* SPDX-License-Identifier: ISC */
/*
 * .trivet/snapshot.N: the rows of a large mailbox as they were at some modseq, so that a process that begins need not
 * ask SQLite for each. It can be lost at any time, and is never believed without cause:
 *
 * The index vouches for one file of a mailbox, by a random number that stands in both. It was noted in a transaction in
 * which the mailbox was just as the file says, and goes with the mailbox or when all of its rows change (renew.c). So who
 * finds it in an index reads an index whose past includes that transaction: each later change of a row has a larger
 * modseq, each row that has gone is in the list of the expunged, and both are read from the index as by a session that
 * was open all the time. An older file, one of another mailbox or from another place has another number; a lost index
 * that was made anew has none; a backup of the index has the number of a file as old as itself; after a loss of power
 * either the note is there, and all that was before it, or it is not. What was cut off, or is not what was written, has
 * another sum. And in the end messages, unseen and octets must be as many as the index counts, or all is read anew.
 *
 * Where the machine has not been down since it was written and nobody has touched it (its time is the one that stands in
 * it), its rows are those that were written: they are mapped, and only the pages that are asked for are ever read. Else
 * they are read and summed up, and written again at the end. Nobody cuts it off while it is mapped: it is written under
 * another name, and what is put back from a backup while a daemon runs is as bad for SQLite's own mapped file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/id.h"
#include "maildir/private.h"

enum {
	FILE_FROM = 1000,		/* messages: fewer are read as quickly from the index */
	FILE_MESSAGES_MAX = 1 << 22,	/* 128 MiB; its writing is one step */
	CHANGED_SHARE = 16,		/* written anew where more than one in so many has changed */
	PIECE_ROWS = 2048,		/* 64 KiB: what was just read is still in the processor's cache */
	LANES = 4,
};
_Static_assert(sizeof(struct row) == LANES * sizeof(uint64_t), "the sum goes by rows");

/* In the machine's own order, as struct row is; order and sample tell whether it is that of this machine. */
struct header {
	char magic[8];
	uint32_t order;
	uint32_t row_octets;
	uint64_t voucher;
	int64_t box;
	uint64_t modseq;
	uint64_t count;
	uint64_t unseen;
	uint64_t octets;	/* of the messages */
	uint64_t boot;		/* in which it was written; 0: not known */
	int64_t mtime;		/* of the file, ns since 1970 */
	uint64_t sum;		/* of header, with 0 here and in head_sum, and rows */
	uint64_t head_sum;	/* of the header alone, with 0 in both */
	struct row sample;
};
_Static_assert(sizeof(struct header) % sizeof(struct row) == 0, "so the header is some rows, too");

static const struct header pattern = {
	.magic = "trivet 2",
	.order = 0x01020304,
	.row_octets = sizeof(struct row),
	.sample = { .uid = 1, .size = 2, .keywords = 3, .modseq = 4, .internal_date = -5, .flags = 6, .dead = 1 },
};

static void
put_key(struct buf *out, int64_t box)
{
	buf_put_z(out, "snapshot ");
	buf_put_u64(out, (uint64_t)box);
}

static void
put_name(struct buf *out, int64_t box)
{
	buf_put_z(out, SNAPSHOT_FILE);
	buf_put_u64(out, (uint64_t)box);
}

/* ---- the sum ---- */

/*
 * Each step can be undone where the word is known, and so can the word where the rest is: no change of one word leaves
 * the sum as it was.
 */
static uint64_t
stir(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
	return sum << 29 | sum >> 35;
}

struct sum {
	uint64_t lane[LANES];
};

/* Four sums at once, each of every fourth word: the processor need not wait for one to go on with the next. */
static void
sum_add(struct sum *s, const void *rows, size_t count)
{
	uint64_t a = s->lane[0], b = s->lane[1], c = s->lane[2], d = s->lane[3], words[LANES];

	for (const char *p = rows, *end = p + count * sizeof(words); p < end; p += sizeof(words)) {
		memcpy(words, p, sizeof(words));
		a = stir(a, words[0]);
		b = stir(b, words[1]);
		c = stir(c, words[2]);
		d = stir(d, words[3]);
	}
	*s = (struct sum){ { a, b, c, d } };
}

static uint64_t
sum_of(const struct sum *s)
{
	uint64_t all = 0;

	for (size_t lane = 0; lane < LANES; lane++)
		all = stir(all, s->lane[lane]);
	return all;
}

static void
sum_header(struct sum *s, struct header h)
{
	h.sum = h.head_sum = 0;
	sum_add(s, &h, sizeof(h) / sizeof(struct row));
}

static uint64_t
sum_of_header(const struct header *h)
{
	struct sum sum = { { 0 } };

	sum_header(&sum, *h);
	return sum_of(&sum);
}

/* ---- reading ---- */

static bool
read_exactly(int fd, void *to, size_t n)
{
	ssize_t got;

	while (n > 0) {
		got = read(fd, to, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to = (char *)to + got;
		n -= (size_t)got;
	}
	return true;
}

static int64_t
time_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool
is_for(const struct header *h, const struct folder *f, uint64_t voucher, off_t octets)
{
	struct header same = *h;

	memset(&same.voucher, 0, offsetof(struct header, sample) - offsetof(struct header, voucher));
	return memcmp(&same, &pattern, sizeof(same)) == 0 && h->head_sum == sum_of_header(h) && h->voucher == voucher &&
	    h->box == f->box.number && h->modseq <= f->box.modseq && h->count <= FILE_MESSAGES_MAX &&
	    octets == (off_t)(sizeof(*h) + h->count * sizeof(struct row));
}

/* Rows must be in order and alive; they are counted as the index counts. */
static bool
count_rows(const struct row *rows, size_t count, uint32_t *last, struct totals *t)
{
	uint64_t octets = 0, seen = 0;
	uint32_t before = *last;
	bool sound = true;

	for (size_t i = 0; i < count; i++) {
		sound &= rows[i].uid > before && !rows[i].dead;
		before = rows[i].uid;
		octets += rows[i].size;
		seen += rows[i].flags & FLAG_SEEN;
	}
	*last = before;
	t->messages += count;
	t->octets += octets;
	t->unseen += count - seen / FLAG_SEEN;
	return sound;
}

static bool
read_rows(struct folder *f, int fd, const struct header *h, struct totals *t)
{
	struct sum sum = { { 0 } };
	uint32_t last = 0;
	bool sound = true;

	sum_header(&sum, *h);
	while (sound && f->count < h->count) {
		struct row *rows = f->rows + f->count;
		size_t n = h->count - f->count < PIECE_ROWS ? h->count - f->count : PIECE_ROWS;

		if (!read_exactly(fd, rows, n * sizeof(*rows)))
			return false;
		sum_add(&sum, rows, n);
		sound = count_rows(rows, n, &last, t);
		f->count += n;
	}
	return sound && sum_of(&sum) == h->sum;
}

/* What was written and not touched since is there: only with the machine it may have gone down. */
static bool
is_untouched(const struct account *a, const struct header *h, const struct stat *st)
{
	return a->boot != 0 && h->boot == (uint64_t)a->boot && h->mtime == time_ns(st->st_mtim);
}

/* What is changed is changed in memory only. */
static bool
map_rows(struct folder *f, int fd, const struct header *h, struct totals *t)
{
	size_t octets = sizeof(*h) + h->count * sizeof(struct row);
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return false;
	folder_drop_rows(f);
	f->map = p;
	f->map_octets = octets;
	f->rows = (struct row *)((char *)p + sizeof(*h));
	f->count = f->room = h->count;
	*t = (struct totals){ h->count, h->unseen, h->octets };
	return true;
}

bool
snapshot_file_read(struct folder *f, uint64_t *modseq, struct totals *totals)
{
	struct account *a = f->account;
	scoped_buf key = BUF_INIT, name = BUF_INIT;
	scoped_fd fd = -1;
	struct header h;
	struct stat st;
	struct totals t = { 0 };
	int64_t voucher;
	bool untouched;

	put_key(&key, f->box.number);
	put_name(&name, f->box.number);
	if (state_get(a, buf_z(&key), &voucher) != STORE_OK || voucher == 0)
		return false;
	fd = files_open(a->ours, buf_z(&name), O_RDONLY | O_NOCTTY, 0);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !read_exactly(fd, &h, sizeof(h)) ||
	    !is_for(&h, f, (uint64_t)voucher, st.st_size))
		return false;
	untouched = is_untouched(a, &h, &st);
	f->file_is_old = !untouched && a->boot != 0;
	if (!untouched || !map_rows(f, fd, &h, &t)) {
		folder_make_room(f, h.count + 32);
		if (!read_rows(f, fd, &h, &t)) {
			log_warn(&a->log, "snapshot-file-damaged", KV("file", buf_str(&name)));
			f->count = 0;
			return false;
		}
	}
	*modseq = h.modseq;
	*totals = t;
	f->filed = true;
	return true;
}

bool
snapshot_is_whole(const struct totals *t, const struct box *box)
{
	return t->messages == box->messages && t->unseen == box->unseen && t->octets == box->bytes;
}

/* ---- writing ---- */

/* In the transaction the mailbox is still what was written down; and from now on the index knows of the file. */
static enum store_result
vouch(struct folder *f, uint64_t voucher, const struct totals *t)
{
	struct account *a = f->account;
	scoped_buf key = BUF_INIT;
	scoped_box now = BOX_NONE;
	enum store_result r = box_get(a, f->box.number, &now);

	put_key(&key, f->box.number);
	if (r == STORE_OK && (now.modseq != f->box.modseq || f->generation != a->generation ||
	    !snapshot_is_whole(t, &now)))
		r = STORE_BUSY;
	return r == STORE_OK ? state_put(a, buf_z(&key), (int64_t)voucher) : r;
}

static bool
write_file(int fd, const struct folder *f, uint64_t voucher, const struct totals *t)
{
	struct header h = pattern;
	struct sum sum = { { 0 } };
	struct timespec times[2];

	h.voucher = voucher;
	h.box = f->box.number;
	h.modseq = f->box.modseq;
	h.count = f->count;
	h.unseen = t->unseen;
	h.octets = t->octets;
	h.boot = (uint64_t)f->account->boot;
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[1] = times[0];
	h.mtime = time_ns(times[1]);
	sum_header(&sum, h);
	sum_add(&sum, f->rows, f->count);
	h.sum = sum_of(&sum);
	h.head_sum = sum_of_header(&h);
	return files_write(fd, (struct str){ (const char *)&h, sizeof(h) }) &&
	    files_write(fd, (struct str){ (const char *)f->rows, f->count * sizeof(*f->rows) }) &&
	    futimens(fd, times) == 0;
}

/* Nobody sees it any more: the dead need not stay in their places. */
static void
drop_all_dead(struct folder *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->count; i++)
		if (!f->rows[i].dead)
			f->rows[kept++] = f->rows[i];
	f->count = kept;
	f->dead_count = 0;
}

static bool
is_worth_it(const struct folder *f)
{
	const struct account *a = f->account;
	size_t count = f->count - f->dead_count, from = a->snapshot_from > 0 ? a->snapshot_from : FILE_FROM;

	return !f->gone && f->loaded && (a->db != NULL || a->resting) && !a->index_lost && !a->index_doubt &&
	    f->generation == a->generation && count >= from && count <= FILE_MESSAGES_MAX &&
	    (!f->filed || f->file_is_old || f->changed > count / CHANGED_SHARE);
}

void
snapshot_file_write(struct folder *f)
{
	struct account *a = f->account;
	scoped_buf name = BUF_INIT, tmp = BUF_INIT;
	scoped_fd fd = -1;
	uint64_t voucher;
	struct totals t = { 0 };
	enum store_result r;

	if (!is_worth_it(f) || folder_refresh(f, NULL) != STORE_OK)
		return;
	drop_all_dead(f);
	if (!count_rows(f->rows, f->count, &(uint32_t){ 0 }, &t))
		return;
	id_random_bytes(&voucher, sizeof(voucher));
	voucher = (voucher >> 1) | 1;
	put_name(&name, f->box.number);
	buf_put(&tmp, buf_str(&name));
	buf_put_z(&tmp, ".new");
	/* What a writer left that died, or another that writes just now: then one of the two is lost, or both. */
	unlinkat(a->ours, buf_z(&tmp), 0);
	fd = files_open(a->ours, buf_z(&tmp), O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return;
	r = write_file(fd, f, voucher, &t) ? txn_begin(a) : STORE_FULL;
	if (r == STORE_OK)
		r = txn_end(a, vouch(f, voucher, &t));
	if (r != STORE_OK || renameat(a->ours, buf_z(&tmp), a->ours, buf_z(&name)) != 0)
		unlinkat(a->ours, buf_z(&tmp), 0);
}

/* ---- no longer ---- */

enum store_result
snapshot_file_drop(struct account *a, int64_t box)
{
	scoped_buf key = BUF_INIT, name = BUF_INIT;

	put_key(&key, box);
	put_name(&name, box);
	unlinkat(a->ours, buf_z(&name), 0);
	return index_do(a, Q_STATE_DROP, BIND(V(buf_str(&key)), V(buf_str(&key))));
}

enum store_result
snapshot_files_drop(struct account *a)
{
	/* All keys that begin so: the character behind the blank is '!'. */
	return index_do(a, Q_STATE_DROP, BIND(V(STR("snapshot ")), V(STR("snapshot!"))));
}

struct sweep {
	struct account *a;
	bool all;
	bool any;	/* has been removed */
};

/* Not vouched for: left from before the index was made anew, or by a writer that died. */
static bool
is_needless(struct account *a, struct str name)
{
	scoped_buf key = BUF_INIT;
	uint64_t box;
	int64_t voucher;

	if (!str_to_u64(str_from(name, sizeof(SNAPSHOT_FILE) - 1), &box) || box > INT64_MAX)
		return true;
	put_key(&key, (int64_t)box);
	return state_get(a, buf_z(&key), &voucher) == STORE_OK && voucher == 0;
}

static bool
see_file(void *arg, struct str name)
{
	struct sweep *s = arg;

	if (str_starts(name, STR(SNAPSHOT_FILE)) && (s->all || is_needless(s->a, name)))
		s->any |= unlinkat(s->a->ours, name.p, 0) == 0;
	return true;
}

void
snapshot_files_sweep(struct account *a)
{
	struct sweep s = { .a = a };

	(void)!files_list(a->ours, see_file, &s);
}

bool
snapshot_files_release(struct account *a)
{
	struct sweep s = { .a = a, .all = true };
	struct folder *f;

	/* What is mapped keeps its room on the disk. */
	TAILQ_FOREACH(f, &a->folders, link)
		if (f->map != NULL)
			folder_make_room(f, f->count + 32);
	return files_list(a->ours, see_file, &s) && s.any;
}
