/* SPDX-License-Identifier: ISC */
/*
 * Last week's backup, or a part of it, is put over the directory that is in use: (UIDVALIDITY, UID) never names two
 * messages, UIDNEXT and HIGHESTMODSEQ never fall below what was told, and a client that was away (RFC 7162 3.2.5) learns what
 * it has to know.
 */
#include "tests/unit/maildir/test.h"

#include <linux/stat.h>
#include <sys/syscall.h>

#include "maildir/control.h"
#include "tests/unit/maildir/rest.h"

/* Some file systems do not know when a file was made. */
static bool births_unknown;

int
statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict out)
{
	long r = syscall(SYS_statx, dir, path, flags, mask, out);

	if (births_unknown)
		out->stx_mask &= ~(unsigned)STATX_BTIME;
	return (int)r;
}

enum { MESSAGES = 200, BOXES = 12, SINCE = 4 };

static const char *const names[] = { "INBOX", "Work", "Again" };

struct known_message {
	uint32_t uid;
	uint32_t flags;
	char subject[32];	/* says which message it is */
};

/* All that a client was ever told of one (name, UIDVALIDITY). */
struct known {
	char name[16];
	uint32_t uidvalidity;
	uint32_t uid_next;
	uint64_t modseq;
	struct known_message ever[MESSAGES];
	size_t ever_count;
	struct known_message now[MESSAGES];
	size_t now_count;
};

struct client {
	struct known box[BOXES];
	size_t count;
};

static void
put_named(struct site *s, const char *mailbox, const char *subject)
{
	scoped_buf text = BUF_INIT;

	buf_printf(&text, "From: a@b.test\r\nSubject: %s\r\n\r\nx\r\n", subject);
	put(s->account, mailbox, buf_str(&text), (struct flags){ 0 });
}

static struct known_message
see_message(struct mailbox *m, uint32_t seq)
{
	struct message at = message_of(m, seq);
	struct known_message k = { .uid = at.uid, .flags = at.flags };
	struct str text[TEXT_COUNT], subject;
	struct content *c;

	/* From the file, not from what the index keeps of it. */
	assert_ok(content_open(m, at.uid, &c));
	assert_ok(content_bytes(c, &text[0]));
	subject = str_from(text[0], str_find(text[0], STR("Subject: ")) + 9);
	subject = str_sub(subject, 0, str_index(subject, '\r'));
	memcpy(k.subject, subject.p, subject.n < 31 ? subject.n : 31);
	content_close(c);
	assert_ok(message_texts(m, at.uid, 1 << TEXT_HEADER, text));
	assert_true(str_find(text[TEXT_HEADER], str_of(k.subject)) < text[TEXT_HEADER].n);
	return k;
}

static struct known *
known_of(struct client *k, const char *name, uint32_t uidvalidity)
{
	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->box[i].name, name) == 0 && k->box[i].uidvalidity == uidvalidity)
			return &k->box[i];
	assert_true(k->count < BOXES);
	snprintf(k->box[k->count].name, sizeof(k->box[0].name), "%s", name);
	k->box[k->count].uidvalidity = uidvalidity;
	return &k->box[k->count++];
}

static void
remember(struct known *k, const struct known_message *m)
{
	for (size_t i = 0; i < k->ever_count; i++)
		if (k->ever[i].uid == m->uid) {
			assert_string_equal(k->ever[i].subject, m->subject);
			return;
		}
	assert_true(k->ever_count < MESSAGES);
	k->ever[k->ever_count++] = *m;
}

/* What it had, less what vanished, and what changed since, is what is there. */
static void
come_back(struct site *s, struct known *k, struct mailbox *m)
{
	struct known_message there[MESSAGES];
	struct uid_set gone;
	size_t kept = 0, n = mailbox_exists(m), at;

	assert_ok(mailbox_vanished(m, k->modseq, s->arena, &gone));
	for (size_t i = 0; i < k->now_count; i++)
		if (!uid_set_has(&gone, k->now[i].uid))
			k->now[kept++] = k->now[i];
	for (size_t i = 0; i < n; i++) {
		there[i] = see_message(m, (uint32_t)i + 1);
		assert_false(uid_set_has(&gone, there[i].uid));
		for (at = 0; at < kept && k->now[at].uid != there[i].uid; at++)
			continue;
		if (message_of(m, (uint32_t)i + 1).modseq > k->modseq) {
			k->now[at] = there[i];
			kept += at == kept;
		}
		assert_true(at < kept);
		assert_int_equal(k->now[at].flags, there[i].flags);
	}
	assert_int_equal(kept, n);
	memcpy(k->now, there, n * sizeof(there[0]));
	k->now_count = n;
}

