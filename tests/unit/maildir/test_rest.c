/* SPDX-License-Identifier: ISC */
/* An account that rests has its index closed; nobody who asks it anything can tell. */
#include "tests/unit/maildir/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "maildir/index_memory.h"
#include "maildir/search_db.h"
#include "tests/unit/maildir/rest.h"

static struct site *
site_with(unsigned messages, struct mailbox **m)
{
	struct site *s = site_new();

	for (unsigned i = 0; i < messages; i++)
		put_mail(s->account, "INBOX");
	*m = open_box(s->account, "INBOX");
	return s;
}

/* In another process, as another daemon's keeper. */
static void
elsewhere(struct site *s, void (*run)(struct site *))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* What was inherited is the parent's: its socket's name must not go. */
		s->account = open_account(s->path, "pop3d", 0);
		run(s);
		account_close(s->account);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool
is_asleep(const struct account *a)
{
	return account_rests(a) && a->db == NULL && a->search == NULL;
}

static void
deliver_and_flag(struct site *s)
{
	struct mailbox *m = open_box(s->account, "INBOX");

	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, "Work");
	set_flags(s, m, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
	put_mail(s->account, "INBOX");
}

static void
what_changed_while_it_rested_is_told_as_ever(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	struct account *a = s->account;
	unsigned generation = a->generation;
	uint64_t version = m->folder->box.modseq;

	(void)state;
	assert_true(let_rest(a));
	assert_true(is_asleep(a));
	assert_int_equal(account_work_due_ms(a) < 0 || account_work_due_ms(a) > 500, true);
	assert_int_equal(m->folder->box.modseq, version);
	elsewhere(s, deliver_and_flag);
	account_on_event(a);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "X2 K F1 E3");
	assert_int_equal(a->generation, generation);
	assert_int_equal(mailbox_exists(m), 3);
	assert_int_equal(message_of(m, 1).flags, FLAG_SEEN);
	assert_false(account_rests(a));
	assert_true(account_work_due_ms(a) >= 0);
	mailbox_close(m);
	site_free(s);
}

static void
nothing_that_changed_is_told_as_nothing(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	unsigned generation = s->account->generation;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(let_rest(s->account));
		assert_ok(mailbox_refresh(m));
		assert_string_equal(changes(m, false), "");
		put_mail(s->account, "INBOX");
		assert_ok(mailbox_refresh(m));
		assert_true(strchr(changes(m, false), 'E') != NULL);
	}
	assert_int_equal(s->account->generation, generation);
	assert_int_equal(mailbox_exists(m), 8);
	mailbox_close(m);
	site_free(s);
}

/* ---- whoever asks first ---- */

static void
list(struct site *s, struct mailbox *m)
{
	struct mailbox_info *all;
	size_t count;

	(void)m;
	assert_ok(account_list(s->account, s->arena, &all, &count));
	assert_true(count > 0);
}

static void
status(struct site *s, struct mailbox *m)
{
	struct mailbox_info info;

	(void)m;
	assert_ok(mailbox_status(s->account, STR("INBOX"), s->arena, &info));
}

static void
usage(struct site *s, struct mailbox *m)
{
	struct usage u;

	(void)m;
	assert_ok(account_usage(s->account, &u));
	assert_true(u.messages >= 3);
}

static void
texts(struct site *s, struct mailbox *m)
{
	struct str text[TEXT_COUNT];

	(void)s;
	assert_ok(message_texts(m, 1, 1 << TEXT_ENVELOPE | 1 << TEXT_HEADER, text));
	assert_true(str_find(text[TEXT_HEADER], STR("hello")) < text[TEXT_HEADER].n);
}

static void
content(struct site *s, struct mailbox *m)
{
	struct content *c;
	struct str bytes;

	(void)s;
	assert_ok(content_open(m, 1, &c));
	assert_ok(content_bytes(c, &bytes));
	content_close(c);
}

static void
store(struct site *s, struct mailbox *m)
{
	set_flags(s, m, 1, FLAGS_ADD, FLAG_FLAGGED, NULL);
}

static void
copy(struct site *s, struct mailbox *m)
{
	struct uid_set set = one_range(s->arena, 1, 1);
	struct copied c;

	assert_ok(mailbox_copy(m, &set, STR("INBOX"), s->arena, &c));
}

static void
expunge(struct site *s, struct mailbox *m)
{
	(void)s;
	assert_ok(mailbox_expunge(m, NULL));
}

static void
vanished(struct site *s, struct mailbox *m)
{
	struct uid_set gone;

	assert_ok(mailbox_vanished(m, 1, s->arena, &gone));
}

static void
add(struct site *s, struct mailbox *m)
{
	(void)m;
	put_mail(s->account, "INBOX");
}

static void
make(struct site *s, struct mailbox *m)
{
	(void)m;
	assert_ok(mailbox_create(s->account, STR("Made"), 0));
}

