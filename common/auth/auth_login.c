/* SPDX-License-Identifier: ISC */
/*
 * Logins: found, throttled, checked by a worker, answered. A wrong password, a name that does not
 * exist and a disabled account take the same way and the same time: checks cost what their scheme
 * costs, so "wrong" is said at the next whole WRONG_DELAY_MS after the check began.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "common/auth/auth_inside.h"
#include "common/auth/password.h"
#include "common/auth/sasl.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/daemon/messages.h"

enum {
	TRIES_MAX = 3,		/* workers that may die under one question */
	WORKER_PATIENCE_MS = 5000,	/* for master to start one, where all are dead */
	NO_WORKER = UINT32_MAX,
};

enum way { BY_HASH, BY_PAM };

struct login {
	TAILQ_ENTRY(login) entry;
	struct auth *auth;
	struct arena *arena;
	unsigned front;
	uint64_t question;
	struct str sid;
	struct str peer;
	struct net_address peer_address;
	bool secure;
	struct str user;	/* as typed, for the log */
	struct buf password;
	enum way way;
	bool exists;
	bool being_checked;	/* counted in check_count */
	bool waiting;		/* there is no worker now */
	int64_t began_ms;
	struct str verifier;
	struct keeper_grant grant;
	uint64_t job;
	unsigned worker;
	unsigned tries;
	enum login_result result;
	struct timer *timer;
};

/* When it was verified last; the key of the map is the digest. */
struct verified {
	int64_t until_ms;
};

static void begin(void *context);
static void send_to_worker(struct login *);
static void answer_later(struct login *, enum login_result, int64_t ms);
static void answer(void *context);

void
auth_login_init(struct auth *a)
{
	TAILQ_INIT(&a->logins);
	a->jobs = map_new();
	a->verified = map_new();
	a->failures = rate_new(ADDRESSES_REMEMBERED);
	id_random_bytes(a->verified_key, sizeof(a->verified_key));
}

static void
count_check(struct login *l, bool on)
{
	if (l->being_checked == on)
		return;
	l->being_checked = on;
	if (on)
		l->auth->check_count++;
	else
		l->auth->check_count--;
}

static void
free_login(struct login *l)
{
	struct str key = { (const char *)&l->job, sizeof(l->job) };

	count_check(l, false);
	TAILQ_REMOVE(&l->auth->logins, l, entry);
	l->auth->login_count--;
	if (l->job != 0)
		map_remove(l->auth->jobs, key);
	timer_free(l->timer);
	buf_wipe(&l->password);
	arena_free(l->arena);
	free(l);
}

static void
empty_cache(struct auth *a)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(a->verified, &at, &key, &value))
		free(map_remove(a->verified, key));
}

void
auth_login_free(struct auth *a)
{
	while (!TAILQ_EMPTY(&a->logins))
		free_login(TAILQ_FIRST(&a->logins));
	empty_cache(a);
	map_free(a->verified);
	map_free(a->jobs);
	rate_free(a->failures);
	OPENSSL_cleanse(a->verified_key, sizeof(a->verified_key));
}

/* ---- remembered credentials ---- */

enum { DIGEST = 32 };

/* A changed password has another verifier, so it misses by construction. */
static void
digest_of(const struct login *l, unsigned char digest[DIGEST])
{
	scoped_buf text = BUF_INIT;
	unsigned n = DIGEST;

	msg_put_str(&text, l->grant.address);
	msg_put_str(&text, l->verifier);
	msg_put_str(&text, buf_str(&l->password));
	if (HMAC(EVP_sha256(), l->auth->verified_key, sizeof(l->auth->verified_key),
	    (const unsigned char *)text.p, text.n, digest, &n) == NULL)
		fatal("HMAC failed");
	buf_wipe(&text);
}

static bool
is_remembered(const struct login *l)
{
	unsigned char digest[DIGEST];
	const struct verified *v;

	digest_of(l, digest);
	v = map_get(l->auth->verified, (struct str){ (char *)digest, DIGEST });
	return v != NULL && v->until_ms > clock_monotonic_ms();
}

