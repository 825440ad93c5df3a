/* SPDX-License-Identifier: ISC */
#include "maildir/filter.h"

#include <stdlib.h>

#include "maildir/search_db.h"

enum {
	MEMBER_BYTES = 8,	/* of blocks.members: uid and day, 32 bits each, the lowest byte first */
	IN_TAIL = UINT16_MAX,	/* member number of a message in no block */
	EXACT_MAX = 3,		/* bytes of a text that grams alone decide about */
	SCAN_STEPS = 4,		/* rows stepped over rather than looked up anew */
};

/* Where a message is found. */
struct place_in_db {
	uint32_t uid;
	int32_t sent_day;
	uint32_t block;		/* index of filter.blocks */
	uint16_t member;
};

/* Members that may have a text. */
struct verdict {
	struct members header;
	struct members body;
};

struct block {
	int64_t number;
	struct verdict *verdicts;	/* of each text, once asked for */
};

/* Records are mostly read in the order of their keys: from one to the next costs less than to look it up. */
struct scan {
	enum search_query query;
	sqlite3_stmt *q;	/* running, within a slice */
	bool has_row;
	int64_t key;		/* of that row */
};

struct filter {
	struct mailbox *mailbox;
	const struct filter_text *texts;
	size_t text_count;
	struct search_db *db;		/* during a slice */
	struct search_box box;
	unsigned generation;
	int64_t version;

	struct place_in_db *places;	/* by uid */
	size_t place_count, place_room;
	bool places_are_mixed;	/* not by uid yet */
	struct block *blocks;
	size_t block_count, block_room;

	size_t at;		/* the message in hand */
	struct scan headers, briefs, bodies;
};

static bool load(struct filter *);

struct filter *
filter_new(struct mailbox *m, const struct filter_text *texts, size_t count)
{
	struct account *a = m->folder->account;
	struct search_db *db = search_db(a, count > 0);
	struct filter *f;
	struct search_box box;

	if (db == NULL)
		return NULL;
	if (count > 0)
		search_build_want(a, db, m);
	if (!search_box_find(db, mailbox_id(m), &box) || box.uidvalidity != mailbox_uidvalidity(m))
		return NULL;
	f = xcalloc(1, sizeof(*f));
	f->mailbox = m;
	f->texts = texts;
	f->text_count = count < FILTER_TEXTS_MAX ? count : FILTER_TEXTS_MAX;
	f->version = -1;
	f->headers.query = S_HEADER_SCAN;
	f->briefs.query = S_BRIEF_SCAN;
	f->bodies.query = S_BODY_SCAN;
	return f;
}

static void
forget(struct filter *f)
{
	for (size_t i = 0; i < f->block_count; i++)
		free(f->blocks[i].verdicts);
	f->block_count = f->place_count = f->at = 0;
	f->places_are_mixed = false;
}

void
filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	forget(f);
	free(f->places);
	free(f->blocks);
	free(f);
}

/* ---- what is in it ---- */

static int64_t
version_of(struct search_db *db)
{
	sqlite3_stmt *q = search_db_ask(db, S_VERSION, BIND());
	int64_t version = search_db_row(db, q) ? sqlite3_column_int64(q, 0) : -1;

	return search_db_end(db, q) ? version : -1;
}

/* All in one read transaction, so that blocks and grams belong together; what changed since is read anew. */
bool
filter_begin(struct filter *f)
{
	struct search_db *db = search_db(f->mailbox->folder->account, false);
	int64_t version;

	if (db == NULL || !search_db_do(db, S_READ, BIND()))
		return false;
	version = version_of(db);
	if (version >= 0 && f->db == db && version == f->version && db->generation == f->generation)
		return true;
	f->db = db;
	forget(f);
	if (version >= 0 && load(f)) {
		f->version = version;
		f->generation = db->generation;
		return true;
	}
	f->version = -1;
	search_db_finish(db, false);
	return false;
}

static void
end_scan(struct filter *f, struct scan *scan)
{
	(void)!search_db_end(f->db, scan->q);
	scan->q = NULL;
	scan->has_row = false;
}

void
filter_end(struct filter *f)
{
	end_scan(f, &f->headers);
	end_scan(f, &f->briefs);
	end_scan(f, &f->bodies);
	search_db_finish(f->db, true);
}

static void
add_place(struct filter *f, struct place_in_db place)
{
	if (f->place_count == f->place_room) {
		f->place_room = f->place_room * 2 + GRAMS_BLOCK;
		f->places = xrealloc(f->places, f->place_room * sizeof(*f->places));
	}
	if (f->place_count > 0 && place.uid < f->places[f->place_count - 1].uid)
		f->places_are_mixed = true;
	f->places[f->place_count++] = place;
}