static void
connect_to(struct site *s, struct client *client, const char *name)
{
	struct mailbox *m;
	struct known *k;

	if (mailbox_open(s->account, str_of(name), MAILBOX_READ_WRITE, &m) != STORE_OK)
		return;
	k = known_of(client, name, mailbox_uidvalidity(m));
	assert_true(mailbox_uid_next(m) >= k->uid_next);
	assert_true(mailbox_highest_modseq(m) >= k->modseq);
	come_back(s, k, m);
	for (size_t i = 0; i < k->now_count; i++)
		remember(k, &k->now[i]);
	k->uid_next = mailbox_uid_next(m);
	k->modseq = mailbox_highest_modseq(m);
	mailbox_close(m);
}

static void
connect_all(struct site *s, struct client *client)
{
	for (size_t i = 0; i < countof(names); i++)
		connect_to(s, client, names[i]);
}

static void
furnish(struct site *s, const char *when, int count)
{
	char subject[32];

	for (size_t i = 0; i < countof(names); i++)
		for (int n = 0; n < count; n++) {
			snprintf(subject, sizeof(subject), "%s-%s-%d", when, names[i], n);
			put_named(s, names[i], subject);
		}
}

static void
expunge_one(struct site *s, const char *name, uint32_t uid)
{
	struct mailbox *m = open_box(s->account, name);

	set_flags(s, m, uid, FLAGS_ADD, FLAG_DELETED, NULL);
	assert_ok(mailbox_expunge(m, NULL));
	mailbox_close(m);
}

/* A week passes: all that can happen to a mailbox does. */
static void
live_on(struct site *s, struct client *client)
{
	struct mailbox *m;
	struct uid_set set = one_range(s->arena, 5, 6);
	struct copied c;

	furnish(s, "later", SINCE);
	connect_all(s, client);
	expunge_one(s, "INBOX", 3);
	expunge_one(s, "INBOX", 12);
	m = open_box(s->account, "INBOX");
	set_flags(s, m, 4, FLAGS_ADD, FLAG_SEEN | FLAG_FLAGGED, "NonJunk");
	assert_ok(mailbox_move(m, &set, STR("Work"), s->arena, &c));
	mailbox_close(m);
	connect_all(s, client);
	assert_ok(mailbox_delete(s->account, STR("Again")));
	assert_ok(mailbox_create(s->account, STR("Again"), 0));
	for (int i = 0; i < 14; i++)
		put_named(s, "Again", "other");
	put_named(s, "Again", "another");
	expunge_one(s, "Again", 2);
	connect_all(s, client);
}

static struct site *
site_with_backup(struct client *client)
{
	struct site *s = site_new_in_memory();

	assert_ok(mailbox_create(s->account, STR("Work"), 0));
	assert_ok(mailbox_create(s->account, STR("Again"), 0));
	furnish(s, "early", 10);
	expunge_one(s, "Work", 7);
	connect_all(s, client);
	account_close(s->account);
	shell(s, "cp -a . ../$(basename $PWD).backup && cd ../$(basename $PWD).backup && "
	    "find . -name 'index.db*' -exec touch -d '7 days ago' {} +; find . -name trivet-mailbox -exec touch -d "
	    "'7 days ago' {} +");
	s->account = open_account(s->path, "imapd", 0);
	return s;
}

static void
free_with_backup(struct site *s)
{
	shell(s, "rm -rf ../$(basename $PWD).backup");
	site_free(s);
}

