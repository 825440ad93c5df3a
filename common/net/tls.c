/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts: versions, options, certificate, key and ALPN. RFC 8996 (no TLS 1.0 and 1.1),
 * RFC 7301 (ALPN). OpenSSL counts the references: each session holds its SSL_CTX, so a
 * context may be freed while sessions made from it live on.
 */
#include "common/net/tls_session.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "common/base/buf.h"

struct tls_context {
	SSL_CTX *ssl;
};

/* They live as long as the program, and so as long as any SSL_CTX. */
static const char *const services[] = { "imap", "pop3", "smtp", "lmtp", "managesieve", "http/1.1" };

static const char *
service_word(const char *service)
{
	for (size_t i = 0; i < countof(services); i++)
		if (strcmp(services[i], service) == 0)
			return services[i];
	fatal("no TLS service is called %s", service);
}

static char *
words(const char *path, const char *fault, const char *advice)
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s: %s; %s", path, fault, advice);
	buf_put_c(&text, '\0');
	return text.base;
}

static const char *
openssl_fault(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "OpenSSL does not say why";
}

/* OpenSSL's words for a missing file help nobody: look first. */
static bool
readable(const char *path, char **why)
{
	FILE *f = fopen(path, "re");

	if (f == NULL) {
		*why = words(path, strerror(errno), errno == ENOENT ?
		    "check the path in the settings" : "make it readable for the server");
		return false;
	}
	fclose(f);
	return true;
}

static bool
use_certificate(SSL_CTX *ssl, const char *path, char **why)
{
	scoped_buf fault = BUF_INIT;

	if (!readable(path, why))
		return false;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, path) == 1)
		return true;
	buf_printf(&fault, "no usable certificate in it (%s)", openssl_fault());
	*why = words(path, buf_z(&fault),
	    "it must hold the certificate and then its chain, in PEM form");
	return false;
}

/* A daemon has nobody to ask: says that the key is encrypted, gives no passphrase. */
static int
no_passphrase(char *out, int size, int writing, void *asked)
{
	(void)out;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *
read_key(const char *path, char **why)
{
	bool asked = false;
	scoped_buf fault = BUF_INIT;
	EVP_PKEY *key;
	BIO *file;

	if (!readable(path, why))
		return NULL;
	ERR_clear_error();
	file = BIO_new_file(path, "r");
	key = file == NULL ? NULL : PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &asked);
	BIO_free(file);
	if (key != NULL)
		return key;
	if (asked) {
		*why = words(path, "the private key is encrypted with a passphrase",
		    "store it without one (openssl pkey -in OLD -out NEW)");
		return NULL;
	}
	buf_printf(&fault, "no usable private key in it (%s)", openssl_fault());
	*why = words(path, buf_z(&fault), "it must hold one RSA or EC key in PEM form");
	return NULL;
}

/* The one place where a private key enters. */
static bool
use_key(SSL_CTX *ssl, const char *path, const char *certificate_path, char **why)
{
	EVP_PKEY *key = read_key(path, why);
	scoped_buf fault = BUF_INIT;
	bool used;

	if (key == NULL)
		return false;
	used = SSL_CTX_use_PrivateKey(ssl, key) == 1 && SSL_CTX_check_private_key(ssl) == 1;
	EVP_PKEY_free(key);
	if (used)
		return true;
	buf_printf(&fault, "this key does not fit the certificate in %s (%s)", certificate_path,
	    openssl_fault());
	*why = words(path, buf_z(&fault), "give the key that the certificate was made for");
	return false;
}

/*
 * RFC 7301 3.2: a client that says which protocol it speaks must speak ours, or gets
 * no_application_protocol: a browser tricked into talking to us stops here. SMTP has no
 * registered name; its own word is taken, every other one refused.
 */
static int
choose_protocol(SSL *session, const unsigned char **out, unsigned char *out_n,
    const unsigned char *offered, unsigned offered_n, void *service)
{
	struct str ours = str_of(service), rest = { (const char *)offered, offered_n };

	(void)session;
	while (rest.n > 0) {
		struct str one = str_sub(rest, 1, (unsigned char)rest.p[0]);

		if (str_eq(one, ours)) {
			*out = (const unsigned char *)one.p;
			*out_n = (unsigned char)one.n;
			return SSL_TLSEXT_ERR_OK;
		}
		rest = str_from(rest, 1 + one.n);
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static struct tls_context *
context_new(const SSL_METHOD *method, char **why)
{
	SSL_CTX *ssl = SSL_CTX_new(method);
	struct tls_context *context;

	if (ssl == NULL || SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ssl);
		*why = words("TLS", openssl_fault(), "look at OpenSSL's own configuration");
		return NULL;
	}
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	context = xcalloc(1, sizeof(*context));
	context->ssl = ssl;
	return context;
}

struct tls_context *
tls_server_new(const char *certificate_path, const char *key_path, const char *service, char **why)
{
	struct tls_context *context = context_new(TLS_server_method(), why);
	const char *word = service_word(service);

	if (context == NULL)
		return NULL;
	if (!use_certificate(context->ssl, certificate_path, why) ||
	    !use_key(context->ssl, key_path, certificate_path, why)) {
		tls_context_free(context);
		return NULL;
	}
	SSL_CTX_set_options(context->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_dh_auto(context->ssl, 1);
	SSL_CTX_set_num_tickets(context->ssl, 1);
	/* RFC 8446 4.6.1 leaves the scope of tickets to us: one service's are not another's. */
	if (SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)word,
	    (unsigned)strlen(word)) != 1)
		fatal("the TLS session context %s is too long", word);
	SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, (void *)(uintptr_t)word);
	return context;
}

struct tls_context *
tls_client_new(char **why)
{
	struct tls_context *context = context_new(TLS_client_method(), why);

	if (context == NULL)
		return NULL;
	/* RFC 7435 1.2: unauthenticated, or with an old server's short key, still beats clear text. */
	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_security_level(context->ssl, 1);
	return context;
}

void
tls_context_free(struct tls_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ssl);
	free(context);
}

/* Is it a name, and not an address? RFC 6066 3: addresses are not sent in SNI. */
static bool
is_host_name(const char *name)
{
	struct str text = str_of(name);

	return text.n > 0 && !str_has_char(text, ':') &&
	    !ascii_is_digit(text.p[text.n - 1]) && text.p[0] != '[';
}

SSL *
tls_session_new(struct tls_context *context, int fd, bool is_server, const char *name)
{
	SSL *session = SSL_new(context->ssl);

	if (session == NULL || SSL_set_fd(session, fd) != 1) {
		SSL_free(session);
		return NULL;
	}
	if (is_server)
		SSL_set_accept_state(session);
	else
		SSL_set_connect_state(session);
	if (!is_server && name != NULL && is_host_name(name))
		SSL_set_tlsext_host_name(session, name);
	return session;
}
