/* SPDX-License-Identifier: ISC */
/*
 * What a session has to be told, one by one, from the folder's log: expunges when they may
 * be told, keywords before the flags that use them, then the new count. And how far it has been told.
 */
#include "maildir/private.h"

static bool
next_expunge(struct mailbox *m, struct change *out)
{
	const struct folder *f = m->folder;
	const struct log_entry *e;
	size_t at;

	while (m->expunges_at < f->log_first + f->log_count) {
		e = &f->log[m->expunges_at - f->log_first];
		at = folder_position(f, e->uid);
		if (!e->expunged || e->uid > m->uid_told) {
			m->expunges_at++;
			continue;
		}
		*out = (struct change){ .kind = CHANGE_EXPUNGED, .uid = e->uid,
			.modseq = e->modseq, .seq = view_before(m, at) + 1 };
		m->expunges_at++;
		m->exists--;
		/* The dead before this one are seen or not as they were. */
		m->version++;
		m->dead_version++;
		return true;
	}
	return false;
}

static bool
next_flags(struct mailbox *m, struct change *out)
{
	const struct folder *f = m->folder;
	const struct log_entry *e;
	uint32_t seq;
	size_t at;

	while (m->flags_at < f->log_first + f->log_count) {
		e = &f->log[m->flags_at++ - f->log_first];
		if (e->expunged || e->by == m)
			continue;
		at = folder_position(f, e->uid);
		seq = mailbox_seq_of_uid(m, e->uid);
		if (seq == 0 || f->rows[at].dead)
			continue;
		*out = (struct change){ .kind = CHANGE_FLAGS, .uid = e->uid, .seq = seq,
			.modseq = f->rows[at].modseq };
		return true;
	}
	return false;
}

static bool
next_exists(struct mailbox *m, struct change *out)
{
	const struct folder *f = m->folder;
	uint32_t last = f->count > 0 ? f->rows[f->count - 1].uid : 0, exists;

	if (last <= m->uid_told)
		return false;
	m->uid_told = last;
	m->version++;
	exists = view_before(m, f->count);
	/* What came and went again before it was told. */
	if (exists == m->exists)
		return false;
	m->exists = exists;
	*out = (struct change){ .kind = CHANGE_EXISTS, .seq = exists };
	return true;
}

static bool
is_told(const struct mailbox *m, uint64_t at, const struct log_entry *e)
{
	if (e->expunged)
		return at < m->expunges_at || e->uid > m->uid_told;
	return at < m->flags_at || e->by == m;
}

uint64_t
mailbox_told_modseq(const struct mailbox *m)
{
	const struct folder *f = m->folder;
	uint64_t told = f->box.modseq;
	uint64_t at = m->expunges_at < m->flags_at ? m->expunges_at : m->flags_at;

	for (; at < f->log_first + f->log_count; at++) {
		const struct log_entry *e = &f->log[at - f->log_first];

		if (e->modseq <= told && !is_told(m, at, e))
			told = e->modseq - 1;
	}
	for (size_t i = f->count; i-- > 0 && f->rows[i].uid > m->uid_told;)
		if (!f->rows[i].dead && f->rows[i].modseq <= told)
			told = f->rows[i].modseq - 1;
	return told;
}

bool
mailbox_next_change(struct mailbox *m, bool hold_expunges, struct change *out)
{
	struct folder *f = m->folder;

	if (!hold_expunges && next_expunge(m, out))
		return true;
	if (m->keywords_told < f->box.keywords.count) {
		m->keywords_told = f->box.keywords.count;
		*out = (struct change){ .kind = CHANGE_KEYWORDS };
		return true;
	}
	if (next_flags(m, out) || next_exists(m, out))
		return true;
	folder_trim(f);
	return false;
}
