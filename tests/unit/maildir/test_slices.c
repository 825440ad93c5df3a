/* SPDX-License-Identifier: ISC */
/*
 * COPY, MOVE and EXPUNGE of many, slice by slice: whatever others do in between, and wherever it ends, a copy is whole or
 * has left nothing, and each message that is moved is in one mailbox, with what was changed of it.
 */
#include "tests/unit/maildir/test.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <time.h>

#include "maildir/private.h"

enum { MANY = 600, LOOK_MS = 20 };

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A slice is over at each look at the clock. */
int
clock_gettime(clockid_t clock, struct timespec *out)
{
	static int64_t ahead;
	int result = REAL(clock_gettime)(clock, out);

	if (clock == CLOCK_MONOTONIC) {
		ahead += LOOK_MS * 1000000;
		out->tv_nsec += ahead % 1000000000;
		out->tv_sec += ahead / 1000000000 + out->tv_nsec / 1000000000;
		out->tv_nsec %= 1000000000;
	}
	return result;
}

/* Hears of all that there is to tell. */
static void
catch_up(struct mailbox *m)
{
	struct change change;

	assert_ok(mailbox_refresh(m));
	while (mailbox_next_change(m, false, &change))
		continue;
}

/* ---- one under way ---- */

struct transfer {
	struct site *s;
	struct mailbox *m;
	struct copying *c;
	struct uid_set set;
	struct copied copied;
	enum store_result r;
	bool done;
	int steps;
};

static struct transfer
begin(struct site *s, const char *from, const char *to, bool move)
{
	struct transfer t = { .s = s, .m = open_box(s->account, from) };

	t.set = one_range(s->arena, 1, UINT32_MAX);
	assert_ok(copying_begin(t.m, &t.set, str_of(to), move, s->arena, &t.c));
	return t;
}

static bool
go_on(struct transfer *t, int steps)
{
	for (int i = 0; i < steps && !t->done; i++, t->steps++)
		t->r = copying_step(t->c, &t->done);
	return !t->done;
}

static void
end(struct transfer *t)
{
	while (go_on(t, 1))
		continue;
	copying_result(t->c, &t->copied);
	copying_free(t->c);
	mailbox_close(t->m);
}

static void
abandon(struct transfer *t)
{
	copying_free(t->c);
	mailbox_close(t->m);
}

static struct append *
append_many(struct site *s, size_t count)
{
	struct append *p = NULL;
	struct append_options o = { .mailbox = STR("INBOX") };

	assert_ok(append_begin(s->account, &o, &p));
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_ok(append_next(p, &o));
		assert_ok(append_write(p, STR(MAIL)));
	}
	return p;
}

static struct site *
site_with(size_t count)
{
	struct site *s = site_new_in_memory();
	struct appended done;

	assert_ok(mailbox_create(s->account, STR("Box"), 0));
	assert_ok(append_publish(append_many(s, count), false, &done));
	return s;
}

/* Each can be read, has the name that its row says, and none is there twice. */
static size_t
messages_in(struct site *s, const char *name, const char *cur)
{
	struct mailbox *m = open_box(s->account, name);
	uint32_t exists, last = 0;
	struct content *c;
	char part[40];

	catch_up(m);
	exists = mailbox_exists(m);
	for (uint32_t seq = 1; seq <= exists; seq++) {
		assert_true(message_of(m, seq).uid > last);
		last = message_of(m, seq).uid;
		assert_ok(content_open(m, last, &c));
		content_close(c);
		if (seq == 1 || seq == exists) {
			snprintf(part, sizeof(part), "U=%u:2,", last);
			assert_string_not_equal(find_name(s, cur, part), "");
		}
	}
	mailbox_close(m);
	assert_int_equal(count_files(s, cur), exists);
	return exists;
}

static size_t
inbox(struct site *s)
{
	return messages_in(s, "INBOX", "cur");
}

static size_t
box(struct site *s)
{
	return messages_in(s, "Box", ".Box/cur");
}

static void
empty_box(struct site *s)
{
	assert_ok(mailbox_delete(s->account, STR("Box")));
	assert_ok(mailbox_create(s->account, STR("Box"), 0));
}

