/* SPDX-License-Identifier: ISC */
/* Frames of the journal: what is torn or damaged is never taken for a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/checksum.h"
#include "smtpd/frame.h"

struct seen {
	unsigned found, torn;
	char first[ID_LENGTH];
};

static void
see_frame(void *context, const struct frame *frame, uint64_t offset, struct str payload)
{
	struct seen *seen = context;

	(void)offset;
	assert_int_equal(payload.n, frame->envelope_size + frame->body_size);
	if (seen->found++ == 0)
		memcpy(seen->first, frame->trace, ID_LENGTH);
}

static void
see_torn(void *context, const struct frame *frame, uint64_t offset)
{
	(void)frame;
	(void)offset;
	((struct seen *)context)->torn++;
}

static void
put_frame(struct buf *out, char name, struct str envelope, struct str body)
{
	struct frame frame = { .kind = FRAME_MESSAGE, .envelope_size = envelope.n,
		.body_size = body.n, .envelope_sum = checksum_add(0, envelope),
		.body_sum = checksum_add(0, body) };

	memset(frame.trace, name, ID_LENGTH);
	frame_put_header(out, &frame, 77, out->n);
	buf_put(out, envelope);
	buf_put(out, body);
	frame_pad(out, 0);
}

static void
frames_survive_truncation_at_any_octet(void **state)
{
	scoped_buf all = BUF_INIT;
	size_t ends[3], payload_ends[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t start = all.n;

		put_frame(&all, (char)('a' + i), STR("an envelope"), STR("and the octets of a body\r\n"));
		payload_ends[i] = start + FRAME_HEADER + 11 + 26;
		ends[i] = all.n;
	}
	for (size_t cut = 0; cut <= all.n; cut++) {
		struct seen seen = { 0 };
		unsigned whole = 0;

		for (int i = 0; i < 3; i++)
			whole += cut >= payload_ends[i];
		frame_scan(str_sub(buf_str(&all), 0, cut), 77, see_frame, see_torn, &seen);
		assert_int_equal(seen.found, whole);
		/* And with zeros behind it, as in a segment. */
		if (cut > 0) {
			scoped_buf torn = BUF_INIT;
			struct seen again = { 0 };

			buf_put(&torn, str_sub(buf_str(&all), 0, cut));
			while (torn.n < ends[2])
				buf_put_c(&torn, '\0');
			frame_scan(buf_str(&torn), 77, see_frame, see_torn, &again);
			assert_int_equal(again.found, whole);
		}
	}
}

static void
a_flipped_bit_costs_one_frame_at_most(void **state)
{
	scoped_buf all = BUF_INIT;

	(void)state;
	for (int i = 0; i < 3; i++)
		put_frame(&all, (char)('a' + i), STR("an envelope"), STR("and the octets of a body\r\n"));
	for (size_t bit = 0; bit < 8 * all.n; bit++) {
		struct seen seen = { 0 };

		all.p[bit / 8] ^= (char)(1 << bit % 8);
		frame_scan(buf_str(&all), 77, see_frame, see_torn, &seen);
		all.p[bit / 8] ^= (char)(1 << bit % 8);
		assert_in_range(seen.found, 2, 3);
	}
}

static void
octets_of_a_message_are_never_taken_for_a_frame(void **state)
{
	scoped_buf inner = BUF_INIT, outer = BUF_INIT;
	struct seen seen = { 0 };

	(void)state;
	/* Whoever knows the form still does not know the key. */
	put_frame(&inner, 'x', STR("forged"), STR("forged"));
	put_frame(&outer, 'a', STR_EMPTY, buf_str(&inner));
	outer.p[outer.n - 1] ^= 1;	/* damaged behind the inner one, so that it is looked into */
	frame_scan(buf_str(&outer), 78, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 0);
	/* Nor what lies elsewhere than it was put. */
	frame_scan(str_from(buf_str(&outer), FRAME_HEADER), 77, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 1);	/* this one was put at 0, and stands there now */
	frame_scan(buf_str(&outer), 77, see_frame, see_torn, &seen);
	assert_int_equal(seen.found, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_survive_truncation_at_any_octet),
		cmocka_unit_test(a_flipped_bit_costs_one_frame_at_most),
		cmocka_unit_test(octets_of_a_message_are_never_taken_for_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
