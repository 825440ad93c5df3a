/* SPDX-License-Identifier: ISC */
/*
 * LIST LSUB (RFC 3501 6.3.8, 6.3.9; RFC 5258, RFC 6154, RFC 5819's RETURN STATUS), XLIST,
 * NAMESPACE (RFC 2342). A failing store is answered NO, never by a shorter list: clients
 * drop what is not listed.
 */
#include "common/base/map.h"
#include "imapd/imapd.h"
#include "imapd/pattern.h"

struct row {
	struct mailbox_info info;
	bool child_meets;		/* one somewhere below it meets the criteria */
	bool hidden_child_meets;	/* and one of those matches no pattern */
};

struct listing {
	struct row *rows;
	size_t count;
	size_t next;
	unsigned criteria;		/* LIST_SUBSCRIBED, LIST_SPECIAL_USE */
	struct str *patterns;		/* reference and pattern in one */
	size_t pattern_count;
};

/* ---- patterns ---- */

static bool
row_matches(const struct listing *l, const struct row *row)
{
	/* RFC 3501 5.1: INBOX is one name in any case. */
	bool nocase = str_eq(row->info.name, STR("INBOX"));

	for (size_t i = 0; i < l->pattern_count; i++)
		if (pattern_matches(l->patterns[i], row->info.name, nocase))
			return true;
	return false;
}

/* Reference and pattern in one, runs of "*" made one. */
static struct str
join(struct session *s, struct str reference, struct str pattern)
{
	scoped_buf out = BUF_INIT;

	buf_put(&out, reference);
	for (size_t i = 0; i < pattern.n; i++)
		if (pattern.p[i] != '*' || out.n == 0 || out.p[out.n - 1] != '*')
			buf_put_c(&out, pattern.p[i]);
	return arena_str(s->arena, buf_str(&out));
}

static void
take_patterns(struct session *s, struct listing *l)
{
	const struct list_arguments *list = &s->req.list;
	struct str pattern;

	l->patterns = arena_array(s->arena, struct str, list->pattern_count);
	for (size_t i = 0; i < list->pattern_count; i++) {
		/* A name that is none matches nothing. */
		if (list->patterns[i].state != NAME_GOOD || list->reference.state != NAME_GOOD)
			continue;
		pattern = join(s, list->reference.utf8, list->patterns[i].utf8);
		if (pattern_plain_length(pattern) <= MAILBOX_NAME_MAX)
			l->patterns[l->pattern_count++] = pattern;
	}
}

/* ---- rows ---- */

/* RFC 5258 3: all criteria must hold, of the same mailbox. */
static bool
meets(const struct listing *l, const struct mailbox_info *info)
{
	if ((l->criteria & LIST_SUBSCRIBED) && !info->subscribed)
		return false;
	return !(l->criteria & LIST_SPECIAL_USE) || info->special_use != 0;
}

/* Does it count for the levels above it? */
static bool
counts(const struct listing *l, const struct mailbox_info *info)
{
	return l->criteria != 0 && meets(l, info);
}

static struct row *
row_for(struct listing *l, struct map *by_name, struct str name)
{
	struct row *row = map_get(by_name, name);

	if (row != NULL)
		return row;
	/* A level above a name that is only subscribed. */
	row = &l->rows[l->count++];
	row->info.name = name;
	row->info.has_children = true;
	map_set(by_name, name, row);
	return row;
}

static void
mark_levels_above(struct listing *l, struct map *by_name, const struct row *row)
{
	struct str name = row->info.name;
	bool hidden = !row_matches(l, row);

	for (size_t i = 0; i < name.n; i++) {
		struct row *above;

		if (name.p[i] != '/' || i == 0)
			continue;
		above = row_for(l, by_name, str_sub(name, 0, i));
		above->child_meets = true;
		above->hidden_child_meets |= hidden;
	}
}

static size_t
levels_above(const struct mailbox_info *info)
{
	size_t levels = 0;

	for (size_t i = 0; i < info->name.n; i++)
		levels += info->name.p[i] == '/';
	return levels;
}

static void
make_rows(struct session *s, struct listing *l, const struct mailbox_info *infos, size_t count)
{
	struct map *by_name = map_new();
	size_t room = count;

	for (size_t i = 0; i < count; i++)
		if (counts(l, &infos[i]))
			room += levels_above(&infos[i]);
	l->rows = arena_array(s->arena, struct row, room);
	l->count = count;
	for (size_t i = 0; i < count; i++) {
		l->rows[i].info = infos[i];
		map_set(by_name, infos[i].name, &l->rows[i]);
	}
	for (size_t i = 0; i < count; i++)
		if (counts(l, &infos[i]))
			mark_levels_above(l, by_name, &l->rows[i]);
	map_free(by_name);
}

