/* SPDX-License-Identifier: ISC */
/*
 * search.db in a real account: whatever state it is in, a search finds what reading the messages finds.
 */
#include <sys/wait.h>

#include "common/mime/word.h"
#include "maildir/private.h"
#include "maildir/search_db.h"
#include "tests/unit/maildir/sentences.h"
#include "tests/unit/maildir/test.h"

enum { MESSAGES = 600, KEYS = 100 };

static const struct {
	const char *label, *iconv_name;
	enum transfer_encoding encoding;
	const char *words;
} languages[] = {
	{ "us-ascii", "ASCII", TRANSFER_IDENTITY, "meeting agenda Monday report a I x zz invoice 42" },
	{ "euc-kr", "CP949", TRANSFER_BASE64, "가나다 회의 일정 안내 드립니다 나 은 회의실" },
	{ "utf-8", "UTF-8", TRANSFER_QUOTED_PRINTABLE, "회의 Straße Zürich é ΣΑΣ e\xcc\x81t 일정 \xe1\x84\x92\xe1\x85\xa1" },
	{ "iso-2022-jp", "ISO-2022-JP", TRANSFER_IDENTITY, "会議 のお知らせ Tokyo カタカナ ひらがな" },
	{ "shift_jis", "SHIFT_JIS", TRANSFER_BASE64, "会議 表示 Tokyo カタカナ 能" },
	{ "windows-1256", "CP1256", TRANSFER_QUOTED_PRINTABLE, "اجتماع يوم الاثنين تقرير في" },
	{ "koi8-r", "KOI8-R", TRANSFER_BASE64, "Встреча завтра УТРОМ в Москве и я" },
	{ "utf-8", "UTF-8", TRANSFER_IDENTITY, "회의 meeting 会議 Grüße 😀 emoji 가" },
};

static struct site *site;

static int
set_up(void **state)
{
	(void)state;
	site = site_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	site_free(site);
	return 0;
}

/* ---- messages ---- */

static void
put_part(struct buf *out, size_t language, size_t words, struct buf *utf8)
{
	static const char *const names[] = { "7bit", "base64", "quoted-printable" };
	scoped_buf text = BUF_INIT, bytes = BUF_INIT;
	const enum transfer_encoding encoding = languages[language].encoding;

	put_words(&text, languages[language].words, words);
	put_in_charset(&bytes, languages[language].iconv_name, buf_str(&text));
	buf_put(utf8, buf_str(&text));
	buf_printf(out, "Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
	    languages[language].label, names[encoding]);
	put_encoded(out, encoding, buf_str(&bytes));
	buf_put_z(out, "\r\n");
}

static void
put_message(struct buf *out, size_t i, struct buf *utf8)
{
	static const char *const people[] = { "Ann <ann@a.test>", "\"Kim, \\\"J\\\" Q.\" <kim@b.test>",
		"bob@c.test (Bob Brown)", "=?euc-kr?B?sei/tcjx?= <y@d.test>" };
	const size_t language = below(countof(languages));

	buf_printf(out, "From: %s\r\nTo: %s\r\nDate: %zu Nov 2026 10:00:00 +0900\r\n"
	    "Message-ID: <%zu@a.test>\r\nSubject: ", people[below(countof(people))],
	    people[below(countof(people))], 1 + below(28), i);
	utf8->n = 0;
	put_words(utf8, languages[language].words, 4);
	for (size_t k = 0; k < utf8->n; k++)
		if (ascii_is_control(utf8->p[k]))
			utf8->p[k] = ' ';
	word_put_encoded(out, buf_str(utf8), 9);
	buf_put_z(out, i % 7 == 0 ? "\r\nX-Rare: seldom seen" : "");
	buf_put_z(out, "\r\nMIME-Version: 1.0\r\n");
	if (i % 5 != 0) {
		put_part(out, language, below(i % 97 == 0 ? 9000 : 80), utf8);
		return;
	}
	buf_put_z(out, "Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n");
	put_part(out, language, 30, utf8);
	buf_put_z(out, "--bb\r\nContent-Disposition: attachment; filename=plan.txt\r\n");
	put_part(out, below(countof(languages)), 30, utf8);
	buf_put_z(out, "--bb--\r\n");
}

