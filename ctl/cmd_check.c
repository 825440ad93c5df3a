/* SPDX-License-Identifier: ISC */
/* trivet check: accounts' files held against their index, and put right. */
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "ctl/mail.h"

enum { PROGRESS_MS = 200 };

struct checking {
	struct ctl *ctl;
	const struct keeper_grant *now;
	bool repair;
	bool to_terminal;
	bool line_open;		/* a line of progress stands on the terminal */
	int64_t told_ms;
	json_t *findings;	/* of this account */
	json_t *result;
	json_t *all;
	uint64_t faults;
	uint64_t accounts;
};

static void
clear_progress(struct checking *c)
{
	if (c->line_open)
		fputs("\r\033[K", stderr);
	c->line_open = false;
}

static void
on_progress(struct checking *c, json_t *p)
{
	const char *mailbox = "";
	json_int_t done = 0, all = 0;

	if (clock_monotonic_ms() - c->told_ms < PROGRESS_MS ||
	    json_unpack(p, "{s:s, s:I, s:I}", "mailbox", &mailbox, "done", &done, "all", &all) != 0)
		return;
	c->told_ms = clock_monotonic_ms();
	clear_progress(c);
	fprintf(stderr, "%.*s, %.40s: %lld of %lld messages", STR_ARG(c->now->address), mailbox,
		(long long)done, (long long)all);
	fflush(stderr);
	c->line_open = true;
}

static bool
is_true(json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static void
print_finding(struct checking *c, json_t *f)
{
	const char *text = json_string_value(json_object_get(f, "text"));

	clear_progress(c);
	printf("%.*s: %s", STR_ARG(c->now->address), text != NULL ? text : "");
	if (is_true(f, "repaired"))
		printf("\n\trepaired: %s\n", json_string_value(json_object_get(f, "repair")));
	else if (is_true(f, "later"))
		puts("\n\tno fault: the next session puts it right");
	else if (c->repair && !is_true(f, "note"))
		puts("\n\tcould not be repaired");
	else
		putchar('\n');
}

static void
on_line(void *context, json_t *line)
{
	struct checking *c = context;
	json_t *f = json_object_get(line, "finding"), *p = json_object_get(line, "progress");

	if (p != NULL)
		on_progress(c, p);
	if (f != NULL && !c->ctl->json)
		print_finding(c, f);
	if (f != NULL)
		json_array_append(c->findings, f);
	if (json_object_get(line, "result") != NULL) {
		json_decref(c->result);
		c->result = json_incref(json_object_get(line, "result"));
	}
}

static uint64_t
number(json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void
print_result(struct checking *c)
{
	scoped_buf size = BUF_INIT;
	uint64_t faults = number(c->result, "faults"), repaired = number(c->result, "repaired");

	mail_put_size(&size, number(c->result, "octets"));
	printf("%.*s: %llu mailboxes, %llu messages, %s: ", STR_ARG(c->now->address),
		(unsigned long long)number(c->result, "mailboxes"),
		(unsigned long long)number(c->result, "messages"), buf_z(&size));
	if (faults == 0 && repaired == 0)
		puts("all is well");
	else if (repaired == 0)
		printf("%llu faults\n", (unsigned long long)faults);
	else
		printf("%llu faults repaired, %llu left\n", (unsigned long long)repaired,
			(unsigned long long)faults);
}

/* False: it could not be checked. */
static bool
check_account(struct checking *c, const struct keeper_grant *g)
{
	struct mail_order order = { .task = MAIL_CHECK, .repair = c->repair, .progress = c->to_terminal };
	json_t *o = json_object();
	enum mail_end end;

	c->now = g;
	c->findings = json_array();
	c->result = NULL;
	end = mail_run(c->ctl, g, &order, on_line, c);
	clear_progress(c);
	c->faults += number(c->result, "faults");
	c->accounts++;
	if (!c->ctl->json && end == MAIL_NONE)
		printf("%.*s: has had no mail yet\n", STR_ARG(g->address));
	if (!c->ctl->json && c->result != NULL)
		print_result(c);
	json_object_set_new(o, "address", ctl_json_str(g->address));
	json_object_set_new(o, "checked", json_boolean(end == MAIL_DONE));
	json_object_set_new(o, "used", json_boolean(end != MAIL_NONE));
	json_object_set_new(o, "findings", c->findings);
	if (c->result != NULL)
		json_object_update(o, c->result);
	json_decref(c->result);
	json_array_append_new(c->all, o);
	return end != MAIL_FAILED;
}

int
cmd_check(struct ctl *ctl)
{
	struct ctl_option options[] = { { .name = "all" }, { .name = "repair" } };
	struct checking c = { .ctl = ctl, .to_terminal = isatty(STDERR_FILENO) != 0 };
	struct keeper_grant *accounts;
	size_t count;
	bool ok = true;

	if (!ctl_take_options(ctl, options, countof(options), 0, SIZE_MAX))
		return CTL_USAGE;
	if (options[0].given == (ctl->word_count > 0)) {
		ctl_fail("say which accounts to check: addresses, domains, or --all");
		return CTL_USAGE;
	}
	if (!mail_find_accounts(ctl, &accounts, &count))
		return CTL_FAILED;
	c.repair = options[1].given;
	c.all = json_array();
	for (size_t i = 0; i < count; i++)
		ok = check_account(&c, &accounts[i]) && ok;
	if (ctl->json)
		ctl_print_json(c.all);
	else
		json_decref(c.all);
	return ok && c.faults == 0 ? CTL_OK : CTL_FAILED;
}
