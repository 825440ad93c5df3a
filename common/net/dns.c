/* SPDX-License-Identifier: ISC */
/*
 * Questions and the look-ups they are made of. A look-up belongs to libunbound until its callback, a
 * question to its asker until answered or cancelled; either may go first. Answers come
 * from a question's own timer, never from inside libunbound. RFC 5321 5.1 (MX), RFC 7505 (null MX).
 */
#include "common/net/dns.h"

#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "common/base/id.h"
#include "common/net/dns_packet.h"

enum {
	LOOKUPS_MOST = 1000,		/* with libunbound, those given up by us included */
	RECORDS_MOST = 100,		/* of one look-up; the rest is ignored */
	TIMEOUT_MS = 30 * 1000,
	LOOKUPS_OF_QUESTION = 2,
	SECURE = 2, BOGUS = 1,		/* what libunbound calls them */
};

static const char anchor_path[] = "/usr/share/dns/root.key";

struct lookup {
	TAILQ_ENTRY(lookup) all;
	struct dns *dns;
	struct dns_question *question;	/* NULL: nobody waits any more */
	int type;
	size_t slot;
};

struct dns_question {
	TAILQ_ENTRY(dns_question) all;
	struct dns *dns;
	struct timer *timer;		/* first the time limit, then the answer */
	struct arena *arena;
	struct lookup *lookups[LOOKUPS_OF_QUESTION];
	enum dns_result results[LOOKUPS_OF_QUESTION];
	bool secure[LOOKUPS_OF_QUESTION];
	size_t count, waiting;
	struct dns_answer answer;
	dns_answered *answered;		/* NULL while it is being called */
	void *context;
};

struct dns {
	struct loop *loop;
	struct ub_ctx *unbound;
	TAILQ_HEAD(, lookup) lookups;
	TAILQ_HEAD(, dns_question) questions;
	size_t lookup_count;
	int64_t timeout_ms;
};

static void
say_why(char **why, const char *what, const char *fault)
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s: %s", what, fault);
	buf_put_c(&text, '\0');
	*why = text.base;
}

static bool
set_options(struct ub_ctx *unbound, char **why)
{
	static const char *const options[][2] = {
		{ "verbosity:", "0" },
		{ "use-syslog:", "no" },
		{ "do-not-query-localhost:", "no" },
		{ "unblock-lan-zones:", "yes" },
		{ "insecure-lan-zones:", "yes" },
		{ "outgoing-range:", "256" },
		{ "num-queries-per-thread:", "1000" },
		{ "outgoing-num-tcp:", "16" },
	};
	int error;

	for (size_t i = 0; i < countof(options); i++) {
		error = ub_ctx_set_option(unbound, options[i][0], options[i][1]);
		if (error != 0) {
			say_why(why, options[i][0], ub_strerror(error));
			return false;
		}
	}
	return true;
}

static bool
use_servers(struct ub_ctx *unbound, const char *const *servers, size_t count, char **why)
{
	for (size_t i = 0; i < count; i++) {
		scoped_buf text = BUF_INIT;
		struct net_address a;
		int error;

		if (!net_address_parse_port(str_of(servers[i]), &a)) {
			if (!net_address_parse(str_of(servers[i]), &a)) {
				say_why(why, servers[i], "not an ADDRESS or ADDRESS@PORT");
				return false;
			}
			a.port = 53;
		}
		net_address_put(&text, &a);
		buf_printf(&text, "@%u", a.port);
		error = ub_ctx_set_fwd(unbound, buf_z(&text));
		if (error != 0) {
			say_why(why, servers[i], ub_strerror(error));
			return false;
		}
	}
	return true;
}

/*
 * Without a trust anchor nothing can be validated. With one, what does not validate counts as not
 * secure rather than as a failure: many a resolver of resolv.conf strips signatures. A
 * site's own servers are taken at their word.
 */
static bool
set_validation(struct ub_ctx *unbound, bool own_servers, char **why)
{
	bool validate = !own_servers && access(anchor_path, R_OK) == 0;
	int error;

	if (validate) {
		error = ub_ctx_add_ta_file(unbound, anchor_path);
		if (error == 0)
			error = ub_ctx_set_option(unbound, "val-permissive-mode:", "yes");
	} else {
		error = ub_ctx_set_option(unbound, "module-config:", "iterator");
	}
	if (error != 0)
		say_why(why, validate ? anchor_path : "module-config", ub_strerror(error));
	return error == 0;
}

