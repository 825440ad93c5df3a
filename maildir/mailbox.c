/* SPDX-License-Identifier: ISC */
/*
 * A session's handle on a mailbox: what it sees is the shared snapshot up to the last
 * message it was told of, the dead included that it has not been told of.
 */
#include <stdlib.h>

#include "maildir/filter.h"
#include "maildir/kept.h"

enum { HINT_STEPS = 64 };

static void claim_recent(struct mailbox *m);
static enum store_result look_outside(struct folder *f);

enum store_result
mailbox_open(struct account *a, struct str given, enum mailbox_access access,
    struct mailbox **out)
{
	scoped_buf name = BUF_INIT, inner = BUF_INIT;
	struct folder *f;
	struct mailbox *m;
	enum store_result r = index_alive(a);

	if (r != STORE_OK)
		return r;
	if (!layout_name(given, &name))
		return STORE_NO_SUCH;
	if (kept_has_name(a, buf_str(&name), &inner))
		return kept_open(a, buf_str(&inner), out);
	r = folder_get(a, buf_str(&name), &f);
	if (r != STORE_OK)
		return r;
	m = xcalloc(1, sizeof(*m));
	m->folder = f;
	m->read_only = access == MAILBOX_READ_ONLY;
	/* Before it counts as a view: what came since is simply part of it. One that was just loaded was looked at. */
	r = TAILQ_EMPTY(&f->views) ? STORE_OK : look_outside(f);
	if (r == STORE_OK)
		r = folder_refresh(f, NULL);
	m->expunges_at = m->flags_at = f->log_first + f->log_count;
	TAILQ_INSERT_TAIL(&f->views, m, link);
	if (r != STORE_OK) {
		mailbox_close(m);
		return r == STORE_GONE ? STORE_NO_SUCH : r;
	}
	m->uid_told = f->count > 0 ? f->rows[f->count - 1].uid : 0;
	m->exists = (uint32_t)(f->count - f->dead_count);
	m->keywords_told = f->box.keywords.count;
	claim_recent(m);
	*out = m;
	return STORE_OK;
}

void
mailbox_close(struct mailbox *m)
{
	struct folder *f;

	if (m == NULL)
		return;
	f = m->folder;
	for (size_t i = 0; i < f->log_count; i++)
		if (f->log[i].by == m)
			f->log[i].by = NULL;
	texts_rest(f->account);
	rows_ahead_forget(f->account);
	TAILQ_REMOVE(&f->views, m, link);
	if (TAILQ_EMPTY(&f->views))
		folder_release(f);
	else
		folder_trim(f);
	making_free(m->making);
	free(m->recent);
	free(m);
}

bool
mailbox_is_read_only(const struct mailbox *m)
{
	return m->read_only;
}

struct account *
mailbox_account(const struct mailbox *m)
{
	return m->folder->account;
}

bool
mailbox_is_in_doubt(const struct mailbox *m)
{
	return m->folder->account->index_doubt;
}

struct str
mailbox_name(const struct mailbox *m)
{
	return buf_str(&m->folder->box.name);
}

uint32_t
mailbox_uidvalidity(const struct mailbox *m)
{
	return m->folder->box.uidvalidity;
}

struct str
mailbox_id(const struct mailbox *m)
{
	return str_of(m->folder->box.id);
}

uint32_t
mailbox_uid_next(const struct mailbox *m)
{
	return m->folder->box.uid_next;
}

uint64_t
mailbox_highest_modseq(const struct mailbox *m)
{
	return m->folder->box.modseq;
}

uint32_t
mailbox_exists(const struct mailbox *m)
{
	return m->exists;
}

size_t
mailbox_keyword_count(const struct mailbox *m)
{
	return m->folder->box.keywords.count;
}

struct str
mailbox_keyword(const struct mailbox *m, size_t k)
{
	return k < m->folder->box.keywords.count ? m->folder->box.keywords.k[k].name : STR_EMPTY;
}

bool
mailbox_takes_keywords(const struct mailbox *m)
{
	return !m->read_only && m->folder->box.keywords.count < KEYWORDS_MAX;
}

/* ---- sequence numbers ---- */

bool
view_sees(const struct mailbox *m, const struct row *row)
{
	return row->uid <= m->uid_told && (!row->dead || row->modseq >= m->expunges_at);
}

/* Asked for one position after the other, it does not count the dead again each time. */
uint32_t
view_before(struct mailbox *m, size_t position)
{
	const struct folder *f = m->folder;

	if (m->dead_version != f->version + m->version ||
	    (m->dead_at > 0 && f->dead[m->dead_at - 1] >= position))
		m->dead_at = m->dead_hidden = 0;
	for (; m->dead_at < f->dead_count && f->dead[m->dead_at] < position; m->dead_at++)
		m->dead_hidden += !view_sees(m, &f->rows[f->dead[m->dead_at]]);
	m->dead_version = f->version + m->version;
	return (uint32_t)(position - m->dead_hidden);
}

/* Hints are no part of what a caller sees. */
static struct mailbox *
hints_of(const struct mailbox *m)
{
	return (struct mailbox *)(uintptr_t)m;
}

/* The position of a message that the view has. */
static size_t
position_of(struct mailbox *m, uint32_t seq)
{
	const struct folder *f = m->folder;
	size_t at = seq - 1;

	/* The usual walk from 1 to * does not count the dead again for each message. */
	if (m->hint_seq != 0 && m->hint_version == f->version + m->version &&
	    seq >= m->hint_seq && seq - m->hint_seq <= HINT_STEPS) {
		at = m->hint_at;
		for (uint32_t n = seq - m->hint_seq; n > 0; n--)
			do
				at++;
			while (!view_sees(m, &f->rows[at]));
	} else {
		for (size_t i = 0; i < f->dead_count && f->dead[i] <= at; i++)
			at += !view_sees(m, &f->rows[f->dead[i]]);
	}
	m->hint_seq = seq;
	m->hint_at = at;
	m->hint_version = f->version + m->version;
	return at;
}

