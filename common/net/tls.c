/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts: versions, options, certificates and ALPN. RFC 8996 (no TLS 1.0 and 1.1),
 * RFC 7301 (ALPN). OpenSSL counts the references: each session holds its SSL_CTX, so a
 * context may be freed while sessions made from it live on.
 */
#include "common/net/tls_session.h"

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

char *
tls_words(const char *path, const char *fault, const char *advice)
{
	struct buf text = BUF_INIT;

	buf_printf(&text, "%s: %s; %s", path, fault, advice);
	buf_put_c(&text, '\0');
	return text.base;
}

const char *
tls_fault(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "OpenSSL does not say why";
}

/* The certificates after the first, up to the end of the text. */
static bool
use_issuers(SSL_CTX *ssl, BIO *text)
{
	X509 *issuer;

	while ((issuer = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ssl, issuer) != 1) {
			X509_free(issuer);
			return false;
		}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	return true;
}

bool
tls_use_chain(SSL_CTX *ssl, struct str chain)
{
	BIO *text = BIO_new_mem_buf(chain.p, (int)chain.n);
	X509 *own;
	bool used;

	ERR_clear_error();
	own = text == NULL ? NULL : PEM_read_bio_X509_AUX(text, NULL, NULL, NULL);
	used = own != NULL && SSL_CTX_use_certificate(ssl, own) == 1 && use_issuers(ssl, text);
	X509_free(own);
	BIO_free(text);
	return used;
}

/* The one place where a key enters a context: only its public half, and whom to ask for signatures. */
static bool
use_key(SSL_CTX *ssl, tls_sign *sign, void *context)
{
	X509 *own = SSL_CTX_get0_certificate(ssl);
	EVP_PKEY *key = tls_remote_key_new(X509_get0_pubkey(own), sign, context);
	bool used = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1 &&
	    SSL_CTX_check_private_key(ssl) == 1;

	EVP_PKEY_free(key);
	return used;
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
		*why = tls_words("TLS", tls_fault(), "look at OpenSSL's own configuration");
		return NULL;
	}
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	    SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	context = xcalloc(1, sizeof(*context));
	context->ssl = ssl;
	return context;
}

/* Our key signs and does nothing else, so the client must not be let to encrypt to it (RFC 5246 7.4.7.1). */
static void
offer_no_rsa_encryption(SSL_CTX *ssl)
{
	if (SSL_CTX_set_cipher_list(ssl, "DEFAULT:!kRSA") != 1)
		fatal("OpenSSL has no ciphers: %s", tls_fault());
}

struct tls_context *
tls_server_new(struct str chain, const char *service, tls_sign *sign, void *sign_context, char **why)
{
	struct tls_context *context = context_new(TLS_server_method(), why);
	const char *word = service_word(service);

	if (context == NULL)
		return NULL;
	if (!tls_use_chain(context->ssl, chain) || !use_key(context->ssl, sign, sign_context)) {
		*why = tls_words("the certificate", tls_fault(),
		    "it must be one for an RSA, EC or Ed25519 key, in PEM form");
		tls_context_free(context);
		return NULL;
	}
	offer_no_rsa_encryption(context->ssl);
	SSL_CTX_set_options(context->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_dh_auto(context->ssl, 1);
	SSL_CTX_set_num_tickets(context->ssl, 1);
	/* RFC 8446 4.6.1 leaves the scope of tickets to us: one service's are not another's. */
	if (SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)word,
	    (unsigned)strlen(word)) != 1)
		fatal("the TLS session context %s is too long", word);
	tls_tickets_enable(context->ssl);
	SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, (void *)(uintptr_t)word);
	return context;
}

void
tls_prepare(void)
{
	if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1)
		fatal("OpenSSL does not start");
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

/* Both: without tickets, TLS 1.3 would hand out names of sessions that it remembers. */
static void
give_no_ticket(SSL *session)
{
	SSL_set_options(session, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(session, 0);
}

SSL *
tls_session_new(struct tls_context *context, int fd, bool is_server, const char *name)
{
	SSL *session = SSL_new(context->ssl);

	if (session == NULL || SSL_set_fd(session, fd) != 1) {
		SSL_free(session);
		return NULL;
	}
	if (is_server) {
		SSL_set_accept_state(session);
		if (!tls_tickets_are_ready())
			give_no_ticket(session);
	} else {
		SSL_set_connect_state(session);
	}
	if (!is_server && name != NULL && is_host_name(name))
		SSL_set_tlsext_host_name(session, name);
	return session;
}