static void
remember(const struct login *l)
{
	unsigned char digest[DIGEST];
	struct verified *v = xcalloc(1, sizeof(*v));

	if (map_count(l->auth->verified) >= CACHE_MAX)
		empty_cache(l->auth);
	digest_of(l, digest);
	v->until_ms = clock_monotonic_ms() + CACHE_MS;
	free(map_set(l->auth->verified, (struct str){ (char *)digest, DIGEST }, v));
}

/* ---- the question ---- */

/*
 * Whose account it is; without one everything goes on with a verifier that nothing matches. False:
 * that cannot be told now.
 */
static bool
find_account(struct login *l, struct str authzid, struct str authcid)
{
	struct auth *a = l->auth;
	struct str domain = str_of(a->process->settings->default_domain);
	struct user_address user, as;
	struct account account;
	enum users_result result;

	l->verifier = password_dummy();
	if (!user_address_of_login(authcid, domain, l->arena, &user))
		return true;
	/* RFC 4616 2: nobody acts for anybody else here. */
	if (authzid.n > 0 && (!user_address_of_login(authzid, domain, l->arena, &as) ||
	    !str_eq(as.whole, user.whole)))
		return true;
	result = auth_find_grant(a, user.whole, l->arena, &l->grant);
	if (result != USERS_OK)
		return result == USERS_NO_SUCH;
	result = users_find_account(a->users, user.whole, l->arena, &account);
	if (result == USERS_NO_SUCH) {
		l->way = BY_PAM;
		l->exists = true;
		return true;
	}
	if (result != USERS_OK)
		return false;
	if (account.enabled && account.verifier.n > 0) {
		l->verifier = account.verifier;
		l->exists = true;
	}
	return true;
}

/* Longer ones than any that could be right are wrong ones; nobody makes auth keep them. */
static struct str
at_most(struct str s, size_t n)
{
	return s.n > n ? STR_EMPTY : s;
}

bool
auth_on_login(struct auth *a, unsigned front, struct msg *m)
{
	struct login *l = xcalloc(1, sizeof(*l));
	struct str authzid, authcid;

	l->auth = a;
	l->arena = arena_new();
	l->front = front;
	l->worker = NO_WORKER;
	l->question = msg_get_u64(m);
	l->sid = arena_str(l->arena, at_most(msg_get_str(m), SID_MAX));
	l->peer = arena_str(l->arena, at_most(msg_get_str(m), INET6_ADDRSTRLEN));
	l->secure = msg_get_bool(m);
	authzid = msg_get_str(m);
	authcid = at_most(msg_get_str(m), SASL_NAME_MAX);
	buf_put(&l->password, at_most(msg_get_str(m), SASL_PASSWORD_MAX));
	l->timer = timer_new(a->process->loop, begin, l);
	TAILQ_INSERT_TAIL(&a->logins, l, entry);
	a->login_count++;
	if (!msg_end(m) || !net_address_parse(l->peer, &l->peer_address)) {
		free_login(l);
		return false;
	}
	l->user = arena_str(l->arena, authcid);
	if (a->login_count > LOGINS_MAX) {
		l->result = LOGIN_UNAVAILABLE;
		answer(l);
		return true;
	}
	if (!find_account(l, authzid, authcid)) {
		l->result = LOGIN_UNAVAILABLE;
		answer(l);
	} else if (l->exists && l->way == BY_HASH && is_remembered(l)) {
		l->result = LOGIN_OK;
		answer(l);
	} else if (rate_recent(a->failures, &l->peer_address) >=
	    a->process->settings->login_failures_per_minute) {
		timer_set(l->timer, CROWD_DELAY_MS);
	} else {
		begin(l);
	}
	return true;
}

