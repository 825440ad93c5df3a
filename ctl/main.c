/* SPDX-License-Identifier: ISC */
/*
 * trivet(8): finds the row of the command and runs it. -c and --json may stand anywhere; what is
 * behind "--" is no option.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "ctl/ctl.h"

static void
print_usage(FILE *out, const struct ctl_command *command)
{
	fprintf(out, "trivet %s%s%s %s\n\t%s\n", command->family,
		command->verb != NULL ? " " : "", command->verb != NULL ? command->verb : "",
		command->arguments, command->help);
}

/* All commands of a family, or all there are. False where there is no such family. */
static bool
print_usages(FILE *out, const char *family)
{
	bool any = false;

	for (size_t i = 0; i < ctl_command_count; i++)
		if (family == NULL || strcmp(family, ctl_commands[i].family) == 0) {
			print_usage(out, &ctl_commands[i]);
			any = true;
		}
	return any;
}

int
ctl_fail(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fputs("trivet: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	return CTL_FAILED;
}

int
ctl_print_json(json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
	return CTL_OK;
}

json_t *
ctl_json_str(struct str s)
{
	return json_stringn(s.p, s.n);
}

static int
usage_fault(const struct ctl *ctl, const char *what, const char *word)
{
	fprintf(stderr, "trivet: %s%s%s\nusage: ", what, word != NULL ? " " : "",
		word != NULL ? word : "");
	print_usage(stderr, ctl->command);
	return CTL_USAGE;
}

static struct ctl_option *
find_option(struct ctl_option *options, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(name, str_of(options[i].name)))
			return &options[i];
	return NULL;
}

/* Takes words[*i] as an option, and the word behind it as its value where it takes one. */
static bool
take_option(struct ctl *ctl, struct ctl_option *options, size_t count, size_t *i)
{
	struct str word = str_of(ctl->words[*i] + 2);
	size_t equals = str_index(word, '=');
	struct ctl_option *option = find_option(options, count, str_sub(word, 0, equals));

	if (option == NULL || (!option->takes_value && equals < word.n)) {
		usage_fault(ctl, "there is no option", ctl->words[*i]);
		return false;
	}
	option->given = true;
	if (!option->takes_value)
		return true;
	if (equals < word.n)
		option->value = word.p + equals + 1;
	else if (*i + 1 < ctl->word_count)
		option->value = ctl->words[++*i];
	if (option->value == NULL)
		usage_fault(ctl, "a value is missing behind", ctl->words[*i]);
	return option->value != NULL;
}

bool
ctl_take_options(struct ctl *ctl, struct ctl_option *options, size_t count, size_t least,
	size_t most)
{
	bool only_words = false;
	size_t kept = 0;

	for (size_t i = 0; i < ctl->word_count; i++) {
		const char *word = ctl->words[i];

		if (!only_words && strcmp(word, "--") == 0)
			only_words = true;
		else if (only_words || strncmp(word, "--", 2) != 0)
			ctl->words[kept++] = ctl->words[i];
		else if (!take_option(ctl, options, count, &i))
			return false;
	}
	ctl->word_count = kept;
	if (kept < least)
		usage_fault(ctl, "something is missing", NULL);
	else if (kept > most)
		usage_fault(ctl, "too much:", ctl->words[most]);
	return kept >= least && kept <= most;
}

int
cmd_help(struct ctl *ctl)
{
	if (!ctl_take_options(ctl, NULL, 0, 0, 2))
		return CTL_USAGE;
	if (ctl->word_count > 0 && print_usages(stdout, ctl->words[0]))
		return CTL_OK;
	if (ctl->word_count > 0)
		return ctl_fail("there is no command \"%s\"; \"trivet help\" lists all",
			ctl->words[0]);
	puts("usage: trivet [-c CONFIG] [--json] COMMAND ...\n"
		"CONFIG is " SYSCONFDIR "/trivet/trivet.conf unless named here or in TRIVET_CONF.\n");
	print_usages(stdout, NULL);
	return CTL_OK;
}

/* Takes -c, --json and their like out of the words, wherever they stand. */
static bool
take_common_options(struct ctl *ctl)
{
	size_t kept = 0, i;

	for (i = 0; i < ctl->word_count && strcmp(ctl->words[i], "--") != 0; i++) {
		char *word = ctl->words[i];

		if (strcmp(word, "--json") == 0) {
			ctl->json = true;
		} else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
			ctl->words[kept++] = "help";
		} else if (strncmp(word, "-c", 2) == 0 && word[2] != '\0') {
			ctl->config_path = word + 2;
		} else if (strcmp(word, "-c") != 0) {
			ctl->words[kept++] = word;
		} else if (++i == ctl->word_count) {
			ctl_fail("the name of a file is missing behind -c");
			return false;
		} else {
			ctl->config_path = ctl->words[i];
		}
	}
	for (; i < ctl->word_count; i++)
		ctl->words[kept++] = ctl->words[i];
	ctl->word_count = kept;
	return true;
}

/* Finds the row and takes its names off the words. */
static bool
find_command(struct ctl *ctl)
{
	for (size_t i = 0; i < ctl_command_count; i++) {
		const struct ctl_command *row = &ctl_commands[i];

		if (strcmp(row->family, ctl->words[0]) != 0)
			continue;
		if (row->verb != NULL && (ctl->word_count < 2
		    || strcmp(row->verb, ctl->words[1]) != 0))
			continue;
		ctl->command = row;
		ctl->words += row->verb != NULL ? 2 : 1;
		ctl->word_count -= row->verb != NULL ? 2 : 1;
		return true;
	}
	return false;
}

static int
unknown_command(const struct ctl *ctl)
{
	if (print_usages(stderr, ctl->words[0])) {
		ctl_fail("\"%s\" needs one of the words above", ctl->words[0]);
		return CTL_USAGE;
	}
	ctl_fail("there is no command \"%s\"; \"trivet help\" lists all", ctl->words[0]);
	return CTL_USAGE;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { .config_path = getenv("TRIVET_CONF"), .words = argv + 1,
		.word_count = argc > 0 ? (size_t)argc - 1 : 0 };
	static char *help[] = { "help" };
	int code;

	log_set_name("trivet", "ctl");
	log_set_level(LOG_LEVEL_ERROR);
	if (!take_common_options(&ctl))
		return CTL_USAGE;
	if (ctl.word_count == 0) {
		ctl.words = help;
		ctl.word_count = 1;
	}
	if (!find_command(&ctl))
		return unknown_command(&ctl);
	ctl.arena = arena_new();
	code = ctl.command->run(&ctl);
	users_close(ctl.users);
	settings_free(ctl.settings);
	arena_free(ctl.arena);
	if (fflush(stdout) != 0 && code == CTL_OK)
		code = ctl_fail("cannot write the output");
	return code;
}
