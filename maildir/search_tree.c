/* SPDX-License-Identifier: ISC */
#include "maildir/search_tree.h"

#include "common/mime/date.h"

/* Numbers of keywords never change meaning: what is made while we search has no bit yet. */
static uint64_t
keyword_bit(const struct mailbox *mailbox, struct str name)
{
	const size_t count = mailbox_keyword_count(mailbox);

	for (size_t k = 0; k < count && k < KEYWORDS_MAX; k++)
		if (str_eq_nocase(mailbox_keyword(mailbox, k), name))
			return UINT64_C(1) << k;
	return 0;
}

/* A tab in a header's text has become a space (reading.h), so it must in what is sought there. */
static void
fold_text(struct search_tree *t, struct search_node *node)
{
	scoped_buf folded = BUF_INIT;

	node->is_never = !match_fold_key(&folded, node->key->text);
	for (size_t i = 0; i < folded.n && node->key->kind == SEARCH_HEADER; i++)
		if (folded.p[i] == '\t')
			folded.p[i] = ' ';
	node->is_always = node->key->text.n == 0;
	node->text.folded = arena_str(t->arena, buf_str(&folded));
	buf_clear(&folded);
	if (node->key->kind == SEARCH_HEADER && match_fold_key(&folded, node->key->field))
		node->name = arena_str(t->arena, buf_str(&folded));
}

static bool
has_text(const struct search_node *node)
{
	return node->key->kind == SEARCH_HEADER || node->key->kind == SEARCH_TEXT ||
	    node->key->kind == SEARCH_BODY;
}

static struct search_node *
new_node(struct search_tree *t, const struct mailbox *mailbox, const struct search_key *key)
{
	struct search_node *node = arena_one(t->arena, struct search_node), **end = &node->first;

	t->node_count++;
	node->key = key;
	if (has_text(node))
		fold_text(t, node);
	if (key->kind == SEARCH_KEYWORD)
		node->keyword = keyword_bit(mailbox, key->text);
	for (const struct search_key *child = key->first; child != NULL; child = child->next) {
		*end = new_node(t, mailbox, child);
		end = &(*end)->next;
	}
	return node;
}

static void
list_node(struct node_list *list, struct search_node *node)
{
	list->nodes[list->count] = node;
	list->texts[list->count++] = &node->text;
}

static void
list_nodes_below(struct search_tree *t, struct search_node *node)
{
	for (struct search_node *child = node->first; child != NULL; child = child->next)
		list_nodes_below(t, child);
	if (node->is_never)
		return;
	if (node->key->kind == SEARCH_HEADER)
		list_node(&t->fields, node);
	if (has_text(node) && (node->key->kind == SEARCH_HEADER || !node->is_always))
		list_node(&t->all_texts, node);
	if (node->is_always)
		return;
	if (node->key->kind == SEARCH_TEXT)
		list_node(&t->header_texts, node);
	if (node->key->kind == SEARCH_TEXT || node->key->kind == SEARCH_BODY)
		list_node(&t->body_texts, node);
}

void
search_tree_init(struct search_tree *t, struct arena *arena, const struct mailbox *mailbox,
    const struct search_key *key)
{
	struct node_list *lists[] = { &t->fields, &t->header_texts, &t->body_texts,
		&t->all_texts };

	*t = (struct search_tree){ .arena = arena };
	t->root = new_node(t, mailbox, key);
	for (size_t i = 0; i < countof(lists); i++) {
		lists[i]->nodes = arena_array(arena, struct search_node *, t->node_count);
		lists[i]->texts = arena_array(arena, struct match_key *, t->node_count);
	}
	list_nodes_below(t, t->root);
}

/* ---- answers ---- */

/* RFC 3501 6.4.4: of the three of each kind. Time and zone are gone already. */
static bool
day_matches(enum search_kind kind, int32_t day, int32_t asked)
{
	if (kind == SEARCH_BEFORE || kind == SEARCH_SENTBEFORE || kind == SEARCH_SAVEDBEFORE)
		return day < asked;
	if (kind == SEARCH_ON || kind == SEARCH_SENTON || kind == SEARCH_SAVEDON)
		return day == asked;
	return day >= asked;
}

static enum answer
said(bool yes)
{
	return yes ? YES : NO;
}

