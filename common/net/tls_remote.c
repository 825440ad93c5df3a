/* SPDX-License-Identifier: ISC */
/*
 * Private keys that are elsewhere, as a small built-in provider of OpenSSL: it knows RSA, EC and Ed25519 keys, keeps
 * their public half (which answers all that can be asked of a key), and sends what is to be signed to
 * the function it was given. Invariants: it can do nothing else with a key, neither decrypt nor
 * export it; and nobody gets it by chance: its algorithms stand behind OpenSSL's own.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "common/net/tls_key.h"
#include "common/net/tls_session.h"

#define PROVIDER "trivet"
#define ONLY_OURS "provider=" PROVIDER
#define NOT_OURS "provider!=" PROVIDER
/* The parameter that hands a struct remote_key to import(). */
#define REMOTE "trivet-remote"

/* A key as OpenSSL holds it. sign NULL: somebody else's public key, imported for a comparison. */
struct remote_key {
	EVP_PKEY *public;
	tls_sign *sign;
	void *context;
};

/* ---- keys ---- */

static void *
key_new(void *provider)
{
	(void)provider;
	return OPENSSL_zalloc(sizeof(struct remote_key));
}

static void
key_free(void *data)
{
	struct remote_key *key = data;

	if (key == NULL)
		return;
	EVP_PKEY_free(key->public);
	OPENSSL_free(key);
}

static int
key_has(const void *data, int selection)
{
	const struct remote_key *key = data;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) && key->sign == NULL)
		return 0;
	return key->public != NULL;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct remote_key *one = a, *other = b;

	(void)selection;
	return EVP_PKEY_eq(one->public, other->public) == 1;
}

static EVP_PKEY *
import_public(const char *type, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NOT_OURS);
	EVP_PKEY *key = NULL;

	/* OpenSSL only reads them, in spite of the signature. */
	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key,
	    EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static int
import(struct remote_key *key, const char *type, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, REMOTE);
	const void *given;
	size_t n;

	if (p == NULL) {
		key->public = import_public(type, params);
		return key->public != NULL;
	}
	if (OSSL_PARAM_get_octet_ptr(p, &given, &n) != 1 || n != sizeof(*key))
		return 0;
	*key = *(const struct remote_key *)given;
	return EVP_PKEY_up_ref(key->public);
}

static int
import_rsa(void *key, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import(key, "RSA", params);
}

static int
import_ec(void *key, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import(key, "EC", params);
}

static int
import_ed25519(void *key, int selection, const OSSL_PARAM params[])
{
	(void)selection;
	return import(key, "ED25519", params);
}

static const OSSL_PARAM *
import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_ptr(REMOTE, NULL, 0), OSSL_PARAM_END
	};

	(void)selection;
	return types;
}

static int
key_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote_key *key = data;

	return EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *
key_gettable_params(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_END
	};

	(void)provider;
	return params;
}

static const char *
ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

typedef void (*function)(void);

#define KEY_FUNCTIONS(import_function) \
	{ OSSL_FUNC_KEYMGMT_NEW, (function)key_new }, \
	{ OSSL_FUNC_KEYMGMT_FREE, (function)key_free }, \
	{ OSSL_FUNC_KEYMGMT_HAS, (function)key_has }, \
	{ OSSL_FUNC_KEYMGMT_MATCH, (function)key_match }, \
	{ OSSL_FUNC_KEYMGMT_IMPORT, (function)(import_function) }, \
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (function)import_types }, \
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, (function)key_get_params }, \
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (function)key_gettable_params }

static const OSSL_DISPATCH rsa_keys[] = { KEY_FUNCTIONS(import_rsa), { 0, NULL } };
static const OSSL_DISPATCH ed25519_keys[] = { KEY_FUNCTIONS(import_ed25519), { 0, NULL } };
static const OSSL_DISPATCH ec_keys[] = {
	KEY_FUNCTIONS(import_ec),
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (function)ec_operation },
	{ 0, NULL }
};

/* ---- signatures ---- */

struct signing {
	const struct remote_key *key;	/* OpenSSL keeps it while we are used */
	int digest;			/* NID_sha256 and so on; NID_undef: Ed25519's own */
	bool pss;
};

static void *
signing_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return OPENSSL_zalloc(sizeof(struct signing));
}

static void
signing_free(void *data)
{
	OPENSSL_free(data);
}

/* RFC 8446 4.2.3; 0: there is none, or none that is still good. */
static uint16_t
scheme_of(const struct signing *s)
{
	if (EVP_PKEY_is_a(s->key->public, "ED25519"))
		return s->digest == NID_undef ? 0x0807 : 0;
	switch (s->digest) {
	case NID_sha256:
		return EVP_PKEY_is_a(s->key->public, "EC") ? 0x0403 : s->pss ? 0x0804 : 0x0401;
	case NID_sha384:
		return EVP_PKEY_is_a(s->key->public, "EC") ? 0x0503 : s->pss ? 0x0805 : 0x0501;
	case NID_sha512:
		return EVP_PKEY_is_a(s->key->public, "EC") ? 0x0603 : s->pss ? 0x0806 : 0x0601;
	default:
		return 0;
	}
}

