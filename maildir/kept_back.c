/* SPDX-License-Identifier: ISC */
/*
 * What is kept goes back to where it was, by one rename for each message; then the mailbox takes it in as a new file.
 * Whoever dies in between has moved it or not: never two of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "maildir/kept.h"

struct putting_back {
	struct account *a;
	const struct undelete_options *o;
	struct undelete_result *out;
	int top;		/* trivet-deleted */
	struct buf folders;	/* directories there, each with a NUL behind */
	/* of the folder at hand */
	struct buf mailbox;
	struct buf names;	/* of files, each with a NUL behind */
	struct control control;	/* of it */
	struct box box;		/* the mailbox it was */
	struct place place;
	uint64_t moved_bytes;	/* not counted by the mailbox yet */
	uint64_t moved;
};

static bool
see_folder(void *arg, struct str name)
{
	struct putting_back *p = arg;
	scoped_buf mailbox = BUF_INIT;
	bool canonical;

	if (layout_name_of_dir(name, &mailbox, &canonical)) {
		buf_put(&p->folders, name);
		buf_put_c(&p->folders, '\0');
	}
	return true;
}

static bool
see_name(void *arg, struct str name)
{
	struct putting_back *p = arg;

	if (name.p[0] != '.') {
		buf_put(&p->names, name);
		buf_put_c(&p->names, '\0');
	}
	return true;
}

static bool
is_wanted(const struct putting_back *p, struct str mailbox)
{
	return p->o->mailbox.n == 0 || str_eq(mailbox, p->o->mailbox) ||
	    layout_is_below(mailbox, p->o->mailbox);
}

/* ---- the mailbox it was ---- */

/* Keywords that letters of the names mean, so that the mailbox has letters for them. */
static enum store_result
learn_keywords(struct putting_back *p)
{
	struct str rest = buf_str(&p->names), text;
	uint64_t used = 0;
	size_t before;
	int number;
	enum store_result r;

	while (str_cut(&rest, '\0', &text)) {
		struct file_name name;

		if (file_name_parse(text, &name))
			used |= keywords_bits(&p->control.keywords, name.letters);
	}
	r = txn_begin(p->a);
	if (r != STORE_OK)
		return r;
	box_free(&p->box);
	p->box = BOX_NONE;
	r = box_find(p->a, buf_str(&p->mailbox), &p->box);
	before = p->box.keywords.count;
	for (size_t k = 0; r == STORE_OK && k < p->control.keywords.count; k++)
		if ((used >> k & 1) != 0)
			(void)!keywords_add(&p->box.keywords, p->control.keywords.k[k].name, &number);
	if (r == STORE_OK && p->box.keywords.count > before)
		r = box_save_settings(p->a, &p->box);
	return txn_end(p->a, r);
}

static enum store_result
open_mailbox(struct putting_back *p)
{
	enum store_result r = box_find(p->a, buf_str(&p->mailbox), &p->box);

	if (r == STORE_NO_SUCH) {
		r = mailbox_create(p->a, buf_str(&p->mailbox), 0);
		if (r == STORE_OK || r == STORE_EXISTS)
			r = box_find(p->a, buf_str(&p->mailbox), &p->box);
	}
	if (r == STORE_OK)
		r = learn_keywords(p);
	return r == STORE_OK ? place_open(p->a, buf_str(&p->mailbox), &p->place) : r;
}

/* ---- one message ---- */

static void
put_name(struct buf *out, struct putting_back *p, const struct file_name *name, struct str prefix, bool fresh)
{
	uint64_t bits = keywords_bits(&p->control.keywords, name->letters), ours = 0;
	scoped_buf letters = BUF_INIT;
	int number;

	if (fresh)
		publish_put_prefix(out, clock_now(), STR_EMPTY);
	else
		buf_put(out, prefix);
	if (name->has_size)
		buf_printf(out, ",S=%llu", (unsigned long long)name->size);
	if (name->has_wire)
		buf_printf(out, ",W=%llu", (unsigned long long)name->wire);
	letters_put_flags(&letters, letters_flags(name->letters) & ~(uint32_t)FLAG_DELETED);
	for (size_t k = 0; k < p->control.keywords.count; k++) {
		number = (bits >> k & 1) != 0 ? keywords_find(&p->box.keywords, p->control.keywords.k[k].name) : -1;
		if (number >= 0)
			ours |= (uint64_t)1 << number;
	}
	keywords_put_letters(&letters, &p->box.keywords, ours);
	buf_put_z(out, ":2,");
	letters_put_sorted(out, buf_str(&letters));
}

