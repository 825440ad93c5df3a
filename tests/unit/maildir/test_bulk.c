/* SPDX-License-Identifier: ISC */
/*
 * COPY and MOVE of few and of many, whose process dies at any of their calls, or whose call fails: all are copied or
 * none, no file is left over, no UID is used twice, and the next one works.
 */
#include "tests/unit/maildir/test.h"

#include <dlfcn.h>
#include <sys/wait.h>

#include "maildir/private.h"

enum { FEW = 5, MANY = 40, DIES = 77 };

/* ---- calls that die or fail ---- */

static int calls_left = -1;	/* until it happens; -1: never */
static bool it_dies;

/* Asked by a byte, it delivers one message to Box and says so. */
struct other {
	pid_t pid;
	int ask;
	int answer;
};

static struct other *other;	/* NULL: there is none */
static int looks_left = -1;	/* at the index, until the other is asked; -1: never */

/* True: it fails. */
static bool
happens(void)
{
	if (calls_left < 0 || calls_left-- > 0)
		return false;
	if (it_dies)
		_exit(DIES);
	errno = EIO;
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return happens() ? -1 : REAL(linkat)(from_dir, from, to_dir, to, flags);
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return happens() ? -1 : REAL(renameat)(from_dir, from, to_dir, to);
}

/* Nobody cuts the power here. */
int
fsync(int fd)
{
	(void)fd;
	return happens() ? -1 : 0;
}

int
syncfs(int fd)
{
	(void)fd;
	/* The claim comes next, and then the copy. */
	looks_left = other != NULL ? 1 : -1;
	return happens() ? -1 : 0;
}

int
unlinkat(int dir, const char *path, int flags)
{
	/* That an unlink fails is another matter: names come back, and the next scan removes them. */
	if (it_dies && happens())
		return -1;
	return REAL(unlinkat)(dir, path, flags);
}

/* ---- another who is quicker ---- */

static struct mailbox *told;	/* a session that hears of it at once */
static int asked_again;		/* so many times, at each look */

static struct other
other_begin(const char *path)
{
	struct other o;
	struct account *a;
	int ask[2], answer[2];
	char byte;

	assert_int_equal(pipe(ask), 0);
	assert_int_equal(pipe(answer), 0);
	o = (struct other){ fork(), ask[1], answer[0] };
	if (o.pid != 0) {
		close(ask[0]);
		close(answer[1]);
		return o;
	}
	close(ask[1]);
	a = open_account(path, "smtpd", 0);
	while (read(ask[0], &byte, 1) == 1) {
		put_mail(a, "Box");
		(void)!write(answer[1], &byte, 1);
	}
	account_close(a);
	_exit(0);
}

static void
other_end(struct other *o)
{
	close(o->ask);
	close(o->answer);
	assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
}

static void
ask_other(void)
{
	char byte = 'x';

	assert_int_equal(write(other->ask, &byte, 1), 1);
	assert_int_equal(read(other->answer, &byte, 1), 1);
	/* Without a look at the directory, which would do away with the claim. */
	assert_ok(folder_refresh(told->folder, NULL));
	assert_true(strlen(changes(told, false)) > 0);
}

/* The index is looked at before each transaction. */
int
fstatat(int dir, const char *path, struct stat *st, int flags)
{
	if (looks_left >= 0 && strcmp(path, "index.db") == 0 && looks_left-- == 0) {
		ask_other();
		looks_left = asked_again-- > 0 ? 0 : -1;
	}
	return REAL(fstatat)(dir, path, st, flags);
}

/* ---- one try ---- */

struct result {
	enum store_result r;
	size_t count;
	int left;	/* of the calls */
};

static struct result
transfer(struct account *a, bool move, int k)
{
	struct arena *arena = arena_new();
	struct mailbox *m = open_box(a, "INBOX");
	struct uid_set all = one_range(arena, 1, UINT32_MAX);
	struct copied copied = { 0 };
	struct result result;

	calls_left = k;
	result.r = (move ? mailbox_move : mailbox_copy)(m, &all, STR("Box"), arena, &copied);
	result.count = result.r == STORE_OK ? copied.count : 0;
	result.left = calls_left;
	calls_left = -1;
	mailbox_close(m);
	arena_free(arena);
	return result;
}

