/* SPDX-License-Identifier: ISC */
/*
 * Lines of the log read back, the inverse of common/base/log: who wants to know what
 * happened reads the one record there is. Pure. Any bytes may come: what is no line of
 * ours is said to be none, and a value that is cut ends where it is cut.
 */
#pragma once

#include "common/base/buf.h"
#include "common/base/log.h"

struct log_line {
	int64_t at_ms;		/* since 1970, UTC */
	enum log_level level;
	struct str process;	/* "smtpd[front]" */
	struct str event;
	struct str pairs;	/* key=value pairs as they stand; may be empty */
};

/* line: without its line end. Views into line. False: not a line of ours. */
must_check bool log_parse_line(struct str line, struct log_line *out);
/*
 * Takes the next pair off *pairs; *value is replaced by the value as it was before quoting. False, with
 * *pairs empty, at the end and where no pair follows.
 */
must_check bool log_parse_next(struct str *pairs, struct str *key, struct buf *value);
/* The first pair of that key; false, with *value empty, where there is none. */
must_check bool log_parse_find(struct str pairs, struct str key, struct buf *value);
