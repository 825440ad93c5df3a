/* SPDX-License-Identifier: ISC */
/* trivet user: the accounts of users.db. */
#include <stdio.h>

#include "common/auth/password.h"
#include "common/base/clock.h"
#include "ctl/ctl.h"

enum {
	OPTION_PASSWORD_STDIN, OPTION_NO_PASSWORD, OPTION_SCHEME, OPTION_QUOTA,
	OPTION_QUOTA_MESSAGES, OPTION_MAIL_DIR, OPTION_ENABLE, OPTION_DISABLE, OPTION_COUNT
};

static const struct ctl_option user_options[OPTION_COUNT] = {
	[OPTION_PASSWORD_STDIN] = { .name = "password-stdin" },
	[OPTION_NO_PASSWORD] = { .name = "no-password" },
	[OPTION_SCHEME] = { .name = "scheme", .takes_value = true },
	[OPTION_QUOTA] = { .name = "quota", .takes_value = true },
	[OPTION_QUOTA_MESSAGES] = { .name = "quota-messages", .takes_value = true },
	[OPTION_MAIL_DIR] = { .name = "mail-dir", .takes_value = true },
	[OPTION_ENABLE] = { .name = "enable" },
	[OPTION_DISABLE] = { .name = "disable" },
};

/* A verifier in out, of a password that is asked for. False after telling why. */
static bool
make_verifier(const char *who, const struct ctl_option *options, struct buf *out)
{
	enum password_scheme scheme = PASSWORD_YESCRYPT;
	struct buf password = BUF_INIT;
	const char *name = options[OPTION_SCHEME].value;
	bool ok;

	if (name != NULL && !password_scheme_find(str_of(name), &scheme)) {
		ctl_fail("%s: there is no such scheme; there are yescrypt, bcrypt, sha512 and "
			"scram-sha-256", name);
		return false;
	}
	ok = ctl_read_password(who, options[OPTION_PASSWORD_STDIN].given, &password);
	if (ok && !password_make(out, buf_str(&password), scheme)) {
		ctl_fail("the password has to be 1 to %d octets of UTF-8", (int)PASSWORD_MAX);
		ok = false;
	}
	buf_wipe(&password);
	return ok;
}

static bool
take_mail_dir(const struct ctl_option *option, struct account *account)
{
	if (strcmp(option->value, "default") == 0) {
		account->mail_dir = STR_EMPTY;
		return true;
	}
	account->mail_dir = str_of(option->value);
	if (option->value[0] == '/')
		return true;
	ctl_fail("--mail-dir: expected a path that begins with /, or default, not \"%s\"",
		option->value);
	return false;
}

/* What the options say of the account; *fields tells which they were. */
static bool
take_fields(const struct ctl_option *options, struct account *account, unsigned *fields)
{
	if (options[OPTION_ENABLE].given && options[OPTION_DISABLE].given) {
		ctl_fail("--enable and --disable: only one of the two can be");
		return false;
	}
	if (!ctl_take_quota(&options[OPTION_QUOTA], &options[OPTION_QUOTA_MESSAGES],
	    &account->quota, fields))
		return false;
	if (options[OPTION_MAIL_DIR].given && !take_mail_dir(&options[OPTION_MAIL_DIR], account))
		return false;
	account->enabled = !options[OPTION_DISABLE].given;
	*fields |= (options[OPTION_MAIL_DIR].given ? ACCOUNT_MAIL_DIR : 0)
		| (options[OPTION_ENABLE].given || options[OPTION_DISABLE].given
			? ACCOUNT_ENABLED : 0);
	return true;
}

/* The address of words[0] in its normal form, before anybody types a password. */
static bool
take_address(struct ctl *ctl, struct account *account)
{
	const char *text = ctl_full_address(ctl, ctl->words[0]), *why;
	struct user_address address;

	if (!user_address_normalise(str_of(text), ctl->arena, &address, &why)) {
		ctl_fail("%s: %s", text, why);
		return false;
	}
	account->address = address.whole;
	return true;
}

static enum users_result
is_free(struct ctl *ctl, struct str address)
{
	struct account found;
	enum users_result result;

	result = users_domain_is_ours(ctl->users,
		str_from(address, str_last_index(address, '@') + 1));
	if (result != USERS_OK)
		return result;
	result = users_find_account(ctl->users, address, ctl->arena, &found);
	if (result == USERS_OK)
		return USERS_EXISTS;
	return result == USERS_NO_SUCH ? USERS_OK : result;
}

int
cmd_user_add(struct ctl *ctl)
{
	struct ctl_option options[OPTION_COUNT];
	struct account account = { .enabled = true };
	scoped_buf verifier = BUF_INIT;
	enum users_result result;
	unsigned fields;

	memcpy(options, user_options, sizeof(options));
	/* All but --enable and --disable; below, those of a password only. */
	if (!ctl_take_options(ctl, options, OPTION_ENABLE, 1, 1))
		return CTL_USAGE;
	if (!take_fields(options, &account, &fields) || !ctl_open_users(ctl, USERS_WRITE)
	    || !take_address(ctl, &account))
		return CTL_FAILED;
	result = is_free(ctl, account.address);
	if (result != USERS_OK)
		return ctl_users_fail(result, account.address.p);
	if (!options[OPTION_NO_PASSWORD].given
	    && !make_verifier(account.address.p, options, &verifier))
		return CTL_FAILED;
	account.verifier = buf_str(&verifier);
	result = users_add_account(ctl->users, &account);
	if (result != USERS_OK)
		return ctl_users_fail(result, account.address.p);
	printf("The account %.*s is there.\n", STR_ARG(account.address));
	return CTL_OK;
}

