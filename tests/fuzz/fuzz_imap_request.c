/* SPDX-License-Identifier: ISC */
/* A whole command, as it was framed: parsed, and the result looked over. */
#include "common/base/utf8.h"
#include "imapd/parse.h"

static const struct {
	const char *word;
	parse_arguments *parse;
} rows[] = {
	{ "NOOP", parse_nothing }, { "LOGIN", parse_login },
	{ "AUTHENTICATE", parse_authenticate }, { "ID", parse_id }, { "ENABLE", parse_enable },
	{ "GETQUOTA", parse_getquota }, { "SELECT", parse_select }, { "DELETE", parse_mailbox }, { "CREATE", parse_create },
	{ "RENAME", parse_rename }, { "STATUS", parse_status }, { "LIST", parse_list },
	{ "LSUB", parse_lsub }, { "APPEND", parse_append }, { "REPLACE", parse_replace }, { "FETCH", parse_fetch },
	{ "COMPRESS", parse_compress },
	{ "STORE", parse_store }, { "COPY", parse_copy }, { "EXPUNGE", parse_expunge },
	{ "SEARCH", parse_search },
	{ "SORT", parse_sort },
	{ "THREAD", parse_thread },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("not true: %s", what);
}

static void
look_at_name(const struct mailbox_name *name)
{
	must(utf8_valid(name->utf8), "names are UTF-8");
	must(!str_has_char(name->utf8, '\n') && !str_has_char(name->utf8, '\0'), "names are lines");
	must(name->state != NAME_INVALID || name->utf8.n == 0, "invalid names are empty");
}

static void
look_at_set(const struct sequence_set *sent, uint32_t max, struct arena *arena)
{
	struct uid_set set = sequence_set_resolve(sent, max, arena);

	must((sent->count > 0 || sent->saved) && sent->count <= SEQUENCE_RANGES_MAX,
	    "a set is neither empty nor huge");
	for (size_t i = 0; i < set.count; i++) {
		must(set.ranges[i].first > 0, "numbers begin with 1");
		must(set.ranges[i].first <= set.ranges[i].last, "ranges go up");
		must(i == 0 || set.ranges[i].first - 1 > set.ranges[i - 1].last,
		    "ranges are sorted and apart");
	}
}

static void
look_at_fetch(const struct fetch_arguments *fetch)
{
	must(fetch->count > 0, "FETCH asks for something");
	must(!fetch->vanished || fetch->changed_since > 0, "VANISHED goes with CHANGEDSINCE");
	must(fetch->changed_since <= INT64_MAX, "a mod-sequence has 63 bits");
	for (size_t i = 0; i < fetch->count; i++) {
		const struct section *section = &fetch->items[i].section;

		if (fetch->items[i].kind != FETCH_SECTION)
			continue;
		must(str_starts(section->echo, STR("BODY[")), "a section has its name");
		must(!str_has_char(section->echo, '\n'), "a section's name is a line");
		must(!section->partial || section->length > 0, "a part has a length");
	}
}

/* RFC 7162 7: no "*"; the sets that are matched go up. Numbers in it. */
static uint64_t
look_at_known(const struct sequence_set *set, bool ascending)
{
	uint64_t count = 0;

	for (size_t i = 0; i < set->count; i++) {
		must(set->ranges[i].first > 0 && set->ranges[i].last > 0, "QRESYNC has no *");
		if (!ascending)
			continue;
		must(set->ranges[i].first <= set->ranges[i].last, "what is matched goes up");
		must(i == 0 || set->ranges[i].first > set->ranges[i - 1].last, "and on");
		count += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	}
	return count;
}

static void
look_at_select(const struct select_arguments *select)
{
	const struct resync_arguments *resync = &select->resync;

	look_at_name(&select->name);
	if (!select->qresync)
		return;
	must(resync->uidvalidity > 0, "a UIDVALIDITY is not 0");
	must(resync->modseq > 0 && resync->modseq <= INT64_MAX, "a mod-sequence has 63 bits");
	must(resync->has_uids == (resync->uids.count > 0), "known UIDs are some");
	look_at_known(&resync->uids, false);
	must(look_at_known(&resync->known_seqs, true) == look_at_known(&resync->known_uids, true),
	    "as many numbers as UIDs");
}

static size_t
count_keys(const struct search_key *key, unsigned depth)
{
	size_t count = 0;

	must(depth <= 2 * SEARCH_DEPTH_MAX + 1, "depth is limited");
	for (; key != NULL; key = key->next) {
		must(key->first != NULL || (key->kind != SEARCH_AND && key->kind != SEARCH_OR &&
		    key->kind != SEARCH_NOT), "a knot has children");
		must(key->kind != SEARCH_OR || key->first->next != NULL, "OR has two children");
		count += 1 + count_keys(key->first, depth + 1);
	}
	return count;
}

