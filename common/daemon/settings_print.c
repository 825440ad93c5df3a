/* SPDX-License-Identifier: ISC */
/* The rows of settings as a sample file, as the section of a manual page, and what is in force. */
#include <jansson.h>
#include <stdlib.h>

#include "common/daemon/settings_rows.h"

enum { SAMPLE_WIDTH = 78 };

/* Help as comment lines. */
static void
put_comment(struct buf *out, struct str text)
{
	size_t column = 0;
	struct str word;

	while (str_word(&text, &word)) {
		if (column == 0 || column + 1 + word.n > SAMPLE_WIDTH) {
			buf_put_z(out, column == 0 ? "#" : "\n#");
			column = 1;
		}
		buf_put_c(out, ' ');
		buf_put(out, word);
		column += 1 + word.n;
	}
	buf_put_c(out, '\n');
}

void
settings_put_sample(struct buf *out)
{
	const char *note = "Every setting at its default, as a comment: take the # off those "
		"that you change. trivet.conf(5) says the same with more words; \"trivet settings "
		"--check\" reads the file over.";

	put_comment(out, STR("trivet.conf: the configuration of smtpd, pop3d and imapd."));
	buf_put_z(out, "#\n");
	put_comment(out, str_of(note));
	for (size_t i = 0; i < setting_row_count; i++) {
		const struct setting_row *row = &setting_rows[i];

		if (row->group != NULL) {
			buf_printf(out, "\n# ---- %s ----\n", row->group);
			continue;
		}
		buf_put_c(out, '\n');
		put_comment(out, str_of(row->help));
		buf_printf(out, "#%s =%s%s\n", row->name, row->default_text[0] ? " " : "",
			row->default_text);
	}
}

/* Text that roff leaves alone (groff_char(7)): no request at the start of a line, no escape. */
static void
put_roff(struct buf *out, struct str text)
{
	if (text.n > 0 && (text.p[0] == '.' || text.p[0] == '\''))
		buf_put_z(out, "\\&");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			buf_put_z(out, "\\e");
		else if (text.p[i] == '-')
			buf_put_z(out, "\\-");
		else
			buf_put_c(out, text.p[i]);
	}
}

/* Where the first sentence ends; "e.g. x" is no end. */
static size_t
sentence_end(struct str text)
{
	size_t n = str_find(text, STR(". ")), more;

	while (n < text.n && str_ends(str_sub(text, 0, n), STR("e.g"))) {
		more = str_find(str_from(text, n + 2), STR(". "));
		n += 2 + more;
	}
	return n;
}

/* One sentence a line, as mdoc(7) wants it. */
static void
put_sentences(struct buf *out, struct str text)
{
	size_t n;

	while (text.n > 0) {
		n = sentence_end(text);
		put_roff(out, str_sub(text, 0, n + 1));
		buf_put_c(out, '\n');
		text = str_from(text, n + 2);
	}
}

static void
put_manual_row(struct buf *out, const struct setting_row *row)
{
	static const char *const notations[KIND_COUNT] = {
		[KIND_text] = "text", [KIND_path] = "path", [KIND_number] = "number",
		[KIND_size] = "size", [KIND_time] = "time", [KIND_yesno] = "yes | no",
		[KIND_times] = "time , ...", [KIND_list] = "word , ...",
		[KIND_listen] = "address:port , ...", [KIND_networks] = "network , ...",
	};

	buf_printf(out, ".It Ic %s No = Ar %s\n", row->name, notations[row->kind]);
	put_sentences(out, str_of(row->help));
	if (row->default_text[0] == '\0')
		return;
	buf_put_z(out, "Default:\n.Ql ");
	put_roff(out, str_of(row->default_text));
	buf_put_z(out, " .\n");
}

void
settings_put_manual(struct buf *out)
{
	bool open = false;

	for (size_t i = 0; i < setting_row_count; i++) {
		if (setting_rows[i].group == NULL) {
			put_manual_row(out, &setting_rows[i]);
			continue;
		}
		buf_printf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", open ? ".El\n" : "",
			setting_rows[i].group);
		open = true;
	}
	buf_put_z(out, ".El\n");
}

static void
put_value(struct buf *out, const struct settings *settings, const struct setting_row *row)
{
	setting_kinds[row->kind].put(out, (const char *)settings + row->at);
}

/* Numbers in their plain unit: seconds, octets. */
static json_t *
json_number_of(const struct settings *settings, const struct setting_row *row)
{
	const void *field = (const char *)settings + row->at;

	if (row->kind == KIND_size)
		return json_integer((json_int_t)*(const setting_size_type *)field);
	return json_integer(*(const uint32_t *)field);
}

static json_t *
json_value_of(const struct settings *settings, const struct setting_row *row)
{
	scoped_buf text = BUF_INIT;
	struct str rest, item;
	json_t *list;

	if (setting_kinds[row->kind].is_json_number)
		return json_number_of(settings, row);
	if (row->kind == KIND_yesno)
		return json_boolean(*(const setting_yesno_type *)((const char *)settings + row->at));
	put_value(&text, settings, row);
	rest = buf_str(&text);
	if (!setting_kinds[row->kind].is_json_list)
		return json_stringn(rest.p, rest.n);
	list = json_array();
	while (str_cut(&rest, ',', &item)) {
		item = str_trim(item);
		json_array_append_new(list, json_stringn(item.p, item.n));
	}
	return list;
}

void
settings_put_values(struct buf *out, const struct settings *settings, bool json)
{
	json_t *object = json ? json_object() : NULL;
	char *text;

	for (size_t i = 0; i < setting_row_count; i++) {
		const struct setting_row *row = &setting_rows[i];

		if (row->name == NULL)
			continue;
		if (json) {
			json_object_set_new(object, row->name, json_value_of(settings, row));
			continue;
		}
		buf_printf(out, "%s = ", row->name);
		put_value(out, settings, row);
		buf_put_c(out, '\n');
	}
	if (!json)
		return;
	text = json_dumps(object, JSON_INDENT(2));
	if (text == NULL)
		fatal("out of memory");
	buf_put_z(out, text);
	buf_put_c(out, '\n');
	free(text);
	json_decref(object);
}
