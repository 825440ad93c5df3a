/* SPDX-License-Identifier: ISC */
/*
 * What the files of the trivet command share. A command is one row of commands.c and one
 * function; a family of commands is one file cmd_*.c. Faults are told on standard error, by
 * what is wrong and what to do next; a command's function returns the program's exit code.
 */
#pragma once

#include <sys/types.h>

#include <jansson.h>

#include "common/auth/users.h"
#include "common/daemon/settings.h"

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl {
	const char *config_path;
	bool json;			/* --json: lists and reports as JSON */
	const struct ctl_command *command;
	char **words;			/* what is no option, behind the command's names */
	size_t word_count;
	struct arena *arena;		/* for the whole run */
	struct settings *settings;	/* after ctl_read_settings */
	struct users *users;		/* after ctl_open_users */
};

struct ctl_option {
	const char *name;	/* without "--" */
	bool takes_value;
	bool given;
	const char *value;
};

struct ctl_command {
	const char *family;	/* "user" */
	const char *verb;	/* "add"; NULL: the family is the whole command */
	const char *arguments;
	const char *help;
	int (*run)(struct ctl *);
};

/* ---- commands.c: THE table ---- */

extern const struct ctl_command ctl_commands[];
extern const size_t ctl_command_count;

int cmd_domain_add(struct ctl *), cmd_domain_list(struct ctl *), cmd_domain_del(struct ctl *),
	cmd_domain_set(struct ctl *);
int cmd_user_add(struct ctl *), cmd_user_list(struct ctl *), cmd_user_del(struct ctl *),
	cmd_user_passwd(struct ctl *), cmd_user_set(struct ctl *);
int cmd_alias_add(struct ctl *), cmd_alias_list(struct ctl *), cmd_alias_del(struct ctl *),
	cmd_alias_set(struct ctl *);
int cmd_start(struct ctl *), cmd_stop(struct ctl *), cmd_reload(struct ctl *),
	cmd_status(struct ctl *);
int cmd_queue_list(struct ctl *), cmd_queue_show(struct ctl *), cmd_queue_retry(struct ctl *),
	cmd_queue_delete(struct ctl *);
int cmd_why(struct ctl *);
int cmd_check(struct ctl *);
int cmd_quota(struct ctl *);
int cmd_undelete(struct ctl *);
int cmd_settings(struct ctl *), cmd_help(struct ctl *);

/* ---- main.c ---- */

/*
 * Takes the options off ctl->words ("--name", "--name VALUE", "--name=VALUE") and demands least to
 * most other words. False after telling the usage: return CTL_USAGE.
 */
must_check bool ctl_take_options(struct ctl *, struct ctl_option *options, size_t count,
	size_t least, size_t most);
/* "trivet: ..." on standard error; returns CTL_FAILED. */
int ctl_fail(const char *format, ...) printf_like(1, 2);
/* Prints and frees it; returns CTL_OK. */
int ctl_print_json(json_t *);
json_t *ctl_json_str(struct str);

/* ---- site.c: the configuration and the user database ---- */

/* False after telling why: return CTL_FAILED. Once read, it stays. */
must_check bool ctl_read_settings(struct ctl *);
/* Whom the daemons become; (uid_t)-1 where they stay who they are. False after telling why. */
must_check bool ctl_find_daemon_user(struct ctl *, uid_t *, gid_t *);
/* Makes the site's folders, with the daemons' user as their owner where root calls. */
must_check bool ctl_make_folders(struct ctl *);
/* For writing, the folders and the file are made where they are missing. */
must_check bool ctl_open_users(struct ctl *, enum users_mode);
/* For "list [DOMAIN]": CTL_OK, users.db being open and *domain empty where none was named; or what to return. */
int ctl_begin_list(struct ctl *, struct str *domain);
/* Tells what a result other than USERS_OK means for this name; returns CTL_FAILED. */
int ctl_users_fail(enum users_result, const char *name);
/* A name without a domain gets default_domain. In ctl->arena. */
const char *ctl_full_address(struct ctl *, const char *text);
/* Of an account in the default place. In ctl->arena. */
struct str ctl_mail_dir(struct ctl *, const struct account *);

/* ---- limits.c ---- */

/* From --quota and --quota-messages; *fields says which were given. False after telling why. */
must_check bool ctl_take_quota(const struct ctl_option *octets, const struct ctl_option *messages,
	struct users_quota *, unsigned *fields);
/* "2G, messages default" */
void ctl_put_quota(struct buf *, const struct users_quota *);
/* Null where it is the default. */
json_t *ctl_json_octets(const struct users_quota *);
json_t *ctl_json_messages(const struct users_quota *);

/* ---- prompt.c ---- */

/*
 * A new password: a line of standard input, or asked twice on the terminal without echo. False
 * after telling why. The caller wipes out.
 */
must_check bool ctl_read_password(const char *who, bool from_stdin, struct buf *out);