static enum answer
answer_text(struct search_tree *t, const struct search_node *node)
{
	const enum search_kind kind = node->key->kind;

	if (node->text.found || (node->is_always && kind != SEARCH_HEADER))
		return YES;
	if (node->is_never || node->text.absent || t->has_read == READ_ALL ||
	    (kind == SEARCH_HEADER && t->has_read >= READ_HEADER))
		return NO;
	t->wants |= kind == SEARCH_BODY || t->has_read >= READ_HEADER ? WANTS_BODY : WANTS_HEADER;
	return MAYBE;
}

static enum answer
answer_sent(struct search_tree *t, const struct search_key *key)
{
	if (t->knows_day || t->has_read >= READ_HEADER)
		return said(day_matches(key->kind, t->sent_day, key->day));
	t->wants |= WANTS_HEADER;
	return MAYBE;
}

static enum answer
answer_saved(struct search_tree *t, const struct search_key *key)
{
	if (t->knows_saved)
		return said(day_matches(key->kind, t->saved_day, key->day));
	t->wants |= WANTS_SAVED;
	return MAYBE;
}

/* RFC 8474 6: exactly that one. */
static enum answer
answer_id(struct search_tree *t, const char *id, struct str asked, int want)
{
	if (id[0] != '\0')
		return said(str_eq(str_of(id), asked));
	t->wants |= want;
	return MAYBE;
}

static enum answer answer_of(struct search_tree *, const struct search_node *);

/*
 * The first child that answers `decisive` decides (NO an AND, YES an OR), and what the
 * children before it wanted to know does not matter any more.
 */
static enum answer
answer_children(struct search_tree *t, const struct search_node *node, enum answer decisive)
{
	const int wants = t->wants;
	enum answer all = decisive == NO ? YES : NO;

	for (const struct search_node *child = node->first; child != NULL; child = child->next) {
		enum answer one = answer_of(t, child);

		if (one == decisive) {
			t->wants = wants;
			return decisive;
		}
		if (one == MAYBE)
			all = MAYBE;
	}
	return all;
}

static enum answer
answer_of(struct search_tree *t, const struct search_node *node)
{
	const struct search_key *key = node->key;
	const struct message *m = &t->message;

	switch (key->kind) {
	case SEARCH_ALL:
		return YES;
	case SEARCH_AND:
		return answer_children(t, node, NO);
	case SEARCH_OR:
		return answer_children(t, node, YES);
	case SEARCH_NOT:
		return YES - answer_of(t, node->first);
	case SEARCH_SEQ:
	case SEARCH_UID:
		return said(uid_set_has(&key->set, m->uid));
	case SEARCH_FLAG:
		return said((m->flags & key->flags) != 0);
	case SEARCH_KEYWORD:
		return said((m->keywords & node->keyword) != 0);
	case SEARCH_RECENT:
		return said(m->recent);
	case SEARCH_NEW:
		return said(m->recent && (m->flags & FLAG_SEEN) == 0);
	case SEARCH_OLD:
		return said(!m->recent);
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return said(day_matches(key->kind, date_day_of(m->internal_date, 0), key->day));
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return answer_sent(t, key);
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
		return answer_saved(t, key);
	case SEARCH_EMAILID:
		return answer_id(t, t->email_id, key->text, WANTS_EMAILID);
	case SEARCH_THREADID:
		return answer_id(t, t->thread_id, key->text, WANTS_THREADID);
	/* RFC 5032 2: both hold what is exactly so old. */
	case SEARCH_OLDER:
		return said(m->internal_date <= t->now - (int64_t)key->number);
	case SEARCH_YOUNGER:
		return said(m->internal_date >= t->now - (int64_t)key->number);
	case SEARCH_LARGER:
		return said(m->size > key->number);
	case SEARCH_SMALLER:
		return said(m->size < key->number);
	case SEARCH_MODSEQ:
		return said(m->modseq >= key->number);
	case SEARCH_HEADER:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return answer_text(t, node);
	}
	fatal("a search key of no kind");
}

enum answer
search_tree_answer(struct search_tree *t)
{
	t->wants = 0;
	return answer_of(t, t->root);
}

void
search_tree_forget(struct search_tree *t)
{
	t->has_read = READ_ROW;
	t->knows_day = t->knows_saved = false;
	t->email_id[0] = t->thread_id[0] = '\0';
	for (size_t i = 0; i < t->all_texts.count; i++)
		t->all_texts.texts[i]->found = t->all_texts.texts[i]->absent = false;
}