/* A text of some message, now and then, to take keys from. */
static struct str samples[64];

/* Not synced: there are many. */
static void
add(struct str message)
{
	struct append *p = NULL;
	struct appended done;

	assert_ok(append_begin(site->account, &(struct append_options){ .mailbox = STR("INBOX") }, &p));
	assert_ok(append_write(p, message));
	assert_ok(append_publish(p, false, &done));
}

static void
fill(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		scoped_buf message = BUF_INIT, utf8 = BUF_INIT;

		put_message(&message, i, &utf8);
		add(buf_str(&message));
		if (utf8.n > 0)
			samples[i % countof(samples)] = arena_str(site->arena, buf_str(&utf8));
	}
}

/* ---- searching ---- */

static void
find(struct search_key *key, struct buf *found)
{
	struct mailbox *m = open_box(site->account, "INBOX");
	struct search *s = search_new(m, key, &(struct search_extent){ 0 });
	bool done = false;

	buf_clear(found);
	while (!done)
		assert_ok(search_step(s, found, &done));
	search_free(s);
	mailbox_close(m);
}

static struct search_key
text_key(enum search_kind kind, const char *field, struct str text)
{
	return (struct search_key){ .kind = kind, .field = str_of(field), .text = text };
}

static size_t
count_found(enum search_kind kind, const char *field, const char *text)
{
	scoped_buf found = BUF_INIT;
	struct search_key key = text_key(kind, field, str_of(text));

	find(&key, &found);
	return found.n / sizeof(uint32_t);
}

/* One to six characters of a sample. */
static struct str
some_text(void)
{
	struct str s = samples[below(countof(samples))];
	size_t from = s.n > 0 ? below(s.n) : 0, n, characters = 1 + below(6);

	while (from > 0 && ((unsigned char)s.p[from] & 0xC0) == 0x80)
		from--;
	for (n = from; n < s.n && s.p[n] != '\r'; n++)
		if (((unsigned char)s.p[n] & 0xC0) != 0x80 && characters-- == 0)
			break;
	return str_sub(s, from, n - from);
}

static void
some_key(struct search_key *key)
{
	static const char *const fields[] = { "From", "to", "SUBJECT", "X-Rare", "Nowhere" };
	static const enum search_kind kinds[] = { SEARCH_BODY, SEARCH_TEXT, SEARCH_HEADER };
	static const char *const texts[] = { "kim, \"", "j\" q.", "@", "kim@b.test", "brown", "a",
		"plan.txt", "seldom", "김영희", "김", "\xc3\xa9", "" };

	*key = text_key(kinds[below(countof(kinds))], fields[below(countof(fields))],
	    below(4) == 0 ? str_of(texts[below(countof(texts))]) : some_text());
}

/* Until search.db knows all there is. */
static void
build(void)
{
	site->account->search_due = 1;
	while (account_work(site->account) || site->account->search_due != 0) {
		if (site->account->search_due > 1)
			site->account->search_due = 1;
	}
}

static void
take_away(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/.trivet/%s", site->path, name);
	unlink(path);
}

static void
forget_db(void)
{
	site_reopen(site);
	take_away("search.db");
	take_away("search.db-wal");
	take_away("search.db-shm");
}

static int64_t
number(const char *sql)
{
	struct search_db *db = search_db(site->account, false);
	sqlite3_stmt *q = NULL;
	int64_t n;

	assert_non_null(db);
	assert_int_equal(sqlite3_prepare_v2(db->db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return n;
}

/* ---- what must be true ---- */

/* Keys alone, negated, and joined: first all by reading, then all with the index. */
static void
answers_are_those_of_reading(void **state)
{
	static struct search_key keys[KEYS], others[KEYS], joined[KEYS];
	static struct buf read[KEYS], filtered[KEYS];
	size_t differ = 0;

	(void)state;
	fill(MESSAGES);
	for (size_t i = 0; i < KEYS; i++) {
		some_key(&keys[i]);
		some_key(&others[i]);
		joined[i] = keys[i];
		if (i % 4 == 1)
			joined[i] = (struct search_key){ .kind = SEARCH_NOT, .first = &keys[i] };
		keys[i].next = i % 4 >= 2 ? &others[i] : NULL;
		if (i % 4 >= 2)
			joined[i] = (struct search_key){ .kind = i % 4 == 2 ? SEARCH_AND : SEARCH_OR,
				.first = &keys[i] };
		find(&joined[i], &read[i]);
	}
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), MESSAGES);
	assert_int_equal(number("SELECT count(*) FROM blocks"), MESSAGES / 256);
	for (size_t i = 0; i < KEYS; i++) {
		find(&joined[i], &filtered[i]);
		if (!str_eq(buf_str(&read[i]), buf_str(&filtered[i]))) {
			print_error("%zu: kind %d field %.*s text \"%.*s\": %zu read, %zu filtered\n", i,
			    keys[i].kind, STR_ARG(keys[i].field), STR_ARG(keys[i].text),
			    read[i].n / 4, filtered[i].n / 4);
			differ++;
		}
		buf_free(&read[i]);
		buf_free(&filtered[i]);
	}
	assert_int_equal(differ, 0);
}

