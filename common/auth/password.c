/* SPDX-License-Identifier: ISC */
/*
 * Makes and checks password verifiers: crypt(5) strings through libcrypt, and SCRAM-SHA-256
 * keys (RFC 5802 3, RFC 7677) through OpenSSL. Nothing here leaves a copy of a password behind.
 */
#include "common/auth/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "common/base/base64.h"
#include "common/base/id.h"
#include "common/base/utf8.h"

enum { SHA256_OCTETS = 32, SCRAM_SALT_OCTETS = 16, SCRAM_SALT_MAX = 64 };

struct scheme {
	const char *name;
	const char *crypt_prefix;	/* for crypt_gensalt; NULL: not by libcrypt */
};

static const struct scheme schemes[] = {
	[PASSWORD_YESCRYPT] = { "yescrypt", "$y$" },
	[PASSWORD_BCRYPT] = { "bcrypt", "$2b$" },
	[PASSWORD_SHA512] = { "sha512", "$6$" },
	[PASSWORD_SCRAM_SHA_256] = { "scram-sha-256", NULL },
};
_Static_assert(countof(schemes) == PASSWORD_SCHEMES, "a row for each scheme");

static const struct str scram_prefix = { "{SCRAM-SHA-256}", 15 };

struct scram_keys {
	uint32_t iterations;
	struct buf salt;
	unsigned char stored[SHA256_OCTETS];
	unsigned char server[SHA256_OCTETS];
};

const char *
password_scheme_name(enum password_scheme scheme)
{
	return schemes[scheme].name;
}

bool
password_scheme_find(struct str name, enum password_scheme *out)
{
	for (size_t i = 0; i < countof(schemes); i++)
		if (str_eq_nocase(name, str_of(schemes[i].name))) {
			*out = (enum password_scheme)i;
			return true;
		}
	return false;
}

/* NUL-terminated, for libcrypt; NULL where that cannot be. Freed by free_secret. */
static char *
secret_z(struct str password)
{
	if (password.n > PASSWORD_MAX)
		return NULL;
	return str_path(password);
}

