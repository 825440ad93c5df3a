/* SPDX-License-Identifier: ISC */
/* search.db damaged, of another version, taken away, planted or filled with nonsense: no answer is another for it. */
#include <sys/wait.h>

#include "maildir/private.h"
#include "maildir/search_db.h"
#include "tests/unit/maildir/search_site.h"

static void
a_damaged_one_is_thrown_away(void **state)
{
	char path[200];
	size_t before;
	int fd;

	(void)state;
	fill(300);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	before = count_found(SEARCH_BODY, "", "회의");
	assert_true(before > 0);
	site_reopen(site);
	snprintf(path, sizeof(path), "%s/.trivet/search.db", site->path);
	for (off_t at = 0; at < 24 * 8192; at += 4 * 8192) {
		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, "damaged by somebody", 19, at), 19);
		close(fd);
		assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
		if (at % 5 == 0)
			build();
		assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
		site_reopen(site);
	}
}

static void
one_of_another_version_is_thrown_away(void **state)
{
	struct search_db *db;
	size_t before;

	(void)state;
	fill(20);
	before = count_found(SEARCH_BODY, "", "회의");
	db = search_db(site->account, false);
	assert_non_null(db);
	assert_int_equal(sqlite3_exec(db->db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	site_reopen(site);
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
	assert_int_equal(number("PRAGMA user_version"), SEARCH_SCHEMA);
}

static void
taken_away_while_open_it_is_made_anew(void **state)
{
	size_t before;

	(void)state;
	fill(20);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	before = count_found(SEARCH_BODY, "", "회의");
	take_away("search.db");
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 20);
	forget_db();
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
}

/* Fills it and clears it, time and again. */
static void
be_another_process(void)
{
	struct search_db *db;
	struct search_box box;
	bool more = true;

	site->account = open_account(site->path, "pop3d", 0);
	for (int i = 0; i < 6; i++) {
		scoped_buf boxes = BUF_INIT;

		(void)count_found(SEARCH_BODY, "", "회의");
		site->account->search_due = 1;
		for (int slices = 0; slices < 300 && account_work(site->account); slices++)
			continue;
		db = search_db(site->account, true);
		if (db == NULL || !search_box_list(db, &boxes) || boxes.n < sizeof(box))
			continue;
		memcpy(&box, boxes.p, sizeof(box));
		for (more = true; more && search_db_do(db, S_WRITE, BIND());)
			if (!search_db_finish(db, search_box_clear(db, &box, &more)))
				break;
	}
	account_close(site->account);
	_exit(0);
}

static void
another_process_may_fill_and_clear_it_meanwhile(void **state)
{
	size_t before, searches = 0;
	int status = 0;
	pid_t pid;

	(void)state;
	fill(300);
	before = count_found(SEARCH_BODY, "", "회의");
	/* SQLite does not live through a fork. */
	account_close(site->account);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		be_another_process();
	site->account = open_account(site->path, "imapd", 0);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
		if (++searches % 16 == 0)
			account_work(site->account);
	}
	assert_int_equal(status, 0);
	assert_true(searches > 0);
}

/* Nor is anything outside written to. */
static void
what_is_planted_in_its_place_goes_aside(void **state)
{
	char path[200], elsewhere[200];

	(void)state;
	fill(10);
	(void)count_found(SEARCH_BODY, "", "회의");
	forget_db();
	snprintf(path, sizeof(path), "%s/.trivet/search.db", site->path);
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", site->path);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 10);
	forget_db();
	assert_int_equal(symlink(elsewhere, path), 0);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 10);
	assert_true(access(elsewhere, F_OK) != 0);
}

static void
a_deleted_mailbox_leaves_nothing(void **state)
{
	struct search_key key = text_key(SEARCH_BODY, "", STR("Bob"));
	scoped_buf found = BUF_INIT;
	struct mailbox *m;
	struct search *s;
	bool done = false;

	(void)state;
	assert_ok(mailbox_create(site->account, STR("Old"), 0));
	put_mail(site->account, "Old");
	m = open_box(site->account, "Old");
	s = search_new(m, &key, &(struct search_extent){ 0 });
	while (!done)
		assert_ok(search_step(s, &found, &done));
	search_free(s);
	mailbox_close(m);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 1);
	assert_ok(mailbox_delete(site->account, STR("Old")));
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 0);
	assert_int_equal(number("SELECT count(*) FROM boxes"), 0);
}

/* What a stranger's program wrote into it is not believed, and ends nothing. */
static void
rows_that_make_no_sense_end_nothing(void **state)
{
	static const char *const harm[] = {
		"UPDATE grams SET row = x'41ff00'", "UPDATE grams SET row = x'41'",
		"UPDATE headers SET record = x'ffffffffffffff7f'", "UPDATE headers SET record = x''",
		"UPDATE headers SET record = x'050909090909'", "DELETE FROM headers", "DELETE FROM bodies",
		"UPDATE briefs SET record = x'ffffffffffffff7f'", "UPDATE briefs SET record = x''",
		"DELETE FROM briefs", "DROP TABLE briefs", "DELETE FROM headers; DELETE FROM briefs",
		"UPDATE blocks SET members = x'0100'", "UPDATE messages SET sorting = x'00'",
		"DELETE FROM boxes", "DROP TABLE grams", "UPDATE messages SET block = 77",
	};

	(void)state;
	fill(300);
	for (size_t i = 0; i < countof(harm); i++) {
		size_t before = count_found(SEARCH_BODY, "", "회의");
		size_t subjects = count_found(SEARCH_HEADER, "Subject", "a");

		build();
		assert_int_equal(sqlite3_exec(search_db(site->account, true)->db, harm[i], NULL, NULL,
		    NULL), SQLITE_OK);
		(void)count_found(SEARCH_BODY, "", "회의");
		(void)count_found(SEARCH_HEADER, "Subject", "a");
		build();
		forget_db();
		assert_int_equal(count_found(SEARCH_BODY, "", "회의"), before);
		assert_int_equal(count_found(SEARCH_HEADER, "Subject", "a"), subjects);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_damaged_one_is_thrown_away),
		TEST(one_of_another_version_is_thrown_away),
		TEST(taken_away_while_open_it_is_made_anew),
		TEST(another_process_may_fill_and_clear_it_meanwhile),
		TEST(what_is_planted_in_its_place_goes_aside),
		TEST(a_deleted_mailbox_leaves_nothing),
		TEST(rows_that_make_no_sense_end_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
