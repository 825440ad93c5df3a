/* SPDX-License-Identifier: ISC */
/* Limits as people give them and as they are shown: of accounts, and of domains for all their accounts. */
#include "ctl/ctl.h"

static bool
take_octets(const struct ctl_option *option, struct users_quota *quota)
{
	quota->has_octets = strcmp(option->value, "default") != 0;
	if (!quota->has_octets || settings_parse_size(str_of(option->value), &quota->octets))
		return true;
	ctl_fail("--quota: expected a size such as 500M or 2G, 0 for no limit, or default, "
		"not \"%s\"", option->value);
	return false;
}

static bool
take_messages(const struct ctl_option *option, struct users_quota *quota)
{
	quota->has_messages = strcmp(option->value, "default") != 0;
	if (!quota->has_messages || str_to_u32(str_of(option->value), &quota->messages))
		return true;
	ctl_fail("--quota-messages: expected a number, 0 for no limit, or default, not \"%s\"",
		option->value);
	return false;
}

bool
ctl_take_quota(const struct ctl_option *octets, const struct ctl_option *messages,
	struct users_quota *quota, unsigned *fields)
{
	*fields = (octets->given ? ACCOUNT_QUOTA_OCTETS : 0)
		| (messages->given ? ACCOUNT_QUOTA_MESSAGES : 0);
	return (!octets->given || take_octets(octets, quota))
		&& (!messages->given || take_messages(messages, quota));
}

void
ctl_put_quota(struct buf *out, const struct users_quota *quota)
{
	if (quota->has_octets && quota->octets > 0)
		settings_put_size(out, quota->octets);
	else
		buf_put_z(out, quota->has_octets ? "no limit" : "default");
	buf_put_z(out, ", messages ");
	if (quota->has_messages && quota->messages > 0)
		buf_put_u64(out, quota->messages);
	else
		buf_put_z(out, quota->has_messages ? "no limit" : "default");
}

json_t *
ctl_json_octets(const struct users_quota *quota)
{
	return quota->has_octets ? json_integer((json_int_t)quota->octets) : json_null();
}

json_t *
ctl_json_messages(const struct users_quota *quota)
{
	return quota->has_messages ? json_integer(quota->messages) : json_null();
}
