/* SPDX-License-Identifier: ISC */
/*
 * What strangers said, line by line, in a report and in a Received field of ours: neither gets a header field, a part or a
 * line end that we did not write; and as DATA it never ends before its end.
 */
#include "common/mime/part.h"
#include "smtpd/bounce.h"
#include "smtpd/dots.h"
#include "smtpd/parse_path.h"
#include "smtpd/received.h"
#include "smtpd/stuff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

/* Folded ones count once. */
static size_t
count_fields(struct str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\n' &&
		    (i + 1 == text.n || (text.p[i + 1] != ' ' && text.p[i + 1] != '\t')))
			count++;
	return count;
}

static void
check_ends(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		must(text.p[i] != '\n' || (i > 0 && text.p[i - 1] == '\r'), "no lone LF");
		must(text.p[i] != '\r' || (i + 1 < text.n && text.p[i + 1] == '\n'), "no lone CR");
	}
}

/* Stuffed and taken out again, whatever it is, it is the same message with whole lines. */
static void
check_stuffed(struct str text)
{
	struct stuffing stuffing = { .after_cr = false };
	struct dots dots = { .mend = false };
	scoped_buf sent = BUF_INIT;
	scoped_buf got = BUF_INIT;

	stuff_put(&stuffing, &sent, str_sub(text, 0, text.n / 2));
	stuff_put(&stuffing, &sent, str_from(text, text.n / 2));
	stuff_end(&stuffing, &sent);
	must(dots_take(&dots, buf_str(&sent), &got) == sent.n && dots_at_end(&dots),
	    "the end is the end");
	check_ends(buf_str(&got));
}

/* The original's header was taken by a front: its lines end in CRLF; and nobody can guess a boundary. */
static bool
is_taken(struct str header)
{
	for (size_t i = 0; i < header.n; i++)
		if ((header.p[i] == '\n' && (i == 0 || header.p[i - 1] != '\r')) ||
		    (header.p[i] == '\r' && (i + 1 == header.n || header.p[i + 1] != '\n')))
			return false;
	return str_find(header, STR("=_abcdefghijklmnop")) == header.n;
}

static void
check_bounce(struct str words[], struct str header)
{
	struct bounce_recipient recipient = { .given = words[0], .address = words[1],
		.status = words[2], .answer = words[3], .host = words[4] };
	struct bounce bounce = { .kind = words[0].n % 2 ? BOUNCE_FAILED : BOUNCE_DELAYED,
		.hostname = STR("mx.example"), .id = STR("abcdefghijklmnop"), .to = words[5],
		.trace = STR("ponmlkjihgfedcba"), .arrived = 1000000000, .now = 1000003600,
		.until = 1000007200, .recipients = &recipient, .count = 1,
		.header = is_taken(header) ? header : STR_EMPTY };
	struct arena *arena = arena_new();
	const struct part *root, *part;
	scoped_buf out = BUF_INIT;
	size_t parts = 0;

	bounce_put(&out, &bounce);
	check_ends(buf_str(&out));
	check_stuffed(buf_str(&out));
	root = part_parse(arena, buf_str(&out));
	STAILQ_FOREACH(part, &root->children, link)
		parts++;
	must(parts == 3, "a report has three parts");
	arena_free(arena);
}

static void
check_received(struct str words[])
{
	const struct net_address peer = { .bytes = { 192, 0, 2, 1 } };
	struct received received = { .hello = words[0], .extended = true, .peer = &peer,
		.hostname = STR("mx.example"), .trace = STR("abcdefghijklmnop"),
		.recipient = STR_EMPTY, .tls = STR_EMPTY };
	struct arena *arena = arena_new();
	scoped_buf out = BUF_INIT;
	struct path path;

	if (parse_path(&words[1], BRACKETS_NEEDED, arena, &path) == PATH_FINE)
		received.recipient = path.address;
	received_put(&out, &received);
	check_ends(buf_str(&out));
	must(count_fields(buf_str(&out)) == 1, "one field");
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, words[6];

	check_stuffed(rest);
	for (size_t i = 0; i < countof(words); i++)
		if (!str_cut(&rest, '\n', &words[i]))
			words[i] = STR_EMPTY;
	check_bounce(words, rest);
	check_received(words);
	return 0;
}
