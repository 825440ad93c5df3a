/* SPDX-License-Identifier: ISC */
/* Which accounts a command works on. */
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/auth/grants.h"
#include "ctl/mail.h"

struct chosen {
	struct ctl *ctl;
	struct keeper_grant *all;
	size_t count;
	size_t room;
};

static void
choose(struct chosen *c, struct keeper_grant grant)
{
	struct keeper_grant *all;

	if (c->count == c->room) {
		c->room = c->room < 32 ? 32 : c->room * 2;
		all = arena_array(c->ctl->arena, struct keeper_grant, c->room);
		if (c->count > 0)
			memcpy(all, c->all, c->count * sizeof(*all));
		c->all = all;
	}
	c->all[c->count++] = grant;
}

static bool
choose_domain(struct chosen *c, struct str domain)
{
	struct ctl *ctl = c->ctl;
	struct account *accounts;
	enum users_result result;
	size_t count;

	result = users_list_accounts(ctl->users, domain, ctl->arena, &accounts, &count);
	if (result != USERS_OK) {
		ctl_users_fail(result, domain.n > 0 ? domain.p : "accounts");
		return false;
	}
	for (size_t i = 0; i < count; i++)
		choose(c, grant_of_account(ctl->settings, ctl->arena, &accounts[i]));
	return true;
}

/* ---- accounts of the machine ---- */

static bool
choose_system(struct chosen *c, struct str name)
{
	struct ctl *ctl = c->ctl;
	const struct settings *s = ctl->settings;
	struct system_account found;
	struct str address;

	if (system_account_find(name, ctl->arena, &found) != USERS_OK)
		return false;
	address = arena_printf(ctl->arena, "%.*s@%s", STR_ARG(name), s->pam_domain);
	choose(c, grant_of_system(s, ctl->arena, address, &found));
	return true;
}

/* There are many that never have mail: only those with a folder. */
static void
choose_all_system(struct chosen *c)
{
	const struct passwd *entry;
	struct stat st;
	size_t before;

	if (c->ctl->settings->pam_service[0] == '\0')
		return;
	for (setpwent(); (entry = getpwent()) != NULL;) {
		struct str name = arena_str(c->ctl->arena, str_of(entry->pw_name));
		struct account ours;

		before = c->count;
		if (users_find_account(c->ctl->users, arena_printf(c->ctl->arena, "%.*s@%s", STR_ARG(name),
		    c->ctl->settings->pam_domain), c->ctl->arena, &ours) == USERS_OK)
			continue;
		if (choose_system(c, name) &&
		    lstat(arena_str(c->ctl->arena, c->all[before].maildir).p, &st) != 0)
			c->count = before;
	}
	endpwent();
}

/* ---- by name ---- */

static bool
choose_address(struct chosen *c, const char *word)
{
	struct ctl *ctl = c->ctl;
	const char *text = ctl_full_address(ctl, word), *why;
	struct user_address address;
	struct account found;
	enum users_result result;

	if (!user_address_normalise(str_of(text), ctl->arena, &address, &why)) {
		ctl_fail("%s: %s", text, why);
		return false;
	}
	result = users_find_account(ctl->users, address.whole, ctl->arena, &found);
	if (result == USERS_OK) {
		choose(c, grant_of_account(ctl->settings, ctl->arena, &found));
		return true;
	}
	if ((result == USERS_NO_SUCH || result == USERS_NOT_OURS) && ctl->settings->pam_service[0] != '\0' &&
	    str_eq_nocase(address.domain, str_of(ctl->settings->pam_domain)) && choose_system(c, address.local))
		return true;
	ctl_users_fail(result, text);
	return false;
}

static bool
choose_word(struct chosen *c, const char *word)
{
	struct str domain;
	const char *why;

	if (strchr(word, '@') == NULL && user_domain_normalise(str_of(word), c->ctl->arena, &domain, &why) &&
	    users_domain_is_ours(c->ctl->users, domain) == USERS_OK)
		return choose_domain(c, arena_str(c->ctl->arena, domain));
	return choose_address(c, word);
}

bool
mail_find_accounts(struct ctl *ctl, struct keeper_grant **out, size_t *count)
{
	struct chosen c = { .ctl = ctl };
	bool ok = true;

	if (!ctl_open_users(ctl, USERS_READ))
		return false;
	for (size_t i = 0; ok && i < ctl->word_count; i++)
		ok = choose_word(&c, ctl->words[i]);
	if (ctl->word_count == 0) {
		ok = choose_domain(&c, STR_EMPTY);
		if (ok)
			choose_all_system(&c);
	}
	*out = c.all;
	*count = c.count;
	return ok;
}
