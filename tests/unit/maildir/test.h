/* SPDX-License-Identifier: ISC */
/* A throw-away account in a real directory, and short ways to what tests do all the time. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/log.h"
#include "maildir/store.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))
#define assert_ok(call) assert_int_equal((call), STORE_OK)

#define MAIL "From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: hello\r\n" \
	"Date: Sat, 21 Nov 2026 18:48:32 +0000\r\nMessage-ID: <1@a.test>\r\n\r\nHi Bob\r\n"

struct site {
	char path[64];
	struct account *account;
	struct arena *arena;
};

static inline void
quiet_log(struct str line)
{
	if (getenv("TRIVET_TEST_LOG") != NULL)
		(void)!write(2, line.p, line.n);
}

static inline struct account *
open_account(const char *path, const char *daemon, uint64_t quota)
{
	struct account *a = NULL;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_ok(account_open(fd, &(struct account_options){ .address = STR("u@example.test"),
	    .daemon = daemon, .quota_bytes = quota, .snapshot_from = 1 }, &a));
	return a;
}

static inline struct site *
site_new_in(const char *folder)
{
	struct site *s = calloc(1, sizeof(*s));

	log_set_sink(quiet_log);
	snprintf(s->path, sizeof(s->path), "%s/trivet-test-XXXXXX", folder);
	assert_non_null(mkdtemp(s->path));
	s->account = open_account(s->path, "imapd", 0);
	s->arena = arena_new();
	return s;
}

static inline struct site *
site_new(void)
{
	return site_new_in("/tmp");
}

/* Where syncs cost nothing. */
static inline struct site *
site_new_in_memory(void)
{
	return site_new_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline void
site_reopen(struct site *s)
{
	account_close(s->account);
	s->account = open_account(s->path, "imapd", 0);
}

static inline void
site_free(struct site *s)
{
	char command[128];

	account_close(s->account);
	arena_free(s->arena);
	snprintf(command, sizeof(command), "rm -rf %s", s->path);
	assert_int_equal(system(command), 0);
	free(s);
}

static inline uint32_t
put(struct account *a, const char *mailbox, struct str text, struct flags flags)
{
	struct append *p = NULL;
	struct appended done = { 0 };

	assert_ok(append_begin(a, &(struct append_options){ .mailbox = str_of(mailbox),
	    .flags = flags, .internal_date = 1700000000 }, &p));
	assert_ok(append_write(p, text));
	assert_ok(append_publish(p, true, &done));
	return done.uid;
}

static inline uint32_t
put_mail(struct account *a, const char *mailbox)
{
	return put(a, mailbox, STR(MAIL), (struct flags){ 0 });
}

static inline struct mailbox *
open_box(struct account *a, const char *name)
{
	struct mailbox *m = NULL;

	assert_ok(mailbox_open(a, str_of(name), MAILBOX_READ_WRITE, &m));
	return m;
}

static inline struct uid_set
one_range(struct arena *arena, uint32_t first, uint32_t last)
{
	struct uid_range *range = arena_one(arena, struct uid_range);

	*range = (struct uid_range){ first, last };
	return (struct uid_set){ range, 1 };
}

static inline void
set_flags(struct site *s, struct mailbox *m, uint32_t uid, enum flag_change how, uint32_t flags,
    const char *keyword)
{
	struct str word = str_of(keyword);
	struct uid_set set = one_range(s->arena, uid, uid);
	struct stored stored;

	assert_ok(mailbox_store(m, &set, how, &(struct flags){ flags, &word, keyword != NULL }, UINT64_MAX,
	    s->arena, &stored));
}

static inline struct message
message_of(struct mailbox *m, uint32_t seq)
{
	struct message out = { 0 };

	assert_true(mailbox_message(m, seq, &out));
	return out;
}

/* The first name in a directory of the account that holds `part`; "" where there is none. */
static inline const char *
find_name(struct site *s, const char *dir, const char *part)
{
	static char found[300];
	char path[200];
	struct dirent *e;
	DIR *d;

	found[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", s->path, dir);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && strstr(e->d_name, part) != NULL)
			snprintf(found, sizeof(found), "%s", e->d_name);
	if (d != NULL)
		closedir(d);
	return found;
}

static inline size_t
count_files(struct site *s, const char *dir)
{
	char path[200];
	struct dirent *e;
	size_t n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", s->path, dir);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static inline void
write_file(struct site *s, const char *name, struct str text)
{
	char path[500];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	close(fd);
}

static inline void
shell(struct site *s, const char *command)
{
	char line[1200];

	snprintf(line, sizeof(line), "cd %s && %s", s->path, command);
	assert_int_equal(system(line), 0);
}

/* Changes as letters: "X3" expunged 3, "E5" exists 5, "F2" flags of 2, "K". */
static inline const char *
changes(struct mailbox *m, bool hold)
{
	static char text[400];
	struct change c;
	size_t n = 0;

	text[0] = '\0';
	while (n < sizeof(text) - 20 && mailbox_next_change(m, hold, &c)) {
		static const char letter[] = "XEFK";

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c", n ? " " : "",
		    letter[c.kind]);
		if (c.kind != CHANGE_KEYWORDS)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%u", c.seq);
	}
	return text;
}