static enum store_result
move_one(struct putting_back *p, int from, const char *text, const struct file_name *name, struct str prefix)
{
	for (int i = 0; i < 2; i++) {
		scoped_buf to = BUF_INIT;

		put_name(&to, p, name, prefix, i > 0);
		if (renameat2(from, text, p->place.cur, buf_z(&to), RENAME_NOREPLACE) == 0)
			return STORE_OK;
		if (errno != EEXIST)
			break;
	}
	return files_failed(&p->a->log, "put back", str_of(text));
}

static enum store_result
put_back(struct putting_back *p, int from, struct str text)
{
	struct undeleted one = { .mailbox = buf_str(&p->mailbox) };
	struct file_name name;
	struct str prefix;
	int64_t mtime;
	uint64_t wire;
	enum store_result r = STORE_OK;

	if (!file_name_parse(text, &name) || !kept_time(&name, &one.at, &prefix) || one.at < p->o->since ||
	    !files_stat(from, text.p, &one.size, &mtime))
		return STORE_OK;
	wire = name.has_wire ? name.wire : one.size;
	if (!p->o->dry_run) {
		r = quota_check(p->a, p->moved_bytes + wire, p->moved + 1);
		if (r == STORE_OVER_QUOTA) {
			p->out->left++;
			return STORE_OK;
		}
		if (r == STORE_OK)
			r = move_one(p, from, text.p, &name, prefix);
		if (r == STORE_GONE)	/* too old, or put back, a moment ago */
			return STORE_OK;
	}
	if (r != STORE_OK)
		return r;
	p->moved_bytes += wire;
	p->moved++;
	p->out->messages++;
	p->out->bytes += one.size;
	if (p->o->found != NULL)
		p->o->found(p->o->context, &one);
	return STORE_OK;
}

/* ---- one folder ---- */

static enum store_result
put_part(struct putting_back *p, int dir, const char *part)
{
	scoped_fd from = files_open_dir(dir, part);
	struct str rest, text;
	enum store_result r = STORE_OK;

	buf_clear(&p->names);
	if (from < 0 || !files_list(from, see_name, p) || p->names.n == 0)
		return STORE_OK;
	if (!p->o->dry_run && p->place.cur < 0)
		r = open_mailbox(p);
	else if (!p->o->dry_run)
		r = learn_keywords(p);
	rest = buf_str(&p->names);
	while (r == STORE_OK && str_cut(&rest, '\0', &text))
		r = put_back(p, from, text);
	return r;
}

static enum store_result
put_folder(struct putting_back *p, const char *folder)
{
	static const char *const parts[] = { "cur", "new" };
	scoped_fd dir = files_open_dir(p->top, folder);
	enum store_result r = STORE_OK, scanned = STORE_OK;

	if (dir < 0)
		return STORE_OK;
	p->place = PLACE_CLOSED;
	p->box = BOX_NONE;
	p->moved = p->moved_bytes = 0;
	if (control_read(&p->a->log, dir, &p->control) != STORE_OK)
		p->control = (struct control){ 0 };
	for (size_t i = 0; r == STORE_OK && i < countof(parts); i++)
		r = put_part(p, dir, parts[i]);
	if (p->place.cur >= 0 && p->moved > 0) {
		if (fsync(p->place.cur) != 0)
			scanned = files_failed(&p->a->log, "sync", buf_str(&p->mailbox));
		else
			scanned = scan_mailbox(p->a, p->box.number, &p->place, SCAN_ALWAYS);
	}
	place_close(&p->place);
	box_free(&p->box);
	control_free(&p->control);
	return r == STORE_OK ? scanned : r;
}

enum store_result
account_undelete(struct account *a, const struct undelete_options *o, struct undelete_result *out)
{
	struct undelete_result done = { 0 };
	struct putting_back p = { .a = a, .o = o, .out = &done };
	struct str rest, folder;
	enum store_result r = STORE_OK;
	bool canonical;

	kept_settle(a);
	p.top = files_open_dir(a->dir, kept_dir);
	*out = done;
	if (p.top < 0)
		return errno == ENOENT ? STORE_OK : files_failed(&a->log, "open", str_of(kept_dir));
	buf_put(&p.folders, (struct str){ ".", 2 });
	(void)!files_list(p.top, see_folder, &p);
	rest = buf_str(&p.folders);
	while (r == STORE_OK && str_cut(&rest, '\0', &folder)) {
		buf_clear(&p.mailbox);
		if (str_eq(folder, STR(".")))
			buf_put_z(&p.mailbox, "INBOX");
		else
			(void)!layout_name_of_dir(folder, &p.mailbox, &canonical);
		if (is_wanted(&p, buf_str(&p.mailbox)))
			r = put_folder(&p, folder.p);
	}
	close_fd(&p.top);
	buf_free(&p.folders);
	buf_free(&p.mailbox);
	buf_free(&p.names);
	*out = done;
	return r;
}