static void
begin(void *context)
{
	struct login *l = context;
	struct str key = { (const char *)&l->job, sizeof(l->job) };

	l->job = ++l->auth->last_job;
	l->began_ms = clock_monotonic_ms();
	map_set(l->auth->jobs, key, l);
	if (l->way == BY_HASH && l->auth->check_count >= CHECKS_MAX) {
		answer_later(l, LOGIN_UNAVAILABLE, 0);
		return;
	}
	count_check(l, l->way == BY_HASH);
	send_to_worker(l);
}

static void
answer_later(struct login *l, enum login_result result, int64_t ms)
{
	timer_free(l->timer);
	count_check(l, false);
	l->worker = NO_WORKER;
	l->result = result;
	l->timer = timer_new(l->auth->process->loop, answer, l);
	timer_set(l->timer, ms);
}

static bool
send_to_hash_worker(struct login *l)
{
	struct auth *a = l->auth;
	struct buf m = BUF_INIT;

	if (a->hash_worker_count == 0)
		return false;
	l->worker = a->hash_workers[a->next_hash_worker++ % a->hash_worker_count];
	msg_begin(&m, MSG_HASH);
	msg_put_u64(&m, l->job);
	msg_put_str(&m, l->verifier);
	msg_put_str(&m, buf_str(&l->password));
	return process_send(a->process, ROLE_AUTH_HASH, l->worker, &m, -1);
}

static bool
send_to_pam_worker(struct login *l)
{
	struct auth *a = l->auth;
	struct buf m = BUF_INIT;
	struct str user = str_sub(l->grant.address, 0, str_index(l->grant.address, '@'));

	if (!a->has_pam_worker)
		return false;
	l->worker = a->pam_worker;
	msg_begin(&m, MSG_PAM);
	msg_put_u64(&m, l->job);
	msg_put_str(&m, user);
	msg_put_str(&m, l->peer);
	msg_put_str(&m, buf_str(&l->password));
	return process_send(a->process, ROLE_AUTH_PAM, l->worker, &m, -1);
}

static void
send_to_worker(struct login *l)
{
	const char *way = l->way == BY_PAM ? "pam" : "hash";

	if (l->tries >= TRIES_MAX) {
		log_error(NULL, "login.kills_workers", KV("way", way), KV("sid", l->sid));
		answer_later(l, LOGIN_UNAVAILABLE, 0);
	} else if (l->way == BY_PAM ? send_to_pam_worker(l) : send_to_hash_worker(l)) {
		l->tries++;
	} else {
		log_warn(NULL, "login.no_worker", KV("way", way), KV("sid", l->sid));
		answer_later(l, LOGIN_UNAVAILABLE, WORKER_PATIENCE_MS);
		l->waiting = true;
	}
}

/* There is a worker again. */
static void
serve_waiting(struct auth *a, enum way way)
{
	struct login *l, *next;

	for (l = TAILQ_FIRST(&a->logins); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (!l->waiting || l->way != way)
			continue;
		l->waiting = false;
		timer_stop(l->timer);
		count_check(l, way == BY_HASH);
		send_to_worker(l);
	}
}

static void
answer_slowly(struct login *l, enum login_result result)
{
	int64_t took = clock_monotonic_ms() - l->began_ms;

	rate_count(l->auth->failures, &l->peer_address);
	answer_later(l, result, WRONG_DELAY_MS - took % WRONG_DELAY_MS);
}

static void
judge(struct login *l, bool right)
{
	if (right && l->exists) {
		if (l->way == BY_HASH)
			remember(l);
		l->result = LOGIN_OK;
		answer(l);
		return;
	}
	answer_slowly(l, LOGIN_WRONG);
}

static struct login *
find_job(struct auth *a, uint64_t job)
{
	return map_get(a->jobs, (struct str){ (const char *)&job, sizeof(job) });
}

bool
auth_on_hash_answer(struct auth *a, struct msg *m)
{
	uint64_t job = msg_get_u64(m);
	bool right = msg_get_bool(m);
	struct login *l;

	if (!msg_end(m))
		return false;
	l = find_job(a, job);
	if (l != NULL)
		judge(l, right);
	return true;
}