static void
look_at_partial(const struct partial_range *range)
{
	static const size_t counts[] = { 0, 1, 2, 1000, UINT32_MAX, SIZE_MAX };

	must(range->first > 0 && range->last > 0, "results are counted from 1");
	for (size_t i = 0; i < countof(counts); i++) {
		const struct partial_span span = partial_range_in(range, counts[i]);

		must(span.n <= counts[i] && span.from <= counts[i] - span.n, "a part lies in it");
	}
}

static void
look_at_search(const struct search_arguments *search, struct arena *arena)
{
	const unsigned results = search->results;

	must(!(results & RESULT_ALL) || !(results & RESULT_PARTIAL), "all or a part");
	if (results & RESULT_PARTIAL)
		look_at_partial(&search->partial);
	must((search->key != NULL) == search->charset_known, "a key, if its charset is known");
	must(count_keys(search->key, 0) <= 3 * SEARCH_KEYS_MAX, "keys are limited");
	for (const struct search_set *set = search->sets; set != NULL; set = set->next)
		look_at_set(&set->sent, 1000, arena);
}

/* Behind its announcement stands the message; the next ones, up to the end. */
static void
look_at_append(struct request *req, struct str rest, struct arena *arena)
{
	struct str line;

	while (str_cut(&rest, '\n', &line)) {
		struct lexer next = lexer_of(arena, line), end = lexer_of(arena, line);
		struct append_arguments before = req->append;

		must(!before.in_utf8 || before.binary, "what is in UTF8 () is a literal8");
		if (parse_append_end(&end, req) == PARSED)
			return;
		must(end.why != NULL, "BAD has a reason");
		if (parse_append_next(&next, req) == PARSED)
			continue;
		must(next.why != NULL, "BAD has a reason");
		/* What BAD leaves means nothing: this was a line of the message. */
		req->append = before;
	}
}

static void
look_at(struct request *req, parse_arguments *parse, struct arena *arena)
{
	if (parse == parse_mailbox || parse == parse_create)
		look_at_name(&req->mailbox.name);
	if (parse == parse_select)
		look_at_select(&req->select);
	if (parse == parse_rename)
		look_at_name(&req->mailbox.to);
	if (parse == parse_append || parse == parse_replace)
		look_at_name(&req->append.name);
	if (parse == parse_status)
		must(req->status.items != 0, "STATUS asks for something");
	if (parse == parse_list)
		for (size_t i = 0; i < req->list.pattern_count; i++)
			look_at_name(&req->list.patterns[i]);
	if (parse == parse_fetch)
		look_at_fetch(&req->fetch);
	if (parse == parse_fetch && req->fetch.is_partial)
		look_at_partial(&req->fetch.partial);
	if (parse == parse_copy) {
		look_at_set(&req->copy.set, 0, arena);
		look_at_set(&req->copy.set, UINT32_MAX, arena);
	}
	if (parse == parse_search || parse == parse_sort || parse == parse_thread)
		look_at_search(&req->search, arena);
}

static void
parse_rest(struct lexer *lexer, struct request *req)
{
	for (size_t i = 0; i < countof(rows); i++) {
		if (!str_eq(req->word, str_of(rows[i].word)))
			continue;
		if (rows[i].parse(lexer, req) == PARSED)
			look_at(req, rows[i].parse, lexer->arena);
		else
			must(lexer->why != NULL, "BAD has a reason");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct str text = { (const char *)data, size };
	struct str first = str_sub(text, 0, str_index(text, '\n') + 1);
	struct lexer lexer = lexer_of(arena, text);
	struct request req;

	lexer.utf8 = size & 1;
	if (parse_head(&lexer, &req) == PARSED)
		parse_rest(&lexer, &req);
	else
		must(lexer.why != NULL, "BAD has a reason");
	lexer_wipe(&lexer);
	must(lexer.at <= lexer.n, "the lexer stays inside");
	/* Once more, of several messages: the first line announces one. */
	lexer = lexer_of(arena, first);
	if (parse_head(&lexer, &req) == PARSED && str_eq(req.word, STR("APPEND")) &&
	    parse_append(&lexer, &req) == PARSED)
		look_at_append(&req, str_from(text, first.n), arena);
	must(lexer.at <= lexer.n, "the lexer stays inside");
	lexer_wipe(&lexer);
	arena_free(arena);
	return 0;
}
