/* SPDX-License-Identifier: ISC */
/*
 * What is made of a message when somebody first asks for it, and kept in the index: EMAILID and THREADID (RFC 8474),
 * PREVIEW (RFC 8970). All of it comes of nothing but the message's octets and its internal date, which its file keeps:
 * an index that is rebuilt makes the same again, and copies have the same.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/mime/preview.h"
#include "maildir/private.h"
#include "maildir/sorting.h"

enum {
	SLICE_MS = 10,
	HASH_PIECE = 128 * 1024,	/* octets of a message read at once */
	PREVIEW_READ_MAX = 256 * 1024,	/* octets from a message's beginning in which its text is looked for */
	ID_BYTES = 16,			/* of the SHA-256 in an id */
	PREVIEW_BYTES_MAX = 4 * PREVIEW_CHARACTERS_MAX,
};
_Static_assert(FACT_ID_LENGTH == 1 + 2 * ID_BYTES, "a letter, and two for each octet");

/* A message being hashed, from one slice to the next. */
struct making {
	int64_t key;
	struct content *content;
	EVP_MD_CTX *digest;
	uint64_t at;
};

/* What is asked for, and how far it is. */
struct request {
	struct mailbox *m;
	int64_t key;
	uint32_t uid;
	unsigned missing;	/* bits 1 << FACT_x */
	unsigned made;
	int64_t until;
};

/* ---- hashes ---- */

static EVP_MD_CTX *
digest_new(void)
{
	EVP_MD_CTX *digest;

	/* Its file of settings is not there for a process that is locked in. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	digest = EVP_MD_CTX_new();
	if (digest == NULL || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
		fatal("SHA-256 cannot be had");
	return digest;
}

static void
digest_feed(EVP_MD_CTX *digest, struct str bytes)
{
	if (EVP_DigestUpdate(digest, bytes.p, bytes.n) != 1)
		fatal("SHA-256 cannot be had");
}

/*
 * RFC 8474 8.1: a letter before it, and one case only. 128 bits, so that who makes two messages alike has no easier way
 * than sending the same one.
 */
static void
digest_put(struct buf *out, char letter, EVP_MD_CTX *digest)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(digest, hash, NULL) != 1)
		fatal("SHA-256 cannot be had");
	EVP_MD_CTX_free(digest);
	buf_clear(out);
	buf_put_c(out, letter);
	for (size_t i = 0; i < ID_BYTES; i++)
		buf_printf(out, "%02x", hash[i]);
}

/* ---- EMAILID ---- */

void
making_free(struct making *making)
{
	if (making == NULL)
		return;
	content_close(making->content);
	EVP_MD_CTX_free(making->digest);
	free(making);
}

/*
 * RFC 8474 5.1: what may not change under a UID is the same in all that have the same EMAILID. That is the message, and
 * its internal date (RFC 3501 2.3.1.1).
 */
static enum store_result
begin_hash(struct request *q)
{
	struct making *making = xcalloc(1, sizeof(*making));
	enum store_result r = content_open(q->m, q->uid, &making->content);
	unsigned char date[8];

	if (r != STORE_OK) {
		making->content = NULL;
		making_free(making);
		return r;
	}
	making->key = q->key;
	making->digest = digest_new();
	for (size_t i = 0; i < sizeof(date); i++)
		date[i] = (unsigned char)((uint64_t)content_internal_date(making->content) >> 8 * (7 - i));
	digest_feed(making->digest, (struct str){ (const char *)date, sizeof(date) });
	q->m->making = making;
	return STORE_OK;
}

static enum store_result
hash_pieces(struct making *making, int64_t until, bool *done)
{
	scoped_buf piece = BUF_INIT;
	enum store_result r;

	while (making->at < content_size(making->content)) {
		buf_clear(&piece);
		r = content_read(making->content, making->at, HASH_PIECE, &piece);
		if (r == STORE_OK && piece.n == 0)
			r = STORE_GONE;		/* the file ends before its size */
		if (r != STORE_OK)
			return r;
		digest_feed(making->digest, buf_str(&piece));
		making->at += piece.n;
		if (clock_monotonic_ms() >= until)
			break;
	}
	*done = making->at >= content_size(making->content);
	return STORE_OK;
}

static enum store_result
make_email_id(struct request *q, struct buf *out)
{
	struct mailbox *m = q->m;
	enum store_result r = STORE_OK;
	bool done = false;

	if (m->making != NULL && m->making->key != q->key) {
		making_free(m->making);
		m->making = NULL;
	}
	if (m->making == NULL)
		r = begin_hash(q);
	if (r != STORE_OK)
		return r;
	r = hash_pieces(m->making, q->until, &done);
	if (r == STORE_OK && !done)
		return STORE_OK;
	if (r == STORE_OK) {
		digest_put(out, 'M', m->making->digest);
		m->making->digest = NULL;
		q->made |= 1u << FACT_EMAILID;
	}
	making_free(m->making);
	m->making = NULL;
	return r;
}

/* ---- THREADID ---- */

