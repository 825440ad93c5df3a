/* SPDX-License-Identifier: ISC */
/* Names, directories, CREATE, DELETE, RENAME, SUBSCRIBE, LIST. */
#include "tests/unit/maildir/test.h"

#include "maildir/layout.h"

static const struct {
	const char *name;
	const char *dir;
} names[] = {
	{ "INBOX", "." },
	{ "Sent", ".Sent" },
	{ "a/b/c", ".a.b.c" },
	{ "INBOX/x", ".INBOX.x" },
	{ "받은 편지함", ".&vBvHQA- &07jJwNVo-" },
	{ "a.b", ".a&AC4-b" },
	{ ".", ".&AC4-" },
	{ "..", ".&AC4ALg-" },
	{ "R&D", ".R&-D" },
	{ "&-", ".&--" },
	{ "trivet", ".&AHQ-rivet" },
	{ "trivet/x", ".trivet.x" },
	{ "cur", ".cur" },
	{ "~peter/mail/台北/日本語", ".~peter.mail.&U,BTFw-.&ZeVnLIqe-" },
	{ "\xf0\x9f\x93\xa7", ".&2D3c5w-" },
	{ "a\\b\"c", ".a\\b\"c" },
};

static const char *const bad_names[] = {
	"", "/", "//", "/a", "a//b", "a//", "a%b", "a*", "a\nb", "\x7f", "a\xff", "\xc2\x85",
	"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v", "\xe2\x80\xa8", "a\xe2\x80\xa9z", "\xed\xa0\x80", "\xc0\xaf",
	"\xf4\x90\x80\x80", "\xc2\x9f", "a\rb", "a\tb", "a/\x01/b",
};

/* What looks dangerous and is not: the disk never sees it so. */
static const char *const odd_names[] = {
	"..", "../..", "../../../etc/passwd", ".", "./.", "...", "a.", ".a", "a..b", "a/..", "../INBOX", "INBOX/..",
	"INBOX/INBOX", "cur", "new", "tmp", "cur/new", "trivet", "trivet/index.db", "trivet-mailbox", " ", " a ", "a b", "-rf",
	"$(id)", "`id`", "|", ";", "'", "\"", "\\", "a\\/b", "&", "&&", "&-", "&AC8-", "&AAA-", "~", "~root", "#news", "NIL",
	"(", ")", "{3}", "[x]", "<>", "!", "?", "+", "=", "@", ":2,S", "\xf0\x9f\x93\xa7/\xf0\x9f\x91\xa9", "\xe2\x80\xae", "e\xcc\x81x",
	"\xef\xbb\xbf", "\xef\xbf\xbd",
};

static void
names_have_one_directory_and_back(void **state)
{
	scoped_buf name = BUF_INIT, dir = BUF_INIT, back = BUF_INIT;
	bool canonical;

	(void)state;
	for (size_t i = 0; i < countof(names); i++) {
		assert_true(layout_name(str_of(names[i].name), &name));
		assert_str(buf_str(&name), str_of(names[i].name));
		buf_clear(&dir);
		layout_put_dir(&dir, buf_str(&name));
		assert_string_equal(buf_z(&dir), names[i].dir);
		if (i == 0)
			continue;
		assert_true(layout_name_of_dir(buf_str(&dir), &back, &canonical));
		assert_str(buf_str(&back), str_of(names[i].name));
		assert_true(canonical);
	}
	assert_true(layout_name(STR("inBox/Sub/"), &name));
	assert_str(buf_str(&name), STR("INBOX/Sub"));
	for (size_t i = 0; i < countof(bad_names); i++)
		assert_false(layout_name(str_of(bad_names[i]), &name));
	assert_false(layout_name((struct str){ "a\0b", 3 }, &name));
}