static void
sent_dates_come_from_it(void **state)
{
	scoped_buf read = BUF_INIT, known = BUF_INIT;
	struct search_key key = { .kind = SEARCH_SENTSINCE, .day = 20773 };

	(void)state;
	fill(300);
	find(&key, &read);
	assert_null(search_db(site->account, false));	/* for a day alone none is made */
	(void)count_found(SEARCH_BODY, "", "a");
	build();
	find(&key, &known);
	assert_true(read.n > 0 && read.n < 300 * sizeof(uint32_t));
	assert_str(buf_str(&read), buf_str(&known));
}

static void
what_is_new_or_gone_counts_at_once(void **state)
{
	struct mailbox *m;

	(void)state;
	fill(300);
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 0);
	put_mail(site->account, "INBOX");
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	m = open_box(site->account, "INBOX");
	set_flags(site, m, 301, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 0);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 300);
}

static void
expunge_all(void)
{
	struct mailbox *m = open_box(site->account, "INBOX");

	set_flags(site, m, 1, FLAGS_ADD, FLAG_DELETED, NULL);
	for (uint32_t uid = 2; uid <= 3000; uid += 500) {
		struct uid_set set = one_range(site->arena, uid, uid + 499);
		struct stored stored;

		assert_ok(mailbox_store(m, &set, FLAGS_ADD, &(struct flags){ .system = FLAG_DELETED }, UINT64_MAX,
		    site->arena, &stored));
	}
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
}

/* Grams of the expunged pile up, until the mailbox is taken in anew. */
static void
of_what_is_gone_nothing_stays(void **state)
{
	(void)state;
	fill(40);
	for (int i = 0; i < 2520; i++)
		add(STR("Subject: short\r\n\r\nshort\r\n"));
	(void)count_found(SEARCH_BODY, "", "회의");
	build();
	assert_int_equal(number("SELECT count(*) FROM blocks"), 10);
	expunge_all();
	put_mail(site->account, "INBOX");
	build();
	assert_int_equal(number("SELECT count(*) FROM blocks"), 0);
	assert_int_equal(number("SELECT count(*) FROM grams"), 0);
	assert_int_equal(number("SELECT count(*) FROM messages"), 1);
	assert_int_equal(number("SELECT held FROM boxes"), 1);
	assert_int_equal(count_found(SEARCH_BODY, "", "Hi Bob"), 1);
	assert_int_equal(count_found(SEARCH_BODY, "", "회의"), 0);
}

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

