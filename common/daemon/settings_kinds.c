/* SPDX-License-Identifier: ISC */
/*
 * The kinds of values: how each is written in the file, read, and written back. Pure. A parser
 * changes its field only where the text is valid.
 */
#include "common/daemon/settings_rows.h"

struct unit {
	char letter;
	uint64_t factor;
};

static const struct unit size_units[] = {	/* the largest first */
	{ 'T', 1ull << 40 }, { 'G', 1ull << 30 }, { 'M', 1ull << 20 }, { 'k', 1ull << 10 },
};
static const struct unit time_units[] = {
	{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 },
};

/* Takes the next item off a list separated by commas or blanks. */
static bool
next_item(struct str *rest, struct str *item)
{
	size_t n = 0;

	while (rest->n > 0 && (rest->p[0] == ',' || ascii_is_space(rest->p[0])))
		*rest = str_from(*rest, 1);
	while (n < rest->n && rest->p[n] != ',' && !ascii_is_space(rest->p[n]))
		n++;
	*item = str_sub(*rest, 0, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

/* False where there are more than SETTING_ITEMS_MAX. */
static bool
count_items(struct str text, size_t *count)
{
	struct str item;

	*count = 0;
	while (next_item(&text, &item))
		if (++*count > SETTING_ITEMS_MAX)
			return false;
	return true;
}

static void
put_separator(struct buf *out, size_t i)
{
	if (i > 0)
		buf_put_z(out, ", ");
}

/* A number and one letter of units, or none. */
static bool
parse_units(struct str text, const struct unit *units, size_t count, uint64_t *out)
{
	uint64_t factor = 0, n;

	if (text.n > 0 && ascii_is_digit(text.p[text.n - 1]))
		factor = 1;
	for (size_t i = 0; factor == 0 && text.n > 0 && i < count; i++)
		if (ascii_lower(text.p[text.n - 1]) == ascii_lower(units[i].letter))
			factor = units[i].factor;
	if (factor == 0)
		return false;
	if (!ascii_is_digit(text.p[text.n - 1]))
		text.n--;
	if (!str_to_u64(text, &n) || n > INT64_MAX / factor)
		return false;
	*out = n * factor;
	return true;
}

static void
put_units(struct buf *out, uint64_t n, const struct unit *units, size_t count)
{
	for (size_t i = 0; n > 0 && i < count; i++)
		if (n % units[i].factor == 0) {
			buf_put_u64(out, n / units[i].factor);
			buf_put_c(out, units[i].letter);
			return;
		}
	buf_put_u64(out, n);
}

static bool
parse_text(struct str text, const struct setting_place *place, void *field)
{
	*(setting_text_type *)field = arena_str(place->arena, text).p;
	return true;
}

static void
put_text(struct buf *out, const void *field)
{
	buf_put_z(out, *(const setting_text_type *)field);
}

static bool
parse_path(struct str text, const struct setting_place *place, void *field)
{
	struct str path = arena_str(place->arena, text);

	if (text.n > 0 && text.p[0] != '/')
		path = arena_printf(place->arena, "%.*s/%.*s", STR_ARG(place->folder),
			STR_ARG(text));
	*(setting_path_type *)field = path.p;
	return true;
}

static bool
parse_number(struct str text, const struct setting_place *place, void *field)
{
	(void)place;
	return str_to_u32(text, field);
}

static void
put_number(struct buf *out, const void *field)
{
	buf_put_u64(out, *(const setting_number_type *)field);
}

bool
settings_parse_size(struct str text, uint64_t *octets)
{
	return parse_units(text, size_units, countof(size_units), octets);
}

void
settings_put_size(struct buf *out, uint64_t octets)
{
	put_units(out, octets, size_units, countof(size_units));
}

static bool
parse_size(struct str text, const struct setting_place *place, void *field)
{
	(void)place;
	return settings_parse_size(text, field);
}

static void
put_size(struct buf *out, const void *field)
{
	settings_put_size(out, *(const setting_size_type *)field);
}

static bool
parse_time(struct str text, const struct setting_place *place, void *field)
{
	uint64_t n;

	(void)place;
	if (!parse_units(text, time_units, countof(time_units), &n) || n > INT32_MAX)
		return false;
	*(setting_time_type *)field = (uint32_t)n;
	return true;
}

static void
put_time(struct buf *out, const void *field)
{
	put_units(out, *(const setting_time_type *)field, time_units, countof(time_units));
}

static bool
parse_yesno(struct str text, const struct setting_place *place, void *field)
{
	(void)place;
	if (!str_eq_nocase(text, STR("yes")) && !str_eq_nocase(text, STR("no")))
		return false;
	*(setting_yesno_type *)field = str_eq_nocase(text, STR("yes"));
	return true;
}

static void
put_yesno(struct buf *out, const void *field)
{
	buf_put_z(out, *(const setting_yesno_type *)field ? "yes" : "no");
}

static bool
parse_times(struct str text, const struct setting_place *place, void *field)
{
	struct setting_times times = { 0 };
	struct str item;
	size_t count;

	if (!count_items(text, &count) || count == 0)
		return false;
	times.seconds = arena_array(place->arena, uint32_t, count);
	while (next_item(&text, &item)) {
		if (!parse_time(item, place, &times.seconds[times.count])
		    || times.seconds[times.count] == 0)
			return false;
		times.count++;
	}
	*(setting_times_type *)field = times;
	return true;
}

static void
put_times(struct buf *out, const void *field)
{
	const struct setting_times *times = field;

	for (size_t i = 0; i < times->count; i++) {
		put_separator(out, i);
		put_time(out, &times->seconds[i]);
	}
}

static bool
parse_list(struct str text, const struct setting_place *place, void *field)
{
	struct setting_list list = { 0 };
	struct str item;
	size_t count;

	if (!count_items(text, &count))
		return false;
	list.words = arena_array(place->arena, const char *, count);
	while (next_item(&text, &item))
		list.words[list.count++] = arena_str(place->arena, item).p;
	*(setting_list_type *)field = list;
	return true;
}

static void
put_list(struct buf *out, const void *field)
{
	const struct setting_list *list = field;

	for (size_t i = 0; i < list->count; i++) {
		put_separator(out, i);
		buf_put_z(out, list->words[i]);
	}
}

static bool
parse_listen(struct str text, const struct setting_place *place, void *field)
{
	struct setting_listen listen = { 0 };
	struct str item;
	size_t count;

	if (!count_items(text, &count))
		return false;
	listen.addresses = arena_array(place->arena, struct net_address, count);
	while (next_item(&text, &item)) {
		if (!net_address_parse_port(item, &listen.addresses[listen.count])
		    || listen.addresses[listen.count].port == 0)
			return false;
		listen.count++;
	}
	*(setting_listen_type *)field = listen;
	return true;
}

static void
put_listen(struct buf *out, const void *field)
{
	const struct setting_listen *listen = field;

	for (size_t i = 0; i < listen->count; i++) {
		put_separator(out, i);
		net_address_put_port(out, &listen->addresses[i]);
	}
}

static bool
parse_networks(struct str text, const struct setting_place *place, void *field)
{
	struct setting_networks networks = { 0 };
	struct str item;
	size_t count;

	if (!count_items(text, &count))
		return false;
	networks.networks = arena_array(place->arena, struct net_network, count);
	while (next_item(&text, &item))
		if (!net_network_parse(item, &networks.networks[networks.count++]))
			return false;
	*(setting_networks_type *)field = networks;
	return true;
}

static void
put_networks(struct buf *out, const void *field)
{
	const struct setting_networks *networks = field;

	for (size_t i = 0; i < networks->count; i++) {
		put_separator(out, i);
		net_address_put(out, &networks->networks[i].address);
		buf_printf(out, "/%u", networks->networks[i].prefix);
	}
}

const struct setting_kind_row setting_kinds[KIND_COUNT] = {
	[KIND_text] = { "text", parse_text, put_text, false, false },
	[KIND_path] = { "a path", parse_path, put_text, false, false },
	[KIND_number] = { "a whole number", parse_number, put_number, false, true },
	[KIND_size] = { "a size in octets such as 1048576, 500k, 50M or 2G", parse_size,
		put_size, false, true },
	[KIND_time] = { "a time such as 30s, 5m, 4h or 5d", parse_time, put_time, false, true },
	[KIND_yesno] = { "yes or no", parse_yesno, put_yesno, false, false },
	[KIND_times] = { "times of at least 1s, such as 5m,15m,30m", parse_times, put_times,
		true, false },
	[KIND_list] = { "at most 1000 words separated by commas", parse_list, put_list,
		true, false },
	[KIND_listen] = { "ADDRESS:PORT, [ADDRESS]:PORT or *:PORT, separated by commas",
		parse_listen, put_listen, true, false },
	[KIND_networks] = { "networks such as 192.0.2.0/24, 2001:db8::/32 (no bit set behind "
		"the prefix)", parse_networks, put_networks, true, false },
};
