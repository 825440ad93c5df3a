/* SPDX-License-Identifier: ISC */
/* Files of users.db that are not as they should be, whose they are, and accounts of the system. */
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/auth/grants.h"
#include "common/auth/pam_worker.h"
#include "tests/unit/auth/users_file.h"

enum {
	NOBODY = 65534,
};

static void
run_sql(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
files_of_other_versions_are_told_or_updated(void **state)
{
	struct fixture *f = *state;
	char path[80], *why = NULL;
	struct users *users;
	struct stat st;

	snprintf(path, sizeof(path), "%s/old.db", f->folder);
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "there is no such file"));
	free(why);
	/* Schema 0: a database without our tables. */
	run_sql(path, "CREATE TABLE stray (a); PRAGMA user_version = 0");
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "older schema"));
	free(why);
	users = users_open(path, USERS_WRITE, &why);
	assert_non_null(users);
	assert_int_equal(users_add_domain(users, STR("x.test")), USERS_OK);
	users_close(users);
	users = users_open(path, USERS_READ, &why);
	assert_non_null(users);
	users_close(users);
	run_sql(path, "PRAGMA user_version = 99");
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "newer Trivet (schema 99"));
	free(why);
	assert_null(users_open(path, USERS_READ, &why));
	assert_non_null(strstr(why, "newer Trivet"));
	free(why);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* In a child that is not root: root may open what belongs to nobody else. */
static int
opened_by_an_ordinary_user(const char *path)
{
	struct users *users;
	char *why = NULL;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
			_exit(2);
		users = users_open(path, USERS_READ, &why);
		_exit(users != NULL ? 0 : 1);
	}
	assert_int_equal(usleep(100000), 0);
	return waitpid(pid, &status, WNOHANG) == pid ? WEXITSTATUS(status) : -(int)pid;
}

static void
a_journal_that_is_not_yet_given_away_is_waited_for(void **state)
{
	struct fixture *f = *state;
	char wal[80];
	int status, child;

	users_close(f->users);
	f->users = NULL;
	snprintf(wal, sizeof(wal), "%s-wal", f->path);
	assert_int_equal(chmod(f->folder, 0777), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	fclose(fopen(wal, "w"));
	assert_int_equal(chmod(wal, 0), 0);
	child = opened_by_an_ordinary_user(f->path);
	assert_true(child < 0);		/* it waits */
	assert_int_equal(chmod(wal, 0666), 0);
	assert_int_equal(waitpid(-child, &status, 0), -child);
	assert_int_equal(status, 0);
}

static void
a_migration_that_fails_leaves_the_file_alone(void **state)
{
	struct fixture *f = *state;
	char path[80], *why = NULL;

	snprintf(path, sizeof(path), "%s/clash.db", f->folder);
	run_sql(path, "CREATE TABLE aliases (a)");
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be brought from schema 0"));
	free(why);
	/* The tables that were made before the clash are gone again. */
	run_sql(path, "CREATE TABLE domains (a)");
	assert_null(users_open("/nonexistent/users.db", USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be made"));
	free(why);
	snprintf(path, sizeof(path), "%s/rubbish.db", f->folder);
	FILE *rubbish = fopen(path, "w");
	assert_non_null(rubbish);
	fputs("this is no database, and long enough to be looked at as one by SQLite......"
		"........................................................................", rubbish);
	fclose(rubbish);
	assert_null(users_open(path, USERS_WRITE, &why));
	assert_non_null(strstr(why, "cannot be used"));
	free(why);
}

static void
root_is_no_mail_account(void **state)
{
	struct fixture *f = *state;
	struct system_account account;

	assert_int_equal(system_account_find(STR("root"), f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find(STR("no-such-user-here"), f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find((struct str){ "daemon\0x", 8 }, f->arena, &account), USERS_NO_SUCH);
	assert_int_equal(system_account_find(STR("daemon"), f->arena, &account), USERS_OK);
	assert_true(account.uid != 0);
}

static void
pam_without_its_service_lets_nobody_in(void **state)
{
	(void)state;
	/* Which of the two depends on the machine's fallback service "other". */
	assert_int_not_equal(pam_check("trivet-no-such-service", "no-such-user-here", "x",
		"192.0.2.1"), PAM_ANSWER_YES);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(files_of_other_versions_are_told_or_updated),
		WITH_FILE(a_journal_that_is_not_yet_given_away_is_waited_for),
		WITH_FILE(a_migration_that_fails_leaves_the_file_alone),
		WITH_FILE(root_is_no_mail_account),
		cmocka_unit_test(pam_without_its_service_lets_nobody_in),
	};

	log_set_sink(quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
