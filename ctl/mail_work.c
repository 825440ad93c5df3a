/* SPDX-License-Identifier: ISC */
/* Works on one account's mail, behind the walls of a keeper, and says what it sees: one JSON object a line. */
#include "ctl/mail_work.h"

#include <fcntl.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"

static struct account_options
options_of(const struct mail_work *w)
{
	return (struct account_options){ .address = w->address, .daemon = "trivet",
		.quota_bytes = w->quota_bytes, .quota_messages = w->quota_messages,
		.undelete_days = w->undelete_days };
}

/* What no terminal and no JSON should get is written as \xNN. */
static json_t *
json_text(struct str s)
{
	scoped_buf out = BUF_INIT;
	struct str rest = s;
	uint32_t c;

	if (!utf8_valid(s)) {
		for (size_t i = 0; i < s.n; i++)
			if ((unsigned char)s.p[i] >= 0x80 || ascii_is_control(s.p[i]))
				buf_printf(&out, "\\x%02x", (unsigned char)s.p[i]);
			else
				buf_put_c(&out, s.p[i]);
	}
	while (utf8_valid(s) && rest.n > 0 && utf8_next(&rest, &c))
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			buf_printf(&out, "\\x%02x", (unsigned)c);
		else
			utf8_put(&out, c);
	return json_stringn(buf_str(&out).p, out.n);
}

static void
say(const struct mail_work *w, json_t *line)
{
	json_dumpf(line, w->out, JSON_COMPACT);
	fputc('\n', w->out);
	json_decref(line);
}

/* ---- check ---- */

static void
on_found(void *context, const struct finding *f)
{
	const struct mail_work *w = context;
	scoped_buf text = BUF_INIT;
	json_t *o = json_object();

	mail_put_finding(&text, f);
	json_object_set_new(o, "kind", json_string(mail_finding_word(f->kind)));
	json_object_set_new(o, "text", json_text(buf_str(&text)));
	if (f->mailbox.n > 0)
		json_object_set_new(o, "mailbox", json_text(f->mailbox));
	if (f->file.n > 0)
		json_object_set_new(o, "file", json_text(f->file));
	if (f->uid != 0)
		json_object_set_new(o, "uid", json_integer(f->uid));
	if (f->is != f->should) {
		json_object_set_new(o, "is", json_integer((json_int_t)f->is));
		json_object_set_new(o, "should", json_integer((json_int_t)f->should));
	}
	json_object_set_new(o, "note", json_boolean(f->kind == FOUND_NOT_OURS));
	json_object_set_new(o, "later", json_boolean(f->later && !f->repaired));
	json_object_set_new(o, "repaired", json_boolean(f->repaired));
	if (f->repaired)
		json_object_set_new(o, "repair", json_string(mail_repair_words(f->kind)));
	say(w, json_pack("{s:o}", "finding", o));
	fflush(w->out);
}

static void
on_progress(void *context, struct str mailbox, uint64_t done, uint64_t all)
{
	const struct mail_work *w = context;

	say(w, json_pack("{s:{s:o, s:I, s:I}}", "progress", "mailbox", json_text(mailbox),
		"done", (json_int_t)done, "all", (json_int_t)all));
	fflush(w->out);
}

enum store_result
mail_work_check(const struct mail_work *w, int folder)
{
	struct account_options options = options_of(w);
	struct check_options check = { .repair = w->repair, .found = on_found,
		.progress = w->progress ? on_progress : NULL, .context = (void *)(uintptr_t)w };
	struct check_result done;
	enum store_result r = account_check(folder, &options, &check, &done);

	if (r == STORE_OK)
		say(w, json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "result",
			"mailboxes", (json_int_t)done.mailboxes, "messages", (json_int_t)done.messages,
			"octets", (json_int_t)done.bytes, "faults", (json_int_t)done.faults,
			"repaired", (json_int_t)done.repaired, "later", (json_int_t)done.later,
			"notes", (json_int_t)done.notes));
	return r;
}

/* ---- quota ---- */

static void
say_usage(const struct mail_work *w, const struct usage *before, const struct usage *now)
{
	say(w, json_pack("{s:{s:I, s:I, s:I, s:I}}", "usage",
		"octets", (json_int_t)now->bytes, "messages", (json_int_t)now->messages,
		"octets_before", (json_int_t)before->bytes, "messages_before", (json_int_t)before->messages));
}

enum store_result
mail_work_recount(const struct mail_work *w, int folder)
{
	struct account_options options = options_of(w);
	struct usage before, now;
	struct account *a;
	enum store_result r = account_open(folder, &options, &a);

	if (r != STORE_OK)
		return r;
	r = account_recount(a, &before, &now);
	account_close(a);
	if (r == STORE_OK)
		say_usage(w, &before, &now);
	return r;
}

/* Without an index nobody knows but the files: they are counted, as the next session would. */
enum store_result
mail_work_look(const struct mail_work *w, int folder)
{
	struct account_options options = options_of(w);
	struct usage now;
	int again = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	enum store_result r = again < 0 ? STORE_BUSY : account_look(again, &options, &now);

	if (r == STORE_GONE)
		return mail_work_recount(w, folder);
	close_fd(&folder);
	if (r == STORE_OK)
		say_usage(w, &now, &now);
	return r;
}

/* ---- undelete ---- */

static void
on_undeleted(void *context, const struct undeleted *u)
{
	const struct mail_work *w = context;
	scoped_buf at = BUF_INIT;

	clock_put_rfc3339(&at, u->at * 1000);
	say(w, json_pack("{s:{s:o, s:o, s:I}}", "undeleted", "mailbox", json_text(u->mailbox),
		"deleted", json_text(buf_str(&at)), "octets", (json_int_t)u->size));
}

enum store_result
mail_work_undelete(const struct mail_work *w, int folder)
{
	struct account_options options = options_of(w);
	struct undelete_options undelete = { .mailbox = w->folder, .since = w->since, .dry_run = w->dry_run,
		.found = on_undeleted, .context = (void *)(uintptr_t)w };
	struct undelete_result done;
	struct account *a;
	enum store_result r = account_open(folder, &options, &a);

	if (r != STORE_OK)
		return r;
	r = account_undelete(a, &undelete, &done);
	account_close(a);
	say(w, json_pack("{s:{s:I, s:I, s:I}}", "result", "messages", (json_int_t)done.messages,
		"octets", (json_int_t)done.bytes, "left", (json_int_t)done.left));
	return r;
}
