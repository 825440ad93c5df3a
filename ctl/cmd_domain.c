/* SPDX-License-Identifier: ISC */
/* trivet domain: the domains that the site takes mail for. */
#include <stdio.h>

#include "ctl/ctl.h"

/* Mail for these roles goes to one address: RFC 5321 4.5.1, RFC 2142. */
static const char *const roles[] = { "postmaster", "abuse" };

static int
set_postmaster(struct ctl *ctl, const char *domain, const char *target)
{
	enum users_result result;
	struct str role;

	for (size_t i = 0; i < countof(roles); i++) {
		role = arena_printf(ctl->arena, "%s@%s", roles[i], domain);
		result = users_remove_alias(ctl->users, role, STR_EMPTY);
		if (result == USERS_OK || result == USERS_NO_SUCH)
			result = users_add_alias(ctl->users, role, str_of(target));
		if (result != USERS_OK)
			return ctl_users_fail(result, role.p);
	}
	printf("Mail for postmaster@%s and abuse@%s goes to %s.\n", domain, domain, target);
	return CTL_OK;
}

/* Completes *text, a name of this domain or an address; NULL stays. False after telling why. */
static bool
take_target(struct ctl *ctl, const char *domain, const char **text)
{
	struct user_address address;
	const char *why;

	if (*text == NULL)
		return true;
	if (strchr(*text, '@') == NULL)
		*text = arena_printf(ctl->arena, "%s@%s", *text, domain).p;
	if (user_address_normalise_any(str_of(*text), ctl->arena, &address, &why))
		return true;
	ctl_fail("%s: %s", *text, why);
	return false;
}

enum { OPTION_POSTMASTER, OPTION_QUOTA, OPTION_QUOTA_MESSAGES, OPTION_COUNT };

static const struct ctl_option domain_options[OPTION_COUNT] = {
	[OPTION_POSTMASTER] = { .name = "postmaster", .takes_value = true },
	[OPTION_QUOTA] = { .name = "quota", .takes_value = true },
	[OPTION_QUOTA_MESSAGES] = { .name = "quota-messages", .takes_value = true },
};

static int
set_quota(struct ctl *ctl, const char *domain, const struct users_quota *quota, unsigned fields)
{
	enum users_result result = users_change_domain_quota(ctl->users, str_of(domain), quota, fields);

	if (result != USERS_OK)
		return ctl_users_fail(result, domain);
	printf("The limits of %s's accounts that have none of their own were changed.\n", domain);
	return CTL_OK;
}

