/* SPDX-License-Identifier: ISC */
/* trivet quota: what accounts hold against what they may hold, and the sums of their domains. */
#include <stdio.h>

#include "ctl/mail.h"

struct sum {
	struct str domain;
	uint64_t accounts, octets, messages;
};

struct quotas {
	struct ctl *ctl;
	bool recompute;
	bool known;		/* the account said what it holds */
	uint64_t octets, messages, octets_before, messages_before;
	struct sum *sums;
	size_t sum_count;
	json_t *accounts;
	uint64_t wrong;
};

static uint64_t
number(json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void
on_line(void *context, json_t *line)
{
	struct quotas *q = context;
	json_t *usage = json_object_get(line, "usage");

	if (usage == NULL)
		return;
	q->known = true;
	q->octets = number(usage, "octets");
	q->messages = number(usage, "messages");
	q->octets_before = number(usage, "octets_before");
	q->messages_before = number(usage, "messages_before");
}

/* Room for as many as there are accounts. */
static void
add_to_sum(struct quotas *q, struct str address)
{
	struct str domain = str_from(address, str_last_index(address, '@') + 1);
	size_t i = 0;

	while (i < q->sum_count && !str_eq(q->sums[i].domain, domain))
		i++;
	if (i == q->sum_count)
		q->sums[q->sum_count++] = (struct sum){ .domain = domain };
	q->sums[i].accounts++;
	q->sums[i].octets += q->octets;
	q->sums[i].messages += q->messages;
}

static bool
is_wrong(const struct quotas *q)
{
	return q->known && (q->octets != q->octets_before || q->messages != q->messages_before);
}

/* "1.2M of 5.0G (0 %)" */
static void
put_share(struct buf *out, uint64_t used, uint64_t limit, void (*put)(struct buf *, uint64_t))
{
	put(out, used);
	if (limit == 0)
		return;
	buf_put_z(out, " of ");
	put(out, limit);
	buf_printf(out, " (%llu %%)", (unsigned long long)((double)used * 100 / (double)limit));
}

static void
print_account(const struct quotas *q, const struct keeper_grant *g)
{
	scoped_buf octets = BUF_INIT, messages = BUF_INIT;

	put_share(&octets, q->octets, g->quota_bytes, mail_put_size);
	put_share(&messages, q->messages, g->quota_messages, buf_put_u64);
	printf("%-40.*s %s, %s messages\n", STR_ARG(g->address), buf_z(&octets), buf_z(&messages));
	if (is_wrong(q))
		printf("\twas counted as %llu octets in %llu messages; there are %llu in %llu: put right\n",
			(unsigned long long)q->octets_before, (unsigned long long)q->messages_before,
			(unsigned long long)q->octets, (unsigned long long)q->messages);
}

static json_t *
json_account(const struct quotas *q, const struct keeper_grant *g)
{
	json_t *o = json_pack("{s:o, s:I, s:I, s:I, s:I}", "address", ctl_json_str(g->address),
		"octets", (json_int_t)q->octets, "messages", (json_int_t)q->messages,
		"quota", (json_int_t)g->quota_bytes, "quota_messages", (json_int_t)g->quota_messages);

	if (q->recompute && q->known) {
		json_object_set_new(o, "octets_before", json_integer((json_int_t)q->octets_before));
		json_object_set_new(o, "messages_before", json_integer((json_int_t)q->messages_before));
	}
	return o;
}

static bool
show_account(struct quotas *q, const struct keeper_grant *g)
{
	struct mail_order order = { .task = q->recompute ? MAIL_RECOUNT : MAIL_LOOK };

	q->known = false;
	q->octets = q->messages = q->octets_before = q->messages_before = 0;
	if (mail_run(q->ctl, g, &order, on_line, q) == MAIL_FAILED)
		return false;
	add_to_sum(q, g->address);
	q->wrong += is_wrong(q);
	if (!q->ctl->json)
		print_account(q, g);
	json_array_append_new(q->accounts, json_account(q, g));
	return true;
}

static void
print_sums(const struct quotas *q)
{
	for (size_t i = 0; i < q->sum_count; i++) {
		scoped_buf octets = BUF_INIT;

		mail_put_size(&octets, q->sums[i].octets);
		printf("%-40.*s %s, %llu messages in %llu accounts\n", STR_ARG(q->sums[i].domain),
			buf_z(&octets), (unsigned long long)q->sums[i].messages,
			(unsigned long long)q->sums[i].accounts);
	}
}

static int
print_json(struct quotas *q)
{
	json_t *sums = json_array();

	for (size_t i = 0; i < q->sum_count; i++)
		json_array_append_new(sums, json_pack("{s:o, s:I, s:I, s:I}",
			"domain", ctl_json_str(q->sums[i].domain), "accounts", (json_int_t)q->sums[i].accounts,
			"octets", (json_int_t)q->sums[i].octets,
			"messages", (json_int_t)q->sums[i].messages));
	return ctl_print_json(json_pack("{s:o, s:o}", "accounts", q->accounts, "domains", sums));
}

int
cmd_quota(struct ctl *ctl)
{
	struct ctl_option recompute = { .name = "recompute" };
	struct quotas q = { .ctl = ctl };
	struct keeper_grant *accounts;
	size_t count;
	bool ok = true;

	if (!ctl_take_options(ctl, &recompute, 1, 0, SIZE_MAX))
		return CTL_USAGE;
	if (!mail_find_accounts(ctl, &accounts, &count))
		return CTL_FAILED;
	q.recompute = recompute.given;
	q.accounts = json_array();
	q.sums = arena_array(ctl->arena, struct sum, count + 1);
	for (size_t i = 0; i < count; i++)
		ok = show_account(&q, &accounts[i]) && ok;
	if (ctl->json) {
		print_json(&q);
	} else {
		json_decref(q.accounts);
		print_sums(&q);
	}
	return ok ? CTL_OK : CTL_FAILED;
}