static void
expunge(struct site *s, const char *name, uint32_t first, uint32_t last)
{
	struct mailbox *m = open_box(s->account, name);
	struct uid_set set = one_range(s->arena, first, last);
	struct stored stored;

	assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ FLAG_DELETED, NULL, 0 }, UINT64_MAX, s->arena,
	    &stored));
	assert_ok(mailbox_expunge(m, &set));
	mailbox_close(m);
}

/* ---- what others see ---- */

static void
nobody_sees_a_part_of_a_copy(void **state)
{
	struct site *s = site_with(MANY);
	struct mailbox *m = open_box(s->account, "Box");
	struct transfer t = begin(s, "INBOX", "Box", false);
	size_t files = 0, now;
	uint32_t so_far = 0, before = 0, all;

	(void)state;
	while (go_on(&t, 1)) {
		now = count_files(s, ".Box/cur");
		assert_true(now >= files && now - files <= 64);
		files = now;
		/* Whoever looks, at the directory too, sees none of them, and takes none away. */
		assert_ok(mailbox_refresh(m));
		m->folder->look = true;
		catch_up(m);
		assert_int_equal(count_files(s, ".Box/cur"), files);
		assert_true(mailbox_exists(m) == 0 || mailbox_exists(m) == MANY);
		copying_progress(t.c, &so_far, &all);
		assert_true(so_far >= before && so_far <= all);
		before = so_far;
	}
	assert_ok(t.r);
	assert_true(t.steps > 12);
	end(&t);
	assert_int_equal(t.copied.count, MANY);
	catch_up(m);
	assert_int_equal(mailbox_exists(m), MANY);
	mailbox_close(m);
	assert_int_equal(box(s), MANY);
	assert_int_equal(inbox(s), MANY);
	site_free(s);
}

