/* SPDX-License-Identifier: ISC */
/*
 * Events, one a line: time, level, daemon[role], event word, key=value pairs.
 * Event words are stable, they are an interface. Values are quoted and their
 * control bytes escaped here, so nothing a stranger sent can forge a line.
 * Never hand a password, a token or a message body to a KV.
 *
 *	log_info(s->log, "login", KV("user", user), KV("bytes", n));
 */
#pragma once

#include "common/base/buf.h"

/* Octets of a line with its end: what a pipe takes whole or not at all (PIPE_BUF). */
enum { LOG_LINE_MAX = 4096 };

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The fields that every line of a session or a message carries (sid, peer, trace). */
struct log {
	struct buf fields;	/* finished " key=value" text */
};

enum kv_kind { KV_END, KV_STR, KV_SIGNED, KV_UNSIGNED };

struct kv {
	enum kv_kind kind;
	const char *key;
	struct str text;
	int64_t number;
};

static inline struct kv
kv_str(const char *key, struct str v)
{
	return (struct kv){ .kind = KV_STR, .key = key, .text = v };
}

static inline struct kv
kv_z(const char *key, const char *v)
{
	return (struct kv){ .kind = KV_STR, .key = key, .text = str_of(v) };
}

static inline struct kv
kv_signed(const char *key, int64_t v)
{
	return (struct kv){ .kind = KV_SIGNED, .key = key, .number = v };
}

static inline struct kv
kv_unsigned(const char *key, uint64_t v)
{
	return (struct kv){ .kind = KV_UNSIGNED, .key = key, .number = (int64_t)v };
}

#define KV(key, value) _Generic((value), \
	struct str: kv_str, char *: kv_z, const char *: kv_z, \
	bool: kv_unsigned, unsigned char: kv_unsigned, unsigned short: kv_unsigned, \
	unsigned: kv_unsigned, unsigned long: kv_unsigned, unsigned long long: kv_unsigned, \
	signed char: kv_signed, short: kv_signed, int: kv_signed, long: kv_signed, \
	long long: kv_signed)((key), (value))

/* kvs ends with a KV_END row. log may be NULL. errno is kept. */
void log_write(enum log_level, const struct log *, const char *event, const struct kv *kvs);

#define LOG_KVS(...) ((const struct kv[]){ __VA_ARGS__ __VA_OPT__(,) { .kind = KV_END } })
#define log_error(log, event, ...) \
	log_write(LOG_LEVEL_ERROR, (log), (event), LOG_KVS(__VA_ARGS__))
#define log_warn(log, event, ...) \
	log_write(LOG_LEVEL_WARN, (log), (event), LOG_KVS(__VA_ARGS__))
#define log_info(log, event, ...) \
	log_write(LOG_LEVEL_INFO, (log), (event), LOG_KVS(__VA_ARGS__))
#define log_debug(log, event, ...) \
	log_write(LOG_LEVEL_DEBUG, (log), (event), LOG_KVS(__VA_ARGS__))

/* Adds a field to every later line of this log; one that makes them longer than 2 KB is left out. */
void log_add_field(struct log *, struct kv);
void log_free(struct log *);

/*
 * Where lines go: `sink` gets each finished line, newline included; the default
 * writes to standard error. A sink never blocks and never fails its caller.
 */
typedef void log_sink(struct str line);
void log_set_sink(log_sink *);
/* What stands before the event: "imapd[keeper]". The text is copied. */
void log_set_name(const char *daemon, const char *role);
void log_set_level(enum log_level);
