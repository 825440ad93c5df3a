/* SPDX-License-Identifier: ISC */
/* Time passes, and nobody asks an account anything. */
#pragma once

#include "maildir/private.h"

static inline bool
let_rest(struct account *a)
{
	int64_t *const due[] = { &a->rename_due, &a->touch_due, &a->sweep_due, &a->keep_due, &a->search_due,
	    &a->rest_due };

	for (int i = 0; i < 1000 && !a->resting; i++) {
		for (size_t n = 0; n < countof(due); n++)
			if (*due[n] != 0)
				*due[n] = 1;
		a->index_asked = false;
		(void)account_work(a);
	}
	return a->resting && (a->kept == NULL || let_rest(a->kept));
}