/* One with more text than is kept, one with more than is looked at, one without any. */
static void
size_does_not_matter(void **state)
{
	scoped_buf large = BUF_INIT, huge = BUF_INIT;

	(void)state;
	buf_put_z(&large, "Subject: large\r\n\r\n");
	for (unsigned i = 0; i < 20000; i++)
		buf_printf(&large, "%u\r\n", i * 7);
	buf_put_z(&large, "the very end");
	buf_put_z(&huge, "Subject: huge\r\n\r\n");
	for (unsigned i = 0; i < 200000; i++)
		buf_printf(&huge, "%u\r\n", i * 7);
	buf_put_z(&huge, "the very end");
	fill(300);
	put(site->account, "INBOX", buf_str(&large), (struct flags){ 0 });
	put(site->account, "INBOX", buf_str(&huge), (struct flags){ 0 });
	put(site->account, "INBOX", STR("Subject: none\r\n\r\n"), (struct flags){ 0 });
	put(site->account, "INBOX", STR(""), (struct flags){ 0 });
	fill(300);
	assert_int_equal(count_found(SEARCH_BODY, "", "the very end"), 2);
	build();
	assert_int_equal(count_found(SEARCH_BODY, "", "the very end"), 2);
	assert_int_equal(count_found(SEARCH_BODY, "", "the very middle"), 0);
	assert_int_equal(count_found(SEARCH_HEADER, "Subject", "e"), count_found(SEARCH_HEADER, "subject", "E"));
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

/* What is read of the few lines is what is read of all; and without either. */
static void
a_brief_record_answers_as_the_header_does(void **state)
{
	static const char *const names[] = { "From", "TO", "cc", "Subject", "Message-ID" };
	static const char *const texts[] = { "", "a", "e", "회의", "test", "example", "nothing at all" };
	size_t counts[countof(names)][countof(texts)];

	(void)state;
	fill(300);
	for (size_t round = 0; round < 3; round++) {
		if (round > 0)
			build();
		if (round == 2)
			assert_int_equal(sqlite3_exec(search_db(site->account, true)->db,
			    "DELETE FROM briefs", NULL, NULL, NULL), SQLITE_OK);
		for (size_t n = 0; n < countof(names); n++)
			for (size_t t = 0; t < countof(texts); t++) {
				const size_t count = count_found(SEARCH_HEADER, names[n], texts[t]);

				if (round == 0)
					counts[n][t] = count;
				assert_int_equal(count, counts[n][t]);
			}
	}
}

static void
order(const struct sort_criterion *by, size_t criteria, struct buf *out)
{
	struct mailbox *m = open_box(site->account, "INBOX");
	struct search_key all = { .kind = SEARCH_ALL };
	scoped_buf uids = BUF_INIT;
	struct order *o;
	const uint32_t *sorted;
	bool done = false;
	size_t count;

	find(&all, &uids);
	o = order_sort(m, (const uint32_t *)(const void *)uids.p, uids.n / sizeof(uint32_t), by, criteria);
	while (!done)
		assert_ok(order_step(o, &done));
	sorted = order_uids(o, &count);
	buf_clear(out);
	buf_put(out, (struct str){ (const char *)sorted, count * sizeof(*sorted) });
	order_free(o);
	mailbox_close(m);
}

static void
order_is_the_same_from_headers_and_from_it(void **state)
{
	static const struct sort_criterion by[][2] = {
		{ { SORT_SUBJECT, false }, { SORT_DATE, true } },
		{ { SORT_DISPLAY_FROM, true }, { SORT_TO, false } },
		{ { SORT_DATE, false }, { SORT_SIZE, false } },
	};
	struct buf before[countof(by)] = { 0 };

	(void)state;
	fill(700);
	for (size_t i = 0; i < countof(by); i++)
		order(by[i], 2, &before[i]);
	build();
	assert_int_equal(number("SELECT count(*) FROM messages"), 700);
	for (size_t i = 0; i < countof(by); i++) {
		scoped_buf after = BUF_INIT;

		order(by[i], 2, &after);
		assert_int_equal(after.n, 700 * sizeof(uint32_t));
		assert_str(buf_str(&after), buf_str(&before[i]));
		buf_free(&before[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(answers_are_those_of_reading),
		TEST(sent_dates_come_from_it),
		TEST(what_is_new_or_gone_counts_at_once),
		TEST(of_what_is_gone_nothing_stays),
		TEST(a_damaged_one_is_thrown_away),
		TEST(one_of_another_version_is_thrown_away),
		TEST(taken_away_while_open_it_is_made_anew),
		TEST(another_process_may_fill_and_clear_it_meanwhile),
		TEST(what_is_planted_in_its_place_goes_aside),
		TEST(a_deleted_mailbox_leaves_nothing),
		TEST(size_does_not_matter),
		TEST(rows_that_make_no_sense_end_nothing),
		TEST(a_brief_record_answers_as_the_header_does),
		TEST(order_is_the_same_from_headers_and_from_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
