/* SPDX-License-Identifier: ISC */
/* trivet undelete: expunged mail that is kept goes back to the folders it was in. */
#include <stdio.h>

#include "ctl/mail.h"
#include "ctl/moment.h"

struct undeleting {
	struct ctl *ctl;
	json_t *messages;
	json_t *result;
};

static void
on_line(void *context, json_t *line)
{
	struct undeleting *u = context;
	json_t *one = json_object_get(line, "undeleted"), *result = json_object_get(line, "result");

	if (one != NULL)
		json_array_append(u->messages, one);
	if (result != NULL)
		u->result = json_incref(result);
}

static uint64_t
number(json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static const char *
text(json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL ? value : "";
}

static void
print_messages(const struct undeleting *u)
{
	json_t *one;
	size_t i;

	json_array_foreach(u->messages, i, one) {
		scoped_buf size = BUF_INIT;

		mail_put_size(&size, number(one, "octets"));
		printf("%-30s expunged %.19s, %s\n", text(one, "mailbox"), text(one, "deleted"), buf_z(&size));
	}
}

static void
print_result(const struct undeleting *u, const char *address, bool dry_run)
{
	uint64_t left = number(u->result, "left");

	if (dry_run)
		print_messages(u);
	printf("%s: %llu messages %s\n", address, (unsigned long long)number(u->result, "messages"),
		dry_run ? "can be put back" : "were put back");
	if (left > 0)
		printf("%llu found no room: see \"trivet quota %s\"; run this again when there is some\n",
			(unsigned long long)left, address);
}

int
cmd_undelete(struct ctl *ctl)
{
	struct ctl_option options[] = { { .name = "since", .takes_value = true },
		{ .name = "folder", .takes_value = true }, { .name = "dry-run" } };
	struct mail_order order = { .task = MAIL_UNDELETE, .folder = STR_EMPTY };
	struct undeleting u = { .ctl = ctl };
	struct keeper_grant *accounts;
	enum mail_end end;
	size_t count;
	int code;

	if (!ctl_take_options(ctl, options, countof(options), 1, 1))
		return CTL_USAGE;
	/* With them comes the clock that the daemons go by. */
	if (!ctl_read_settings(ctl))
		return CTL_FAILED;
	if (options[0].given && !ctl_take_since(options[0].value, &order.since))
		return CTL_USAGE;
	if (options[1].given)
		order.folder = str_of(options[1].value);
	order.dry_run = options[2].given;
	if (!mail_find_accounts(ctl, &accounts, &count))
		return CTL_FAILED;
	if (count != 1)
		return ctl_fail("%s: say one address", ctl->words[0]);
	u.messages = json_array();
	end = mail_run(ctl, &accounts[0], &order, on_line, &u);
	if (ctl->json && end != MAIL_FAILED)
		ctl_print_json(json_pack("{s:o, s:b, s:I, s:I, s:O}", "address",
			ctl_json_str(accounts[0].address), "dry_run", order.dry_run,
			"put_back", (json_int_t)number(u.result, "messages"),
			"left", (json_int_t)number(u.result, "left"), "messages", u.messages));
	else if (end != MAIL_FAILED)
		print_result(&u, arena_str(ctl->arena, accounts[0].address).p, order.dry_run);
	code = end == MAIL_FAILED || number(u.result, "left") > 0 ? CTL_FAILED : CTL_OK;
	json_decref(u.messages);
	json_decref(u.result);
	return code;
}