/* One that names no message, not even itself, is alone (RFC 8474 5.2): then it hangs on the EMAILID. */
static enum store_result
make_thread_id(struct request *q, struct buf *out, struct buf *email)
{
	scoped_buf root = BUF_INIT;
	struct str texts[TEXT_COUNT];
	EVP_MD_CTX *digest;
	enum store_result r = message_texts(q->m, q->uid, 1u << TEXT_HEADER, texts);

	if (r != STORE_OK)
		return r;
	if (!sorting_put_root(&root, texts[TEXT_HEADER])) {
		if (email->n == 0) {
			r = make_email_id(q, email);
			if (r != STORE_OK || email->n == 0)
				return r;
		}
		buf_put_c(&root, ' ');		/* no Message-ID has one */
		buf_put(&root, buf_str(email));
	}
	digest = digest_new();
	digest_feed(digest, buf_str(&root));
	digest_put(out, 'T', digest);
	q->made |= 1u << FACT_THREADID;
	return STORE_OK;
}

/* ---- PREVIEW ---- */

static enum store_result
make_preview(struct request *q, struct buf *out)
{
	scoped_buf bytes = BUF_INIT;
	struct content *content;
	enum store_result r = content_open(q->m, q->uid, &content);

	if (r != STORE_OK)
		return r;
	r = content_read(content, 0, PREVIEW_READ_MAX, &bytes);
	content_close(content);
	if (r != STORE_OK)
		return r;
	buf_clear(out);
	preview_put(out, buf_str(&bytes));
	q->made |= 1u << FACT_PREVIEW;
	return STORE_OK;
}

/* ---- what is kept ---- */

enum store_result
made_any(struct account *a, int64_t box, bool *has)
{
	sqlite3_stmt *q = index_ask(a, Q_MADE_ANY, BIND(V(message_key(box, 0)), V(message_key(box, UINT32_MAX))));

	*has = false;
	while (index_row(a, q))
		*has = true;
	return index_end(a, q);
}

enum store_result
made_copy(struct account *a, int64_t to, int64_t from)
{
	return index_do(a, Q_MADE_COPY, BIND(V(to), V(from)));
}

/* Somebody may have worked on the index. */
static bool
is_good(enum message_fact fact, struct str text)
{
	if (fact == FACT_PREVIEW)
		return text.n <= PREVIEW_BYTES_MAX && utf8_valid(text) && !str_has_char(text, '\0');
	for (size_t i = 0; i < text.n; i++)
		if (!ascii_is_alnum(text.p[i]))
			return false;
	return text.n == FACT_ID_LENGTH;
}

static enum store_result
read_kept(struct account *a, int64_t key, unsigned *found)
{
	sqlite3_stmt *q = index_ask(a, Q_MADE_GET, BIND(V(key)));

	*found = 0;
	while (index_row(a, q))
		for (int f = 0; f < FACT_COUNT; f++) {
			if (sqlite3_column_type(q, f) == SQLITE_NULL ||
			    !is_good((enum message_fact)f, index_text(q, f)))
				continue;
			buf_put(&a->facts[f], index_text(q, f));
			*found |= 1u << f;
		}
	return index_end(a, q);
}

static struct value
kept_value(struct account *a, const struct request *q, enum message_fact fact)
{
	return (q->made & 1u << fact) != 0 ? V(buf_str(&a->facts[fact])) : V_NULL;
}

/* Not kept is no fault: the next one makes it again. */
static void
keep(struct account *a, const struct request *q)
{
	if (q->made != 0 && txn_begin(a) == STORE_OK)
		(void)!txn_end(a, index_do(a, Q_MADE_PUT, BIND(V(q->key), kept_value(a, q, FACT_EMAILID),
		    kept_value(a, q, FACT_THREADID), kept_value(a, q, FACT_PREVIEW))));
}

static enum store_result
make(struct account *a, struct request *q)
{
	struct buf *facts = a->facts;
	enum store_result r = STORE_OK;

	if ((q->missing & 1u << FACT_PREVIEW) != 0)
		r = make_preview(q, &facts[FACT_PREVIEW]);
	if (r == STORE_OK && (q->missing & 1u << FACT_EMAILID) != 0)
		r = make_email_id(q, &facts[FACT_EMAILID]);
	if (r == STORE_OK && (q->missing & 1u << FACT_THREADID) != 0)
		r = make_thread_id(q, &facts[FACT_THREADID], &facts[FACT_EMAILID]);
	return r;
}

enum store_result
message_facts(struct mailbox *m, uint32_t uid, unsigned which, unsigned only_kept,
    struct str out[FACT_COUNT], bool *done)
{
	struct account *a = m->folder->account;
	struct request q = { .m = m, .uid = uid, .until = clock_monotonic_ms() + SLICE_MS };
	enum store_result r = folder_ready(m->folder);
	unsigned found = 0;

	for (size_t f = 0; f < FACT_COUNT; f++)
		buf_clear(&a->facts[f]);
	q.key = message_key(m->folder->box.number, uid);
	if (r == STORE_OK)
		r = read_kept(a, q.key, &found);
	q.missing = which & ~found & ~only_kept;
	if (r == STORE_OK && q.missing != 0)
		r = make(a, &q);
	if (r != STORE_OK)
		return r;
	keep(a, &q);
	found |= q.made;
	for (unsigned f = 0; f < FACT_COUNT; f++)
		out[f] = (found >> f & 1) != 0 ? buf_str(&a->facts[f]) : (struct str){ 0 };
	*done = (q.missing & ~found) == 0;
	return STORE_OK;
}
