/* SPDX-License-Identifier: ISC */
/*
 * "$", the last result that a search saved (RFC 5182). It is kept as uids, which are never used again: what is
 * expunged leaves it by itself (2.1). Emptied by SELECT and by a search that was to save and failed.
 */
#include "imapd/imapd.h"

void
saved_clear(struct session *s)
{
	buf_free(&s->saved);
}

struct uid_set
saved_uids(const struct session *s)
{
	return (struct uid_set){
		.ranges = (const struct uid_range *)(const void *)s->saved.p,
		.count = s->saved.n / sizeof(struct uid_range),
	};
}

static bool
put_range(struct buf *out, struct uid_range range)
{
	if (out->n / sizeof(range) == SAVED_RANGES_MAX)
		return false;
	buf_put(out, (struct str){ (const char *)&range, sizeof(range) });
	return true;
}

/*
 * Messages that follow each other in the view are one range: no uid between them is in use, or will be.
 */
bool
saved_set(struct session *s, const uint32_t *uids, size_t count)
{
	struct uid_range range = { 0 };
	uint32_t last = 0;
	bool fits = true;

	saved_clear(s);
	for (size_t i = 0; i < count && fits; i++) {
		const uint32_t seq = mailbox_seq_of_uid(s->mailbox, uids[i]);

		if (i > 0 && seq == last + 1) {
			range.last = uids[i];
		} else {
			fits = i == 0 || put_range(&s->saved, range);
			range = (struct uid_range){ uids[i], uids[i] };
		}
		last = seq;
	}
	if (count > 0 && fits)
		fits = put_range(&s->saved, range);
	if (!fits)
		saved_clear(s);
	return fits;
}