static bool
is_word(const OSSL_PARAM *p, const char *word, int number)
{
	int given;

	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		return strcmp(p->data, word) == 0;
	return OSSL_PARAM_get_int(p, &given) == 1 && given == number;
}

static int
signing_set_params(void *data, const OSSL_PARAM params[])
{
	struct signing *s = data;
	const OSSL_PARAM *p;

	p = params == NULL ? NULL : OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p != NULL) {
		s->pss = is_word(p, OSSL_PKEY_RSA_PAD_MODE_PSS, RSA_PKCS1_PSS_PADDING);
		if (!s->pss && !is_word(p, OSSL_PKEY_RSA_PAD_MODE_PKCSV15, RSA_PKCS1_PADDING))
			return 0;
	}
	p = params == NULL ? NULL : OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return p == NULL || is_word(p, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST);
}

static const OSSL_PARAM *
signing_settable_params(void *data, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END
	};

	(void)data;
	(void)provider;
	return params;
}

static int
signing_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = data;

	*s = (struct signing){ .key = key };
	if (s->key == NULL || s->key->sign == NULL)
		return 0;
	if (digest != NULL && digest[0] != '\0') {
		const EVP_MD *md = EVP_get_digestbyname(digest);

		s->digest = md == NULL ? NID_md5 : EVP_MD_get_type(md);
	}
	return scheme_of(s) != 0 && signing_set_params(s, params);
}

/* The whole input is here: libssl signs in one call, as Ed25519 needs it. */
static int
signing_sign(void *data, unsigned char *out, size_t *out_n, size_t room, const unsigned char *input,
    size_t n)
{
	const struct signing *s = data;
	struct buf signature = BUF_INIT;
	bool done;

	if (out == NULL) {
		*out_n = (size_t)EVP_PKEY_get_size(s->key->public);
		return 1;
	}
	done = n <= TLS_SIGN_INPUT_MAX && s->key->sign(s->key->context, scheme_of(s),
	    (struct str){ (const char *)input, n }, &signature) &&
	    signature.n > 0 && signature.n <= room;
	if (done) {
		memcpy(out, signature.p, signature.n);
		*out_n = signature.n;
	}
	buf_free(&signature);
	return done;
}

static const OSSL_DISPATCH signatures[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, (function)signing_new },
	{ OSSL_FUNC_SIGNATURE_FREECTX, (function)signing_free },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (function)signing_init },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (function)signing_sign },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (function)signing_set_params },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (function)signing_settable_params },
	{ 0, NULL }
};

/* ---- the provider ---- */

static const OSSL_ALGORITHM *
query(void *provider, int operation, int *may_not_keep)
{
	static const OSSL_ALGORITHM keys[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", ONLY_OURS, rsa_keys, NULL },
		{ "EC:id-ecPublicKey:1.2.840.10045.2.1", ONLY_OURS, ec_keys, NULL },
		{ "ED25519:1.3.101.112", ONLY_OURS, ed25519_keys, NULL },
		{ NULL, NULL, NULL, NULL }
	};
	static const OSSL_ALGORITHM signs[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", ONLY_OURS, signatures, NULL },
		{ "ECDSA", ONLY_OURS, signatures, NULL },
		{ "ED25519:1.3.101.112", ONLY_OURS, signatures, NULL },
		{ NULL, NULL, NULL, NULL }
	};

	(void)provider;
	*may_not_keep = 0;
	return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signs : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core, const OSSL_DISPATCH **ours,
    void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (function)query }, { 0, NULL }
	};

	(void)core;
	*ours = functions;
	*provider = (void *)(uintptr_t)handle;
	return 1;
}

/* OpenSSL's own come first and stay: who asks for an algorithm by name gets theirs. */
static bool
load_provider(void)
{
	static OSSL_PROVIDER *ours;	/* for good */

	if (ours == NULL && OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) == 1)
		ours = OSSL_PROVIDER_try_load(NULL, PROVIDER, 1);
	return ours != NULL;
}

EVP_PKEY *
tls_remote_key_new(EVP_PKEY *public, tls_sign *sign, void *context)
{
	struct remote_key key = { .public = public, .sign = sign, .context = context };
	struct remote_key *given = &key;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_ptr(REMOTE, (void **)&given, sizeof(key)),
		OSSL_PARAM_construct_end(),
	};
	const char *type = EVP_PKEY_get0_type_name(public);
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *remote = NULL;

	if (type == NULL || !load_provider())
		return NULL;
	ctx = EVP_PKEY_CTX_new_from_name(NULL, type, ONLY_OURS);
	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &remote, EVP_PKEY_KEYPAIR, params) != 1)
		remote = NULL;
	EVP_PKEY_CTX_free(ctx);
	return remote;
}
