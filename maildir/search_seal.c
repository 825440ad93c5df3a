/* SPDX-License-Identifier: ISC */
/*
 * From messages that are looked through one by one to a block with grams (grams.h): as many as a block has are
 * sealed at once, in some 20 ms, and never changed again.
 */
#include <stdlib.h>

#include "maildir/digest.h"
#include "maildir/search_db.h"

enum {
	KEPT_MAX = 64 * 1024,	/* octets of a record that stay once the message is sealed */
	GRAMS_FULL = 1 << 20,	/* grams of one kind with which a block ends early */
};

struct sealing {
	struct search_db *db;
	int64_t box;
	struct grams *grams[GRAM_KIND_COUNT];
	struct buf members;	/* blocks.members */
	struct buf keys;	/* int64_t each */
	int64_t block;
	enum gram_kind kind;
};

static bool
get_record(struct search_db *db, enum search_query query, int64_t key, struct buf *out)
{
	sqlite3_stmt *q = search_db_ask(db, query, BIND(V(key)));
	bool found = search_db_row(db, q);

	buf_clear(out);
	if (found)
		buf_put(out, search_db_bytes(q, 0));
	return search_db_end(db, q) && found;
}

static bool
add_header_grams(struct sealing *s, unsigned member, struct str record)
{
	struct digest_header header;
	scoped_buf addresses = BUF_INIT;

	if (!digest_read_header(record, &header))
		return false;
	digest_put_addresses(&addresses, &header);
	return grams_add(s->grams[GRAMS_HEADER], member, header.lines) &&
	    grams_add(s->grams[GRAMS_HEADER], member, header.parts) &&
	    grams_add(s->grams[GRAMS_ADDRESSES], member, buf_str(&addresses));
}

static bool
add_member(struct sealing *s, int64_t key)
{
	const unsigned member = (unsigned)(s->keys.n / sizeof(key));
	scoped_buf record = BUF_INIT;
	bool ok = get_record(s->db, S_HEADER_GET, key, &record) &&
	    add_header_grams(s, member, buf_str(&record));
	size_t header = record.n;

	ok = ok && get_record(s->db, S_BODY_GET, key, &record) &&
	    grams_add(s->grams[GRAMS_BODY], member, buf_str(&record));
	if (!ok) {
		if (!s->db->failed)
			search_db_distrust(s->db);
		return false;
	}
	buf_put(&s->keys, (struct str){ (const char *)&key, sizeof(key) });
	return (header <= KEPT_MAX || search_db_do(s->db, S_HEADER_DROP, BIND(V(key)))) &&
	    (record.n <= KEPT_MAX || search_db_do(s->db, S_BODY_DROP, BIND(V(key))));
}

static void
put_u32(struct buf *out, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		buf_put_c(out, (char)(n >> 8 * i));
}

static bool
is_full(const struct sealing *s)
{
	for (size_t i = 0; i < GRAM_KIND_COUNT; i++)
		if (grams_count(s->grams[i]) >= GRAMS_FULL)
			return true;
	return false;
}

static bool
put_row(void *arg, unsigned pair, struct str row)
{
	struct sealing *s = arg;

	return search_db_do(s->db, S_GRAM_ADD, BIND(V(gram_key(s->block, s->kind, pair)), V(row)));
}

static bool
write_block(struct sealing *s)
{
	int64_t key;
	bool ok = search_db_do(s->db, S_BLOCK_ADD, BIND(V(s->box), V(buf_str(&s->members))));

	s->block = sqlite3_last_insert_rowid(s->db->db);
	for (size_t at = 0; ok && at < s->keys.n; at += sizeof(key)) {
		memcpy(&key, s->keys.p + at, sizeof(key));
		ok = search_db_do(s->db, S_MESSAGE_BLOCK, BIND(V(s->block), V(key)));
	}
	for (s->kind = 0; ok && s->kind < GRAM_KIND_COUNT; s->kind++)
		ok = grams_rows(s->grams[s->kind], put_row, s);
	return ok;
}

/* The first messages without a block, into an array of (key, day). */
struct tail_row {
	int64_t key;
	int32_t sent_day;
};

static size_t
read_tail(struct search_db *db, int64_t box, struct tail_row tail[GRAMS_BLOCK])
{
	size_t count = 0;
	sqlite3_stmt *q = search_db_ask(db, S_TAIL, BIND(V(message_key(box, 0)),
	    V(message_key(box, UINT32_MAX))));

	while (count < GRAMS_BLOCK && search_db_row(db, q)) {
		tail[count].key = sqlite3_column_int64(q, 0);
		tail[count++].sent_day = sqlite3_column_int(q, 1);
	}
	return search_db_end(db, q) ? count : 0;
}

static bool
seal(struct sealing *s, const struct tail_row *tail, size_t count)
{
	bool ok = search_db_do(s->db, S_WRITE, BIND());

	for (size_t i = 0; ok && i < count && !is_full(s); i++) {
		ok = add_member(s, tail[i].key);
		put_u32(&s->members, key_uid(tail[i].key));
		put_u32(&s->members, (uint32_t)tail[i].sent_day);
	}
	return search_db_finish(s->db, ok && write_block(s));
}

bool
search_seal(struct search_db *db, const struct search_box *box, struct grams *grams[GRAM_KIND_COUNT],
    bool *sealed)
{
	struct tail_row *tail = xcalloc(GRAMS_BLOCK, sizeof(*tail));
	struct sealing s = { .db = db, .box = box->number };
	const size_t count = read_tail(db, box->number, tail);
	bool ok = true;

	*sealed = count == GRAMS_BLOCK;
	for (size_t i = 0; *sealed && i < GRAM_KIND_COUNT; i++) {
		if (grams[i] == NULL)
			grams[i] = grams_new();
		grams_clear(grams[i]);
		s.grams[i] = grams[i];
	}
	if (*sealed)
		ok = seal(&s, tail, count);
	buf_free(&s.members);
	buf_free(&s.keys);
	free(tail);
	return ok;
}