static bool
is_recent(const struct mailbox *m, uint32_t uid)
{
	for (size_t i = 0; i < m->recent_count; i++)
		if (uid >= m->recent[i].from && uid < m->recent[i].to)
			return true;
	return false;
}

/* It was as it is shown until it was expunged; what that was, the session is not told yet. */
static uint64_t
modseq_of_dead(const struct folder *f, const struct row *row)
{
	return f->log[row->modseq - f->log_first].modseq - 1;
}

bool
mailbox_message(const struct mailbox *m, uint32_t seq, struct message *out)
{
	const struct row *row;

	if (seq == 0 || seq > m->exists)
		return false;
	row = &m->folder->rows[position_of(hints_of(m), seq)];
	*out = (struct message){
		.seq = seq,
		.uid = row->uid,
		.flags = row->flags,
		.keywords = row->keywords,
		.modseq = row->dead ? modseq_of_dead(m->folder, row) : row->modseq,
		.size = row->size,
		.internal_date = row->internal_date,
		.recent = is_recent(m, row->uid),
		.gone = row->dead,
	};
	return true;
}

uint32_t
mailbox_seq_of_uid(const struct mailbox *m, uint32_t uid)
{
	const struct folder *f = m->folder;
	size_t at = folder_position(f, uid);

	if (at >= f->count || f->rows[at].uid != uid || !view_sees(m, &f->rows[at]))
		return 0;
	return view_before(hints_of(m), at) + 1;
}

uint32_t
mailbox_seq_from_uid(const struct mailbox *m, uint32_t uid)
{
	size_t at = folder_position(m->folder, uid);
	uint32_t seq;

	if (uid > m->uid_told)
		return m->exists + 1;
	seq = view_before(hints_of(m), at) + 1;
	return seq <= m->exists ? seq : m->exists + 1;
}

uint32_t
mailbox_recent(const struct mailbox *m)
{
	const struct folder *f = m->folder;
	uint32_t n = 0;

	for (size_t i = 0; i < m->recent_count; i++)
		for (size_t at = folder_position(f, m->recent[i].from);
		    at < f->count && f->rows[at].uid < m->recent[i].to; at++)
			n += view_sees(m, &f->rows[at]);
	return n;
}

uint32_t
mailbox_first_unseen(const struct mailbox *m)
{
	const struct folder *f = m->folder;

	if (f->box.unseen == 0 && f->dead_count == 0)
		return 0;
	for (size_t at = 0; at < f->count; at++)
		if ((f->rows[at].flags & FLAG_SEEN) == 0 && view_sees(m, &f->rows[at]))
			return view_before(hints_of(m), at) + 1;
	return 0;
}

bool
uid_set_has(const struct uid_set *set, uint32_t uid)
{
	size_t low = 0, high = set->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (set->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->ranges[low].first <= uid;
}

/* ---- \Recent ---- */

static void
add_recent(struct mailbox *m, uint32_t from, uint32_t to)
{
	if (m->recent_count > 0 && from <= m->recent[m->recent_count - 1].to) {
		m->recent[m->recent_count - 1].to = to;
		return;
	}
	m->recent = xrealloc(m->recent, (m->recent_count + 1) * sizeof(*m->recent));
	m->recent[m->recent_count++] = (struct recent_range){ from, to };
}

/*
 * RFC 3501 2.3.2: the first session told of a message sees it recent, no later one does; but
 * one that only examines takes it from nobody.
 */
static void
claim_recent(struct mailbox *m)
{
	struct folder *f = m->folder;
	struct account *a = f->account;
	scoped_box box = BOX_NONE;
	enum store_result r;

	if (f->box.recent_uid >= f->box.uid_next)
		return;
	if (m->read_only) {
		add_recent(m, f->box.recent_uid, f->box.uid_next);
		return;
	}
	/* Where the index is busy the next one claims them: nothing is lost. */
	if (txn_begin(a) != STORE_OK)
		return;
	r = box_get(a, f->box.number, &box);
	if (r == STORE_OK)
		r = index_do(a, Q_BOX_RECENT, BIND(V(f->box.uid_next), V(box.number)));
	if (r == STORE_OK && box.recent_uid >= f->box.uid_next)
		r = STORE_GONE;
	if (txn_end(a, r) != STORE_OK)
		return;
	add_recent(m, box.recent_uid, f->box.uid_next);
	f->box.recent_uid = f->box.uid_next;
}

/* ---- what happened meanwhile ---- */

/* At what other programs did to the files. */
static enum store_result
look_outside(struct folder *f)
{
	enum store_result r = folder_ready(f);

	if (r != STORE_OK)
		return r;
	watch_look(f);
	if (!f->look)
		return STORE_OK;
	f->look = false;
	r = scan_mailbox(f->account, f->box.number, &f->place, SCAN_ALWAYS);
	if (r == STORE_OK || r == STORE_NO_SUCH)
		return STORE_OK;
	f->look = true;
	return r;
}

enum store_result
mailbox_refresh(struct mailbox *m)
{
	struct folder *f = m->folder;
	enum store_result r;

	r = index_alive(f->account);
	if (r == STORE_OK)
		r = look_outside(f);
	if (r != STORE_OK)
		return r;
	r = folder_refresh(f, NULL);
	if (r == STORE_OK)
		claim_recent(m);
	return r;
}