/* $B is the backup; the directory is the one in use. */
static const char *const ways[] = {
	"cp -a $B/. .",
	"find . -mindepth 1 -delete; cp -a $B/. .",
	"tar -C $B -cf - . | tar -xf -",
	"tar -C $B -cf - . | tar --overwrite -xf -",
	"cp -a $B/.trivet .",				/* the index only */
	"cp -a $B/.trivet/index.db .trivet/",
	"rm -r .trivet; cp -a $B/.trivet .",
	"cp -a $B/cur .",				/* messages only */
	"rm -r cur; cp -a $B/cur .",
	"for d in . .Work .Again; do cp -a $B/$d/cur $d/; done",
	"cp -a $B/.Work .",				/* one folder, with or without what came since */
	"rm -r .Work; cp -a $B/.Work .",
	"cp -a $B/.Again .",
	"rm -r .Again; cp -a $B/.Again .",
	"cp -a $B/trivet-mailbox . && cp -a $B/.Work/trivet-mailbox .Work/ && cp -a $B/.Again/trivet-mailbox .Again/",
	"mv .trivet ../t$$; cp -a $B/. .; rm -r .trivet; mv ../t$$ .trivet",	/* all but the index */
	"cp -a $B/. .; rm .trivet/index.db*",		/* the index did not survive */
	"find . -mindepth 1 -delete; cp -a $B/. .; rm -r .trivet",
	"find . -mindepth 1 -delete; cp -a $B/. .; dd if=/dev/zero of=.trivet/index.db bs=4k seek=2 count=9 conv=notrunc 2>/dev/null",
	"rsync -a $B/ .",
	"rsync -a --delete $B/ .",
	"rsync -a --inplace --delete $B/ .",
	"rsync -a --delete --exclude .trivet $B/ .",
	"rsync -a --delete $B/.Work/ .Work/",
};

static bool
runs_here(struct site *s, const char *way)
{
	char line[1000];

	if (strncmp(way, "rsync", 5) == 0 && system("command -v rsync >/dev/null") != 0)
		return false;
	snprintf(line, sizeof(line), "B=../$(basename $PWD).backup; %s", way);
	shell(s, line);
	return true;
}

static void
go_on(struct site *s, struct client *client)
{
	uint32_t before;

	connect_all(s, client);
	furnish(s, "after", 3);
	connect_all(s, client);
	expunge_one(s, "INBOX", 1);
	connect_all(s, client);
	/* That was all: nothing jumps again. */
	before = known_of(client, "INBOX", client->box[0].uidvalidity)->uid_next;
	site_reopen(s);
	connect_all(s, client);
	assert_int_equal(known_of(client, "INBOX", client->box[0].uidvalidity)->uid_next, before);
}

enum server { AWAY, RUNS, RESTS };

static void
put_back(const char *way, enum server server, bool many)
{
	struct client *client = calloc(1, sizeof(*client));
	struct site *s = site_with_backup(client);
	struct mailbox *m = NULL;
	bool open = server != AWAY;

	if (getenv("TRIVET_TEST_LOG") != NULL)
		fprintf(stderr, "%s%s\n", way, open ? " (open)" : "");
	live_on(s, client);
	/* Past the reserve, so that trivet-mailbox was written since. */
	for (int i = 0; many && i < 3; i++) {
		struct mailbox_info info;

		for (int n = 0; n < UID_RESERVE_STEP / 2; n++) {
			struct append *p;
			struct appended done;

			assert_ok(append_begin(s->account, &(struct append_options){ .mailbox = STR("Work") }, &p));
			assert_ok(append_write(p, STR("Subject: many\r\n\r\n")));
			assert_ok(append_publish(p, false, &done));
		}
		assert_ok(mailbox_status(s->account, STR("Work"), s->arena, &info));
		known_of(client, "Work", info.uidvalidity)->uid_next = info.uid_next;
		known_of(client, "Work", info.uidvalidity)->modseq = info.highest_modseq;
		m = open_box(s->account, "Work");
		for (uint32_t seq = 1; seq <= mailbox_exists(m); seq++)
			if (message_of(m, seq).uid > 14)
				set_flags(s, m, message_of(m, seq).uid, FLAGS_ADD, FLAG_DELETED, NULL);
		assert_ok(mailbox_expunge(m, NULL));
		mailbox_close(m);
		connect_all(s, client);
	}
	/* A file that is there a moment after its message was expunged was not removed in time; a backup takes longer. */
	usleep(120 * 1000);
	m = open ? open_box(s->account, "INBOX") : NULL;
	if (server == RESTS)
		assert_true(let_rest(s->account));
	if (!open) {
		account_close(s->account);
		s->account = NULL;
	}
	if (runs_here(s, way) && !open) {
		s->account = open_account(s->path, "imapd", 0);
		go_on(s, client);
	} else if (open) {
		enum store_result r = mailbox_refresh(m);

		assert_true(r == STORE_OK || r == STORE_GONE);
		mailbox_close(m);
		go_on(s, client);
	} else {
		s->account = open_account(s->path, "imapd", 0);
	}
	free_with_backup(s);
	free(client);
}

