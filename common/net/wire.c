/* SPDX-License-Identifier: ISC */
/*
 * Reads and writes, and what their errors mean. OpenSSL's error queue belongs to the thread, not
 * to the session: it is cleared before each call, or one client's fault ends another.
 */
#include "common/net/wire.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/tls_session.h"

enum { MOST_AT_ONCE = 1 << 30 };	/* OpenSSL and the kernel count in int */

void
wire_fail(struct wire *w, const char *what, int error)
{
	buf_clear(&w->error);
	buf_put_z(&w->error, what);
	if (error != 0)
		buf_printf(&w->error, ": %s", strerror(error));
	buf_z(&w->error);
}

static bool
would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Why TLS failed: the alert or the fault, in OpenSSL's words. */
static void
fail_tls(struct wire *w, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	buf_clear(&w->error);
	buf_printf(&w->error, "%s: %s", what, reason != NULL ? reason : "TLS failed");
	buf_z(&w->error);
	ERR_clear_error();
}

static enum wire_result
tls_result(struct wire *w, int result, int error, const char *what)
{
	switch (SSL_get_error(w->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return WIRE_WANTS_READ;
	case SSL_ERROR_WANT_WRITE:
		return WIRE_WANTS_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		/* RFC 8446 6.1: without close_notify somebody may have cut it; IMAP, POP3 and SMTP have their own ends. */
		if (BIO_eof(SSL_get_rbio(w->ssl)))
			wire_fail(w, "closed without saying goodbye in TLS", 0);
		return WIRE_EOF;
	case SSL_ERROR_SYSCALL:
		wire_fail(w, what, error);
		ERR_clear_error();
		return WIRE_FAILED;
	default:
		fail_tls(w, what);
		return WIRE_FAILED;
	}
}

static size_t
at_most(size_t n)
{
	return n < MOST_AT_ONCE ? n : MOST_AT_ONCE;
}

enum wire_result
wire_read(struct wire *w, char *p, size_t n, size_t *got)
{
	ssize_t r;
	int result;

	errno = 0;
	if (w->ssl != NULL) {
		ERR_clear_error();
		result = SSL_read_ex(w->ssl, p, at_most(n), got);
		return result == 1 ? WIRE_DONE : tls_result(w, result, errno, "read");
	}
	r = read(w->fd, p, at_most(n));
	if (r == 0)
		return WIRE_EOF;
	if (r < 0 && would_block(errno))
		return WIRE_WANTS_READ;
	if (r < 0) {
		wire_fail(w, "read", errno);
		return WIRE_FAILED;
	}
	*got = (size_t)r;
	return WIRE_DONE;
}

static ssize_t
write_plain(struct wire *w, const char *p, size_t n, bool more)
{
	ssize_t r;

	if (!w->is_pipe) {
		r = send(w->fd, p, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
		if (r >= 0 || errno != ENOTSOCK)
			return r;
		w->is_pipe = true;
	}
	return write(w->fd, p, n);
}

enum wire_result
wire_write(struct wire *w, struct str bytes, bool more, size_t *taken)
{
	ssize_t r;
	int result;

	errno = 0;
	if (w->ssl != NULL) {
		ERR_clear_error();
		result = SSL_write_ex(w->ssl, bytes.p, at_most(bytes.n), taken);
		return result == 1 ? WIRE_DONE : tls_result(w, result, errno, "write");
	}
	r = write_plain(w, bytes.p, at_most(bytes.n), more);
	if (r < 0 && would_block(errno))
		return WIRE_WANTS_WRITE;
	if (r < 0) {
		wire_fail(w, "write", errno);
		return WIRE_FAILED;
	}
	*taken = (size_t)r;
	return WIRE_DONE;
}

bool
wire_takes_files(const struct wire *w)
{
	return w->ssl == NULL && w->next == NULL && !w->no_files;
}

enum wire_result
wire_send_file(struct wire *w, int fd, uint64_t from, uint64_t n, uint64_t *taken)
{
	off_t at = (off_t)from;
	ssize_t r = sendfile(w->fd, fd, &at, n < MOST_AT_ONCE ? (size_t)n : MOST_AT_ONCE);

	*taken = 0;
	if (r < 0 && would_block(errno))
		return WIRE_WANTS_WRITE;
	/* It may be the file, its file system or the connection. */
	if (r < 0)
		w->no_files = true;
	else
		*taken = (uint64_t)r;
	return WIRE_DONE;
}

bool
wire_holds_bytes(const struct wire *w)
{
	return w->ssl != NULL && SSL_has_pending(w->ssl);
}

bool
wire_start_tls(struct wire *w, struct tls_context *context, bool is_server, const char *name)
{
	ERR_clear_error();
	w->next = tls_session_new(context, w->fd, is_server, name);
	if (w->next == NULL)
		fail_tls(w, "cannot begin TLS");
	return w->next != NULL;
}

enum wire_result
wire_handshake(struct wire *w)
{
	enum wire_result result;
	int r;

	if (w->next != NULL) {
		w->ssl = w->next;
		w->next = NULL;
	}
	errno = 0;
	ERR_clear_error();
	r = SSL_do_handshake(w->ssl);
	if (r == 1)
		return WIRE_DONE;
	result = tls_result(w, r, errno, "TLS handshake");
	if (result != WIRE_EOF)
		return result;
	wire_fail(w, "TLS handshake: the other side left", 0);
	return WIRE_FAILED;
}

enum wire_result
wire_goodbye(struct wire *w)
{
	enum wire_result result;
	int r;

	if (w->ssl == NULL)
		return WIRE_DONE;
	errno = 0;
	ERR_clear_error();
	r = SSL_shutdown(w->ssl);
	if (r >= 0)
		return WIRE_DONE;
	result = tls_result(w, r, errno, "TLS goodbye");
	return result == WIRE_WANTS_WRITE ? result : WIRE_DONE;
}

void
wire_put_info(const struct wire *w, struct buf *out)
{
	if (w->ssl != NULL)
		buf_printf(out, "%s %s", SSL_get_version(w->ssl), SSL_get_cipher_name(w->ssl));
}

void
wire_close(struct wire *w)
{
	SSL_free(w->ssl);
	SSL_free(w->next);
	w->ssl = w->next = NULL;
	close_fd(&w->fd);
	buf_free(&w->error);
}