static void
a_move_goes_on_piece_by_piece(void **state)
{
	struct site *s = site_with(MANY);
	struct mailbox *from = open_box(s->account, "INBOX"), *to = open_box(s->account, "Box");
	struct transfer t = begin(s, "INBOX", "Box", true);
	int between = 0;

	(void)state;
	while (go_on(&t, 1)) {
		catch_up(from);
		catch_up(to);
		assert_int_equal(mailbox_exists(from) + mailbox_exists(to), MANY);
		between += mailbox_exists(to) > 0 && mailbox_exists(to) < MANY;
	}
	assert_ok(t.r);
	assert_true(between > 0);
	end(&t);
	assert_int_equal(t.copied.count, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(t.copied.from[i], i + 1);
	mailbox_close(from);
	mailbox_close(to);
	assert_int_equal(box(s), MANY);
	assert_int_equal(inbox(s), 0);
	site_free(s);
}

/* ---- it ends in the midst ---- */

static void
a_copy_that_is_abandoned_leaves_nothing(void **state)
{
	struct site *s = site_with(MANY);
	bool done = false;
	size_t there;

	(void)state;
	for (int k = 0; !done; k++) {
		struct transfer t = begin(s, "INBOX", "Box", false);

		done = !go_on(&t, k);
		abandon(&t);
		there = box(s);
		assert_true(there == MANY || (there == 0 && !done));
		assert_int_equal(count_files(s, ".Box/tmp"), 0);
		assert_int_equal(inbox(s), MANY);
		if (there > 0 && !done)
			empty_box(s);
	}
	site_free(s);
}

static void
a_move_that_is_abandoned_has_moved_each_or_not(void **state)
{
	struct site *s = site_with(MANY);
	bool done = false;
	size_t there;

	(void)state;
	for (int k = 0; !done; k++) {
		struct transfer t = begin(s, "INBOX", "Box", true);

		done = !go_on(&t, k);
		abandon(&t);
		there = box(s);
		assert_int_equal(inbox(s) + there, MANY);
		assert_int_equal(count_files(s, ".Box/tmp"), 0);
		assert_true(there == MANY || !done);
		t = begin(s, "Box", "INBOX", true);
		end(&t);
		assert_int_equal(t.copied.count, there);
		assert_int_equal(inbox(s), MANY);
	}
	site_free(s);
}

/* Its process dies behind the k-th step. True: that was behind its end. */
static bool
dies_at(struct site *s, bool move, int k)
{
	struct transfer t;
	pid_t child;
	int status;

	account_close(s->account);
	child = fork();
	if (child == 0) {
		s->account = open_account(s->path, "imapd", 0);
		t = begin(s, "INBOX", "Box", move);
		(void)go_on(&t, k);
		/* What is put off is put off no longer. */
		while (account_work(s->account))
			continue;
		_exit(t.done);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	s->account = open_account(s->path, "imapd", 0);
	return WEXITSTATUS(status) != 0;
}

static void
a_copy_whose_process_dies_leaves_nothing(void **state)
{
	struct site *s = site_with(MANY);
	bool done = false;
	size_t there;

	(void)state;
	for (int k = 1; !done; k++) {
		done = dies_at(s, false, k);
		there = box(s);
		assert_true(there == MANY || (there == 0 && !done));
		assert_int_equal(inbox(s), MANY);
		if (there > 0 && !done)
			empty_box(s);
	}
	site_free(s);
}

static void
a_move_whose_process_dies_has_moved_each_or_not(void **state)
{
	struct site *s = site_with(MANY);
	bool done = false;
	size_t there;

	(void)state;
	for (int k = 1; !done; k++) {
		struct transfer t;

		done = dies_at(s, true, k);
		there = box(s);
		assert_int_equal(inbox(s) + there, MANY);
		assert_true(there == MANY || !done);
		t = begin(s, "Box", "INBOX", true);
		end(&t);
		assert_int_equal(inbox(s), MANY);
	}
	site_free(s);
}

/* ---- others are at work meanwhile ---- */

enum { LINKED_SOME = 4 };	/* steps: the claim, and 192 links */

static void
what_is_expunged_meanwhile_is_copied_or_not(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", false);

	(void)state;
	(void)go_on(&t, LINKED_SOME);
	expunge(s, "INBOX", 1, 5);
	expunge(s, "INBOX", MANY - 4, MANY);
	end(&t);
	assert_ok(t.r);
	assert_int_equal(t.copied.count, MANY - 5);
	assert_int_equal(box(s), MANY - 5);
	assert_int_equal(inbox(s), MANY - 10);
	site_free(s);
}

static void
what_is_expunged_meanwhile_is_not_moved(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", true);

	(void)state;
	(void)go_on(&t, LINKED_SOME);
	expunge(s, "INBOX", 1, 5);
	expunge(s, "INBOX", 90, 90);
	expunge(s, "INBOX", MANY - 4, MANY);
	end(&t);
	assert_ok(t.r);
	assert_int_equal(t.copied.count, MANY - 11);
	assert_int_equal(t.copied.from[0], 6);
	assert_int_equal(box(s), MANY - 11);
	assert_int_equal(inbox(s), 0);
	site_free(s);
}

static void
flags_that_are_set_meanwhile_move_along(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", true);
	struct mailbox *m = open_box(s->account, "INBOX");
	struct str other = STR("Other");
	char name[40];

	(void)state;
	(void)go_on(&t, LINKED_SOME);
	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, "Word");
	mailbox_close(m);
	/* Its numbers for keywords are not those of before. */
	put(s->account, "Box", STR(MAIL), (struct flags){ 0, &other, 1 });
	end(&t);
	assert_ok(t.r);
	m = open_box(s->account, "Box");
	assert_int_equal(message_of(m, 2).flags, FLAG_SEEN);
	assert_true(message_of(m, 2).keywords != 0);
	for (size_t k = 0; k < mailbox_keyword_count(m); k++)
		assert_int_equal(message_of(m, 2).keywords >> k & 1, str_eq(mailbox_keyword(m, k), STR("Word")));
	snprintf(name, sizeof(name), ",U=%u:2,", message_of(m, 2).uid);
	mailbox_close(m);
	for (int i = 0; i < 1000; i++)
		(void)account_work(s->account);
	assert_non_null(strstr(find_name(s, ".Box/cur", name), ":2,S"));
	site_free(s);
}

static void
a_target_that_is_renamed_meanwhile_is_the_same(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", false);

	(void)state;
	(void)go_on(&t, LINKED_SOME);
	assert_ok(mailbox_rename(s->account, STR("Box"), STR("Other")));
	assert_ok(mailbox_create(s->account, STR("Box"), 0));
	end(&t);
	assert_ok(t.r);
	assert_int_equal(messages_in(s, "Other", ".Other/cur"), MANY);
	assert_int_equal(box(s), 0);
	site_free(s);
}

static void
a_target_that_is_deleted_meanwhile_is_none(void **state)
{
	(void)state;
	for (int move = 0; move < 2; move++) {
		struct site *s = site_with(MANY);
		struct transfer t = begin(s, "INBOX", "Box", move != 0);

		(void)go_on(&t, LINKED_SOME);
		empty_box(s);
		end(&t);
		assert_int_equal(t.r, STORE_NO_SUCH);
		assert_int_equal(t.copied.count, 0);
		assert_int_equal(box(s), 0);
		assert_int_equal(inbox(s), MANY);
		site_free(s);
	}
}

static void
a_source_that_is_deleted_meanwhile_is_gone(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", true), back;

	(void)state;
	end(&t);
	assert_ok(mailbox_create(s->account, STR("Other"), 0));
	back = begin(s, "Box", "Other", false);
	(void)go_on(&back, LINKED_SOME);
	assert_ok(mailbox_delete(s->account, STR("Box")));
	end(&back);
	assert_int_equal(back.r, STORE_GONE);
	assert_int_equal(messages_in(s, "Other", ".Other/cur"), 0);
	site_free(s);
}

static void
in_turns(struct transfer *one, struct transfer *two)
{
	bool more = true;

	while (more) {
		more = go_on(one, 1);
		more |= go_on(two, 1);
	}
}

/* Each is given UIDs above those that the other was told of. */
static void
two_copies_at_a_time_are_both_whole(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer one = begin(s, "INBOX", "Box", false), two = begin(s, "INBOX", "Box", false);

	(void)state;
	in_turns(&one, &two);
	end(&one);
	end(&two);
	assert_ok(one.r);
	assert_ok(two.r);
	assert_int_equal(one.copied.count, MANY);
	assert_int_equal(two.copied.count, MANY);
	assert_true(one.copied.to[MANY - 1] < two.copied.to[0] || two.copied.to[MANY - 1] < one.copied.to[0]);
	assert_int_equal(box(s), 2 * MANY);
	assert_int_equal(inbox(s), MANY);
	site_free(s);
}

static void
two_moves_at_a_time_double_nothing(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer one = begin(s, "INBOX", "Box", true), two = begin(s, "INBOX", "Box", true);

	(void)state;
	in_turns(&one, &two);
	end(&one);
	end(&two);
	assert_ok(one.r);
	assert_ok(two.r);
	assert_int_equal(one.copied.count + two.copied.count, MANY);
	assert_int_equal(box(s), MANY);
	assert_int_equal(inbox(s), 0);
	site_free(s);
}

static void
what_comes_meanwhile_is_not_overtaken(void **state)
{
	(void)state;
	for (int move = 0; move < 2; move++) {
		struct site *s = site_with(MANY);
		struct transfer t = begin(s, "INBOX", "Box", move != 0);
		uint32_t uid;

		(void)go_on(&t, LINKED_SOME);
		uid = put_mail(s->account, "Box");
		end(&t);
		assert_ok(t.r);
		assert_int_equal(t.copied.count, MANY);
		assert_true(t.copied.to[0] > uid);
		assert_int_equal(box(s), MANY + 1);
		assert_int_equal(inbox(s), move ? 0 : MANY);
		site_free(s);
	}
}

/* It cannot know that the links are at work's, and takes them away. */
static void
another_process_looks_at(struct site *s, const char *name)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct account *a = open_account(s->path, "pop3d", 0);
		struct mailbox *m = open_box(a, name);
		uint32_t exists = mailbox_exists(m);

		mailbox_close(m);
		account_close(a);
		_exit(exists > 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
links_that_another_process_took_away_are_made_again(void **state)
{
	(void)state;
	for (int move = 0; move < 2; move++) {
		struct site *s = site_with(MANY);
		struct transfer t = begin(s, "INBOX", "Box", move != 0);

		(void)go_on(&t, LINKED_SOME);
		another_process_looks_at(s, "Box");
		assert_int_equal(count_files(s, ".Box/cur"), 0);
		end(&t);
		assert_ok(t.r);
		assert_int_equal(t.copied.count, MANY);
		assert_int_equal(box(s), MANY);
		assert_int_equal(inbox(s), move ? 0 : MANY);
		assert_int_equal(count_files(s, ".Box/tmp"), 0);
		site_free(s);
	}
}

/* The same when all are linked. */
static void
links_that_were_taken_away_last_are_made_again(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", false);

	(void)state;
	while (count_files(s, ".Box/cur") < MANY)
		assert_true(go_on(&t, 1));
	another_process_looks_at(s, "Box");
	another_process_looks_at(s, "Box");
	end(&t);
	assert_ok(t.r);
	assert_int_equal(box(s), MANY);
	site_free(s);
}

static void
see_finding(void *context, const struct finding *finding)
{
	(void)finding;
	++*(int *)context;
}

/* By another process. */
static void
what_is_on_its_way_is_no_fault(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t = begin(s, "INBOX", "Box", false);
	pid_t child;
	int status, found = 0;

	(void)state;
	(void)go_on(&t, LINKED_SOME);
	assert_true(count_files(s, ".Box/cur") > 0);
	child = fork();
	if (child == 0) {
		struct check_result result;

		assert_ok(account_check(open(s->path, O_RDONLY | O_DIRECTORY), &(struct account_options){
		    .address = STR("u@example.test"), .daemon = "check" },
		    &(struct check_options){ .found = see_finding, .context = &found }, &result));
		_exit(found);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	end(&t);
	assert_ok(t.r);
	assert_int_equal(box(s), MANY);
	site_free(s);
}

static void
what_has_no_room_any_more_is_not_copied(void **state)
{
	struct site *s = site_with(MANY);
	struct transfer t;

	(void)state;
	account_set_quota(s->account, 0, 2 * MANY);
	t = begin(s, "INBOX", "Box", false);
	(void)go_on(&t, LINKED_SOME);
	put_mail(s->account, "INBOX");
	end(&t);
	assert_int_equal(t.r, STORE_OVER_QUOTA);
	assert_int_equal(box(s), 0);
	assert_int_equal(inbox(s), MANY + 1);
	/* And what has none from the first is refused before anything is linked. */
	t = begin(s, "INBOX", "Box", false);
	end(&t);
	assert_int_equal(t.r, STORE_OVER_QUOTA);
	assert_int_equal(t.steps, 2);
	site_free(s);
}

static void
an_index_that_is_lost_meanwhile_loses_no_message(void **state)
{
	(void)state;
	for (int move = 0; move < 2; move++)
		for (int k = 1; k < 16; k += 7) {
			struct site *s = site_with(MANY);
			struct transfer t = begin(s, "INBOX", "Box", move != 0);
			size_t there;

			(void)go_on(&t, k);
			shell(s, "rm .trivet/index.db*");
			end(&t);
			site_reopen(s);
			there = box(s);
			assert_true(there == 0 || there == MANY || move);
			assert_int_equal(inbox(s), move ? MANY - there : MANY);
			site_free(s);
		}
}

/* ---- EXPUNGE ---- */

static void
an_expunge_goes_on_piece_by_piece(void **state)
{
	struct site *s = site_with(MANY);
	struct mailbox *m = open_box(s->account, "INBOX"), *other = open_box(s->account, "INBOX");
	struct uid_set odd = one_range(s->arena, 11, MANY);
	struct expunging *e;
	struct stored stored;
	uint32_t so_far, all;
	int between = 0, steps = 0;
	bool done = false;

	(void)state;
	assert_ok(mailbox_store(m, &odd, FLAGS_ADD, &(struct flags){ FLAG_DELETED, NULL, 0 }, UINT64_MAX, s->arena,
	    &stored));
	assert_ok(expunging_begin(m, NULL, &e));
	for (; !done; steps++) {
		assert_ok(expunging_step(e, &done));
		catch_up(other);
		between += mailbox_exists(other) > 10 && mailbox_exists(other) < MANY;
		assert_int_equal(count_files(s, "cur"), mailbox_exists(other));
		expunging_progress(e, &so_far, &all);
		assert_true(so_far <= all);
		assert_int_equal(all, MANY);
	}
	expunging_free(e);
	assert_true(between > 0 && steps > 1);
	assert_int_equal(mailbox_exists(other), 10);
	mailbox_close(other);
	mailbox_close(m);
	assert_int_equal(inbox(s), 10);
	site_free(s);
}

/* ---- APPEND of many ---- */

/* Whoever reads one of them that has no name yet gives it one. */
static void
an_append_of_many_is_named_piece_by_piece(void **state)
{
	struct site *s = site_with(1);
	struct mailbox *m = open_box(s->account, "INBOX");
	struct append *p = append_many(s, MANY);
	struct appended out = { 0 };
	struct content *c;
	bool done = false;
	int steps = 0;

	(void)state;
	for (; !done; steps++) {
		assert_ok(append_step(p, true, &out, &done));
		catch_up(m);
		assert_int_equal(mailbox_exists(m), 1 + MANY);
		assert_ok(content_open(m, message_of(m, MANY - (uint32_t)steps).uid, &c));
		content_close(c);
	}
	assert_true(steps > 5);
	assert_int_equal(out.count, MANY);
	mailbox_close(m);
	assert_int_equal(inbox(s), 1 + MANY);
	assert_int_equal(count_files(s, "tmp"), 0);
	site_free(s);
}

static void
an_append_that_is_abandoned_is_whole_or_has_left_nothing(void **state)
{
	struct site *s = site_with(1);
	struct appended out;
	bool done = false;

	(void)state;
	for (size_t k = 0; k < 5; k++) {
		struct append *p = append_many(s, MANY);

		for (size_t i = 0; i < k; i++)
			assert_ok(append_step(p, true, &out, &done));
		assert_false(done);
		append_abandon(p);
		assert_int_equal(inbox(s), 1 + k * MANY);
		assert_int_equal(count_files(s, "tmp"), 0);
	}
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_sees_a_part_of_a_copy),
		cmocka_unit_test(a_move_goes_on_piece_by_piece),
		cmocka_unit_test(a_copy_that_is_abandoned_leaves_nothing),
		cmocka_unit_test(a_move_that_is_abandoned_has_moved_each_or_not),
		cmocka_unit_test(a_copy_whose_process_dies_leaves_nothing),
		cmocka_unit_test(a_move_whose_process_dies_has_moved_each_or_not),
		cmocka_unit_test(what_is_expunged_meanwhile_is_copied_or_not),
		cmocka_unit_test(what_is_expunged_meanwhile_is_not_moved),
		cmocka_unit_test(flags_that_are_set_meanwhile_move_along),
		cmocka_unit_test(a_target_that_is_renamed_meanwhile_is_the_same),
		cmocka_unit_test(a_target_that_is_deleted_meanwhile_is_none),
		cmocka_unit_test(a_source_that_is_deleted_meanwhile_is_gone),
		cmocka_unit_test(two_copies_at_a_time_are_both_whole),
		cmocka_unit_test(two_moves_at_a_time_double_nothing),
		cmocka_unit_test(what_comes_meanwhile_is_not_overtaken),
		cmocka_unit_test(links_that_another_process_took_away_are_made_again),
		cmocka_unit_test(links_that_were_taken_away_last_are_made_again),
		cmocka_unit_test(what_is_on_its_way_is_no_fault),
		cmocka_unit_test(what_has_no_room_any_more_is_not_copied),
		cmocka_unit_test(an_index_that_is_lost_meanwhile_loses_no_message),
		cmocka_unit_test(an_expunge_goes_on_piece_by_piece),
		cmocka_unit_test(an_append_of_many_is_named_piece_by_piece),
		cmocka_unit_test(an_append_that_is_abandoned_is_whole_or_has_left_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
