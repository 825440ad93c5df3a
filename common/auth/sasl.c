/* SPDX-License-Identifier: ISC */
/*
 * PLAIN (RFC 4616) and LOGIN, as one table of steps: each step takes the client's bytes and says
 * what comes next. Pure; what a client can make us keep is bound by SASL_NAME_MAX and
 * SASL_PASSWORD_MAX.
 */
#include "common/auth/sasl.h"

#include "common/base/base64.h"
#include "common/base/utf8.h"

enum { SASL_STEPS_MAX = 2 };

/* Takes s->response; what it returns is sent. */
typedef struct sasl_reply take_response(struct sasl *s);

struct sasl_mechanism {
	const char *name;
	struct {
		const char *challenge;	/* what asks for the response */
		take_response *take;
	} steps[SASL_STEPS_MAX];
};

static take_response take_plain, take_login_user, take_login_password;

static const struct sasl_mechanism mechanisms[] = {
	{ "PLAIN", { { "", take_plain } } },
	/* The client's program looks for these two prompts; there is no RFC. */
	{ "LOGIN", { { "Username:", take_login_user }, { "Password:", take_login_password } } },
};

static struct sasl_reply
bad(const char *why)
{
	return (struct sasl_reply){ .result = SASL_BAD, .why = why };
}

static struct sasl_reply
challenge(const struct sasl *s)
{
	return (struct sasl_reply){ .result = SASL_CHALLENGE,
		.challenge = str_of(s->mechanism->steps[s->step].challenge) };
}

static struct sasl_reply
credentials(struct str authorise_as, struct str user, struct str password)
{
	if (user.n == 0 || user.n > SASL_NAME_MAX || authorise_as.n > SASL_NAME_MAX)
		return bad("the user name is empty or too long");
	if (!utf8_valid(user) || !utf8_valid(authorise_as)
	    || str_has_char(user, '\0') || str_has_char(authorise_as, '\0'))
		return bad("the user name is not UTF-8");
	/* RFC 4616 2: passwd = 1*SAFE, and NUL is not SAFE. */
	if (password.n == 0 || password.n > SASL_PASSWORD_MAX || str_has_char(password, '\0'))
		return bad("the password is empty or too long");
	return (struct sasl_reply){ .result = SASL_CREDENTIALS,
		.credentials = { authorise_as, user, password } };
}

static const struct sasl_mechanism *
find_mechanism(struct str name)
{
	for (size_t i = 0; i < countof(mechanisms); i++)
		if (str_eq_nocase(name, str_of(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

const char *
sasl_mechanism_name(size_t i)
{
	return i < countof(mechanisms) ? mechanisms[i].name : NULL;
}

bool
sasl_mechanism_exists(struct str name)
{
	return find_mechanism(name) != NULL;
}

struct sasl_reply
sasl_start(struct sasl *s, struct str mechanism, const struct str *initial)
{
	sasl_end(s);
	s->mechanism = find_mechanism(mechanism);
	if (s->mechanism == NULL)
		return bad("there is no such mechanism");
	return initial != NULL ? sasl_step(s, *initial) : challenge(s);
}

struct sasl_reply
sasl_step(struct sasl *s, struct str response)
{
	take_response *take;

	if (s->mechanism == NULL || s->step == SASL_STEPS_MAX
	    || s->mechanism->steps[s->step].take == NULL)
		return bad("no response is expected");
	if (response.n > SASL_LINE_MAX)
		return bad("the response is too long");
	take = s->mechanism->steps[s->step++].take;
	buf_wipe(&s->response);
	buf_put(&s->response, response);
	return take(s);
}

void
sasl_end(struct sasl *s)
{
	buf_wipe(&s->response);
	buf_wipe(&s->user);
	*s = SASL_INIT;
}

/* RFC 4616 2: message = [authzid] UTF8NUL authcid UTF8NUL passwd */
static struct sasl_reply
take_plain(struct sasl *s)
{
	struct str rest = buf_str(&s->response);
	size_t first = str_index(rest, '\0'), second;
	struct str authorise_as = str_sub(rest, 0, first);

	rest = str_from(rest, first + 1);
	second = str_index(rest, '\0');
	if (first == s->response.n || second == rest.n)
		return bad("PLAIN needs [authzid] NUL authcid NUL password");
	return credentials(authorise_as, str_sub(rest, 0, second), str_from(rest, second + 1));
}

static struct sasl_reply
take_login_user(struct sasl *s)
{
	if (s->response.n == 0 || s->response.n > SASL_NAME_MAX)
		return bad("the user name is empty or too long");
	buf_put(&s->user, buf_str(&s->response));
	return challenge(s);
}

static struct sasl_reply
take_login_password(struct sasl *s)
{
	return credentials(STR_EMPTY, buf_str(&s->user), buf_str(&s->response));
}

enum sasl_line
sasl_decode(struct str line, bool is_initial, struct buf *out)
{
	if (str_eq(line, STR("*")))
		return SASL_LINE_CANCEL;
	if (is_initial && str_eq(line, STR("=")))
		return SASL_LINE_OK;
	if (line.n > SASL_LINE_MAX || !base64_decode(out, line))
		return SASL_LINE_BAD;
	return SASL_LINE_OK;
}