static void
ignore_answer(void *context, int rcode, void *packet, int n, int security, char *bogus, int limited)
{
	(void)context;
	(void)rcode;
	(void)packet;
	(void)n;
	(void)security;
	(void)bogus;
	(void)limited;
}

/* The first question makes libunbound read its files: now, before a sandbox closes. */
static bool
warm_up(struct ub_ctx *unbound, char **why)
{
	int error = ub_resolve_event(unbound, "localhost", DNS_TYPE_A, DNS_CLASS_IN, NULL,
	    ignore_answer, NULL);

	/* libunbound says itself that there is no "test"; a site's own server may know better. */
	if (error == 0)
		error = ub_ctx_zone_remove(unbound, "test.");
	if (error != 0)
		say_why(why, "libunbound does not start", ub_strerror(error));
	return error == 0;
}

struct dns *
dns_new(struct loop *loop, const char *const *servers, size_t count, char **why)
{
	struct ub_ctx *unbound = ub_ctx_create_event(loop_base(loop));
	struct dns *dns;

	if (unbound == NULL) {
		say_why(why, "libunbound", "cannot work in the event loop");
		return NULL;
	}
	ub_ctx_debugout(unbound, NULL);
	if (!set_options(unbound, why) || !use_servers(unbound, servers, count, why) ||
	    !set_validation(unbound, count > 0, why)) {
		ub_ctx_delete(unbound);
		return NULL;
	}
	/* Without a resolv.conf libunbound asks the root servers itself; hosts may be missing too. */
	if (count == 0)
		(void)ub_ctx_resolvconf(unbound, NULL);
	(void)ub_ctx_hosts(unbound, NULL);
	if (!warm_up(unbound, why)) {
		ub_ctx_delete(unbound);
		return NULL;
	}
	dns = xcalloc(1, sizeof(*dns));
	dns->loop = loop;
	dns->unbound = unbound;
	dns->timeout_ms = TIMEOUT_MS;
	TAILQ_INIT(&dns->lookups);
	TAILQ_INIT(&dns->questions);
	return dns;
}

void
dns_set_timeout_ms(struct dns *dns, int64_t ms)
{
	dns->timeout_ms = ms;
}

/* Lets the look-ups run on for nobody. */
static void
forget_lookups(struct dns_question *q)
{
	for (size_t i = 0; i < q->count; i++)
		if (q->lookups[i] != NULL)
			q->lookups[i]->question = NULL;
}

static void
question_free(struct dns_question *q)
{
	timer_free(q->timer);
	arena_free(q->arena);
	free(q);
}

void
dns_cancel(struct dns_question *q)
{
	if (q == NULL || q->answered == NULL)
		return;
	forget_lookups(q);
	TAILQ_REMOVE(&q->dns->questions, q, all);
	question_free(q);
}

static void
lookup_free(struct lookup *l)
{
	TAILQ_REMOVE(&l->dns->lookups, l, all);
	l->dns->lookup_count--;
	free(l);
}

void
dns_free(struct dns *dns)
{
	struct dns_question *q;
	struct lookup *l;

	if (dns == NULL)
		return;
	while ((q = TAILQ_FIRST(&dns->questions)) != NULL)
		dns_cancel(q);
	/* May still call back for what it had open. */
	ub_ctx_delete(dns->unbound);
	while ((l = TAILQ_FIRST(&dns->lookups)) != NULL)
		lookup_free(l);
	free(dns);
}

/* Answers. */

static enum dns_result
both(enum dns_result a, enum dns_result b)
{
	if (a == DNS_FOUND || b == DNS_FOUND)
		return DNS_FOUND;
	if (a == DNS_FAILED || b == DNS_FAILED)
		return DNS_FAILED;
	return a == DNS_NO_DATA ? a : b;
}

