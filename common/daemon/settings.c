/* SPDX-License-Identifier: ISC */
/*
 * Reads trivet.conf(5): lines "name = value", comments from # at the start of a line. A file is
 * taken whole or not at all, and every fault in it is told at once. The rows are settings.def.
 */
#include "common/daemon/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/utf8.h"
#include "common/daemon/host_name.h"
#include "common/daemon/settings_rows.h"

enum { FILE_MAX = 1024 * 1024, NAME_SHOWN_MAX = 64 };

const struct setting_row setting_rows[] = {
#define SETTING(kind, name, default_text, help) \
	{ NULL, #name, KIND_##kind, default_text, help, offsetof(struct settings, name) },
#define SETTING_GROUP(title) { .group = title },
#include "common/daemon/settings.def"
#undef SETTING
#undef SETTING_GROUP
};
const size_t setting_row_count = countof(setting_rows);

/* What the callers hold is the first member: one arena has all of it. */
struct settings_owner {
	struct settings settings;
	struct arena *arena;
};

struct reading {
	struct settings_owner *owner;
	struct setting_place place;
	struct setting_faults faults;
	unsigned lines[countof(setting_rows)];
};

static void read_defaults(struct reading *);
static void read_line(struct reading *, struct str line, unsigned number);
static void unknown_setting(struct reading *, struct str name, unsigned number);

size_t
setting_row_find(struct str name)
{
	size_t i = 0;

	while (i < setting_row_count
	    && (setting_rows[i].name == NULL || !str_eq(str_of(setting_rows[i].name), name)))
		i++;
	return i;
}

void
setting_fault(struct setting_faults *faults, unsigned line, const char *format, ...)
{
	va_list list;

	buf_put_z(&faults->text, faults->path);
	if (line != 0)
		buf_printf(&faults->text, ":%u", line);
	buf_put_z(&faults->text, ": ");
	va_start(list, format);
	buf_vprintf(&faults->text, format, list);
	va_end(list);
	buf_put_c(&faults->text, '\n');
}

/* The text of faults as the caller's *why, without the last end of line. */
static char *
faults_take(struct setting_faults *faults)
{
	struct str text = str_trim(buf_str(&faults->text));
	char *why = str_dup(text);

	buf_free(&faults->text);
	return why;
}

struct settings *
settings_parse(const char *path, struct str text, char **why)
{
	struct reading r = { .owner = xcalloc(1, sizeof(*r.owner)) };
	struct settings *settings = &r.owner->settings;
	struct str line;
	unsigned number = 0;

	r.owner->arena = arena_new();
	settings->config_path = arena_str(r.owner->arena, str_of(path)).p;
	r.place.arena = r.owner->arena;
	r.place.folder = str_sub(str_of(path), 0, str_last_index(str_of(path), '/'));
	r.faults.path = settings->config_path;
	r.faults.lines = r.lines;
	read_defaults(&r);
	if (str_starts(text, STR("\xef\xbb\xbf")))	/* some editors' byte order mark */
		text = str_from(text, 3);
	while (str_cut(&text, '\n', &line))
		read_line(&r, str_trim(line), ++number);
	if (r.faults.text.n == 0)
		settings_check(settings, &r.faults);
	if (r.faults.text.n == 0) {
		buf_free(&r.faults.text);
		return settings;
	}
	*why = faults_take(&r.faults);
	settings_free(settings);
	return NULL;
}

static void
read_defaults(struct reading *r)
{
	for (size_t i = 0; i < setting_row_count; i++) {
		const struct setting_row *row = &setting_rows[i];

		if (row->name != NULL && !setting_kinds[row->kind].parse(str_of(row->default_text),
		    &r->place, (char *)&r->owner->settings + row->at))
			fatal("the default of %s is no valid value", row->name);
	}
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_control(s.p[i]) && s.p[i] != '\t')
			return true;
	return false;
}

static void
read_value(struct reading *r, const struct setting_row *row, struct str value, unsigned number)
{
	const struct setting_kind_row *kind = &setting_kinds[row->kind];

	if (has_control(value))
		setting_fault(&r->faults, number, "%s: the value holds a control character",
			row->name);
	else if (!utf8_valid(value))
		setting_fault(&r->faults, number, "%s: the value is not UTF-8", row->name);
	else if (!kind->parse(value, &r->place, (char *)&r->owner->settings + row->at))
		setting_fault(&r->faults, number, "%s: expected %s, not \"%.*s\"", row->name,
			kind->expects, STR_ARG(str_sub(value, 0, NAME_SHOWN_MAX)));
}

static void
read_line(struct reading *r, struct str line, unsigned number)
{
	struct str name, value;
	size_t i;

	if (line.n == 0 || line.p[0] == '#')
		return;
	name = str_trim(str_sub(line, 0, str_index(line, '=')));
	value = str_trim(str_from(line, str_index(line, '=') + 1));
	i = setting_row_find(name);
	if (i == setting_row_count) {
		unknown_setting(r, name, number);
		return;
	}
	if (!str_has_char(line, '=')) {
		setting_fault(&r->faults, number, "%s: expected \"%s = VALUE\"",
			setting_rows[i].name, setting_rows[i].name);
		return;
	}
	if (r->lines[i] != 0) {
		setting_fault(&r->faults, number,
			"%s: is set in line %u already; keep one of the two",
			setting_rows[i].name, r->lines[i]);
		return;
	}
	r->lines[i] = number;
	read_value(r, &setting_rows[i], value, number);
}

