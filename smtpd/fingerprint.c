/* SPDX-License-Identifier: ISC */
/* The hash, and the skipping of the first header field across any cut of the input. */
#include "smtpd/fingerprint.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum skipping { IN_FIELD, AFTER_LINE, DONE };	/* AFTER_LINE: a blank continues the field (RFC 5322 2.2.3) */

struct fingerprint {
	EVP_MD_CTX *hash;
	enum skipping skipping;
};

static void
add(struct fingerprint *f, struct str bytes)
{
	if (EVP_DigestUpdate(f->hash, bytes.p, bytes.n) != 1)
		fatal("SHA-256 failed");
}

struct fingerprint *
fingerprint_new(const struct record *record)
{
	struct fingerprint *f = xcalloc(1, sizeof(*f));
	struct record who = *record;
	scoped_buf text = BUF_INIT;

	/* All of the envelope but what differs from one time to the other. */
	who.trace = STR_EMPTY;
	who.arrived = 0;
	record_put(&text, &who);
	f->hash = EVP_MD_CTX_new();
	if (!f->hash || EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL) != 1)
		fatal("SHA-256 failed");
	add(f, buf_str(&text));
	return f;
}

/* Takes the rest of the first field off the bytes. */
static struct str
skip_field(struct fingerprint *f, struct str bytes)
{
	size_t n;

	while (bytes.n > 0 && f->skipping != DONE) {
		if (f->skipping == AFTER_LINE) {
			f->skipping = bytes.p[0] == ' ' || bytes.p[0] == '\t' ? IN_FIELD : DONE;
			continue;
		}
		n = str_index(bytes, '\n');
		if (n < bytes.n)
			f->skipping = AFTER_LINE;
		bytes = str_from(bytes, n + 1);
	}
	return bytes;
}

void
fingerprint_add(struct fingerprint *f, struct str bytes)
{
	add(f, skip_field(f, bytes));
}

void
fingerprint_end(struct fingerprint *f, char out[FINGERPRINT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(f->hash, digest, NULL) != 1)
		fatal("SHA-256 failed");
	memcpy(out, digest, FINGERPRINT_SIZE);
	fingerprint_free(f);
}

void
fingerprint_free(struct fingerprint *f)
{
	if (!f)
		return;
	EVP_MD_CTX_free(f->hash);
	free(f);
}