/*
 * The namespace of what was expunged is told to who asks for it by name (RFC 2342 5: with its prefix), so that clients which
 * keep a copy of everything do not copy that.
 */
static bool
asks_for_kept(struct session *s, struct str top)
{
	const struct list_arguments *list = &s->req.list;

	for (size_t i = 0; top.n > 0 && i < list->pattern_count; i++)
		if (list->patterns[i].state == NAME_GOOD && list->reference.state == NAME_GOOD &&
		    str_starts(join(s, list->reference.utf8, list->patterns[i].utf8), top))
			return true;
	return false;
}

static enum store_result
add_kept(struct session *s, struct mailbox_info **infos, size_t *count)
{
	struct mailbox_info *kept, *all;
	size_t kept_count;
	enum store_result result;

	if (!asks_for_kept(s, account_kept_name(room_account(s))))
		return STORE_OK;
	result = account_list_kept(room_account(s), s->arena, &kept, &kept_count);
	if (result != STORE_OK)
		return result;
	all = arena_array(s->arena, struct mailbox_info, *count + kept_count);
	memcpy(all, kept, kept_count * sizeof(*all));
	for (size_t i = 0; i < *count; i++) {
		size_t at = 0;

		/* Only subscribed, as far as the account knows. */
		while (at < kept_count && ((*infos)[i].exists || !str_eq(all[at].name, (*infos)[i].name)))
			at++;
		if (at < kept_count)
			all[at].subscribed = (*infos)[i].subscribed;
		else
			all[kept_count++] = (*infos)[i];
	}
	*infos = all;
	*count = kept_count;
	return STORE_OK;
}

static enum store_result
begin(struct session *s, unsigned criteria, struct listing **out)
{
	struct listing *l = arena_one(s->arena, struct listing);
	struct mailbox_info *infos;
	size_t count;
	enum store_result result = account_list(room_account(s), s->arena, &infos, &count);

	if (result == STORE_OK)
		result = add_kept(s, &infos, &count);
	if (result != STORE_OK)
		return result;
	l->criteria = criteria;
	take_patterns(s, l);
	make_rows(s, l, infos, count);
	s->work.own = l;
	*out = l;
	return STORE_OK;
}

/* ---- LIST ---- */

/*
 * RFC 5258 3.3, rule 2: one that does not meet the criteria is told for a child that does,
 * but not for a child that is told itself.
 */
static bool
is_selected(const struct listing *l, const struct row *row, unsigned selection)
{
	if (l->criteria == 0)
		return row->info.exists;
	return meets(l, &row->info) ||
	    ((selection & LIST_RECURSIVEMATCH) && row->hidden_child_meets);
}

/* The names that XLIST's clients look for. */
static void
put_xlist_use(struct buf *out, const struct mailbox_info *info)
{
	if (str_eq(info->name, STR("INBOX")))
		buf_put_z(out, " \\Inbox");
	if (info->special_use & USE_ALL)
		buf_put_z(out, " \\AllMail");
	if (info->special_use & USE_JUNK)
		buf_put_z(out, " \\Spam");
	if (info->special_use & USE_FLAGGED)
		buf_put_z(out, " \\Starred");
}

static void
put_attributes(struct buf *out, struct session *s, const struct row *row)
{
	const struct list_arguments *list = &s->req.list;
	const struct mailbox_info *info = &row->info;

	/* RFC 5258 3: \NonExistent says \Noselect too, but only to those who know it. */
	if (!info->exists && (list->extended || (s->enabled & ENABLED_REV2)))
		buf_put_z(out, " \\NonExistent");
	else if (!info->selectable)
		buf_put_z(out, " \\Noselect");
	buf_put_z(out, info->has_children ? " \\HasChildren" : " \\HasNoChildren");
	if (info->subscribed && ((list->selection & LIST_SUBSCRIBED) ||
	    (list->returns & RETURN_SUBSCRIBED)))
		buf_put_z(out, " \\Subscribed");
	if (s->req.command == COMMAND_XLIST)
		put_xlist_use(out, info);
	put_special_use(out, info->special_use);
}

/* RFC 5258 3.5 */
static void
put_child_info(struct buf *out, const struct row *row, unsigned selection)
{
	const char *special = selection & LIST_SUBSCRIBED ? " \"SPECIAL-USE\"" : "\"SPECIAL-USE\"";

	if (!(selection & LIST_RECURSIVEMATCH) || !row->child_meets)
		return;
	buf_put_z(out, " (\"CHILDINFO\" (");
	if (selection & LIST_SUBSCRIBED)
		buf_put_z(out, "\"SUBSCRIBED\"");
	if (selection & LIST_SPECIAL_USE)
		buf_put_z(out, special);
	buf_put_z(out, "))");
}

