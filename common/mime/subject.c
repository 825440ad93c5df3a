/* SPDX-License-Identifier: ISC */
#include "common/mime/subject.h"

#include "common/mime/word.h"

/* RFC 5256 2.1 (1): decoded; any run of white space is one space. */
static void
put_plain(struct buf *out, struct str value)
{
	scoped_buf decoded = BUF_INIT;
	bool blank = false;

	word_put_utf8(&decoded, value);
	for (size_t i = 0; i < decoded.n; i++) {
		char c = decoded.p[i];

		if (!ascii_is_space(c) || !blank)
			buf_put_c(out, ascii_is_space(c) ? ' ' : c);
		blank = ascii_is_space(c);
	}
}

static struct str
skip_blank(struct str s)
{
	while (s.n > 0 && s.p[0] == ' ')
		s = str_from(s, 1);
	return s;
}

/* subj-trailer: "(fwd)" or white space at the end. */
static struct str
cut_trailers(struct str s, enum subject_kind *kind)
{
	for (;;) {
		if (s.n > 0 && s.p[s.n - 1] == ' ') {
			s.n--;
		} else if (str_ends_nocase(s, STR("(fwd)"))) {
			s.n -= 5;
			*kind = SUBJECT_REPLY_OR_FORWARD;
		} else {
			return s;
		}
	}
}

/* subj-blob: brackets without brackets in them, and the white space behind. */
static bool
cut_blob(struct str *s)
{
	size_t end = 1;

	if (s->n == 0 || s->p[0] != '[')
		return false;
	while (end < s->n && s->p[end] != '[' && s->p[end] != ']')
		end++;
	if (end == s->n || s->p[end] == '[')
		return false;
	*s = skip_blank(str_from(*s, end + 1));
	return true;
}

/* subj-refwd: "Re:", "Fw:", "Fwd:", maybe with a blob before the colon. */
static bool
cut_refwd(struct str *s)
{
	struct str rest = *s;

	if (str_starts_nocase(rest, STR("fwd")))
		rest = str_from(rest, 3);
	else if (str_starts_nocase(rest, STR("re")) || str_starts_nocase(rest, STR("fw")))
		rest = str_from(rest, 2);
	else
		return false;
	rest = skip_blank(rest);
	cut_blob(&rest);
	if (rest.n == 0 || rest.p[0] != ':')
		return false;
	*s = str_from(rest, 1);
	return true;
}

/*
 * Steps (3) to (5). Blobs in a row are gone over once: "Re:" behind them takes all of
 * them along; without it each goes as long as something is left, so the last stays
 * where there is nothing else.
 */
static struct str
cut_leaders(struct str s, enum subject_kind *kind)
{
	for (;;) {
		struct str rest = s = skip_blank(s), last = s;

		for (struct str at = rest; cut_blob(&rest); at = rest)
			last = at;
		if (!cut_refwd(&rest))
			return rest.n > 0 ? rest : last;
		*kind = SUBJECT_REPLY_OR_FORWARD;
		s = rest;
	}
}

enum subject_kind
subject_put_base(struct buf *out, struct str value)
{
	enum subject_kind kind = SUBJECT_PLAIN;
	scoped_buf plain = BUF_INIT;
	struct str s;

	put_plain(&plain, value);
	s = buf_str(&plain);
	for (;;) {
		s = cut_leaders(cut_trailers(s, &kind), &kind);
		/* Step (6): subj-fwd-hdr and subj-fwd-trl. */
		if (!str_starts_nocase(s, STR("[fwd:")) || !str_ends(s, STR("]")))
			break;
		kind = SUBJECT_REPLY_OR_FORWARD;
		s = str_sub(s, 5, s.n - 6);
	}
	buf_put(out, s);
	return kind;
}
