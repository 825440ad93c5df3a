/* SPDX-License-Identifier: ISC */
/* How far a session was told, what changed since, and who may change what (RFC 7162 3.1.3, 3.1.12, 3.2, 3.2.5.1). */
#include "tests/unit/maildir/test.h"

struct two {
	struct site *s;
	struct mailbox *m, *other;
};

static struct two
two_sessions(uint32_t messages)
{
	struct two t = { .s = site_new() };

	for (uint32_t i = 0; i < messages; i++)
		put_mail(t.s->account, "INBOX");
	t.m = open_box(t.s->account, "INBOX");
	t.other = open_box(t.s->account, "INBOX");
	return t;
}

static void
two_end(struct two *t)
{
	mailbox_close(t->m);
	mailbox_close(t->other);
	site_free(t->s);
}

static void
is_told(const struct mailbox *m, uint64_t modseq)
{
	assert_true(mailbox_told_modseq(m) == modseq);
}

static void
is_told_all(const struct mailbox *m)
{
	is_told(m, mailbox_highest_modseq(m));
}

static void
what_was_not_told_is_above_the_modseq(void **state)
{
	struct two t = two_sessions(4);
	uint64_t first = mailbox_highest_modseq(t.m), deleted;

	(void)state;
	is_told(t.m, first);
	set_flags(t.s, t.other, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	deleted = mailbox_highest_modseq(t.m);
	assert_true(deleted > first);
	/* The one who did it knows. */
	is_told(t.other, deleted);
	is_told(t.m, first);
	assert_string_equal(changes(t.m, true), "F2");
	is_told(t.m, deleted);
	assert_ok(mailbox_expunge(t.other, NULL));
	set_flags(t.s, t.m, 3, FLAGS_ADD, FLAG_SEEN, NULL);
	set_flags(t.s, t.other, 4, FLAGS_ADD, FLAG_SEEN, NULL);
	/* Held back: all that follows does not count. */
	assert_string_equal(changes(t.m, true), "F4");
	is_told(t.m, deleted);
	assert_true(message_of(t.m, 2).gone);
	assert_true(message_of(t.m, 2).modseq == deleted);
	assert_false(message_of(t.m, 3).gone);
	assert_string_equal(changes(t.m, false), "X2");
	is_told_all(t.m);
	put_mail(t.s->account, "INBOX");
	assert_ok(mailbox_refresh(t.m));
	assert_true(mailbox_told_modseq(t.m) < mailbox_highest_modseq(t.m));
	assert_string_equal(changes(t.m, true), "E4");
	is_told_all(t.m);
	two_end(&t);
}

/* Messages that came and went before anybody was told have nothing to tell. */
static void
what_nobody_saw_holds_nothing_back(void **state)
{
	struct two t = two_sessions(1);

	(void)state;
	put_mail(t.s->account, "INBOX");
	assert_ok(mailbox_refresh(t.other));
	assert_string_equal(changes(t.other, false), "E2");
	set_flags(t.s, t.other, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(t.other, NULL));
	assert_string_equal(changes(t.m, false), "");
	is_told_all(t.m);
	two_end(&t);
}

static void
changes_since_are_found(void **state)
{
	struct two t = two_sessions(6);
	uint64_t first = mailbox_highest_modseq(t.m);
	struct uid_set set;

	(void)state;
	mailbox_changed(t.m, first, t.s->arena, &set);
	assert_int_equal(set.count, 0);
	mailbox_changed(t.m, 1, t.s->arena, &set);
	assert_int_equal(set.count, 1);
	assert_int_equal(set.ranges[0].first, 1);
	assert_int_equal(set.ranges[0].last, 6);
	set_flags(t.s, t.m, 2, FLAGS_ADD, FLAG_SEEN, NULL);
	set_flags(t.s, t.m, 3, FLAGS_ADD, FLAG_SEEN, NULL);
	set_flags(t.s, t.m, 6, FLAGS_ADD, FLAG_SEEN, NULL);
	set_flags(t.s, t.other, 5, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(t.other, NULL));
	mailbox_changed(t.m, first, t.s->arena, &set);
	assert_int_equal(set.count, 2);
	assert_true(uid_set_has(&set, 2) && uid_set_has(&set, 3) && uid_set_has(&set, 6));
	/* One that is gone is not changed, nor is one that the view does not have. */
	assert_false(uid_set_has(&set, 5));
	put_mail(t.s->account, "INBOX");
	assert_ok(mailbox_refresh(t.other));
	mailbox_changed(t.m, first, t.s->arena, &set);
	assert_false(uid_set_has(&set, 7));
	two_end(&t);
}

static struct stored
store(struct two *t, uint32_t uid, enum flag_change how, uint32_t flags, const char *keyword, uint64_t since)
{
	struct str word = str_of(keyword);
	struct uid_set set = one_range(t->s->arena, uid, uid);
	struct stored stored;

	assert_ok(mailbox_store(t->m, &set, how, &(struct flags){ flags, &word, keyword != NULL }, since,
	    t->s->arena, &stored));
	return stored;
}

static void
since_0_something_changed_where_it_is_there(void **state)
{
	struct two t = two_sessions(1);

	(void)state;
	assert_int_equal(store(&t, 1, FLAGS_ADD, FLAG_SEEN, NULL, 0).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_REMOVE, FLAG_SEEN, NULL, 0).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_REPLACE, 0, "Work", 0).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_ADD, 0, "Work", 0).modified.count, 0);
	assert_int_equal(message_of(t.m, 1).keywords, 1);
	assert_int_equal(store(&t, 1, FLAGS_ADD, 0, "Work", 0).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_REMOVE, 0, "Work", 0).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_REMOVE, 0, "Never", 0).modified.count, 0);
	two_end(&t);
}