int
cmd_domain_add(struct ctl *ctl)
{
	struct ctl_option options[OPTION_COUNT], *postmaster = &options[OPTION_POSTMASTER];
	struct users_quota quota = { 0 };
	enum users_result result;
	struct str name;
	const char *why;
	unsigned fields;

	memcpy(options, domain_options, sizeof(options));
	if (!ctl_take_options(ctl, options, OPTION_COUNT, 1, 1))
		return CTL_USAGE;
	if (!ctl_take_quota(&options[OPTION_QUOTA], &options[OPTION_QUOTA_MESSAGES], &quota, &fields))
		return CTL_FAILED;
	if (!user_domain_normalise(str_of(ctl->words[0]), ctl->arena, &name, &why))
		return ctl_fail("%s: %s", ctl->words[0], why);
	name = arena_str(ctl->arena, name);
	if (!take_target(ctl, name.p, &postmaster->value) || !ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	result = users_add_domain(ctl->users, name);
	if (result != USERS_OK)
		return ctl_users_fail(result, ctl->words[0]);
	printf("Mail for %.*s is taken from now on.\n", STR_ARG(name));
	if (fields != 0 && set_quota(ctl, name.p, &quota, fields) != CTL_OK)
		return CTL_FAILED;
	return postmaster->given ? set_postmaster(ctl, name.p, postmaster->value) : CTL_OK;
}

int
cmd_domain_set(struct ctl *ctl)
{
	struct ctl_option options[OPTION_COUNT], *postmaster = &options[OPTION_POSTMASTER];
	struct users_quota quota = { 0 };
	enum users_result result;
	unsigned fields;

	memcpy(options, domain_options, sizeof(options));
	if (!ctl_take_options(ctl, options, OPTION_COUNT, 1, 1))
		return CTL_USAGE;
	if (!ctl_take_quota(&options[OPTION_QUOTA], &options[OPTION_QUOTA_MESSAGES], &quota, &fields))
		return CTL_FAILED;
	if (!postmaster->given && fields == 0) {
		ctl_fail("nothing to set; say --postmaster ADDRESS, --quota SIZE or --quota-messages N");
		return CTL_USAGE;
	}
	if (!take_target(ctl, ctl->words[0], &postmaster->value)
	    || !ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	result = users_domain_is_ours(ctl->users, str_of(ctl->words[0]));
	if (result != USERS_OK)
		return ctl_users_fail(result, ctl->words[0]);
	if (fields != 0 && set_quota(ctl, ctl->words[0], &quota, fields) != CTL_OK)
		return CTL_FAILED;
	return postmaster->given ? set_postmaster(ctl, ctl->words[0], postmaster->value) : CTL_OK;
}

/* The roles' aliases alone must not keep an otherwise empty domain. */
static bool
only_roles_are_left(struct ctl *ctl, struct str name)
{
	struct users_alias *aliases;
	struct account *accounts;
	size_t count;

	if (users_list_accounts(ctl->users, name, ctl->arena, &accounts, &count) != USERS_OK
	    || count > 0)
		return false;
	if (users_list_aliases(ctl->users, name, ctl->arena, &aliases, &count) != USERS_OK)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!str_starts(aliases[i].address, STR("postmaster@"))
		    && !str_starts(aliases[i].address, STR("abuse@")))
			return false;
	return true;
}

int
cmd_domain_del(struct ctl *ctl)
{
	enum users_result result;
	struct str name;

	if (!ctl_take_options(ctl, NULL, 0, 1, 1))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE))
		return CTL_FAILED;
	name = str_of(ctl->words[0]);
	for (size_t i = 0; only_roles_are_left(ctl, name) && i < countof(roles); i++) {
		result = users_remove_alias(ctl->users, arena_printf(ctl->arena, "%s@%.*s",
			roles[i], STR_ARG(name)), STR_EMPTY);
		if (result != USERS_OK && result != USERS_NO_SUCH)
			return ctl_users_fail(result, ctl->words[0]);
	}
	result = users_remove_domain(ctl->users, name);
	if (result == USERS_NOT_OURS)
		return ctl_fail("%s: is no domain of this site", ctl->words[0]);
	if (result != USERS_OK)
		return ctl_users_fail(result, ctl->words[0]);
	printf("Mail for %s is not taken any more.\n", ctl->words[0]);
	return CTL_OK;
}

int
cmd_domain_list(struct ctl *ctl)
{
	struct users_domain *domains;
	enum users_result result;
	json_t *list;
	size_t count;

	if (!ctl_take_options(ctl, NULL, 0, 0, 0))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_READ))
		return CTL_FAILED;
	result = users_list_domains(ctl->users, ctl->arena, &domains, &count);
	if (result != USERS_OK)
		return ctl_users_fail(result, "domains");
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		scoped_buf quota = BUF_INIT;

		ctl_put_quota(&quota, &domains[i].quota);
		if (!ctl->json)
			printf("%-40.*s %llu accounts, %llu aliases, quota %s\n", STR_ARG(domains[i].name),
				(unsigned long long)domains[i].accounts,
				(unsigned long long)domains[i].aliases, buf_z(&quota));
		json_array_append_new(list, json_pack("{s:o, s:I, s:I, s:o, s:o}",
			"domain", ctl_json_str(domains[i].name),
			"accounts", (json_int_t)domains[i].accounts,
			"aliases", (json_int_t)domains[i].aliases,
			"quota", ctl_json_octets(&domains[i].quota),
			"quota_messages", ctl_json_messages(&domains[i].quota)));
	}
	if (ctl->json)
		return ctl_print_json(list);
	json_decref(list);
	return CTL_OK;
}