static size_t
smallest(size_t a, size_t b, size_t c)
{
	size_t n = a < b ? a : b;

	return n < c ? n : c;
}

/* How many letters to add, drop or change (Levenshtein); both at most NAME_SHOWN_MAX long. */
static size_t
distance(struct str a, struct str b)
{
	size_t row[NAME_SHOWN_MAX + 1], corner, above;

	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			above = row[j];
			row[j] = smallest(above + 1, row[j - 1] + 1,
				corner + (ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1])));
			corner = above;
		}
	}
	return row[b.n];
}

static const char *
nearest_name(struct str name)
{
	const char *best = NULL;
	size_t best_distance = name.n / 3 + 2, d;

	for (size_t i = 0; name.n <= NAME_SHOWN_MAX && i < setting_row_count; i++) {
		if (setting_rows[i].name == NULL)
			continue;
		d = distance(name, str_of(setting_rows[i].name));
		if (d < best_distance) {
			best_distance = d;
			best = setting_rows[i].name;
		}
	}
	return best;
}

static void
unknown_setting(struct reading *r, struct str name, unsigned number)
{
	const char *nearest = nearest_name(name);
	struct str shown = str_sub(name, 0, NAME_SHOWN_MAX);

	if (has_control(shown) || !utf8_valid(name))
		setting_fault(&r->faults, number,
			"expected \"NAME = VALUE\", found what is no text");
	else if (nearest != NULL)
		setting_fault(&r->faults, number,
			"there is no setting \"%.*s\"; is %s meant?", STR_ARG(shown), nearest);
	else
		setting_fault(&r->faults, number,
			"there is no setting \"%.*s\"; see trivet.conf(5) for all of them",
			STR_ARG(shown));
}

/* Absolute, so that a daemon that changed its folder still finds it. */
static char *
absolute_path(const char *path)
{
	scoped_buf out = BUF_INIT;
	char *here;

	if (path[0] != '/') {
		here = getcwd(NULL, 0);
		buf_put_z(&out, here != NULL ? here : "");
		buf_put_c(&out, '/');
		free(here);
	}
	buf_put_z(&out, path);
	return str_dup(buf_str(&out));
}

static bool
read_file(const char *path, struct buf *out, char **why)
{
	scoped_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 0;

	while (fd >= 0 && out->n <= FILE_MAX) {
		n = read(fd, buf_room(out, 16384), 16384);
		if (n <= 0)
			break;
		buf_added(out, (size_t)n);
	}
	if (n < 0 && errno == ENOENT && asprintf(why, "%s: there is no such file; make one with "
	    "\"trivet settings --sample\" or name another with -c", path) < 0)
		fatal("out of memory");
	else if (n < 0 && errno != ENOENT
	    && asprintf(why, "%s: cannot be read: %s", path, strerror(errno)) < 0)
		fatal("out of memory");
	else if (n >= 0 && out->n > FILE_MAX
	    && asprintf(why, "%s: is larger than %d octets", path, (int)FILE_MAX) < 0)
		fatal("out of memory");
	return n >= 0 && out->n <= FILE_MAX;
}

static bool
find_own_name(struct settings *settings, char **why)
{
	struct settings_owner *owner = (struct settings_owner *)settings;
	scoped_buf name = BUF_INIT;

	if (settings->hostname[0] != '\0')
		return true;
	if (host_name_own(&name)) {
		settings->hostname = arena_str(owner->arena, buf_str(&name)).p;
		return true;
	}
	if (asprintf(why, "%s: hostname: this machine has no valid name of its own; "
	    "set hostname", settings->config_path) < 0)
		fatal("out of memory");
	return false;
}

struct settings *
settings_read(const char *path, char **why)
{
	scoped_buf text = BUF_INIT;

	return settings_read_text(path, &text, why);
}

struct settings *
settings_parse_for(const char *path, struct str text, struct str host_name, char **why)
{
	struct settings *settings = settings_parse(path, text, why);

	if (settings != NULL && settings->hostname[0] == '\0')
		settings->hostname = arena_str(((struct settings_owner *)settings)->arena, host_name).p;
	return settings;
}

struct settings *
settings_read_text(const char *path, struct buf *text, char **why)
{
	char *full = absolute_path(path != NULL ? path : SYSCONFDIR "/trivet/trivet.conf");
	struct settings *settings = NULL;

	if (read_file(full, text, why))
		settings = settings_parse(full, buf_str(text), why);
	free(full);
	if (settings != NULL && !find_own_name(settings, why)) {
		settings_free(settings);
		settings = NULL;
	}
	return settings;
}

void
settings_free(struct settings *settings)
{
	struct settings_owner *owner = (struct settings_owner *)settings;

	if (owner == NULL)
		return;
	arena_free(owner->arena);
	free(owner);
}