static void
no_number_is_given_twice_however_a_backup_is_put_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(ways); i++)
		put_back(ways[i], AWAY, false);
}

static void
nor_where_nobody_knows_when_files_were_made(void **state)
{
	(void)state;
	births_unknown = true;
	for (size_t i = 0; i < countof(ways); i += 3)
		put_back(ways[i], AWAY, false);
	births_unknown = false;
}

/* It is one message, with the flags it has now. */
static void
a_message_that_comes_back_with_its_old_flags_is_not_doubled(void **state)
{
	static const char *const done[] = { "cp -a $B/cur .", "cp -a $B/cur .; rm .trivet/index.db" };

	(void)state;
	for (size_t i = 0; i < countof(done); i++) {
		struct client *client = calloc(1, sizeof(*client));
		struct site *s = site_with_backup(client);
		struct mailbox *m = open_box(s->account, "INBOX");

		set_flags(s, m, 4, FLAGS_ADD, FLAG_SEEN | FLAG_FLAGGED, "NonJunk");
		set_flags(s, m, 5, FLAGS_ADD, FLAG_DELETED, NULL);
		assert_ok(mailbox_expunge(m, NULL));
		mailbox_close(m);
		account_close(s->account);
		usleep(200 * 1000);
		(void)runs_here(s, done[i]);
		s->account = open_account(s->path, "imapd", 0);
		m = open_box(s->account, "INBOX");
		assert_int_equal(mailbox_exists(m), 10);
		assert_int_equal(message_of(m, mailbox_seq_of_uid(m, 4)).flags, FLAG_SEEN | FLAG_FLAGGED);
		assert_int_equal(count_files(s, "cur"), 10);
		mailbox_close(m);
		free_with_backup(s);
		free(client);
	}
}

static void
nor_where_more_came_since_than_was_set_aside(void **state)
{
	(void)state;
	put_back(ways[0], AWAY, true);
	put_back(ways[1], AWAY, true);
	put_back(ways[11], AWAY, true);
}

/* What replaces files, not what writes over an index that is in use. */
static void
nor_while_the_server_runs(void **state)
{
	(void)state;
	put_back("tar -C $B -cf - . | tar -xf -", RUNS, false);
	put_back("cp -a $B/cur .", RUNS, false);
	put_back("rm -r .Work; cp -a $B/.Work .", RUNS, false);
	put_back("cp -a $B/trivet-mailbox .", RUNS, false);
	put_back("rsync -a --delete $B/ .", RUNS, false);
	put_back("rsync -a $B/ .", RUNS, false);
}

/* Then nobody uses the index. */
static void
nor_while_the_account_rests(void **state)
{
	(void)state;
	put_back("cp -a $B/. .", RESTS, false);
	put_back("tar -C $B -cf - . | tar -xf -", RESTS, false);
	put_back("tar -C $B -cf - . | tar --overwrite -xf -", RESTS, false);
	put_back("cp -a $B/.trivet .", RESTS, false);
	put_back("cp -a $B/.trivet/index.db .trivet/", RESTS, false);
	put_back("cp $B/.trivet/index.db .trivet/new && touch -r $B/.trivet/index.db .trivet/new && "
	    "mv .trivet/new .trivet/index.db", RESTS, false);
	put_back("cp -a $B/cur .", RESTS, false);
	put_back("rm -r .Work; cp -a $B/.Work .", RESTS, false);
	put_back("cp -a $B/trivet-mailbox .", RESTS, false);
	put_back("cp -a $B/. .; rm .trivet/index.db*", RESTS, false);
}

static void
an_account_that_is_moved_keeps_what_clients_have(void **state)
{
	struct client *client = calloc(1, sizeof(*client));
	struct site *s = site_with_backup(client);
	struct mailbox *m;
	uint32_t validity = client->box[0].uidvalidity;

	(void)state;
	live_on(s, client);
	m = open_box(s->account, "INBOX");
	for (int k = 0; k < 30; k++) {
		char word[8];

		snprintf(word, sizeof(word), "k%d", k);
		set_flags(s, m, 4, FLAGS_ADD, 0, word);
	}
	mailbox_close(m);
	connect_all(s, client);
	account_close(s->account);
	shell(s, "cp -a . ../$(basename $PWD).moved && find . -mindepth 1 -delete && cp -a ../$(basename $PWD).moved/. . && "
	    "rm -r ../$(basename $PWD).moved");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_int_equal(mailbox_uidvalidity(m), validity);
	for (size_t i = 0; i < client->box[0].now_count; i++)
		assert_int_equal(message_of(m, (uint32_t)i + 1).uid, client->box[0].now[i].uid);
	/* Those without a letter too. */
	assert_int_equal(mailbox_keyword_count(m), 31);
	assert_true(message_of(m, mailbox_seq_of_uid(m, 4)).keywords >> 30 != 0);
	mailbox_close(m);
	go_on(s, client);
	free_with_backup(s);
	free(client);
}

