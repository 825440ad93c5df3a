/* SPDX-License-Identifier: ISC */
/*
 * The frame must find the same commands however the octets are chopped. The first octet chooses
 * the pieces and what becomes of APPEND's message; the rest is the connection.
 */
#include "common/base/buf.h"
#include "imapd/frame.h"

/* Small, so that the fuzzer reaches them; a line is longer than any tag. */
static const struct frame_limits limits = { .line = 200, .literal = 100, .command = 400 };

/* A connection being fed. */
struct feeder {
	struct frame frame;
	struct buf input;
	struct buf seen;	/* what the frame answered */
	uint64_t message;	/* octets of an APPEND to take */
	bool receive;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
note(struct feeder *feeder, enum framed answer)
{
	const struct frame *f = &feeder->frame;

	buf_printf(&feeder->seen, "\n%d tag=%.*s literal=%llu waits=%d lost=%d why=%s: ", (int)answer,
	    STR_ARG(f->tag), (unsigned long long)f->literal, f->waits, f->lost,
	    f->why ? f->why : "");
	/* What is skipped may be skipped in any pieces. */
	if (answer != FRAME_BAD)
		buf_put(&feeder->seen, str_sub(buf_str(&feeder->input), 0, f->consumed));
}

static void
take_message(struct feeder *feeder)
{
	size_t n = feeder->input.n < feeder->message ? feeder->input.n : (size_t)feeder->message;

	buf_take(&feeder->input, n);
	feeder->message -= n;
	if (feeder->message == 0)
		frame_append_received(&feeder->frame);
}

static enum framed
step(struct feeder *feeder)
{
	enum framed answer = frame_next(&feeder->frame, &limits, buf_str(&feeder->input));

	if (feeder->frame.consumed > feeder->input.n)
		fatal("more was consumed than there was");
	if (answer == FRAME_MORE && feeder->input.n > limits.command + limits.line)
		fatal("the input grows without limit");
	if (answer == FRAME_SKIPPED && feeder->frame.consumed == 0)
		fatal("nothing was skipped");
	if (answer != FRAME_MORE && answer != FRAME_SKIPPED)
		note(feeder, answer);
	buf_take(&feeder->input, feeder->frame.consumed);
	if (answer != FRAME_APPEND && answer != FRAME_APPEND_NEXT)
		return answer;
	if (feeder->receive || answer == FRAME_APPEND_NEXT) {
		feeder->message = feeder->frame.literal;
		take_message(feeder);
	} else {
		frame_append_refused(&feeder->frame);
	}
	return answer;
}

static void
feed(struct feeder *feeder, struct str piece)
{
	buf_put(&feeder->input, piece);
	do {
		if (feeder->message > 0)
			take_message(feeder);
	} while (feeder->message == 0 && step(feeder) != FRAME_MORE);
}

static void
feed_chopped(struct feeder *feeder, struct str rest, unsigned seed)
{
	while (rest.n > 0) {
		size_t n;

		seed = seed * 1103515245u + 12345u;
		n = 1 + (seed >> 16) % 40;
		if ((seed >> 24) % 3 == 0)
			n = 1;
		feed(feeder, str_sub(rest, 0, n));
		rest = str_from(rest, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feeder whole = { 0 }, chopped = { 0 };
	struct str text = { (const char *)data + 1, size - 1 };

	if (size < 2)
		return 0;
	whole.receive = chopped.receive = data[0] & 1;
	feed(&whole, text);
	feed_chopped(&chopped, text, data[0]);
	if (!str_eq(buf_str(&whole.seen), buf_str(&chopped.seen)))
		fatal("whole: %.*s\nchopped: %.*s", STR_ARG(buf_str(&whole.seen)),
		    STR_ARG(buf_str(&chopped.seen)));
	buf_free(&whole.input);
	buf_free(&whole.seen);
	buf_free(&chopped.input);
	buf_free(&chopped.seen);
	return 0;
}