static int
change(struct ctl *ctl, struct account *account, unsigned fields)
{
	enum users_result result = users_change_account(ctl->users, account, fields);

	if (result != USERS_OK)
		return ctl_users_fail(result, account->address.p);
	printf("The account %.*s was changed.\n", STR_ARG(account->address));
	return CTL_OK;
}

static bool
account_exists(struct ctl *ctl, struct str address)
{
	struct account found;
	enum users_result result;

	result = users_find_account(ctl->users, address, ctl->arena, &found);
	if (result != USERS_OK)
		ctl_users_fail(result, address.p);
	return result == USERS_OK;
}

int
cmd_user_passwd(struct ctl *ctl)
{
	struct ctl_option options[OPTION_COUNT];
	struct account account = { .enabled = true };
	scoped_buf verifier = BUF_INIT;

	memcpy(options, user_options, sizeof(options));
	if (!ctl_take_options(ctl, options, OPTION_QUOTA, 1, 1))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE) || !take_address(ctl, &account)
	    || !account_exists(ctl, account.address))
		return CTL_FAILED;
	if (!options[OPTION_NO_PASSWORD].given
	    && !make_verifier(account.address.p, options, &verifier))
		return CTL_FAILED;
	account.verifier = buf_str(&verifier);
	return change(ctl, &account, ACCOUNT_VERIFIER);
}

int
cmd_user_set(struct ctl *ctl)
{
	struct ctl_option options[OPTION_COUNT];
	struct account account = { .enabled = true };
	scoped_buf verifier = BUF_INIT;
	unsigned fields;

	memcpy(options, user_options, sizeof(options));
	if (!ctl_take_options(ctl, options, OPTION_COUNT, 1, 1))
		return CTL_USAGE;
	if (!take_fields(options, &account, &fields) || !ctl_open_users(ctl, USERS_WRITE)
	    || !take_address(ctl, &account) || !account_exists(ctl, account.address))
		return CTL_FAILED;
	/* Another scheme needs the password itself. */
	if (options[OPTION_SCHEME].given || options[OPTION_PASSWORD_STDIN].given) {
		if (!make_verifier(account.address.p, options, &verifier))
			return CTL_FAILED;
		fields |= ACCOUNT_VERIFIER;
	} else if (options[OPTION_NO_PASSWORD].given) {
		fields |= ACCOUNT_VERIFIER;
	}
	account.verifier = buf_str(&verifier);
	if (fields == 0) {
		ctl_fail("nothing to set; \"trivet help user\" lists what can be");
		return CTL_USAGE;
	}
	return change(ctl, &account, fields);
}

int
cmd_user_del(struct ctl *ctl)
{
	struct account account = { .enabled = true };
	enum users_result result;
	struct str mail_dir;

	if (!ctl_take_options(ctl, NULL, 0, 1, 1))
		return CTL_USAGE;
	if (!ctl_open_users(ctl, USERS_WRITE) || !take_address(ctl, &account))
		return CTL_FAILED;
	result = users_find_account(ctl->users, account.address, ctl->arena, &account);
	if (result == USERS_OK)
		result = users_remove_account(ctl->users, account.address);
	if (result != USERS_OK)
		return ctl_users_fail(result, account.address.p);
	mail_dir = ctl_mail_dir(ctl, &account);
	printf("The account %.*s is gone. Its mail, if any, stays in %.*s.\n",
		STR_ARG(account.address), STR_ARG(mail_dir));
	return CTL_OK;
}

static void
print_account(const struct account *account)
{
	scoped_buf quota = BUF_INIT;

	ctl_put_quota(&quota, &account->quota);
	printf("%-40.*s %-11s quota %s\n", STR_ARG(account->address),
		!account->enabled ? "disabled" : account->verifier.n == 0 ? "no password"
		: "enabled", buf_z(&quota));
}

static json_t *
json_account(struct ctl *ctl, const struct account *account)
{
	scoped_buf created = BUF_INIT;

	clock_put_rfc3339(&created, account->created * 1000);
	return json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o}",
		"address", ctl_json_str(account->address),
		"enabled", account->enabled,
		"has_password", account->verifier.n > 0,
		"quota", ctl_json_octets(&account->quota),
		"quota_messages", ctl_json_messages(&account->quota),
		"mail_dir", ctl_json_str(ctl_mail_dir(ctl, account)),
		"created", ctl_json_str(buf_str(&created)));
}

int
cmd_user_list(struct ctl *ctl)
{
	struct str domain;
	enum users_result result;
	struct account *accounts;
	json_t *list;
	size_t count;
	int code;

	code = ctl_begin_list(ctl, &domain);
	if (code != CTL_OK)
		return code;
	result = users_list_accounts(ctl->users, domain, ctl->arena, &accounts, &count);
	if (result != USERS_OK)
		return ctl_users_fail(result, ctl->word_count > 0 ? ctl->words[0] : "accounts");
	list = json_array();
	for (size_t i = 0; i < count; i++) {
		if (ctl->json)
			json_array_append_new(list, json_account(ctl, &accounts[i]));
		else
			print_account(&accounts[i]);
	}
	if (ctl->json)
		return ctl_print_json(list);
	json_decref(list);
	return CTL_OK;
}
