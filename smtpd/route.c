/* SPDX-License-Identifier: ISC */
/*
 * One destination's way: MX, then the addresses of all its hosts at once, then the list. Invariant: no
 * host is in the list that is this one, or that this one's own MX record says comes after it
 * (RFC 5321 5.1): mail would go in circles.
 */
#include "smtpd/route.h"

#include <ifaddrs.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* A host to look up. */
struct exchange {
	struct route *route;
	uint16_t preference;
	struct str name;
	struct dns_question *question;
	enum dns_result result;
	struct net_address addresses[ROUTE_ADDRESSES_PER_HOST];
	size_t count;
	bool is_self;
};

struct route {
	struct arena *arena;
	struct dns *dns;
	const struct settings *settings;
	const struct route_self *self;
	struct str destination;
	uint16_t port;
	bool implicit;			/* no MX: the domain's own addresses */
	struct dns_question *question;
	struct exchange exchanges[ROUTE_MX_MAX];
	size_t count, asked;
	struct timer *soon;		/* what is known without the DNS */
	struct route_answer answer;
	route_answered *answered;
	void *context;
};

static bool know_already(struct route *, struct str *host);
static void on_mx(void *context, const struct dns_answer *);
static void add_exchange(struct route *, struct str name, uint16_t preference);
static void ask_addresses(struct route *);
static void on_addresses(void *context, const struct dns_answer *);
static void conclude(struct route *);
static void set_answer(struct route *, enum route_result, const char *status, const char *text);
static void tell(void *context);
static bool is_self(const struct route *, const struct net_address *);

void
route_self_read(struct route_self *self)
{
	struct ifaddrs *list = NULL;

	*self = (struct route_self){ 0 };
	if (getifaddrs(&list) < 0)
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET &&
		    i->ifa_addr->sa_family != AF_INET6))
			continue;
		self->interfaces = xrealloc(self->interfaces,
		    (self->count + 1) * sizeof(*self->interfaces));
		net_address_from_sockaddr(i->ifa_addr, &self->interfaces[self->count++]);
	}
	freeifaddrs(list);
}

struct route *
route_new(struct loop *loop, struct dns *dns, const struct settings *settings,
    const struct route_self *self, struct str destination, route_answered *answered,
    void *context)
{
	struct route *r = xcalloc(1, sizeof(*r));
	struct str host;

	r->arena = arena_new();
	r->dns = dns;
	r->settings = settings;
	r->self = self;
	r->destination = arena_str(r->arena, destination);
	r->port = (uint16_t)settings->outgoing_smtp_port;
	r->answered = answered;
	r->context = context;
	r->soon = timer_new(loop, tell, r);
	if (know_already(r, &host)) {
		timer_set(r->soon, 0);
	} else if (host.n > 0) {
		add_exchange(r, host, 0);
		r->implicit = true;
		ask_addresses(r);
	} else {
		r->question = dns_ask_mx(dns, r->destination, on_mx, r);
	}
	return r;
}

void
route_free(struct route *r)
{
	if (!r)
		return;
	dns_cancel(r->question);
	for (size_t i = 0; i < r->count; i++)
		dns_cancel(r->exchanges[i].question);
	timer_free(r->soon);
	arena_free(r->arena);
	free(r);
}

/* ---- without a question, or with one less ---- */

