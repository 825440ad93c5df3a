/* SPDX-License-Identifier: ISC */
/*
 * The only way from this floor to the disk (SQLite's is index_vfs.c): paths relative to
 * an account's directory through openat2, so that no link is followed and nothing
 * outside is reached, and no FIFO or device ever opened.
 */
#pragma once

#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "maildir/store.h"

/* What errno means to a client; logs it with the path, unless it is ENOENT. */
enum store_result files_failed(const struct log *, const char *doing, struct str path);

/* openat2 beneath dir; -1 with errno. Never follows a link in any part of the path. */
int files_open(int dir, const char *path, int flags, mode_t mode);
/* A directory, for reading its names and as a base for more. */
int files_open_dir(int dir, const char *path);
/*
 * A regular file for reading; anything else, and another user's file that was linked here, is -1 with errno ELOOP
 * or EINVAL.
 */
int files_open_message(int dir, const char *name);
/* The same, and how many octets it has. */
int files_open_measured(int dir, const char *name, uint64_t *size);
/* Does a thing lie there that is no file of ours: no regular one, or one that has another name besides? */
bool files_is_planted(int dir, const char *name);
/* Gives a file or directory another name beside it, removes anything else, and logs that. */
must_check bool files_set_aside(const struct log *, int dir, const char *name);
/* Makes the directory if it is missing, then opens it. */
int files_make_dir(int dir, const char *path);
/* Is there a regular file of this plain name? *size and *mtime only if so. */
bool files_stat(int dir, const char *name, uint64_t *size, int64_t *mtime);
/* Modification time of an open directory in ns; 0 where it cannot be had. */
int64_t files_mtime_ns(int dir);

/*
 * A number by which a file (of this plain name, or the descriptor itself where name is "") is told from its copies: it
 * stays over a rename and over writes, and no copy has it. When it was made, in ns; or, negative, its inode's number where
 * the file system does not know that, which another file may have had before. 0: cannot be had.
 */
int64_t files_identity(int dir, const char *name);
/*
 * Has somebody set its times, as who puts a backup back over a file does? Writing sets both alike. False where it cannot
 * be told.
 */
bool files_times_set(int dir, const char *name);

/* Whole content, at most limit bytes. False with errno. */
must_check bool files_read_all(int fd, size_t limit, struct buf *out);
must_check bool files_read_at(int fd, uint64_t from, size_t n, struct buf *out);
must_check bool files_write(int fd, struct str bytes);

/* Have these open files the same octets? False where they cannot be read. */
must_check bool files_same(int one, int other);

/* Calls see for each name except "." and ".."; stops early where it says false. */
typedef bool files_see(void *arg, struct str name);
must_check bool files_list(int dir, files_see *see, void *arg);

/* Removes a directory tree of ours (a deleted mailbox). True when nothing is left. */
bool files_remove_tree(int dir, const char *name);
