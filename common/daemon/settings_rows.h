/* SPDX-License-Identifier: ISC */
/* Private to settings*.c: the rows of settings.def as a table, and the kinds of values. */
#pragma once

#include "common/base/arena.h"
#include "common/daemon/settings.h"

enum setting_kind {
	KIND_text, KIND_path, KIND_number, KIND_size, KIND_time, KIND_yesno,
	KIND_times, KIND_list, KIND_listen, KIND_networks, KIND_COUNT
};

struct setting_row {
	const char *group;	/* a row with only this is the title of those below */
	const char *name;
	enum setting_kind kind;
	const char *default_text;
	const char *help;
	size_t at;		/* of the field in struct settings */
};

extern const struct setting_row setting_rows[];
extern const size_t setting_row_count;

/* Where values live, and what relative paths are relative to. */
struct setting_place {
	struct arena *arena;
	struct str folder;
};

enum { SETTING_ITEMS_MAX = 1000 };	/* in one list */

struct setting_kind_row {
	const char *expects;	/* "a number", for the message about a bad value */
	bool (*parse)(struct str text, const struct setting_place *, void *field);
	void (*put)(struct buf *out, const void *field);	/* parses back to the same */
	bool is_json_list;
	bool is_json_number;	/* of seconds, octets, ... */
};

extern const struct setting_kind_row setting_kinds[KIND_COUNT];

/* Checks that see more than one value's form; appends what is wrong, a line each. */
struct setting_faults {
	struct buf text;
	const char *path;
	const unsigned *lines;	/* of each row in the file, 0 where it is not set */
};
void setting_fault(struct setting_faults *, unsigned line, const char *format, ...)
	printf_like(3, 4);
void settings_check(const struct settings *, struct setting_faults *);
/* The index of a row by its name; setting_row_count where there is none. */
size_t setting_row_find(struct str name);
