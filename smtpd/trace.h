/* SPDX-License-Identifier: ISC */
/*
 * trace.db in state_dir: what `trivet why` answers from. smtpd's recorder puts into it each line of the log that
 * belongs to a connection (sid) or a message (trace); the log line is the record, this is its index:
 *
 *	event	at (ms), word, sid, trace, a and b (addresses or Message-ID in lower case that the line
 *		names), pairs (the line's key=value text, read by common/base/log_parse)
 *	subject	of message.headers: the subject folded by casemap_put
 *
 * Nobody waits for it and nothing rests on it: where it cannot be written, what is missing is counted and told of.
 */
#pragma once

#include "common/daemon/recorder.h"

enum { TRACE_VERSION = 2 };

extern const struct recorder_reader trace_reader;