/* Of the others' changes only those count that are about the same flags, where nobody was told. */
static void
another_flag_that_changed_meanwhile_is_no_fault(void **state)
{
	struct two t = two_sessions(2);
	uint64_t first = mailbox_highest_modseq(t.m);
	struct stored stored;

	(void)state;
	set_flags(t.s, t.other, 1, FLAGS_ADD, FLAG_FLAGGED, NULL);
	set_flags(t.s, t.other, 1, FLAGS_ADD, 0, "Work");
	assert_int_equal(store(&t, 1, FLAGS_REPLACE, FLAG_SEEN, NULL, first).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_ADD, FLAG_FLAGGED, NULL, first).modified.count, 1);
	assert_int_equal(store(&t, 1, FLAGS_REMOVE, FLAG_SEEN, "Work", first).modified.count, 1);
	stored = store(&t, 1, FLAGS_ADD, FLAG_SEEN, NULL, first);
	assert_int_equal(stored.modified.count, 0);
	assert_true(stored.modseq == mailbox_highest_modseq(t.m));
	assert_int_equal(message_of(t.m, 1).flags, FLAG_FLAGGED | FLAG_SEEN);
	assert_string_equal(changes(t.m, false), "K F1 F1");
	/* And it was told: what changed is known to it, so there is no excuse. */
	assert_int_equal(store(&t, 1, FLAGS_ADD, FLAG_DRAFT, NULL, first).modified.count, 1);
	/* There and back again is as it was. */
	first = mailbox_highest_modseq(t.m);
	set_flags(t.s, t.other, 2, FLAGS_ADD, FLAG_DRAFT, NULL);
	set_flags(t.s, t.other, 2, FLAGS_REMOVE, FLAG_DRAFT, NULL);
	assert_int_equal(store(&t, 2, FLAGS_ADD, FLAG_DRAFT, NULL, first).modified.count, 0);
	two_end(&t);
}

static void
gone_messages_are_said_to_be(void **state)
{
	struct two t = two_sessions(3);
	struct stored stored;

	(void)state;
	set_flags(t.s, t.other, 2, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_string_equal(changes(t.m, false), "F2");
	assert_ok(mailbox_expunge(t.other, NULL));
	stored = store(&t, 2, FLAGS_ADD, FLAG_SEEN, NULL, UINT64_MAX);
	assert_true(stored.gone);
	assert_int_equal(stored.modseq, 0);
	assert_string_equal(changes(t.m, false), "X2");
	assert_false(store(&t, 2, FLAGS_ADD, FLAG_SEEN, NULL, UINT64_MAX).gone);
	two_end(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_told_is_above_the_modseq),
		cmocka_unit_test(what_nobody_saw_holds_nothing_back),
		cmocka_unit_test(changes_since_are_found),
		cmocka_unit_test(since_0_something_changed_where_it_is_there),
		cmocka_unit_test(another_flag_that_changed_meanwhile_is_no_fault),
		cmocka_unit_test(gone_messages_are_said_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