static void
open_another(struct site *s, struct mailbox *m)
{
	(void)m;
	mailbox_close(open_box(s->account, "INBOX"));
}

static void
close_and_open(struct site *s, struct mailbox *m)
{
	(void)m;
	site_reopen(s);
}

static void
whoever_asks_first_finds_it_open(void **state)
{
	static void (*const asks[])(struct site *, struct mailbox *) = { list, status, usage, texts, content, store, copy,
	    expunge, vanished, add, make, open_another };
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	unsigned generation = s->account->generation;

	(void)state;
	for (size_t i = 0; i < countof(asks); i++) {
		assert_true(let_rest(s->account));
		asks[i](s, m);
		assert_int_equal(s->account->generation, generation);
	}
	mailbox_close(m);
	assert_true(let_rest(s->account));
	close_and_open(s, NULL);
	usage(s, NULL);
	site_free(s);
}

static void
a_mailbox_that_is_closed_while_it_rests_keeps_its_rows(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, NULL);
	assert_true(let_rest(s->account));
	mailbox_close(m);
	assert_string_not_equal(find_name(s, ".trivet", "snapshot."), "");
	m = open_box(s->account, "INBOX");
	assert_int_equal(message_of(m, 1).flags, FLAG_SEEN);
	mailbox_close(m);
	site_free(s);
}

/* ---- the file is another ---- */

static void
expect_new_index(struct site *s, struct mailbox *m)
{
	unsigned generation = s->account->generation;

	assert_ok(mailbox_refresh(m));
	(void)changes(m, false);
	assert_true(s->account->generation != generation);
	assert_int_equal(mailbox_exists(m), 3);
	assert_int_equal(message_of(m, 2).uid, 2);
	assert_int_equal(put_mail(s->account, "INBOX") > 3, true);
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E4");
}

static void
an_index_that_went_while_it_rested_is_made_anew(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	assert_true(let_rest(s->account));
	shell(s, "rm .trivet/index.db*");
	expect_new_index(s, m);
	assert_true(let_rest(s->account));
	assert_ok(mailbox_refresh(m));
	mailbox_close(m);
	site_free(s);
}

static void
look_only(struct site *s)
{
	mailbox_close(open_box(s->account, "INBOX"));
}

/* Its inode's number may be the very same. */
static void
and_so_is_one_that_another_process_has_made_meanwhile(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	assert_true(let_rest(s->account));
	shell(s, "rm .trivet/index.db*");
	elsewhere(s, look_only);
	expect_new_index(s, m);
	mailbox_close(m);
	site_free(s);
}

/* Who is not the first to notice is told to try again, and finds a new one then. */
static void
who_asks_in_the_midst_of_something_does_not_go_on_in_another_index(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	scoped_box box = BOX_NONE;

	(void)state;
	assert_true(let_rest(s->account));
	shell(s, "rm .trivet/index.db*");
	assert_int_equal(box_get(s->account, 1, &box), STORE_BUSY);
	assert_int_equal(box_get(s->account, 1, &box), STORE_BUSY);
	expect_new_index(s, m);
	mailbox_close(m);
	site_free(s);
}

static void
a_broken_index_is_found_out(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	assert_true(let_rest(s->account));
	shell(s, "dd if=/dev/zero of=.trivet/index.db bs=4k count=1 conv=notrunc 2>/dev/null");
	expect_new_index(s, m);
	mailbox_close(m);
	site_free(s);
}

/* ---- it cannot be opened ---- */

static void
what_cannot_be_opened_now_is_not_lost(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	struct rlimit all, none;
	unsigned generation = s->account->generation;

	(void)state;
	assert_true(let_rest(s->account));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = all;
	none.rlim_cur = (rlim_t)dup(0);
	close((int)none.rlim_cur);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(mailbox_refresh(m), STORE_BUSY);
	assert_int_equal(mailbox_refresh(m), STORE_BUSY);
	assert_true(account_rests(s->account));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_ok(mailbox_refresh(m));
	assert_int_equal(s->account->generation, generation);
	assert_string_equal(changes(m, false), "");
	mailbox_close(m);
	site_free(s);
}

/* Where the disk may be full: SQLite makes a file when it opens one. */
static void
without_room_set_aside_it_stays_open(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	shell(s, "rm -f .trivet/reserve.* && mkdir .trivet/reserve.0");
	s->account->reserve_kept = false;
	assert_false(let_rest(s->account));
	assert_non_null(s->account->db);
	assert_ok(mailbox_refresh(m));
	shell(s, "rmdir .trivet/reserve.0");
	s->account->sweep_due = 1;
	assert_true(let_rest(s->account));
	mailbox_close(m);
	site_free(s);
}

/* ---- what does not wake it ---- */