/* A directory that is renamed is the same one; nothing happens. */
static void
an_account_that_is_renamed_has_not_changed(void **state)
{
	struct client *client = calloc(1, sizeof(*client));
	struct site *s = site_with_backup(client);
	uint32_t before;

	(void)state;
	connect_all(s, client);
	before = client->box[0].uid_next;
	account_close(s->account);
	shell(s, "mv $PWD $PWD.other && mv $PWD.other $PWD");
	s->account = open_account(s->path, "imapd", 0);
	connect_all(s, client);
	assert_int_equal(client->box[0].uid_next, before);
	free_with_backup(s);
	free(client);
}

static void
where_no_number_is_left_the_mailbox_becomes_another(void **state)
{
	struct client *client = calloc(1, sizeof(*client));
	struct site *s = site_with_backup(client);
	uint32_t validity = client->box[0].uidvalidity;
	struct mailbox *m;

	(void)state;
	account_close(s->account);
	shell(s, "sed -i 's/^uid_reserve .*/uid_reserve 4294900000/' trivet-mailbox; cp -a .trivet t;"
	    "rm -r .trivet; mv t .trivet");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "INBOX");
	assert_true(mailbox_uidvalidity(m) > validity);
	assert_int_equal(mailbox_exists(m), 10);
	mailbox_close(m);
	put_named(s, "INBOX", "one more");
	free_with_backup(s);
	free(client);
}

/* What people write into the file, or wish back, counts; numbers do not. */
static void
settings_in_a_changed_file_are_taken_numbers_are_not(void **state)
{
	struct client *client = calloc(1, sizeof(*client));
	struct site *s = site_with_backup(client);
	struct mailbox *m;
	struct mailbox_info info;

	(void)state;
	m = open_box(s->account, "Work");
	set_flags(s, m, 1, FLAGS_ADD, 0, "word");
	mailbox_close(m);
	account_close(s->account);
	shell(s, "sed -i -e '/^keyword/d' -e 's/^uid_reserve.*/uid_reserve 3/' .Work/trivet-mailbox;"
	    "printf 'special_use archive\\nsubscribed\\n' >> .Work/trivet-mailbox");
	s->account = open_account(s->path, "imapd", 0);
	m = open_box(s->account, "Work");
	assert_str(mailbox_keyword(m, 0), STR("word"));
	mailbox_close(m);
	assert_ok(mailbox_status(s->account, STR("Work"), s->arena, &info));
	assert_int_equal(info.special_use, USE_ARCHIVE);
	assert_true(info.subscribed);
	assert_int_equal(info.uid_next, 11);
	shell(s, "grep -q 'keyword a word' .Work/trivet-mailbox && grep -q 'uid_reserve 1001' .Work/trivet-mailbox");
	/* Removed by hand, it is there again. */
	account_close(s->account);
	shell(s, "rm .Work/trivet-mailbox");
	s->account = open_account(s->path, "imapd", 0);
	connect_all(s, client);
	shell(s, "grep -q 'keyword a word' .Work/trivet-mailbox");
	free_with_backup(s);
	free(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_number_is_given_twice_however_a_backup_is_put_back),
		cmocka_unit_test(nor_where_nobody_knows_when_files_were_made),
		cmocka_unit_test(nor_where_more_came_since_than_was_set_aside),
		cmocka_unit_test(a_message_that_comes_back_with_its_old_flags_is_not_doubled),
		cmocka_unit_test(nor_while_the_server_runs),
		cmocka_unit_test(nor_while_the_account_rests),
		cmocka_unit_test(an_account_that_is_moved_keeps_what_clients_have),
		cmocka_unit_test(an_account_that_is_renamed_has_not_changed),
		cmocka_unit_test(where_no_number_is_left_the_mailbox_becomes_another),
		cmocka_unit_test(settings_in_a_changed_file_are_taken_numbers_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
