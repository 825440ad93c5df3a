/* SPDX-License-Identifier: ISC */
/* The base subject that SORT and THREAD compare (RFC 5256 2.1), in linear time. */
#pragma once

#include "common/base/buf.h"

enum subject_kind {
	SUBJECT_PLAIN,
	SUBJECT_REPLY_OR_FORWARD,	/* RFC 5256 3: an artifact of either was removed */
};

/* Appends the base subject of a Subject field's value, as UTF-8, case kept. */
enum subject_kind subject_put_base(struct buf *out, struct str value);
