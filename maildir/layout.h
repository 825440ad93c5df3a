/* SPDX-License-Identifier: ISC */
/*
 * What names look like on disk, pure: mailbox names to Maildir++ directories and
 * back, the names of message files, the letters of flags. Touches no file.
 */
#pragma once

#include "common/base/buf.h"

enum {
	DISK_NAME_MAX = 255,	/* NAME_MAX of every file system in use */
};

/* ---- mailboxes ---- */

/*
 * The form names are kept in: one trailing '/' dropped, a first level "inbox" of any case
 * becomes INBOX, normalization form C. False: no mailbox can have this name (bad UTF-8, control characters,
 * empty levels, '%' or '*', over a limit, longer than the disk takes). out is emptied first.
 */
must_check bool layout_name(struct str given, struct buf *out);
/* Appends "." for INBOX and ".Parent.Child" else; the name is one layout_name made. */
void layout_put_dir(struct buf *out, struct str name);
/*
 * The name of a directory ".Parent.Child". False: not a mailbox (".trivet", a name that
 * layout_name refuses). *canonical: layout_put_dir gives this very directory.
 */
must_check bool layout_name_of_dir(struct str dir, struct buf *name, bool *canonical);
/* The level above, or an empty str. */
struct str layout_parent(struct str name);
bool layout_is_inbox(struct str name);
/* Is name below parent, at whatever depth? */
bool layout_is_below(struct str name, struct str parent);

/* ---- message files: time.unique.host,S=size,W=wire,U=uid:2,FLAGS ---- */

struct file_name {
	struct str base;	/* before ":2," */
	struct str prefix;	/* before the first ",S=", ",W=" or ",U=": the same all its life */
	struct str letters;	/* after ":2,"; may be empty */
	bool has_size;
	bool has_wire;
	bool has_uid;
	uint64_t size;
	uint64_t wire;
	uint32_t uid;
};

/* False: not a message's name ('.' in front, nothing before the fields). */
must_check bool file_name_parse(struct str name, struct file_name *out);
/* When it was made, as its name says: seconds since 1970. False where it does not, or says what no date is. */
must_check bool file_name_time(struct str name, int64_t *out);
void file_name_put_base(struct buf *out, struct str prefix, uint64_t size, uint64_t wire,
    uint32_t uid);
/* base + ":2," + letters */
void file_name_put(struct buf *out, struct str base, struct str letters);

/* ---- flags in names ---- */

enum { LETTER_NONE = '-', LETTER_PASSED = 'P' };

/* Letters are sets written in order of bytes, each once. */
void letters_put_sorted(struct buf *out, struct str letters);
/* System flags of store.h as letters and back; other letters are passed over. */
void letters_put_flags(struct buf *out, uint32_t flags);
uint32_t letters_flags(struct str letters);
bool letter_is_flag(char letter);