static uint32_t
get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void
add_block(struct filter *f, int64_t number, struct str members)
{
	if (f->block_count == f->block_room) {
		f->block_room = f->block_room * 2 + 16;
		f->blocks = xrealloc(f->blocks, f->block_room * sizeof(*f->blocks));
	}
	for (unsigned i = 0; i < GRAMS_BLOCK && (i + 1) * MEMBER_BYTES <= members.n; i++)
		add_place(f, (struct place_in_db){ .uid = get_u32(members.p + i * MEMBER_BYTES),
		    .sent_day = (int32_t)get_u32(members.p + i * MEMBER_BYTES + 4),
		    .block = (uint32_t)f->block_count, .member = (uint16_t)i });
	f->blocks[f->block_count++] = (struct block){ .number = number };
}

static int
by_uid(const void *a, const void *b)
{
	const struct place_in_db *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static bool
load(struct filter *f)
{
	struct mailbox *m = f->mailbox;
	sqlite3_stmt *q;

	if (!search_box_find(f->db, mailbox_id(m), &f->box) ||
	    f->box.uidvalidity != mailbox_uidvalidity(m))
		return false;
	q = search_db_ask(f->db, S_BLOCKS, BIND(V(f->box.number)));
	while (search_db_row(f->db, q))
		add_block(f, sqlite3_column_int64(q, 0), search_db_bytes(q, 1));
	if (!search_db_end(f->db, q))
		return false;
	q = search_db_ask(f->db, S_TAIL, BIND(V(message_key(f->box.number, 0)),
	    V(message_key(f->box.number, UINT32_MAX))));
	while (search_db_row(f->db, q))
		add_place(f, (struct place_in_db){ .uid = key_uid(sqlite3_column_int64(q, 0)),
		    .sent_day = sqlite3_column_int(q, 1), .member = IN_TAIL });
	if (f->places_are_mixed)
		qsort(f->places, f->place_count, sizeof(*f->places), by_uid);
	return search_db_end(f->db, q);
}

bool
filter_find(struct filter *f, uint32_t uid)
{
	size_t low = 0, high = f->place_count;

	/* Messages are asked for one after the other. */
	if (f->at < f->place_count && f->places[f->at].uid < uid)
		low = f->at + 1;
	if (low < high && f->places[low].uid >= uid)
		high = low;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (f->places[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == f->place_count || f->places[low].uid != uid)
		return false;
	f->at = low;
	return true;
}

int32_t
filter_sent_day(const struct filter *f)
{
	return f->places[f->at].sent_day;
}

/* ---- grams ---- */

static void
keep_common(struct members *all, const struct members *one)
{
	for (size_t i = 0; i < countof(all->bits); i++)
		all->bits[i] &= one->bits[i];
}

static void
join(struct members *all, const struct members *one)
{
	for (size_t i = 0; i < countof(all->bits); i++)
		all->bits[i] |= one->bits[i];
}

static bool
is_none(const struct members *m)
{
	return (m->bits[0] | m->bits[1] | m->bits[2] | m->bits[3]) == 0;
}

static void
all_members(struct members *out)
{
	memset(out, 0xFF, sizeof(*out));
}

/* Of all rows from one pair to another; whoever cannot be read may have anything. */
static void
read_rows(struct filter *f, int64_t first, int64_t last, int third, struct members *out)
{
	const bool one = first == last;
	sqlite3_stmt *q = one ? search_db_ask(f->db, S_GRAM_GET, BIND(V(first))) :
	    search_db_ask(f->db, S_GRAM_RANGE, BIND(V(first), V(last)));
	bool whole = true;

	*out = (struct members){ 0 };
	while (whole && search_db_row(f->db, q))
		whole = grams_read(search_db_bytes(q, 0), third, out);
	if (!search_db_end(f->db, q) || !whole)
		all_members(out);
	if (!whole)
		search_db_distrust(f->db);
}

static void
read_short(struct filter *f, int64_t block, enum gram_kind kind, const unsigned char *p, size_t n,
    struct members *out)
{
	const unsigned low = (unsigned)p[0] << 8 | (n > 1 ? p[1] : 0);
	const unsigned high = (unsigned)p[0] << 8 | (n > 1 ? p[1] : 0xFF);

	read_rows(f, gram_key(block, kind, low), gram_key(block, kind, high), -1, out);
}

/* Who has all grams of this text. Of a long one they are taken from all over it. */
static void
read_text(struct filter *f, int64_t block, enum gram_kind kind, struct str text,
    struct members *out)
{
	const unsigned char *p = (const unsigned char *)text.p;
	const size_t grams = text.n - 2;
	const size_t used = grams < FILTER_GRAMS_MAX ? grams : FILTER_GRAMS_MAX;
	struct members one;

	if (text.n < EXACT_MAX) {
		read_short(f, block, kind, p, text.n, out);
		return;
	}
	all_members(out);
	for (size_t i = 0; i < used && !is_none(out); i++) {
		const unsigned char *gram = p + i * (grams - 1) / (used > 1 ? used - 1 : 1);
		const int64_t key = gram_key(block, kind, (unsigned)gram[0] << 8 | gram[1]);

		read_rows(f, key, key, gram[2], &one);
		keep_common(out, &one);
	}
}

/* The field's name is looked for too: most fields are in few messages, or in all. */
static void
read_field(struct filter *f, int64_t block, const struct filter_text *text, struct members *out)
{
	scoped_buf name = BUF_INIT;
	struct members in_addresses;

	buf_put(&name, text->name);
	buf_put(&name, STR(": "));
	all_members(out);
	if (text->folded.n > 0) {
		read_text(f, block, GRAMS_HEADER, text->folded, out);
		read_text(f, block, GRAMS_ADDRESSES, text->folded, &in_addresses);
		join(out, &in_addresses);
	}
	if (!is_none(out)) {
		read_text(f, block, GRAMS_HEADER, buf_str(&name), &in_addresses);
		keep_common(out, &in_addresses);
	}
}

static void
read_verdict(struct filter *f, int64_t block, const struct filter_text *text, struct verdict *out)
{
	*out = (struct verdict){ 0 };
	if (text->kind == SEARCH_HEADER)
		read_field(f, block, text, &out->header);
	if (text->kind == SEARCH_TEXT)
		read_text(f, block, GRAMS_HEADER, text->folded, &out->header);
	if (text->kind == SEARCH_TEXT || text->kind == SEARCH_BODY)
		read_text(f, block, GRAMS_BODY, text->folded, &out->body);
}

static const struct verdict *
verdicts_of(struct filter *f, struct block *block)
{
	if (block->verdicts != NULL)
		return block->verdicts;
	block->verdicts = xcalloc(f->text_count, sizeof(*block->verdicts));
	for (size_t i = 0; i < f->text_count; i++)
		read_verdict(f, block->number, &f->texts[i], &block->verdicts[i]);
	return block->verdicts;
}

enum filter_says
filter_ask(struct filter *f, size_t text)
{
	const struct place_in_db *place = &f->places[f->at];
	const struct verdict *v;

	if (text >= f->text_count || place->member == IN_TAIL)
		return FILTER_UNSURE;
	v = verdicts_of(f, &f->blocks[place->block]) + text;
	if (!members_has(&v->header, place->member) && !members_has(&v->body, place->member))
		return FILTER_ABSENT;
	return f->texts[text].kind == SEARCH_HEADER || f->texts[text].folded.n > EXACT_MAX ?
	    FILTER_UNSURE : FILTER_PRESENT;
}

/* ---- records ---- */

static void
step(struct filter *f, struct scan *scan)
{
	scan->has_row = search_db_row(f->db, scan->q);
	scan->key = scan->has_row ? sqlite3_column_int64(scan->q, 0) : 0;
}

static bool
read_record(struct filter *f, struct scan *scan, struct str *out)
{
	const int64_t wanted = message_key(f->box.number, f->places[f->at].uid);

	for (int i = 0; i < SCAN_STEPS && scan->has_row && scan->key < wanted; i++)
		step(f, scan);
	if (!scan->has_row || scan->key != wanted) {
		end_scan(f, scan);
		scan->q = search_db_ask(f->db, scan->query, BIND(V(wanted),
		    V(message_key(f->box.number, UINT32_MAX))));
		step(f, scan);
	}
	if (!scan->has_row || scan->key != wanted)
		return false;
	*out = search_db_bytes(scan->q, 1);
	return true;
}

static bool
read_lines(struct filter *f, struct scan *scan, struct digest_header *out)
{
	struct str record;

	if (!read_record(f, scan, &record))
		return false;
	if (digest_read_header(record, out))
		return true;
	search_db_distrust(f->db);
	return false;
}

bool
filter_header(struct filter *f, struct digest_header *out)
{
	return read_lines(f, &f->headers, out);
}

bool
filter_brief(struct filter *f, struct digest_header *out)
{
	return read_lines(f, &f->briefs, out);
}

bool
filter_body(struct filter *f, struct str *out)
{
	return read_record(f, &f->bodies, out);
}