/* Another process does it, and dies at its k-th call. True where it lived. */
static bool
transfer_and_die(struct site *s, bool move, int k)
{
	struct account *a;
	pid_t child;
	int status;

	account_close(s->account);
	child = fork();
	if (child == 0) {
		a = open_account(s->path, "imapd", 0);
		it_dies = true;
		_exit(transfer(a, move, k).r == STORE_OK ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == DIES));
	s->account = open_account(s->path, "imapd", 0);
	return WEXITSTATUS(status) == 0;
}

static size_t
messages_in(struct site *s, const char *name, const char *cur)
{
	struct mailbox *m = open_box(s->account, name);
	uint32_t exists = mailbox_exists(m), last = 0;
	struct content *c;

	for (uint32_t seq = 1; seq <= exists; seq++) {
		assert_true(message_of(m, seq).uid > last);
		last = message_of(m, seq).uid;
		assert_ok(content_open(m, last, &c));
		content_close(c);
	}
	assert_true(mailbox_uid_next(m) > last);
	mailbox_close(m);
	assert_int_equal(count_files(s, cur), exists);
	return exists;
}

/* All or nothing. True where all are in Box: then they go back, or out. */
static bool
is_all_or_nothing(struct site *s, bool move, size_t count)
{
	size_t here = messages_in(s, "INBOX", "cur"), there = messages_in(s, "Box", ".Box/cur");

	assert_true(there == 0 || there == count);
	assert_int_equal(here, move ? count - there : count);
	if (there == 0)
		return false;
	assert_ok(mailbox_delete(s->account, STR("Box")));
	assert_ok(mailbox_create(s->account, STR("Box"), 0));
	for (size_t i = 0; move && i < count; i++)
		put_mail(s->account, "INBOX");
	return true;
}

static struct site *
site_with(size_t count)
{
	struct site *s = site_new();

	assert_ok(mailbox_create(s->account, STR("Box"), 0));
	for (size_t i = 0; i < count; i++)
		put_mail(s->account, "INBOX");
	return s;
}

static void
all_or_nothing_dying(bool move, size_t count)
{
	struct site *s = site_with(count);
	bool lived = false;

	for (int k = 0; !lived; k++) {
		lived = transfer_and_die(s, move, k);
		assert_true(is_all_or_nothing(s, move, count) || !lived);
	}
	site_free(s);
}

static void
all_or_nothing_failing(bool move, size_t count)
{
	struct site *s = site_with(count);
	struct result result = { .left = -1 };

	it_dies = false;
	for (int k = 0; result.left < 0; k++) {
		result = transfer(s->account, move, k);
		assert_int_equal(result.count, result.r == STORE_OK ? count : 0);
		assert_int_equal(is_all_or_nothing(s, move, count), result.r == STORE_OK);
	}
	assert_int_equal(count_files(s, ".Box/tmp"), 0);
	site_free(s);
}

static void
a_copy_of_few_dies(void **state)
{
	(void)state;
	all_or_nothing_dying(false, FEW);
}

static void
a_copy_of_many_dies(void **state)
{
	(void)state;
	all_or_nothing_dying(false, MANY);
}

static void
a_move_of_few_dies(void **state)
{
	(void)state;
	all_or_nothing_dying(true, FEW);
}

static void
a_move_of_many_dies(void **state)
{
	(void)state;
	all_or_nothing_dying(true, MANY);
}

static void
a_call_of_a_copy_fails(void **state)
{
	(void)state;
	all_or_nothing_failing(false, FEW);
	all_or_nothing_failing(false, MANY);
}

static void
a_call_of_a_move_fails(void **state)
{
	(void)state;
	all_or_nothing_failing(true, FEW);
	all_or_nothing_failing(true, MANY);
}

