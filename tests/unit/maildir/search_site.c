/* SPDX-License-Identifier: ISC */
/* An account with mail in many languages, whose search.db is filled, forgotten and asked as a test says. */
#include "common/mime/word.h"
#include "maildir/private.h"
#include "maildir/search_db.h"
#include "tests/unit/maildir/search_site.h"
#include "tests/unit/maildir/sentences.h"

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

struct site *site;

int
search_set_up(void **state)
{
	(void)state;
	site = site_new();
	return 0;
}

int
search_tear_down(void **state)
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

void
add(struct str message)
{
	struct append *p = NULL;
	struct appended done;

	assert_ok(append_begin(site->account, &(struct append_options){ .mailbox = STR("INBOX") }, &p));
	assert_ok(append_write(p, message));
	assert_ok(append_publish(p, false, &done));
}

void
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

void
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

struct search_key
text_key(enum search_kind kind, const char *field, struct str text)
{
	return (struct search_key){ .kind = kind, .field = str_of(field), .text = text };
}

size_t
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

void
some_key(struct search_key *key)
{
	static const char *const fields[] = { "From", "to", "SUBJECT", "X-Rare", "Nowhere" };
	static const enum search_kind kinds[] = { SEARCH_BODY, SEARCH_TEXT, SEARCH_HEADER };
	static const char *const texts[] = { "kim, \"", "j\" q.", "@", "kim@b.test", "brown", "a",
		"plan.txt", "seldom", "김영희", "김", "\xc3\xa9", "" };

	*key = text_key(kinds[below(countof(kinds))], fields[below(countof(fields))],
	    below(4) == 0 ? str_of(texts[below(countof(texts))]) : some_text());
}

void
build(void)
{
	site->account->search_due = 1;
	while (account_work(site->account) || site->account->search_due != 0) {
		if (site->account->search_due > 1)
			site->account->search_due = 1;
	}
}

void
take_away(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/.trivet/%s", site->path, name);
	unlink(path);
}

void
forget_db(void)
{
	site_reopen(site);
	take_away("search.db");
	take_away("search.db-wal");
	take_away("search.db-shm");
}

int64_t
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