static void
free_secret(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* What crypt(3) makes of a password and a setting; false where it refuses either. */
static bool
crypt_into(struct buf *out, const char *password, const char *setting)
{
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	const char *made = crypt_rn(password, setting, data, sizeof(*data));

	if (made != NULL)
		buf_put_z(out, made);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return made != NULL;
}

static bool
crypt_verify(struct str verifier, struct str password)
{
	char *setting = str_path(verifier), *secret = secret_z(password);
	struct buf made = BUF_INIT;
	bool right;

	right = setting != NULL && secret != NULL && crypt_into(&made, secret, setting)
		&& made.n == verifier.n && CRYPTO_memcmp(made.p, verifier.p, made.n) == 0;
	buf_wipe(&made);
	free_secret(secret);
	free(setting);
	return right;
}

/* Base64 of exactly one key. */
static bool
read_key(struct str text, unsigned char *out)
{
	scoped_buf key = BUF_INIT;

	if (!base64_decode(&key, text) || key.n != SHA256_OCTETS)
		return false;
	memcpy(out, key.p, SHA256_OCTETS);
	return true;
}

/* keys->salt is the caller's to free, whatever the answer. */
static bool
scram_parse(struct str verifier, struct scram_keys *keys)
{
	struct str rest = str_from(verifier, scram_prefix.n), part;

	if (verifier.n > PASSWORD_VERIFIER_MAX || !str_cut(&rest, ',', &part)
	    || !str_to_u32(part, &keys->iterations)
	    || keys->iterations < PASSWORD_SCRAM_ITERATIONS_MIN
	    || keys->iterations > PASSWORD_SCRAM_ITERATIONS_MAX)
		return false;
	if (!str_cut(&rest, ',', &part) || !base64_decode(&keys->salt, part)
	    || keys->salt.n == 0 || keys->salt.n > SCRAM_SALT_MAX)
		return false;
	if (!str_cut(&rest, ',', &part) || !read_key(part, keys->stored))
		return false;
	return read_key(rest, keys->server);
}

static void
hmac_sha256(const unsigned char *key, const char *text, unsigned char *out)
{
	unsigned n = SHA256_OCTETS;

	if (HMAC(EVP_sha256(), key, SHA256_OCTETS, (const unsigned char *)text, strlen(text),
	    out, &n) == NULL)
		fatal("HMAC-SHA-256 failed");
}

/* RFC 5802 3: SaltedPassword to StoredKey and ServerKey, from keys' salt and iterations. */
static void
scram_derive(struct str password, struct scram_keys *keys)
{
	unsigned char salted[SHA256_OCTETS], client[SHA256_OCTETS];

	if (PKCS5_PBKDF2_HMAC(password.p, (int)password.n, (const unsigned char *)keys->salt.p,
	    (int)keys->salt.n, (int)keys->iterations, EVP_sha256(), sizeof(salted), salted) != 1)
		fatal("PBKDF2 failed");
	hmac_sha256(salted, "Client Key", client);
	if (EVP_Digest(client, sizeof(client), keys->stored, NULL, EVP_sha256(), NULL) != 1)
		fatal("SHA-256 failed");
	hmac_sha256(salted, "Server Key", keys->server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
}

static bool
scram_verify(struct str verifier, struct str password)
{
	struct scram_keys known = { .salt = BUF_INIT }, made;
	bool right = false;

	if (scram_parse(verifier, &known) && password.n <= PASSWORD_MAX) {
		made = known;
		scram_derive(password, &made);
		right = CRYPTO_memcmp(made.stored, known.stored, SHA256_OCTETS) == 0
			&& CRYPTO_memcmp(made.server, known.server, SHA256_OCTETS) == 0;
		explicit_bzero(&made, sizeof(made));
	}
	buf_free(&known.salt);
	return right;
}

bool
password_verify(struct str verifier, struct str password)
{
	if (!password_verifier_valid(verifier) || password.n == 0)
		return false;
	if (str_starts(verifier, scram_prefix))
		return scram_verify(verifier, password);
	return crypt_verify(verifier, password);
}

bool
password_verifier_valid(struct str verifier)
{
	struct scram_keys keys = { .salt = BUF_INIT };
	char *text;
	bool valid;

	if (verifier.n == 0 || verifier.n > PASSWORD_VERIFIER_MAX)
		return false;
	if (str_starts(verifier, scram_prefix)) {
		valid = scram_parse(verifier, &keys);
		buf_free(&keys.salt);
		return valid;
	}
	/* Only salted forms: "$...$"; "!" and "*" lock, anything else is no hash of today. */
	if (verifier.p[0] != '$')
		return false;
	text = str_path(verifier);
	valid = text != NULL && crypt_checksalt(text) != CRYPT_SALT_INVALID
		&& crypt_checksalt(text) != CRYPT_SALT_METHOD_DISABLED;
	free(text);
	return valid;
}

static bool
make_crypt(struct buf *out, struct str password, const char *prefix)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], *secret;
	bool made;

	if (crypt_gensalt_rn(prefix, 0, NULL, 0, setting, sizeof(setting)) == NULL)
		return false;
	secret = secret_z(password);
	made = secret != NULL && crypt_into(out, secret, setting);
	free_secret(secret);
	return made;
}

static void
make_scram(struct buf *out, struct str password)
{
	struct scram_keys keys = { .iterations = PASSWORD_SCRAM_ITERATIONS, .salt = BUF_INIT };

	id_random_bytes(buf_room(&keys.salt, SCRAM_SALT_OCTETS), SCRAM_SALT_OCTETS);
	buf_added(&keys.salt, SCRAM_SALT_OCTETS);
	scram_derive(password, &keys);
	buf_put(out, scram_prefix);
	buf_printf(out, "%u,", keys.iterations);
	base64_encode(out, buf_str(&keys.salt));
	buf_put_c(out, ',');
	base64_encode(out, (struct str){ (const char *)keys.stored, SHA256_OCTETS });
	buf_put_c(out, ',');
	base64_encode(out, (struct str){ (const char *)keys.server, SHA256_OCTETS });
	buf_free(&keys.salt);
	explicit_bzero(&keys, sizeof(keys));
}

bool
password_make(struct buf *out, struct str password, enum password_scheme scheme)
{
	if (password.n == 0 || password.n > PASSWORD_MAX || str_has_char(password, '\0')
	    || !utf8_valid(password))
		return false;
	if (schemes[scheme].crypt_prefix != NULL)
		return make_crypt(out, password, schemes[scheme].crypt_prefix);
	make_scram(out, password);
	return true;
}

struct str
password_dummy(void)
{
	static struct buf dummy;
	unsigned char random[24];
	scoped_buf text = BUF_INIT;

	/* Of a random password that is forgotten at once; made when first asked for. */
	if (dummy.n == 0) {
		id_random_bytes(random, sizeof(random));
		base64_encode(&text, (struct str){ (const char *)random, sizeof(random) });
		if (!password_make(&dummy, buf_str(&text), PASSWORD_YESCRYPT))
			fatal("libcrypt cannot make a yescrypt verifier");
	}
	return buf_str(&dummy);
}
