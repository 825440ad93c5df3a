/* SPDX-License-Identifier: ISC */
/*
 * users.db: the domains, accounts and aliases of the site, one SQLite database in
 * state_dir. auth reads it while trivet(8) changes it (WAL). One handle per process,
 * opened after the fork, never shared. Every str that comes out lives in the caller's
 * arena. Addresses go in as people write them; they come out in their normal form
 * (common/auth/user_address.h).
 */
#pragma once

#include "common/auth/user_address.h"

struct users;

enum users_result {
	USERS_OK,
	USERS_NO_SUCH,	/* the domain is ours, the address is not there */
	USERS_NOT_OURS,	/* the domain is not ours */
	USERS_EXISTS,
	USERS_IN_USE,	/* a domain that still has accounts or aliases */
	USERS_INVALID,	/* no valid address or value */
	USERS_TOO_MANY,	/* an alias that expands beyond the limits below */
	USERS_BUSY,	/* somebody else writes for longer than USERS_BUSY_MS */
	USERS_BROKEN,	/* the database failed; logged where it happened */
};

enum {
	USERS_ALIAS_DEPTH = 10,		/* an alias of an alias of ... */
	USERS_TARGETS_MAX = 1000,	/* addresses one address may expand to, in all steps */
	USERS_BUSY_MS = 5000,
	USERS_WAL_TRIES = 100,		/* to open -wal and -shm, so many milliseconds apart: */
	USERS_WAL_MS = 10,
};

/* What an account may hold; of a domain: each of its accounts that has no limit of its own. */
struct users_quota {
	bool has_octets;		/* else the next that has: account, domain, the site's default_quota */
	uint64_t octets;		/* 0: no limit */
	bool has_messages;		/* likewise; default_quota_messages */
	uint32_t messages;		/* 0: no limit */
};

struct account {
	struct str address;
	struct str verifier;		/* common/auth/password.h; empty: no login */
	bool enabled;			/* false: no login; mail is still taken */
	struct users_quota quota;	/* its own */
	struct users_quota domain_quota;	/* only read */
	struct str mail_dir;		/* absolute; empty: mail_dir/DOMAIN/LOCAL */
	int64_t created;		/* seconds since 1970 */
};

/* Which fields of an account users_change_account takes. */
enum account_field {
	ACCOUNT_VERIFIER = 1, ACCOUNT_ENABLED = 2, ACCOUNT_QUOTA_OCTETS = 4,
	ACCOUNT_QUOTA_MESSAGES = 8, ACCOUNT_MAIL_DIR = 16,
};

struct users_alias {
	struct str address;	/* or "*@DOMAIN", whatever has no account or alias of its own */
	struct str target;
};

struct users_domain {
	struct str name;
	uint64_t accounts;
	uint64_t aliases;	/* alias addresses, not targets */
	struct users_quota quota;
};

enum users_target_kind {
	USERS_LOCAL,	/* an account of the file */
	USERS_SYSTEM,	/* an account of the machine (users_set_system) */
	USERS_REMOTE,	/* an address elsewhere */
};

struct users_target {
	enum users_target_kind kind;
	struct str address;
	struct str detail;	/* what followed the delimiter in the address asked for, or empty */
};

struct users_targets {
	struct users_target *items;
	size_t count;
};

/*
 * Opens the database. For writing it is made where it is missing (mode 0600, owned by
 * its folder's owner) and its schema brought up to date; master does that once before
 * auth opens it for reading only. NULL with *why (heap, one line, says what to do) when it is
 * missing, broken, of a newer program's schema or, for reading, of an older one.
 */
enum users_mode { USERS_READ, USERS_WRITE };
must_check struct users *users_open(const char *path, enum users_mode, char **why);
void users_close(struct users *);

/*
 * The machine's own accounts count as NAME@domain where exists() says USERS_OK; USERS_NO_SUCH, or
 * USERS_BROKEN where it cannot tell now. domain is copied.
 */
typedef enum users_result users_system_exists(void *context, struct str name);
void users_set_system(struct users *, struct str domain, users_system_exists *, void *context);

/* A number that is another one after any process changed the file: for caches. */
uint64_t users_generation(struct users *);
/*
 * What is read between the two is of one moment, and costs one look at the file's locks instead of one for each
 * question. They may be nested, and stand within a change.
 */
void users_read_begin(struct users *);
void users_read_end(struct users *);

/* Reading. Outputs are written only with USERS_OK. */
must_check enum users_result users_domain_is_ours(struct users *, struct str domain);
must_check enum users_result users_find_account(struct users *, struct str address,
	struct arena *, struct account *out);
/*
 * Where mail for an address goes: its aliases step by step (a loop ends where it closes;
 * an alias that names its own account's address keeps a copy there), else the account, else
 * both again without the delimiter and what follows it, else for postmaster and abuse
 * (RFC 5321 4.5.1, RFC 2142) the oldest account, else "*@DOMAIN". "postmaster" alone is that of the oldest
 * domain. An empty delimiter is off. Each target comes once. USERS_NOT_OURS: relay it, or not.
 */
must_check enum users_result users_resolve(struct users *, struct str address,
	struct str delimiter, struct arena *, struct users_targets *out);

/* Lists, in the order of their names; an empty domain means all. */
must_check enum users_result users_list_domains(struct users *, struct arena *,
	struct users_domain **out, size_t *count);
must_check enum users_result users_list_accounts(struct users *, struct str domain,
	struct arena *, struct account **out, size_t *count);
must_check enum users_result users_list_aliases(struct users *, struct str domain,
	struct arena *, struct users_alias **out, size_t *count);

/* Writing; each is one transaction, durable when it returns USERS_OK. */
must_check enum users_result users_add_domain(struct users *, struct str name);
must_check enum users_result users_remove_domain(struct users *, struct str name);
/* Of the fields, ACCOUNT_QUOTA_OCTETS and ACCOUNT_QUOTA_MESSAGES. */
must_check enum users_result users_change_domain_quota(struct users *, struct str name,
	const struct users_quota *, unsigned fields);
/* account->created is set here. */
must_check enum users_result users_add_account(struct users *, const struct account *);
must_check enum users_result users_change_account(struct users *, const struct account *,
	unsigned fields);
must_check enum users_result users_remove_account(struct users *, struct str address);
/* address may be "*@DOMAIN". USERS_TOO_MANY: with it the alias would expand beyond the limits. */
must_check enum users_result users_add_alias(struct users *, struct str address,
	struct str target);
/* An empty target removes all of the address. */
must_check enum users_result users_remove_alias(struct users *, struct str address,
	struct str target);