/*
 * RFC 5819 2: STATUS follows what can be selected and meets the criteria; one that has gone meanwhile is told as
 * \Noselect. Where it cannot be looked at just now, LIST goes on without.
 */
static void
take_status(struct session *s, const struct listing *l, struct row *row, struct buf *out)
{
	enum store_result result;

	if (!(s->req.list.returns & RETURN_STATUS) || !row->info.selectable || !meets(l, &row->info))
		return;
	if (s->work.arena == NULL)
		s->work.arena = arena_new();
	arena_reset(s->work.arena);
	result = put_status(s, out, row->info.name, s->req.list.status_items, s->work.arena);
	if (result == STORE_NO_SUCH)
		row->info.selectable = false;
	else if (result != STORE_OK)
		log_warn(&s->log, "status_untold", KV("mailbox", row->info.name));
}

static void
list_row(struct session *s, const struct listing *l, struct row *row)
{
	const struct list_arguments *list = &s->req.list;
	scoped_buf attributes = BUF_INIT, status = BUF_INIT;

	take_status(s, l, row, &status);
	put_attributes(&attributes, s, row);
	if (!put_list_line(s, s->command->name, buf_str(&attributes), row->info.name))
		return;
	put_child_info(out_of(s), row, list->selection);
	buf_put_z(out_of(s), "\r\n");
	buf_put(out_of(s), buf_str(&status));
}

static enum next
list_rows(struct session *s)
{
	struct listing *l = s->work.own;
	struct row *row;

	for (; l->next < l->count; l->next++) {
		if (session_must_wait(s))
			return WAIT;
		row = &l->rows[l->next];
		if (is_selected(l, row, s->req.list.selection) && row_matches(l, row))
			list_row(s, l, row);
	}
	return finish_done(s);
}

enum next
cmd_list(struct session *s)
{
	const struct list_arguments *list = &s->req.list;
	struct listing *l;
	enum store_result result;

	/* RFC 3501 6.3.8: an empty pattern asks for the separator and the root. */
	if (!list->extended && list->patterns[0].sent.n == 0) {
		untagged(s, "%s (\\Noselect) \"/\" \"\"", s->command->name);
		return finish_done(s);
	}
	result = begin(s, list->selection & (LIST_SUBSCRIBED | LIST_SPECIAL_USE), &l);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	s->step = list_rows;
	return GO;
}

/* ---- LSUB ---- */

static void
lsub_row(struct session *s, const struct row *row)
{
	scoped_buf attributes = BUF_INIT;

	if (!row->info.subscribed)
		/* RFC 3501 6.3.9: "%" shows the level above a subscribed name, with \Noselect. */
		buf_put_z(&attributes, " \\Noselect");
	else if (row->info.exists)
		put_attributes(&attributes, s, row);
	if (put_list_line(s, s->command->name, buf_str(&attributes), row->info.name))
		buf_put_z(out_of(s), "\r\n");
}

static enum next
lsub_rows(struct session *s)
{
	struct listing *l = s->work.own;
	bool shows_levels = l->pattern_count > 0 && str_has_char(l->patterns[0], '%');
	const struct row *row;

	for (; l->next < l->count; l->next++) {
		if (session_must_wait(s))
			return WAIT;
		row = &l->rows[l->next];
		if ((row->info.subscribed || (shows_levels && row->child_meets)) &&
		    row_matches(l, row))
			lsub_row(s, row);
	}
	return finish_done(s);
}

enum next
cmd_lsub(struct session *s)
{
	struct listing *l;
	enum store_result result;

	if (s->req.list.patterns[0].sent.n == 0) {
		untagged(s, "LSUB (\\Noselect) \"/\" \"\"");
		return finish_done(s);
	}
	result = begin(s, LIST_SUBSCRIBED, &l);
	if (result != STORE_OK)
		return finish_result(s, result, ABOUT_MAILBOX);
	s->step = lsub_rows;
	return GO;
}

/* ---- NAMESPACE ---- */

enum next
cmd_namespace(struct session *s)
{
	struct str kept = account_kept_name(room_account(s));

	/* RFC 2342 5: one's own mailboxes, "/" between levels; nobody else's. The first is where new ones are made. */
	if (kept.n > 0)
		untagged(s, "NAMESPACE ((\"\" \"/\")(\"%.*s/\" \"/\")) NIL NIL", STR_ARG(kept));
	else
		untagged(s, "NAMESPACE ((\"\" \"/\")) NIL NIL");
	return finish_done(s);
}
