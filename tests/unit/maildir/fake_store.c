/* SPDX-License-Identifier: ISC */
#include "tests/unit/maildir/fake_store.h"

#include <stdlib.h>

#include "common/mime/header.h"
#include "maildir/filter.h"

struct content {
	struct mailbox *mailbox;
	struct fake_message *message;
};

struct mailbox *
fake_new(void)
{
	return xcalloc(1, sizeof(struct mailbox));
}

void
fake_free(struct mailbox *m)
{
	for (size_t i = 0; i < m->count; i++) {
		buf_free(&m->messages[i]->bytes);
		free(m->messages[i]);
	}
	free(m);
}

struct fake_message *
fake_add(struct mailbox *m, struct buf bytes)
{
	struct fake_message *message = xcalloc(1, sizeof(*message));

	if (m->count == FAKE_MESSAGES_MAX)
		fatal("too many messages");
	message->bytes = bytes;
	message->row.uid = 10 * (uint32_t)(m->count + 1);
	message->row.seq = (uint32_t)m->count + 1;
	message->row.size = (uint32_t)bytes.n;
	m->messages[m->count++] = message;
	return message;
}

size_t
mailbox_keyword_count(const struct mailbox *m)
{
	return m->keyword_count;
}

struct str
mailbox_keyword(const struct mailbox *m, size_t k)
{
	return m->keywords[k];
}

bool
mailbox_message(const struct mailbox *m, uint32_t seq, struct message *out)
{
	if (seq == 0 || seq > m->count)
		return false;
	*out = m->messages[seq - 1]->row;
	return true;
}

uint32_t
mailbox_exists(const struct mailbox *m)
{
	return (uint32_t)m->count;
}

uint32_t
mailbox_seq_from_uid(const struct mailbox *m, uint32_t uid)
{
	uint32_t seq = 1;

	while (seq <= m->count && m->messages[seq - 1]->row.uid < uid)
		seq++;
	return seq;
}

bool
uid_set_has(const struct uid_set *set, uint32_t uid)
{
	for (size_t i = 0; i < set->count; i++)
		if (uid >= set->ranges[i].first && uid <= set->ranges[i].last)
			return true;
	return false;
}

static struct fake_message *
find(struct mailbox *m, uint32_t uid)
{
	return m->messages[mailbox_seq_from_uid(m, uid) - 1];
}

enum store_result
message_texts(struct mailbox *m, uint32_t uid, unsigned which, struct str out[TEXT_COUNT])
{
	struct fake_message *message = find(m, uid);
	struct str bytes = buf_str(&message->bytes);

	message->header_reads++;
	if (message->fault != STORE_OK)
		return message->fault;
	if (which != 1u << TEXT_HEADER)
		fatal("search asks for the header alone");
	out[TEXT_HEADER] = str_sub(bytes, 0, header_end(bytes));
	return STORE_OK;
}

enum store_result
message_saved(struct mailbox *m, uint32_t uid, int64_t *out)
{
	*out = find(m, uid)->saved;
	return find(m, uid)->fault;
}

/* Ids of one digit, again and again; what is asked for the first time is not done. */
enum store_result
message_facts(struct mailbox *m, uint32_t uid, unsigned which, unsigned only_kept,
    struct str out[FACT_COUNT], bool *done)
{
	struct fake_message *message = find(m, uid);

	(void)only_kept;
	*done = message->fact_reads++ > 0;
	if (message->fault != STORE_OK)
		return message->fault;
	memset(message->email_id, message->content_digit, FACT_ID_LENGTH);
	memset(message->thread_id, message->thread_digit, FACT_ID_LENGTH);
	if ((which & 1u << FACT_EMAILID) != 0)
		out[FACT_EMAILID] = (struct str){ message->email_id, FACT_ID_LENGTH };
	if ((which & 1u << FACT_THREADID) != 0)
		out[FACT_THREADID] = (struct str){ message->thread_id, FACT_ID_LENGTH };
	return STORE_OK;
}

enum store_result
content_open(struct mailbox *m, uint32_t uid, struct content **out)
{
	struct fake_message *message = find(m, uid);

	message->body_reads++;
	if (message->fault != STORE_OK)
		return message->fault;
	*out = xcalloc(1, sizeof(**out));
	(*out)->mailbox = m;
	(*out)->message = message;
	m->open_contents++;
	return STORE_OK;
}

enum store_result
content_bytes(struct content *c, struct str *out)
{
	*out = buf_str(&c->message->bytes);
	return STORE_OK;
}

void
content_close(struct content *c)
{
	if (c == NULL)
		return;
	c->mailbox->open_contents--;
	free(c);
}

/* ---- search.db: this store has none ---- */

struct filter *
filter_new(struct mailbox *m, const struct filter_text *texts, size_t count)
{
	(void)m;
	(void)texts;
	(void)count;
	return NULL;
}

void
filter_free(struct filter *f)
{
	(void)f;
}

bool
filter_begin(struct filter *f)
{
	(void)f;
	return false;
}

void
filter_end(struct filter *f)
{
	(void)f;
}

bool
filter_find(struct filter *f, uint32_t uid)
{
	(void)f;
	(void)uid;
	return false;
}

int32_t
filter_sent_day(const struct filter *f)
{
	(void)f;
	return 0;
}

enum filter_says
filter_ask(struct filter *f, size_t text)
{
	(void)f;
	(void)text;
	return FILTER_UNSURE;
}

bool
filter_header(struct filter *f, struct digest_header *out)
{
	(void)f;
	(void)out;
	return false;
}

bool
filter_brief(struct filter *f, struct digest_header *out)
{
	(void)f;
	(void)out;
	return false;
}

bool
filter_body(struct filter *f, struct str *out)
{
	(void)f;
	(void)out;
	return false;
}

bool
mailbox_is_in_doubt(const struct mailbox *m)
{
	return m->in_doubt;
}
