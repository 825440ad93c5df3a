/* SPDX-License-Identifier: ISC */
#include "common/mime/address.h"

#include "common/mime/lex.h"

/* What ends a word of a phrase or of a local part; anything else is part of it. */
static const char specials[] = "()<>@,;:\".";

/*
 * A phrase and a local part look alike until '<' or '@' comes, so both are kept: all
 * words with their spaces, and the last run of words that only dots join.
 */
struct parser {
	struct arena *arena;
	struct address_list *list;
	size_t count;
	struct str rest;
	bool in_group;
	bool spaced;		/* white space came before the token at hand */
	bool after_dot;
	bool quoted;		/* the words hold a quoted string, maybe empty */
	struct buf words;
	struct buf run;
	size_t run_at;		/* where in words the run begins */
	struct buf comment;
	struct buf route;
	struct buf host;
};

static struct str
keep(struct parser *p, struct str text)
{
	return arena_str(p->arena, text);
}

static struct str
keep_or_none(struct parser *p, struct str text)
{
	text = str_trim(text);
	return text.n > 0 ? keep(p, text) : (struct str){ 0 };
}

static struct address *
add(struct parser *p, enum address_kind kind)
{
	struct address *a = arena_one(p->arena, struct address);

	a->kind = kind;
	STAILQ_INSERT_TAIL(p->list, a, link);
	p->count++;
	return a;
}

static void
forget_words(struct parser *p)
{
	buf_clear(&p->words);
	buf_clear(&p->run);
	buf_clear(&p->comment);
	buf_clear(&p->route);
	buf_clear(&p->host);
	p->run_at = 0;
	p->spaced = p->after_dot = p->quoted = false;
}

static void
add_mailbox(struct parser *p, struct str name, struct str mailbox)
{
	struct address *a = add(p, ADDRESS_MAILBOX);

	a->name = keep_or_none(p, str_trim(name).n > 0 ? name : buf_str(&p->comment));
	a->route = keep_or_none(p, buf_str(&p->route));
	a->mailbox = keep(p, mailbox);
	a->host = keep(p, buf_str(&p->host));
	forget_words(p);
}

static void
end_group(struct parser *p)
{
	if (p->in_group)
		add(p, ADDRESS_GROUP_END);
	p->in_group = false;
}

/* RFC 5322 4.4, obs-local-part: white space around the dots does not count. */
static void
take_word(struct parser *p)
{
	bool dot = p->rest.p[0] == '.';
	bool goes_on = p->run.n > 0 && (dot || p->after_dot || !p->spaced);
	size_t before;

	if (p->spaced && p->words.n > 0)
		buf_put_c(&p->words, ' ');
	if (!goes_on) {
		buf_clear(&p->run);
		p->run_at = p->words.n;
	}
	before = p->words.n;
	if (p->rest.p[0] == '"') {
		lex_quoted(&p->rest, &p->words);
		p->quoted = true;
	} else {
		buf_put(&p->words, dot ? str_sub(p->rest, 0, 1) : lex_word(&p->rest, specials));
		if (dot)
			p->rest = str_from(p->rest, 1);
	}
	buf_put(&p->run, str_from(buf_str(&p->words), before));
	p->after_dot = dot;
	p->spaced = false;
}

/* RFC 5322 3.4.1: a dot-atom with white space between, or a literal in brackets. */
static void
take_domain(struct parser *p, struct buf *out)
{
	bool joined = true;

	lex_skip(&p->rest, &p->comment);
	if (p->rest.n > 0 && p->rest.p[0] == '[') {
		lex_until(&p->rest, "],;>", out);
		if (p->rest.n > 0 && p->rest.p[0] == ']') {
			buf_put_c(out, ']');
			p->rest = str_from(p->rest, 1);
		}
		return;
	}
	while (p->rest.n > 0) {
		bool dot = p->rest.p[0] == '.';
		struct str word = dot ? str_sub(p->rest, 0, 1) : STR_EMPTY;

		if (dot)
			p->rest = str_from(p->rest, 1);
		else if (joined)
			word = lex_word(&p->rest, specials);
		if (word.n == 0)
			return;
		buf_put(out, word);
		joined = !lex_skip(&p->rest, &p->comment) || dot;
	}
}