static void
set_one_host(struct route *r, const struct net_address *address)
{
	struct route_host *host = arena_one(r->arena, struct route_host);
	scoped_buf name = BUF_INIT;

	if (is_self(r, address)) {
		set_answer(r, ROUTE_FAILED, "5.4.6", "this address is our own");
		return;
	}
	net_address_put_literal(&name, address);
	host->name = arena_str(r->arena, buf_str(&name));
	host->address = *address;
	r->answer = (struct route_answer){ .result = ROUTE_FOUND, .hosts = host, .count = 1 };
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
static bool
parse_literal(struct str text, struct net_address *out)
{
	struct str inside = str_sub(text, 1, text.n - 2);

	if (str_starts_nocase(inside, STR("IPv6:")))
		inside = str_from(inside, 5);
	return str_ends(text, STR("]")) && net_address_parse(inside, out);
}

/* NAME-OR-ADDRESS[:PORT]. True: an address; else *host is the name. */
static bool
read_relay_host(struct route *r, struct str text, struct str *host)
{
	struct net_address address;
	size_t colon = str_last_index(text, ':');
	uint32_t port;

	if (net_address_parse_port(text, &address)) {
		set_one_host(r, &address);
		return true;
	}
	if (net_address_parse(text, &address)) {
		address.port = r->port;
		set_one_host(r, &address);
		return true;
	}
	*host = text;
	if (colon < text.n && str_to_u32(str_from(text, colon + 1), &port) && port <= 65535) {
		*host = str_sub(text, 0, colon);
		r->port = (uint16_t)port;
	}
	*host = arena_str(r->arena, *host);
	return false;
}

/* True: the answer is set. Else *host, where it is not empty, is the one to look up. */
static bool
know_already(struct route *r, struct str *host)
{
	struct str relay_host = str_of(r->settings->relay_host);
	struct net_address address;

	*host = STR_EMPTY;
	if (relay_host.n > 0)
		return read_relay_host(r, relay_host, host);
	if (!str_starts(r->destination, STR("[")))
		return false;
	if (parse_literal(r->destination, &address)) {
		address.port = r->port;
		set_one_host(r, &address);
	} else {
		set_answer(r, ROUTE_FAILED, "5.1.3", "this is no address of a host");
	}
	return true;
}

/* ---- MX ---- */

static void
on_no_mx(struct route *r, enum dns_result result)
{
	switch (result) {
	case DNS_NO_NAME:
		set_answer(r, ROUTE_FAILED, "5.1.2", "there is no such domain");
		break;
	case DNS_NO_DATA:
		/* RFC 5321 5.1: the domain itself is its implicit MX. */
		r->implicit = true;
		add_exchange(r, r->destination, 0);
		ask_addresses(r);
		return;
	case DNS_FOUND:
	case DNS_FAILED:
		set_answer(r, ROUTE_DEFERRED, "4.4.3", "the domain could not be looked up");
		break;
	}
	tell(r);
}

static void
on_mx(void *context, const struct dns_answer *answer)
{
	struct route *r = context;
	uint32_t limit = UINT32_MAX;

	r->question = NULL;
	if (answer->result != DNS_FOUND) {
		on_no_mx(r, answer->result);
		return;
	}
	if (answer->mx_count == 1 && answer->mx[0].host.n == 0) {
		/* RFC 7505 3: the domain says that it takes no mail. */
		set_answer(r, ROUTE_FAILED, "5.1.10", "556 the domain takes no mail (null MX)");
		tell(r);
		return;
	}
	for (size_t i = 0; i < answer->mx_count; i++) {
		if (str_eq_nocase(answer->mx[i].host, str_of(r->settings->hostname)) &&
		    answer->mx[i].preference < limit)
			limit = answer->mx[i].preference;
	}
	for (size_t i = 0; i < answer->mx_count; i++) {
		if (answer->mx[i].host.n > 0 && answer->mx[i].preference < limit)
			add_exchange(r, answer->mx[i].host, answer->mx[i].preference);
	}
	if (r->count > 0) {
		ask_addresses(r);
		return;
	}
	set_answer(r, ROUTE_FAILED, "5.4.6", "the domain's mail server is this one, which does "
	    "not serve it");
	tell(r);
}

static void
add_exchange(struct route *r, struct str name, uint16_t preference)
{
	struct exchange *x = &r->exchanges[r->count];

	if (r->count == ROUTE_MX_MAX)
		return;
	x->route = r;
	x->preference = preference;
	x->name = arena_str(r->arena, name);
	r->count++;
}

/* ---- addresses ---- */

static void
ask_addresses(struct route *r)
{
	for (size_t i = 0; i < r->count; i++)
		r->exchanges[i].question = dns_ask_addresses(r->dns, r->exchanges[i].name,
		    on_addresses, &r->exchanges[i]);
}

static void
on_addresses(void *context, const struct dns_answer *answer)
{
	struct exchange *x = context;
	struct route *r = x->route;

	x->question = NULL;
	x->result = answer->result;
	for (size_t i = 0; i < answer->address_count; i++) {
		struct net_address address = answer->addresses[i];

		address.port = r->port;
		x->is_self |= is_self(r, &address);
		if (x->count < ROUTE_ADDRESSES_PER_HOST)
			x->addresses[x->count++] = address;
	}
	if (++r->asked == r->count)
		conclude(r);
}

static void
add_hosts(struct route *r, const struct exchange *x)
{
	for (size_t i = 0; i < x->count && r->answer.count < ROUTE_HOSTS_MAX; i++)
		r->answer.hosts[r->answer.count++] =
		    (struct route_host){ .name = x->name, .address = x->addresses[i] };
}

static void
conclude(struct route *r)
{
	uint32_t limit = UINT32_MAX;
	bool unsure = false;

	r->answer.hosts = arena_array(r->arena, struct route_host, ROUTE_HOSTS_MAX);
	for (size_t i = 0; i < r->count; i++) {
		if (r->exchanges[i].is_self && r->exchanges[i].preference < limit)
			limit = r->exchanges[i].preference;
	}
	for (size_t i = 0; i < r->count; i++) {
		unsure |= r->exchanges[i].result == DNS_FAILED;
		if (r->exchanges[i].preference < limit)
			add_hosts(r, &r->exchanges[i]);
	}
	if (r->answer.count == 0 && limit != UINT32_MAX)
		set_answer(r, ROUTE_FAILED, "5.4.6", "the domain's mail server is this one, "
		    "which does not serve it");
	else if (r->answer.count == 0 && unsure)
		set_answer(r, ROUTE_DEFERRED, "4.4.3",
		    "the domain's mail server could not be looked up");
	else if (r->answer.count == 0)
		set_answer(r, ROUTE_FAILED, "5.4.4", r->implicit ?
		    "the domain has no mail server" :
		    "the domain's mail servers have no addresses");
	tell(r);
}

static void
set_answer(struct route *r, enum route_result result, const char *status, const char *text)
{
	r->answer = (struct route_answer){ .result = result, .status = str_of(status),
	    .text = str_of(text) };
}

static void
tell(void *context)
{
	struct route *r = context;

	r->answered(r->context, &r->answer);
	route_free(r);
}

/* A door of ours: one of our own addresses, and the port that we listen on. */
static bool
is_self(const struct route *r, const struct net_address *address)
{
	const struct setting_listen *doors = &r->settings->smtp_listen;

	for (size_t i = 0; i < doors->count; i++) {
		const struct net_address *door = &doors->addresses[i];

		if (door->port != address->port)
			continue;
		if (!door->any && net_address_eq(door, address))
			return true;
		if (door->any && net_address_is_loopback(address))
			return true;
		for (size_t k = 0; door->any && k < r->self->count; k++) {
			if (net_address_eq(&r->self->interfaces[k], address))
				return true;
		}
	}
	return false;
}
