/* SPDX-License-Identifier: ISC */
/* trivet alias: addresses that stand for others. */
#include <stdint.h>
#include <stdio.h>

#include "ctl/ctl.h"

/* Says so where mail for a target of ours would find nobody. */
static void
warn_of_missing(struct ctl *ctl, const char *target)
{
	struct users_targets targets;

	if (users_resolve(ctl->users, str_of(target), str_of(ctl->settings->recipient_delimiter),
	    ctl->arena, &targets) == USERS_NO_SUCH)
		fprintf(stderr, "trivet: %s: there is no such address here yet; \"trivet user add "
			"%s\" makes it\n", target, target);
}

static int
add_targets(struct ctl *ctl, const char *address)
{
	enum users_result result;
	const char *target;

	for (size_t i = 1; i < ctl->word_count; i++) {
		target = ctl_full_address(ctl, ctl->words[i]);
		result = users_add_alias(ctl->users, str_of(address), str_of(target));
		if (result == USERS_INVALID)
			return ctl_fail("%s to %s: one of the two is no valid address", address,
				target);
		if (result != USERS_OK && result != USERS_EXISTS)
			return ctl_users_fail(result, address);
		printf("Mail for %s goes to %s.\n", address, target);
		warn_of_missing(ctl, target);
	}
	return CTL_OK;
}

int
cmd_alias_add(struct ctl *ctl)
{
	if (!ctl_take_options(ctl, NULL, 0, 2, SIZE_MAX))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	return add_targets(ctl, ctl_full_address(ctl, ctl->words[0]));
}

int
cmd_alias_set(struct ctl *ctl)
{
	enum users_result result;
	const char *address;

	if (!ctl_take_options(ctl, NULL, 0, 2, SIZE_MAX))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	address = ctl_full_address(ctl, ctl->words[0]);
	result = users_remove_alias(ctl->users, str_of(address), STR_EMPTY);
	if (result != USERS_OK && result != USERS_NO_SUCH)
		return ctl_users_fail(result, address);
	return add_targets(ctl, address);
}

static int
remove_one(struct ctl *ctl, const char *address, const char *target)
{
	enum users_result result = users_remove_alias(ctl->users, str_of(address), str_of(target));

	if (result == USERS_NO_SUCH)
		return ctl_fail("%s%s%s: there is no such alias", address, target[0] ? " to " : "",
			target);
	if (result != USERS_OK)
		return ctl_users_fail(result, address);
	printf("Mail for %s goes %s%s no more.\n", address, target[0] ? "to " : "elsewhere",
		target);
	return CTL_OK;
}

int
cmd_alias_del(struct ctl *ctl)
{
	const char *address;
	int code = CTL_OK;

	if (!ctl_take_options(ctl, NULL, 0, 1, SIZE_MAX))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	address = ctl_full_address(ctl, ctl->words[0]);
	if (ctl->word_count == 1)
		return remove_one(ctl, address, "");
	for (size_t i = 1; code == CTL_OK && i < ctl->word_count; i++)
		code = remove_one(ctl, address, ctl_full_address(ctl, ctl->words[i]));
	return code;
}

int
cmd_alias_list(struct ctl *ctl)
{
	struct str domain;
	struct users_alias *aliases;
	enum users_result result;
	json_t *list;
	size_t count;
	int code;

	code = ctl_begin_list(ctl, &domain);
	if (code != CTL_OK)
		return code;
	result = users_list_aliases(ctl->users, domain, ctl->arena, &aliases, &count);
	if (result != USERS_OK)
		return ctl_users_fail(result, ctl->word_count > 0 ? ctl->words[0] : "aliases");
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		if (!ctl->json)
			printf("%-40.*s %.*s\n", STR_ARG(aliases[i].address),
				STR_ARG(aliases[i].target));
		json_array_append_new(list, json_pack("{s:o, s:o}",
			"address", ctl_json_str(aliases[i].address),
			"target", ctl_json_str(aliases[i].target)));
	}
	if (ctl->json)
		return ctl_print_json(list);
	json_decref(list);
	return CTL_OK;
}