static void
answer(void *context)
{
	struct dns_question *q = context;
	dns_answered *answered = q->answered;

	q->answer.result = q->results[0];
	q->answer.secure = q->secure[0];
	for (size_t i = 1; i < q->count; i++) {
		q->answer.result = both(q->answer.result, q->results[i]);
		q->answer.secure = q->answer.secure && q->secure[i];
	}
	forget_lookups(q);
	TAILQ_REMOVE(&q->dns->questions, q, all);
	q->answered = NULL;
	answered(q->context, &q->answer);
	question_free(q);
}

static bool
take_address(struct dns_question *q, struct str packet, const struct dns_record *r)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct net_address *a = &q->answer.addresses[q->answer.address_count];

	if (r->n != (r->type == DNS_TYPE_A ? 4 : 16))
		return false;
	if (r->type == DNS_TYPE_A) {
		memcpy(&v4.sin_addr, packet.p + r->at, 4);
		net_address_from_sockaddr((struct sockaddr *)&v4, a);
	} else {
		memcpy(&v6.sin6_addr, packet.p + r->at, 16);
		net_address_from_sockaddr((struct sockaddr *)&v6, a);
	}
	q->answer.address_count++;
	return true;
}

static bool
take_mx(struct dns_question *q, struct str packet, const struct dns_record *r)
{
	struct dns_mx *mx = &q->answer.mx[q->answer.mx_count];
	scoped_buf host = BUF_INIT;
	size_t at = r->at + 2;

	if (r->n < 3 || !dns_name_read(packet, &at, &host) || at != r->at + r->n)
		return false;
	mx->preference = (uint16_t)((unsigned char)packet.p[r->at] << 8 |
	    (unsigned char)packet.p[r->at + 1]);
	mx->host = arena_str(q->arena, buf_str(&host));
	q->answer.mx_count++;
	return true;
}

struct ranked {
	struct dns_mx mx;
	uint32_t lot;
};

static int
by_preference(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->mx.preference != y->mx.preference)
		return x->mx.preference < y->mx.preference ? -1 : 1;
	return x->lot < y->lot ? -1 : x->lot > y->lot;
}

/* RFC 5321 5.1: equal preferences are tried in random order. */
static void
sort_mx(struct dns_question *q)
{
	struct ranked *rows = arena_array(q->arena, struct ranked, q->answer.mx_count);

	for (size_t i = 0; i < q->answer.mx_count; i++) {
		rows[i].mx = q->answer.mx[i];
		id_random_bytes(&rows[i].lot, sizeof(rows[i].lot));
	}
	qsort(rows, q->answer.mx_count, sizeof(*rows), by_preference);
	for (size_t i = 0; i < q->answer.mx_count; i++)
		q->answer.mx[i] = rows[i].mx;
}

/* Records that are all unusable are a failure: "no data" would send the mail elsewhere. */
static enum dns_result
read_packet(struct dns_question *q, int type, struct str packet)
{
	struct dns_walk walk;
	struct dns_record r;
	size_t seen = 0, used = 0;
	enum parse got = BAD;

	if (!dns_walk_begin(&walk, packet))
		return DNS_FAILED;
	while (seen < RECORDS_MOST && (got = dns_walk_next(&walk, &r)) == PARSED) {
		if (r.type != type || r.class != DNS_CLASS_IN)
			continue;
		seen++;
		if (type == DNS_TYPE_MX ? take_mx(q, packet, &r) : take_address(q, packet, &r))
			used++;
	}
	if (used > 0)
		return DNS_FOUND;
	return seen > 0 || got == BAD ? DNS_FAILED : DNS_NO_DATA;
}

static enum dns_result
read_result(struct dns_question *q, int type, int rcode, struct str packet, int security)
{
	enum { NOERROR = 0, NXDOMAIN = 3 };	/* RFC 1035 4.1.1 */

	/* What libunbound knows by itself (/etc/hosts) comes with the code in the packet only. */
	if (rcode == NOERROR && packet.n > 3)
		rcode = packet.p[3] & 0x0f;
	if (security == BOGUS)
		return DNS_FAILED;
	if (rcode == NXDOMAIN)
		return DNS_NO_NAME;
	if (rcode != NOERROR || packet.p == NULL)
		return DNS_FAILED;
	return read_packet(q, type, packet);
}