/* RFC 6855 3: in normalization form C, and so one mailbox however it is typed. */
static void
a_name_has_one_form(void **state)
{
	struct site *s = site_new();
	scoped_buf name = BUF_INIT;

	(void)state;
	assert_true(layout_name(STR("Entwu\xcc\x88rfe/e\xcc\x81"), &name));
	assert_str(buf_str(&name), STR("Entw\xc3\xbcrfe/\xc3\xa9"));
	/* Jamo become syllables. */
	assert_true(layout_name(STR("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), &name));
	assert_str(buf_str(&name), STR("\xed\x95\x9c"));
	assert_ok(mailbox_create(s->account, STR("Entwu\xcc\x88rfe"), 0));
	assert_int_equal(mailbox_create(s->account, STR("Entw\xc3\xbcrfe"), 0), STORE_EXISTS);
	put_mail(s->account, "Entw\xc3\xbcrfe");
	put_mail(s->account, "Entwu\xcc\x88rfe");
	assert_int_equal(count_files(s, ".Entw&APw-rfe/cur"), 2);
	/* Of another program's two directories one is the mailbox, and nothing is lost of the other. */
	shell(s, "mkdir -p '.Entwu&Awg-rfe/cur' '.e&AwE-/cur'; printf 'a: b\n\n' > '.Entwu&Awg-rfe/cur/1.x.y:2,'");
	put_mail(s->account, "\xc3\xa9");
	assert_int_equal(count_files(s, ".&AOk-/cur"), 1);
	assert_int_equal(count_files(s, ".Entw&APw-rfe/cur"), 2);
	assert_int_equal(count_files(s, ".Entwu&Awg-rfe/cur"), 1);
	site_free(s);
}

/* Made, filled, renamed, listed and deleted; and all of it inside. */
static void
odd_names_do_no_harm(void **state)
{
	struct site *s = site_new();
	scoped_buf to = BUF_INIT;

	(void)state;
	shell(s, "mkdir ../$(basename $PWD).outside && touch ../$(basename $PWD).outside/f");
	for (size_t i = 0; i < countof(odd_names); i++) {
		enum store_result r = mailbox_create(s->account, str_of(odd_names[i]), 0);

		assert_true(r == STORE_OK || r == STORE_EXISTS);
		put_mail(s->account, odd_names[i]);
		assert_ok(mailbox_subscribe(s->account, str_of(odd_names[i]), true));
		buf_clear(&to);
		buf_printf(&to, "moved %zu", i);
		assert_ok(mailbox_rename(s->account, str_of(odd_names[i]), buf_str(&to)));
		assert_ok(mailbox_rename(s->account, buf_str(&to), str_of(odd_names[i])));
	}
	site_reopen(s);
	for (size_t i = 0; i < countof(odd_names); i++)
		put_mail(s->account, odd_names[i]);
	account_close(s->account);
	shell(s, "rm -r .trivet");
	s->account = open_account(s->path, "imapd", 0);
	for (size_t i = countof(odd_names); i-- > 0;) {
		struct mailbox_info info;

		assert_ok(mailbox_status(s->account, str_of(odd_names[i]), s->arena, &info));
		assert_int_equal(info.messages, 2);
		assert_true(info.subscribed);
		if (strcmp(odd_names[i], "INBOX") != 0)
			assert_ok(mailbox_delete(s->account, str_of(odd_names[i])));
	}
	shell(s, "test -z \"$(ls -A | grep -v -x -e cur -e new -e tmp -e trivet-mailbox -e '\\..*')\"");
	shell(s, "test -f ../$(basename $PWD).outside/f && rm -r ../$(basename $PWD).outside");
	site_free(s);
}

static void
directories_of_others_are_understood(void **state)
{
	scoped_buf name = BUF_INIT;
	bool canonical;

	(void)state;
	assert_false(layout_name_of_dir(STR(".trivet"), &name, &canonical));
	assert_false(layout_name_of_dir(STR("."), &name, &canonical));
	assert_false(layout_name_of_dir(STR(".."), &name, &canonical));
	assert_false(layout_name_of_dir(STR(".INBOX"), &name, &canonical));
	assert_false(layout_name_of_dir(STR(".a..b"), &name, &canonical));
	/* A hidden '/' makes no level: it is taken as the text it is. */
	assert_true(layout_name_of_dir(STR(".&AC8-"), &name, &canonical));
	assert_str(buf_str(&name), STR("&AC8-"));
	assert_false(canonical);
	assert_true(layout_name_of_dir(STR(".\xea\xb0\x80"), &name, &canonical));
	assert_false(canonical);
	assert_true(layout_name_of_dir(STR(".a&b"), &name, &canonical));
	assert_str(buf_str(&name), STR("a&b"));
	assert_false(canonical);
}

static void
file_names_are_taken_apart(void **state)
{
	struct file_name n;
	scoped_buf base = BUF_INIT;

	(void)state;
	assert_true(file_name_parse(STR("1700.ab.host,S=10,W=12,U=7:2,FS"), &n));
	assert_str(n.prefix, STR("1700.ab.host"));
	assert_str(n.base, STR("1700.ab.host,S=10,W=12,U=7"));
	assert_str(n.letters, STR("FS"));
	assert_true(n.has_size && n.has_wire && n.has_uid);
	assert_int_equal(n.size + n.wire + n.uid, 29);
	assert_true(file_name_parse(STR("1700.M1P2.host,x=1,S=10:2,"), &n));
	assert_str(n.prefix, STR("1700.M1P2.host,x=1"));
	assert_true(file_name_parse(STR("plain"), &n));
	assert_str(n.prefix, STR("plain"));
	assert_true(file_name_parse(STR("a,U=0"), &n));
	assert_false(n.has_uid);
	assert_true(file_name_parse(STR("a,U=99999999999,S=x"), &n));
	assert_false(n.has_uid || n.has_size);
	assert_false(file_name_parse(STR(".hidden"), &n));
	assert_false(file_name_parse(STR(":2,S"), &n));
	file_name_put_base(&base, STR("p"), 1, 2, 3);
	assert_string_equal(buf_z(&base), "p,S=1,W=2,U=3");
}

static void
bad_names_are_refused(void **state)
{
	struct site *s = site_new();
	char longest[400];

	(void)state;
	for (size_t i = 0; i < countof(bad_names); i++)
		assert_int_equal(mailbox_create(s->account, str_of(bad_names[i]), 0),
		    STORE_BAD_NAME);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(mailbox_create(s->account, (struct str){ longest, 255 }, 0),
	    STORE_BAD_NAME);
	assert_ok(mailbox_create(s->account, (struct str){ longest, 254 }, 0));
	assert_int_equal(mailbox_create(s->account, STR("inbox"), 0), STORE_EXISTS);
	assert_int_equal(mailbox_create(s->account, STR("Sent/"), 0), STORE_EXISTS);
	assert_int_equal(mailbox_rename(s->account, STR("Sent"), STR("a//b")), STORE_BAD_NAME);
	for (size_t i = 1; i < countof(names); i++)
		if (strcmp(names[i].name, "Sent") != 0)
			assert_ok(mailbox_create(s->account, str_of(names[i].name), 0));
	put_mail(s->account, "받은 편지함");
	put_mail(s->account, "..");
	assert_int_equal(count_files(s, ".&vBvHQA- &07jJwNVo-/cur"), 1);
	site_free(s);
}

static const struct mailbox_info *
listed(struct site *s, const char *name)
{
	struct mailbox_info *all;
	size_t count;

	assert_ok(account_list(s->account, s->arena, &all, &count));
	for (size_t i = 0; i < count; i++)
		if (str_eq(all[i].name, str_of(name)))
			return &all[i];
	return NULL;
}

static void
create_makes_the_levels_above(void **state)
{
	struct site *s = site_new();

	(void)state;
	assert_ok(mailbox_create(s->account, STR("a/b/c/"), USE_ALL));
	assert_true(listed(s, "a")->selectable && listed(s, "a")->has_children);
	assert_true(listed(s, "a/b")->has_children);
	assert_false(listed(s, "a/b/c")->has_children);
	assert_int_equal(listed(s, "a/b/c")->special_use, USE_ALL);
	assert_int_equal(listed(s, "a/b")->special_use, 0);
	assert_ok(mailbox_create(s->account, STR("Trash/x"), 0));
	assert_true(listed(s, "Trash")->has_children);
	site_free(s);
}

static void
deleting_leaves_children_and_makes_a_new_uidvalidity(void **state)
{
	struct site *s = site_new();
	struct mailbox_info before, after;
	struct mailbox *m;
	char path[200];

	(void)state;
	assert_int_equal(mailbox_delete(s->account, STR("INBOX")), STORE_NOT_ALLOWED);
	assert_int_equal(mailbox_delete(s->account, STR("nope")), STORE_NO_SUCH);
	assert_ok(mailbox_create(s->account, STR("a/b"), 0));
	put_mail(s->account, "a");
	assert_ok(mailbox_status(s->account, STR("a"), s->arena, &before));
	m = open_box(s->account, "a");
	assert_ok(mailbox_delete(s->account, STR("a")));
	assert_int_equal(mailbox_refresh(m), STORE_GONE);
	mailbox_close(m);
	assert_false(listed(s, "a")->selectable);
	assert_true(listed(s, "a")->exists && listed(s, "a")->has_children);
	assert_true(listed(s, "a/b")->selectable);
	assert_int_equal(mailbox_delete(s->account, STR("a")), STORE_NOT_ALLOWED);
	assert_ok(mailbox_create(s->account, STR("a"), 0));
	assert_ok(mailbox_status(s->account, STR("a"), s->arena, &after));
	assert_int_equal(after.messages, 0);
	assert_true(after.uidvalidity > before.uidvalidity);
	assert_false(str_eq(before.id, after.id));
	/* What somebody is deleting just now may come back. */
	snprintf(path, sizeof(path), "%s/.trivet/deleting-x", s->path);
	assert_int_equal(mkdir(path, 0700), 0);
	account_work(s->account);
	assert_string_equal(find_name(s, ".trivet", "deleted-"), "");
	assert_string_equal(find_name(s, ".trivet", "deleting-"), "deleting-x");
	site_free(s);
}

static void
rename_takes_the_tree_along(void **state)
{
	struct site *s = site_new();
	struct mailbox_info before, after;
	struct mailbox *m;

	(void)state;
	assert_ok(mailbox_create(s->account, STR("x/sub/deep"), 0));
	put_mail(s->account, "x/sub");
	assert_ok(mailbox_status(s->account, STR("x/sub"), s->arena, &before));
	m = open_box(s->account, "x/sub");
	assert_int_equal(mailbox_rename(s->account, STR("x/sub"), STR("Sent")), STORE_EXISTS);
	assert_int_equal(mailbox_rename(s->account, STR("x/sub"), STR("x/sub/y")),
	    STORE_NOT_ALLOWED);
	assert_int_equal(mailbox_rename(s->account, STR("nope"), STR("y")), STORE_NO_SUCH);
	assert_ok(mailbox_rename(s->account, STR("x/sub"), STR("Trash/받은 것/sub")));
	assert_null(listed(s, "x/sub"));
	assert_true(listed(s, "Trash/받은 것")->selectable);
	assert_true(listed(s, "Trash/받은 것/sub/deep")->selectable);
	assert_ok(mailbox_status(s->account, STR("Trash/받은 것/sub"), s->arena, &after));
	assert_int_equal(before.uidvalidity, after.uidvalidity);
	assert_str(before.id, after.id);
	assert_ok(mailbox_refresh(m));
	assert_str(mailbox_name(m), STR("Trash/받은 것/sub"));
	set_flags(s, m, 1, FLAGS_ADD, FLAG_SEEN, "word");
	mailbox_close(m);
	/* A target below which only its children are blocks nothing else. */
	assert_ok(mailbox_create(s->account, STR("p/one"), 0));
	assert_ok(mailbox_create(s->account, STR("q/one"), 0));
	assert_ok(mailbox_delete(s->account, STR("q")));
	assert_int_equal(mailbox_rename(s->account, STR("p"), STR("q")), STORE_EXISTS);
	assert_true(listed(s, "p")->selectable);
	assert_true(listed(s, "p/one")->selectable);
	site_free(s);
}

/* As clients delete: into Trash, where one of that name may be already. */
static void
trees_go_into_trash_and_come_back(void **state)
{
	struct site *s = site_new();
	struct mailbox_info before, after;

	(void)state;
	assert_ok(mailbox_create(s->account, STR("p/q/r"), 0));
	assert_ok(mailbox_subscribe(s->account, STR("p/q"), true));
	put_mail(s->account, "p/q/r");
	assert_ok(mailbox_status(s->account, STR("p/q/r"), s->arena, &before));
	assert_ok(mailbox_rename(s->account, STR("p"), STR("Trash/p")));
	assert_ok(mailbox_create(s->account, STR("p/q"), 0));
	put_mail(s->account, "p/q");
	assert_int_equal(mailbox_rename(s->account, STR("p"), STR("Trash/p")), STORE_EXISTS);
	assert_ok(mailbox_rename(s->account, STR("p"), STR("Trash/p-2")));
	/* A level that is no mailbox itself is renamed all the same. */
	assert_ok(mailbox_delete(s->account, STR("Trash/p")));
	assert_ok(mailbox_rename(s->account, STR("Trash/p"), STR("p")));
	assert_false(listed(s, "p")->selectable);
	assert_true(listed(s, "p/q")->subscribed);
	assert_ok(mailbox_status(s->account, STR("p/q/r"), s->arena, &after));
	assert_int_equal(after.messages, 1);
	assert_int_equal(after.uidvalidity, before.uidvalidity);
	assert_str(after.id, before.id);
	/* INBOX has children of its own, which stay. */
	assert_ok(mailbox_create(s->account, STR("INBOX/sub"), 0));
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_rename(s->account, STR("INBOX"), STR("Trash/inbox")));
	assert_true(listed(s, "INBOX/sub")->selectable);
	assert_int_equal(mailbox_rename(s->account, STR("INBOX"), STR("Trash/inbox")), STORE_EXISTS);
	assert_int_equal(mailbox_rename(s->account, STR("Trash/inbox"), STR("INBOX")), STORE_EXISTS);
	assert_ok(mailbox_rename(s->account, STR("INBOX/sub"), STR("inbox/other")));
	assert_true(listed(s, "INBOX/other")->selectable);
	/* Too long, or too deep, only with its children: nothing moves. */
	assert_ok(mailbox_create(s->account, STR("1/2/3/4/5/6/7/8/9/10"), 0));
	assert_ok(mailbox_create(s->account, STR("d/d/d/d/d/d/d/d/d/d/d"), 0));
	assert_int_equal(mailbox_rename(s->account, STR("1"), STR("d/d/d/d/d/d/d/d/d/d/d/1")), STORE_BAD_NAME);
	assert_true(listed(s, "1/2/3")->selectable);
	site_free(s);
}

static void
renaming_inbox_moves_its_messages(void **state)
{
	struct site *s = site_new();
	struct mailbox_info info;

	(void)state;
	put_mail(s->account, "INBOX");
	put_mail(s->account, "INBOX");
	assert_ok(mailbox_rename(s->account, STR("inbox"), STR("old/mail")));
	assert_ok(mailbox_status(s->account, STR("old/mail"), s->arena, &info));
	assert_int_equal(info.messages, 2);
	assert_ok(mailbox_status(s->account, STR("INBOX"), s->arena, &info));
	assert_int_equal(info.messages, 0);
	assert_int_equal(put_mail(s->account, "INBOX"), 3);
	site_free(s);
}

static void
subscriptions_outlive_mailboxes(void **state)
{
	struct site *s = site_new();

	(void)state;
	assert_ok(mailbox_create(s->account, STR("a"), 0));
	assert_false(listed(s, "a")->subscribed);
	assert_ok(mailbox_subscribe(s->account, STR("a"), true));
	assert_ok(mailbox_subscribe(s->account, STR("ghost/한글"), true));
	assert_ok(mailbox_delete(s->account, STR("a")));
	assert_true(listed(s, "a")->subscribed);
	assert_false(listed(s, "a")->exists);
	account_close(s->account);
	shell(s, "rm .trivet/index.db*");
	s->account = open_account(s->path, "imapd", 0);
	assert_true(listed(s, "a")->subscribed);
	assert_true(listed(s, "ghost/한글")->subscribed);
	assert_ok(mailbox_create(s->account, STR("a"), 0));
	assert_true(listed(s, "a")->subscribed && listed(s, "a")->selectable);
	assert_ok(mailbox_subscribe(s->account, STR("ghost/한글"), false));
	assert_null(listed(s, "ghost/한글"));
	assert_ok(mailbox_subscribe(s->account, STR("Sent"), false));
	site_reopen(s);
	assert_false(listed(s, "Sent")->subscribed);
	site_free(s);
}

static void
folders_that_others_made_are_taken_over(void **state)
{
	struct site *s = site_new();
	struct mailbox_info before, after;

	(void)state;
	put_mail(s->account, "Sent");
	assert_ok(mailbox_status(s->account, STR("Sent"), s->arena, &before));
	shell(s, "mkdir -p .New.Sub/cur .New.Sub/new .New.Sub/tmp");
	assert_true(listed(s, "New/Sub")->selectable);
	assert_false(listed(s, "New")->selectable);
	/* Renamed outside: known by its id. */
	shell(s, "mv .Sent .Gone");
	assert_null(listed(s, "Sent"));
	assert_ok(mailbox_status(s->account, STR("Gone"), s->arena, &after));
	assert_str(before.id, after.id);
	assert_int_equal(before.uidvalidity, after.uidvalidity);
	assert_int_equal(after.messages, 1);
	/* Copied outside: another mailbox. */
	shell(s, "cp -a .Gone .Copy");
	assert_true(listed(s, "Copy")->selectable);
	assert_ok(mailbox_status(s->account, STR("Copy"), s->arena, &after));
	assert_false(str_eq(before.id, after.id));
	assert_int_equal(after.messages, 1);
	shell(s, "rm -r .Gone .trivet/imapd; ln -s /etc .Etc; touch .file; mkdir '.가'");
	assert_null(listed(s, "Gone"));
	assert_null(listed(s, "Etc"));
	assert_null(listed(s, "file"));
	assert_true(listed(s, "가")->selectable);
	shell(s, "test -d '.&rAA-'");
	site_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_one_directory_and_back),
		cmocka_unit_test(a_name_has_one_form),
		cmocka_unit_test(odd_names_do_no_harm),
		cmocka_unit_test(directories_of_others_are_understood),
		cmocka_unit_test(file_names_are_taken_apart),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(create_makes_the_levels_above),
		cmocka_unit_test(deleting_leaves_children_and_makes_a_new_uidvalidity),
		cmocka_unit_test(rename_takes_the_tree_along),
		cmocka_unit_test(trees_go_into_trash_and_come_back),
		cmocka_unit_test(renaming_inbox_moves_its_messages),
		cmocka_unit_test(subscriptions_outlive_mailboxes),
		cmocka_unit_test(folders_that_others_made_are_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
