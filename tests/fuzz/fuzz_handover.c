/* SPDX-License-Identifier: ISC */
/* Any bytes on a keeper's line as a front's first words, in two pieces: read within their limits, or refused. */
#include <sys/socket.h>
#include <unistd.h>

#include "common/daemon/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum parse
receive(int fd)
{
	scoped_buf storage = BUF_INIT;
	struct handover_words words;
	enum parse result = handover_receive(fd, &storage, &words);

	if (result != PARSED)
		return result;
	if (words.hello.n + words.early.n > HANDOVER_MAX)
		fatal("first words beyond their limit");
	if (words.client_fd >= 0)
		fatal("a descriptor out of nothing");
	return result;
}

static void
send_piece(int fd, struct str piece)
{
	if (piece.n > 0 && send(fd, piece.p, piece.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* What was sent by handover_send comes back as it was. */
static void
check_round(struct str text)
{
	size_t half = text.n / 2;
	struct handover_words sent = { .hello = str_sub(text, 0, half),
		.early = str_from(text, half), .client_fd = -1 }, got;
	scoped_buf storage = BUF_INIT;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return;
	if (handover_send(ends[0], &sent) && (handover_receive(ends[1], &storage, &got) != PARSED ||
	    !str_eq(sent.hello, got.hello) || !str_eq(sent.early, got.early)))
		fatal("words do not arrive as they were sent");
	close(ends[0]);
	close(ends[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	size_t cut = size > 0 ? data[0] % size : 0;
	int ends[2];

	if (size > HANDOVER_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return 0;
	send_piece(ends[0], str_sub(text, 0, cut));
	if (receive(ends[1]) == MORE) {
		send_piece(ends[0], str_from(text, cut));
		if (receive(ends[1]) == MORE) {
			close_fd(&ends[0]);
			(void)receive(ends[1]);
		}
	}
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	check_round(text);
	return 0;
}