/* Between the claim and the copy somebody delivers: whom a session was told of is not overtaken. */
static void
copy_beside_deliveries(int deliveries)
{
	struct site *s = site_with(MANY);
	struct mailbox *m;
	struct other o;
	uint32_t last;

	account_close(s->account);
	o = other_begin(s->path);
	s->account = open_account(s->path, "imapd", 0);
	put_mail(s->account, "Box");
	m = open_box(s->account, "Box");
	other = &o;
	told = m;
	asked_again = deliveries - 1;
	assert_int_equal(transfer(s->account, false, -1).count, MANY);
	looks_left = -1;
	other = NULL;
	assert_int_equal(asked_again, -1);
	assert_ok(mailbox_refresh(m));
	assert_true(strlen(changes(m, false)) > 0);
	assert_int_equal(mailbox_exists(m), MANY + 1 + deliveries);
	last = message_of(m, 1).uid;
	for (uint32_t seq = 2; seq <= mailbox_exists(m); seq++) {
		assert_true(message_of(m, seq).uid > last);
		last = message_of(m, seq).uid;
	}
	mailbox_close(m);
	other_end(&o);
	assert_int_equal(messages_in(s, "Box", ".Box/cur"), MANY + 1 + deliveries);
	site_free(s);
}

static void
a_delivery_in_between_is_not_overtaken(void **state)
{
	(void)state;
	copy_beside_deliveries(1);
}

static void
a_copy_ends_though_others_are_always_quicker(void **state)
{
	(void)state;
	copy_beside_deliveries(3);
}

/* ---- what is not a link of ours ---- */

static void
a_foreign_file_with_a_claimed_uid_is_adopted(void **state)
{
	struct site *s = site_with(MANY);
	struct mailbox *m;
	bool lived;

	(void)state;
	/* The first call is syncfs; with the seventh the process has made five links. */
	lived = transfer_and_die(s, false, 6);
	assert_false(lived);
	assert_int_equal(count_files(s, ".Box/cur"), 5);
	shell(s, "printf 'a: b\\r\\n\\r\\n' > \".Box/cur/1.2.3,S=8,W=8,U=3:2,\"");
	m = open_box(s->account, "Box");
	assert_int_equal(mailbox_exists(m), 1);
	assert_true(message_of(m, 1).uid > MANY);
	mailbox_close(m);
	assert_int_equal(count_files(s, ".Box/cur"), 1);
	assert_int_equal(transfer(s->account, false, -1).count, MANY);
	assert_int_equal(messages_in(s, "Box", ".Box/cur"), MANY + 1);
	site_free(s);
}

/* The file of one was renamed, of another removed, and nobody has noticed yet. */
static void
what_was_changed_outside_is_copied_as_it_is_now(void **state)
{
	struct site *s = site_with(MANY);
	struct arena *arena = arena_new();
	struct mailbox *m = open_box(s->account, "INBOX"), *box;
	struct uid_set all = one_range(arena, 1, UINT32_MAX);
	struct copied copied = { 0 };

	(void)state;
	shell(s, "mv cur/*U=2:2, \"$(ls cur/*U=2:2,)S\"; rm cur/*U=3:2,");
	assert_ok(mailbox_copy(m, &all, STR("Box"), arena, &copied));
	assert_int_equal(copied.count, MANY - 1);
	box = open_box(s->account, "Box");
	assert_int_equal(message_of(box, 2).flags, FLAG_SEEN);
	mailbox_close(box);
	mailbox_close(m);
	assert_int_equal(messages_in(s, "Box", ".Box/cur"), MANY - 1);
	arena_free(arena);
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_of_few_dies),
		cmocka_unit_test(a_copy_of_many_dies),
		cmocka_unit_test(a_move_of_few_dies),
		cmocka_unit_test(a_move_of_many_dies),
		cmocka_unit_test(a_call_of_a_copy_fails),
		cmocka_unit_test(a_call_of_a_move_fails),
		cmocka_unit_test(a_delivery_in_between_is_not_overtaken),
		cmocka_unit_test(a_copy_ends_though_others_are_always_quicker),
		cmocka_unit_test(a_foreign_file_with_a_claimed_uid_is_adopted),
		cmocka_unit_test(what_was_changed_outside_is_copied_as_it_is_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
