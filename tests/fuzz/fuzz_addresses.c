/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as an address of a person, a host or a network, as a domain, a name in hosts(5), a size and a password's verifier:
 * a normal form is its own normal form, an account's is a safe path, and what is printed reads as the same.
 */
#include <stdlib.h>

#include "common/auth/password.h"
#include "common/auth/user_address.h"
#include "common/daemon/host_name.h"
#include "common/daemon/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool truth, const char *what)
{
	if (!truth)
		fatal("broken: %s", what);
}

static void
check_safe(struct str local)
{
	must(local.n > 0 && local.n <= USER_LOCAL_PART_MAX, "a local part's length");
	must(!str_has_char(local, '/') && !str_has_char(local, '\0'), "a local part is a name");
	must(local.p[0] != '.', "a local part is no hidden folder, nor the one above");
}

static void
check_person(struct str text, struct arena *arena)
{
	struct user_address address, again;
	struct str domain, same;
	const char *why = NULL;

	if (user_domain_normalise(text, arena, &domain, &why))
		must(user_domain_normalise(domain, arena, &same, &why) && str_eq(domain, same) &&
		    domain.n <= USER_DOMAIN_MAX, "a domain's normal form");
	else
		must(why != NULL, "a domain is refused with a reason");
	if (user_address_normalise(text, arena, &address, &why)) {
		check_safe(address.local);
		must(user_address_normalise(address.whole, arena, &again, &why) &&
		    str_eq(address.whole, again.whole), "an address's normal form");
	}
	if (user_address_normalise_any(text, arena, &address, &why))
		must(user_address_normalise_any(address.whole, arena, &again, &why) &&
		    str_eq(address.whole, again.whole), "any address's normal form");
	if (user_address_of_login(text, STR("example.test"), arena, &address))
		check_safe(address.local);
}

static void
check_host(struct str text)
{
	struct net_address address, again;
	struct net_network network;
	struct str full;

	if (net_address_parse(text, &address)) {
		scoped_buf out = BUF_INIT;

		net_address_put(&out, &address);
		must(net_address_parse(buf_str(&out), &again) && net_address_eq(&address, &again),
		    "an address reads as it was printed");
	}
	if (net_address_parse_port(text, &address)) {
		scoped_buf out = BUF_INIT;

		net_address_put_port(&out, &address);
		must(net_address_parse_port(buf_str(&out), &again) && again.port == address.port,
		    "a port reads as it was printed");
	}
	if (net_network_parse(text, &network))
		must(net_network_has(&network, &network.address), "a network has its own address");
	if (host_name_in_hosts(text, STR("mx"), &full))
		must(host_name_valid(full), "a name out of hosts is one");
}

static void
check_size(struct str text)
{
	uint64_t octets, again;

	if (settings_parse_size(text, &octets)) {
		scoped_buf out = BUF_INIT;

		settings_put_size(&out, octets);
		must(settings_parse_size(buf_str(&out), &again) && octets == again,
		    "a size reads as it was printed");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena *arena = arena_new();

	check_person(text, arena);
	check_host(text);
	check_size(text);
	(void)password_verifier_valid(text);
	arena_free(arena);
	return 0;
}
