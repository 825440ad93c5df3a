/* SPDX-License-Identifier: ISC */
#include "common/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
	VALUE_MAX = 1024,	/* longer values are cut, so that a line stays a line */
	FIELDS_MAX = 2048,	/* of a struct log, written out; what goes beyond is left out */
	CUT_ROOM = 8,		/* for " cut=1" and the line's end */
};

static const char *const level_words[] = {
	[LOG_LEVEL_ERROR] = "ERROR", [LOG_LEVEL_WARN] = "WARN",
	[LOG_LEVEL_INFO] = "INFO", [LOG_LEVEL_DEBUG] = "DEBUG",
};

static void write_to_stderr(struct str line);

static log_sink *sink = write_to_stderr;
static enum log_level level_max = LOG_LEVEL_INFO;
static char name[64] = "trivet";

static void
write_to_stderr(struct str line)
{
	/* A log that cannot be written never stops the service. */
	if (write(STDERR_FILENO, line.p, line.n) < 0)
		return;
}

static bool
needs_quotes(struct str s)
{
	if (s.n == 0)
		return true;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ' ' || c == '"' || c == '\\' || c == '=' || ascii_is_control(c) ||
		    (unsigned char)c >= 0x80)
			return true;
	}
	return false;
}

static void
put_value(struct buf *out, struct str s)
{
	bool cut = s.n > VALUE_MAX;

	s = str_sub(s, 0, VALUE_MAX);
	if (!needs_quotes(s)) {
		buf_put(out, s);
	} else {
		buf_put_c(out, '"');
		for (size_t i = 0; i < s.n; i++) {
			char c = s.p[i];

			if (c == '"' || c == '\\')
				buf_put_c(out, '\\');
			if (ascii_is_control(c))
				buf_printf(out, "\\x%02x", (unsigned char)c);
			else
				buf_put_c(out, c);
		}
		buf_put_c(out, '"');
	}
	if (cut)
		buf_put_z(out, "...");
}

static void
put_kv(struct buf *out, const struct kv *kv)
{
	buf_put_c(out, ' ');
	buf_put_z(out, kv->key);
	buf_put_c(out, '=');
	if (kv->kind == KV_STR)
		put_value(out, kv->text);
	else if (kv->kind == KV_SIGNED)
		buf_printf(out, "%lld", (long long)kv->number);
	else
		buf_put_u64(out, (uint64_t)kv->number);
}

/* False: it does not fit, and nothing was put. */
static bool
put_kv_within(struct buf *out, const struct kv *kv, size_t most)
{
	size_t before = out->n;

	put_kv(out, kv);
	if (out->n <= most)
		return true;
	buf_cut(out, before);
	return false;
}

void
log_write(enum log_level level, const struct log *log, const char *event, const struct kv *kvs)
{
	int saved = errno;
	scoped_buf line = BUF_INIT;
	bool whole = true;

	if (level > level_max)
		return;
	clock_put_rfc3339(&line, clock_now_ms());
	buf_printf(&line, " %s %s %s", level_words[level], name, event);
	if (log != NULL)
		buf_put(&line, buf_str(&log->fields));
	for (; kvs->kind != KV_END; kvs++)
		whole &= put_kv_within(&line, kvs, LOG_LINE_MAX - CUT_ROOM);
	if (!whole)
		buf_put_z(&line, " cut=1");
	buf_put_c(&line, '\n');
	sink(buf_str(&line));
	errno = saved;
}

void
log_add_field(struct log *log, struct kv kv)
{
	(void)put_kv_within(&log->fields, &kv, FIELDS_MAX);
}

void
log_free(struct log *log)
{
	buf_free(&log->fields);
}

void
log_set_sink(log_sink *to)
{
	sink = to;
}

void
log_set_name(const char *daemon, const char *role)
{
	snprintf(name, sizeof(name), role ? "%s[%s]" : "%s", daemon, role);
}

void
log_set_level(enum log_level level)
{
	level_max = level;
}
