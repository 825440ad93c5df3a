/* SPDX-License-Identifier: ISC */
/* Any bytes are an address list: groups are closed, every mailbox has a host. */
#include "common/mime/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		must(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0', "clean text");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct address_list list;
	struct address *a;
	bool in_group = false;
	size_t count = address_parse(arena, (struct str){ (const char *)data, size }, &list);
	size_t bytes = 0;

	must(count <= ADDRESS_MAX + 2, "limit");
	STAILQ_FOREACH(a, &list, link) {
		count--;
		bytes += a->name.n + a->route.n + a->mailbox.n + a->host.n;
		check_clean(a->name);
		check_clean(a->route);
		check_clean(a->mailbox);
		check_clean(a->host);
		must((a->host.p != NULL) == (a->kind == ADDRESS_MAILBOX), "host");
		must((a->mailbox.p != NULL) == (a->kind != ADDRESS_GROUP_END), "mailbox");
		if (a->kind != ADDRESS_MAILBOX) {
			must(in_group == (a->kind == ADDRESS_GROUP_END), "groups");
			in_group = !in_group;
		}
	}
	must(count == 0 && !in_group, "whole list");
	must(bytes <= size * 2 + 2, "no growth");
	arena_free(arena);
	return 0;
}