bool
auth_on_pam_answer(struct auth *a, struct msg *m)
{
	uint64_t job = msg_get_u64(m);
	uint8_t result = msg_get_u8(m);
	struct login *l;

	if (!msg_end(m) || result > LOGIN_TOO_MANY)
		return false;
	l = find_job(a, job);
	if (l == NULL)
		return true;
	/* There are modules that call a wrong password an error of their own (pam_exec(8)). */
	if (result == LOGIN_UNAVAILABLE)
		answer_slowly(l, LOGIN_UNAVAILABLE);
	else
		judge(l, result == LOGIN_OK);
	return true;
}

/* ---- the answer: to master who it is, to the front only whether ---- */

static void
tell_master(struct login *l)
{
	struct buf m = BUF_INIT;

	msg_begin(&m, MSG_SESSION_WANTED);
	msg_put_u32(&m, l->front);
	msg_put_u64(&m, l->question);
	msg_put_str(&m, l->sid);
	msg_put_str(&m, l->peer);
	msg_put_bool(&m, l->secure);
	msg_put_grant(&m, &l->grant);
	process_send(l->auth->process, ROLE_MASTER, 0, &m, -1);
}

static void
answer(void *context)
{
	struct login *l = context;
	struct process *p = l->auth->process;
	struct buf m = BUF_INIT;

	if (l->result == LOGIN_OK)
		log_info(NULL, "login.ok", KV("sid", l->sid), KV("peer", l->peer),
		    KV("user", l->grant.address));
	else
		log_warn(NULL, "login.failed", KV("sid", l->sid), KV("peer", l->peer),
		    KV("user", l->user),
		    KV("why", l->result == LOGIN_WRONG ? "wrong name or password" :
		    "could not be checked"));
	if (l->result == LOGIN_OK && p->service->queue_start == NULL)
		tell_master(l);
	msg_begin(&m, MSG_LOGIN_ANSWER);
	msg_put_u64(&m, l->question);
	msg_put_u8(&m, (uint8_t)l->result);
	msg_put_str(&m, l->result == LOGIN_OK ? l->grant.address : STR_EMPTY);
	process_send(p, ROLE_FRONT, l->front, &m, -1);
	free_login(l);
}

/* ---- workers come and go ---- */

void
auth_on_worker(struct auth *a, enum role role, unsigned index)
{
	if (role == ROLE_AUTH_HASH && a->hash_worker_count < countof(a->hash_workers))
		a->hash_workers[a->hash_worker_count++] = index;
	if (role == ROLE_AUTH_PAM) {
		a->pam_worker = index;
		a->has_pam_worker = true;
	}
	if (role == ROLE_QUEUE)
		a->queue = index;
	if (role == ROLE_AUTH_HASH)
		serve_waiting(a, BY_HASH);
	if (role == ROLE_AUTH_PAM)
		serve_waiting(a, BY_PAM);
}

/* What a dead worker had in hand is given to another one. */
void
auth_on_worker_lost(struct auth *a, enum role role, unsigned index)
{
	struct login *l, *next;

	if (role == ROLE_AUTH_PAM)
		a->has_pam_worker = process_has_peer(a->process, ROLE_AUTH_PAM, a->pam_worker);
	for (size_t i = 0; role == ROLE_AUTH_HASH && i < a->hash_worker_count; i++)
		if (a->hash_workers[i] == index)
			a->hash_workers[i--] = a->hash_workers[--a->hash_worker_count];
	if (role != ROLE_AUTH_HASH && role != ROLE_AUTH_PAM)
		return;
	for (l = TAILQ_FIRST(&a->logins); l != NULL; l = next) {
		next = TAILQ_NEXT(l, entry);
		if (l->job != 0 && l->worker == index &&
		    (l->way == BY_PAM) == (role == ROLE_AUTH_PAM))
			send_to_worker(l);
	}
}