static void
lookup_done(struct dns_question *q, size_t slot, enum dns_result result)
{
	q->lookups[slot] = NULL;
	q->results[slot] = result;
	q->waiting--;
	if (q->waiting > 0)
		return;
	if (q->answer.mx_count > 0)
		sort_mx(q);
	timer_set(q->timer, 0);
}

static void
on_answer(void *context, int rcode, void *packet, int n, int security, char *bogus, int limited)
{
	struct lookup *l = context;
	struct dns_question *q = l->question;
	struct str bytes = { packet, n > 0 ? (size_t)n : 0 };
	size_t slot = l->slot;
	int type = l->type;

	(void)bogus;
	(void)limited;
	lookup_free(l);
	if (q == NULL)
		return;
	q->secure[slot] = security == SECURE;
	lookup_done(q, slot, read_result(q, type, rcode, bytes, security));
}

/* Questions. */

static struct dns_question *
question_new(struct dns *dns, dns_answered *answered, void *context, size_t count)
{
	struct dns_question *q = xcalloc(1, sizeof(*q));

	q->dns = dns;
	q->arena = arena_new();
	q->answered = answered;
	q->context = context;
	q->count = q->waiting = count;
	for (size_t i = 0; i < count; i++)
		q->results[i] = DNS_FAILED;
	q->timer = timer_new(dns->loop, answer, q);
	timer_set(q->timer, dns->timeout_ms);
	TAILQ_INSERT_TAIL(&dns->questions, q, all);
	return q;
}

/* May be answered before ub_resolve_event returns: then the look-up is gone already. */
static void
look_up(struct dns_question *q, size_t slot, int type, const char *name)
{
	struct dns *dns = q->dns;
	struct lookup *l;

	if (dns->lookup_count >= LOOKUPS_MOST) {
		lookup_done(q, slot, DNS_FAILED);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->dns = dns;
	l->question = q;
	l->type = type;
	l->slot = slot;
	TAILQ_INSERT_TAIL(&dns->lookups, l, all);
	dns->lookup_count++;
	q->lookups[slot] = l;
	if (ub_resolve_event(dns->unbound, name, type, DNS_CLASS_IN, l, on_answer, NULL) != 0) {
		lookup_free(l);
		lookup_done(q, slot, DNS_FAILED);
	}
}

/* The name as the DNS has it, or false: there can be no such name. RFC 5890 2.3.2.1 (A-labels). */
static bool
put_dns_name(struct buf *out, struct str name)
{
	char *text, *ascii = NULL;
	bool valid;

	if (str_is_ascii(name)) {
		buf_put(out, name);
		return dns_name_valid(name);
	}
	text = str_path(name);
	if (text == NULL)
		return false;
	valid = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK;
	if (valid)
		buf_put_z(out, ascii);
	idn2_free(ascii);
	free(text);
	return valid && dns_name_valid(buf_str(out));
}

static void
look_up_all(struct dns_question *q, struct str name, const int *types)
{
	scoped_buf ascii = BUF_INIT;
	bool valid = put_dns_name(&ascii, name);

	for (size_t i = 0; i < q->count; i++) {
		if (valid)
			look_up(q, i, types[i], buf_z(&ascii));
		else
			lookup_done(q, i, DNS_NO_NAME);
	}
}

struct dns_question *
dns_ask_mx(struct dns *dns, struct str domain, dns_answered *answered, void *context)
{
	static const int types[] = { DNS_TYPE_MX };
	struct dns_question *q = question_new(dns, answered, context, countof(types));

	q->answer.mx = arena_array(q->arena, struct dns_mx, RECORDS_MOST);
	look_up_all(q, domain, types);
	return q;
}

struct dns_question *
dns_ask_addresses(struct dns *dns, struct str host, dns_answered *answered, void *context)
{
	static const int types[] = { DNS_TYPE_A, DNS_TYPE_AAAA };
	struct dns_question *q = question_new(dns, answered, context, countof(types));

	q->answer.addresses = arena_array(q->arena, struct net_address,
	    RECORDS_MOST * countof(types));
	look_up_all(q, host, types);
	return q;
}
