/* SPDX-License-Identifier: ISC */
/*
 * The configuration, trivet.conf(5): one plain file for the three daemons. Every
 * setting is one row of settings.def; the struct below, the check of the file, the sample file
 * and the manual page all come from those rows.
 */
#pragma once

#include "common/base/buf.h"
#include "common/net/address.h"

/* Words or addresses, in the order of the file. */
struct setting_list {
	const char **words;	/* NUL-terminated */
	size_t count;
};

struct setting_listen {
	struct net_address *addresses;	/* with ports */
	size_t count;
};

struct setting_networks {
	struct net_network *networks;
	size_t count;
};

struct setting_times {
	uint32_t *seconds;
	size_t count;
};

/* The C type of a field by the kind in its row. */
typedef const char *setting_text_type;		/* "" where not set */
typedef const char *setting_path_type;		/* absolute; relative ones are relative to the file's folder */
typedef uint32_t setting_number_type;
typedef uint64_t setting_size_type;		/* octets; in the file with k, M, G */
typedef uint32_t setting_time_type;		/* seconds; in the file with s, m, h, d */
typedef bool setting_yesno_type;		/* yes, no */
typedef struct setting_times setting_times_type;	/* "5m,15m,30m" */
typedef struct setting_list setting_list_type;		/* separated by commas or blanks */
typedef struct setting_listen setting_listen_type;	/* "127.0.0.1:25, [::1]:25, *:25"; empty: not listening */
typedef struct setting_networks setting_networks_type;	/* "192.0.2.0/24, 2001:db8::/32" */

struct settings {
#define SETTING(kind, name, default_text, help) setting_##kind##_type name;
#define SETTING_GROUP(title)
#include "common/daemon/settings.def"
#undef SETTING
#undef SETTING_GROUP
	const char *config_path;
};

/*
 * Reads and checks the file (NULL: SYSCONFDIR/trivet/trivet.conf). On failure NULL, and *why (heap)
 * says file, line, setting, what was expected and what to do, one line for each fault.
 */
must_check struct settings *settings_read(const char *path, char **why);
/*
 * The same of text that stands for the file of that absolute path; pure: an empty hostname stays
 * empty, nothing is looked up.
 */
must_check struct settings *settings_parse(const char *path, struct str text, char **why);
/* settings_read, and the octets of the file for those who cannot read it, into *text. */
must_check struct settings *settings_read_text(const char *path, struct buf *text, char **why);
/* They make the same of it; host_name is what settings_read found (->hostname). */
must_check struct settings *settings_parse_for(const char *path, struct str text, struct str host_name,
    char **why);
void settings_free(struct settings *);
/* A commented sample with every setting at its default; the rows in trivet.conf(5)'s notation. */
void settings_put_sample(struct buf *out);
void settings_put_manual(struct buf *out);
/* What is in force, "name = value" a line, or as JSON. */
void settings_put_values(struct buf *out, const struct settings *, bool json);
/* Sizes in the notation of the file: "500k", "2G"; for other places where people write them. */
must_check bool settings_parse_size(struct str text, uint64_t *octets);
void settings_put_size(struct buf *out, uint64_t octets);