static void
a_look_at_directories_where_nothing_moved_does_not_wake_it(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	struct account *a = s->account;

	(void)state;
	/* No inotify here. */
	m->folder->watch_tried = true;
	usleep(100 * 1000);	/* the tick in which the last message came is over */
	assert_ok(mailbox_refresh(m));
	a->poll_due = 1;
	(void)account_work(a);
	assert_true(let_rest(a));
	(void)account_take_news(a);
	for (int i = 0; i < 3; i++) {
		a->poll_due = 1;
		(void)account_work(a);
		assert_false(account_take_news(a));
		assert_true(account_rests(a));
	}
	shell(s, "printf 'Subject: x\\n\\nx\\n' > new/1.x.y");
	a->poll_due = 1;
	(void)account_work(a);
	assert_true(account_take_news(a));
	assert_false(account_take_news(a));
	assert_ok(mailbox_refresh(m));
	assert_string_equal(changes(m, false), "E4");
	mailbox_close(m);
	site_free(s);
}

static void
it_rests_only_when_nobody_asked(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);
	struct account *a = s->account;

	(void)state;
	assert_true(let_rest(a));
	for (int i = 0; i < 3; i++) {
		assert_ok(mailbox_refresh(m));
		a->rest_due = 1;
		(void)account_work(a);
		assert_non_null(a->db);
	}
	a->rest_due = 1;
	(void)account_work(a);
	assert_true(is_asleep(a));
	mailbox_close(m);
	site_free(s);
}

static void
sqlite_has_no_memory_then(void **state)
{
	struct mailbox *m;
	struct site *s = site_with(3, &m);

	(void)state;
	assert_non_null(search_db(s->account, true));
	texts(s, m);
	assert_true(sqlite3_memory_used() > 0);
	assert_true(let_rest(s->account));
	assert_int_equal(sqlite3_memory_used(), 0);
	texts(s, m);
	assert_non_null(search_db(s->account, false));
	mailbox_close(m);
	site_free(s);
}

/* Its memory is ours to manage (maildir/index_memory.h). */
static void
what_sqlite_takes_keeps_its_content_whatever_its_size(void **state)
{
	enum { PIECES = 200, ROUNDS = 20000, LARGEST = 16000 };
	static struct { unsigned char *p; int n; } piece[PIECES];
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int i, n;

		random = random * 1664525 + 1013904223;
		i = (int)(random >> 8) % PIECES;
		random = random * 1664525 + 1013904223;
		n = 1 + (int)(random >> 8) % (round % 3 == 0 ? LARGEST : 400);
		for (int k = 0; k < piece[i].n; k++)
			assert_int_equal(piece[i].p[k], (unsigned char)(i + k));
		if (round % 5 == 0) {
			sqlite3_free(piece[i].p);
			piece[i].p = NULL;
			piece[i].n = 0;
			continue;
		}
		piece[i].p = sqlite3_realloc(piece[i].p, n);
		assert_non_null(piece[i].p);
		assert_true(sqlite3_msize(piece[i].p) >= (sqlite3_uint64)n);
		assert_int_equal((uintptr_t)piece[i].p % 8, 0);
		for (int k = piece[i].n < n ? piece[i].n : n; k-- > 0;)
			assert_int_equal(piece[i].p[k], (unsigned char)(i + k));
		for (int k = 0; k < n; k++)
			piece[i].p[k] = (unsigned char)(i + k);
		piece[i].n = n;
		index_memory_rest();	/* takes nothing that is held */
	}
	for (int i = 0; i < PIECES; i++)
		sqlite3_free(piece[i].p);
	assert_int_equal(sqlite3_memory_used(), 0);
	index_memory_rest();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changed_while_it_rested_is_told_as_ever),
		cmocka_unit_test(nothing_that_changed_is_told_as_nothing),
		cmocka_unit_test(whoever_asks_first_finds_it_open),
		cmocka_unit_test(a_mailbox_that_is_closed_while_it_rests_keeps_its_rows),
		cmocka_unit_test(an_index_that_went_while_it_rested_is_made_anew),
		cmocka_unit_test(and_so_is_one_that_another_process_has_made_meanwhile),
		cmocka_unit_test(who_asks_in_the_midst_of_something_does_not_go_on_in_another_index),
		cmocka_unit_test(a_broken_index_is_found_out),
		cmocka_unit_test(what_cannot_be_opened_now_is_not_lost),
		cmocka_unit_test(without_room_set_aside_it_stays_open),
		cmocka_unit_test(a_look_at_directories_where_nothing_moved_does_not_wake_it),
		cmocka_unit_test(it_rests_only_when_nobody_asked),
		cmocka_unit_test(sqlite_has_no_memory_then),
		cmocka_unit_test(what_sqlite_takes_keeps_its_content_whatever_its_size),
	};

	store_preload();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