/* RFC 5322 4.4, obs-route: "@a.test,@b.test:" before the address proper. */
static void
take_route(struct parser *p)
{
	lex_skip(&p->rest, &p->comment);
	while (p->rest.n > 0 && (p->rest.p[0] == '@' || p->rest.p[0] == ',')) {
		if (p->rest.p[0] == '@' && p->route.n > 0)
			buf_put_c(&p->route, ',');
		if (p->rest.p[0] == '@')
			buf_put_c(&p->route, '@');
		p->rest = str_from(p->rest, 1);
		lex_skip(&p->rest, &p->comment);
		take_domain(p, &p->route);
	}
	if (p->route.n > 0 && p->rest.n > 0 && p->rest.p[0] == ':')
		p->rest = str_from(p->rest, 1);
}

/* What looked like the host was part of a name or of a longer local part. */
static void
host_joins_words(struct parser *p)
{
	if (p->host.n == 0)
		return;
	buf_put_c(&p->words, '@');
	buf_put(&p->words, buf_str(&p->host));
	buf_clear(&p->host);
}

/*
 * At '<'. Inside, the words of the address replace those of the name, which is kept
 * first. A missing '>' is made up at the next comma.
 */
static void
take_angle(struct parser *p)
{
	struct str name = keep(p, buf_str(&p->words));
	bool spaced = false;

	p->rest = str_from(p->rest, 1);
	buf_clear(&p->words);
	buf_clear(&p->run);
	take_route(p);
	for (;;) {
		spaced |= lex_skip(&p->rest, &p->comment);
		if (p->rest.n == 0 || strchr("<>,;", p->rest.p[0]) != NULL)
			break;
		if (p->rest.p[0] == '@') {
			p->rest = str_from(p->rest, 1);
			host_joins_words(p);	/* "a@b@c": the last host counts */
			take_domain(p, &p->host);
		} else if (strchr("():", p->rest.p[0]) != NULL) {
			p->rest = str_from(p->rest, 1);
		} else {
			p->spaced = spaced && p->rest.p[0] != '.' && !p->after_dot;
			take_word(p);
		}
		spaced = false;
	}
	if (p->rest.n > 0 && p->rest.p[0] == '>')
		p->rest = str_from(p->rest, 1);
	lex_skip(&p->rest, &p->comment);
	add_mailbox(p, name, buf_str(&p->words));
}

/* At '@': what stands before the last run of words is the name. */
static void
take_host(struct parser *p)
{
	p->rest = str_from(p->rest, 1);
	take_domain(p, &p->host);
	if (p->rest.n > 0 && p->rest.p[0] == '<') {
		/* "a@b <a@b>": an address for a name, without the quotes it needs. */
		host_joins_words(p);
		take_angle(p);
		return;
	}
	add_mailbox(p, str_sub(buf_str(&p->words), 0, p->run_at), buf_str(&p->run));
}

/* A comma, a semicolon or the end: words that no host followed are a bare mailbox. */
static void
end_entry(struct parser *p)
{
	if (p->words.n > 0 || p->quoted)
		add_mailbox(p, STR_EMPTY, buf_str(&p->words));
	else
		forget_words(p);
}

/* RFC 5322 3.4: "name:" opens a group; they do not nest. */
static void
start_group(struct parser *p)
{
	struct address *a;

	p->rest = str_from(p->rest, 1);
	if (p->in_group || p->words.n == 0)
		return;
	a = add(p, ADDRESS_GROUP_START);
	a->mailbox = keep(p, buf_str(&p->words));
	p->in_group = true;
	forget_words(p);
}

static void
take_one(struct parser *p)
{
	switch (p->rest.p[0]) {
	case ',':
		end_entry(p);
		p->rest = str_from(p->rest, 1);
		break;
	case ';':	/* also what some programs put between addresses */
		end_entry(p);
		end_group(p);
		p->rest = str_from(p->rest, 1);
		break;
	case ':':
		start_group(p);
		break;
	case '<':
		take_angle(p);
		break;
	case '@':
		take_host(p);
		break;
	case ')':
	case '>':
		p->rest = str_from(p->rest, 1);
		break;
	default:
		take_word(p);
	}
}

size_t
address_parse(struct arena *arena, struct str value, struct address_list *list)
{
	struct parser p = { .arena = arena, .list = list, .rest = value };

	STAILQ_INIT(list);
	while (p.count < ADDRESS_MAX) {
		p.spaced |= lex_skip(&p.rest, &p.comment);
		if (p.rest.n == 0)
			break;
		take_one(&p);
	}
	end_entry(&p);
	end_group(&p);
	buf_free(&p.words);
	buf_free(&p.run);
	buf_free(&p.comment);
	buf_free(&p.route);
	buf_free(&p.host);
	return p.count;
}
