/* SPDX-License-Identifier: ISC */
/* RFC 3501 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/base64.h"
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/utf8.h"

#define assert_str(a, b) assert_true(str_eq((a), (b)))

static void
numbers_reject_overflow_and_trailing_bytes(void **state)
{
	uint32_t n = 7;
	uint64_t big;

	(void)state;
	assert_true(str_to_u32(STR("4294967295"), &n));
	assert_int_equal(n, 4294967295u);
	assert_false(str_to_u32(STR("4294967296"), &n));
	assert_false(str_to_u32(STR("12x"), &n));
	assert_false(str_to_u32(STR("-1"), &n));
	assert_false(str_to_u32(STR(""), &n));
	assert_int_equal(n, 4294967295u);
	assert_true(str_to_u64(STR("18446744073709551615"), &big));
	assert_false(str_to_u64(STR("18446744073709551616"), &big));
}

static void
cutting_and_trimming(void **state)
{
	struct str rest = STR("a,b,,c"), head;

	(void)state;
	assert_true(str_cut(&rest, ',', &head));
	assert_str(head, STR("a"));
	assert_true(str_cut(&rest, ',', &head));
	assert_true(str_cut(&rest, ',', &head));
	assert_int_equal(head.n, 0);
	assert_true(str_cut(&rest, ',', &head));
	assert_str(head, STR("c"));
	assert_false(str_cut(&rest, ',', &head));
	assert_str(str_trim(STR(" \tx y\r\n")), STR("x y"));
	assert_str(str_sub(STR("hello"), 4, 9), STR("o"));
	assert_str(str_sub(STR("hello"), 9, 9), STR(""));
	assert_int_equal(str_find(STR("abcabc"), STR("ca")), 2);
	assert_int_equal(str_last_index(STR("a/b/c"), '/'), 3);
	assert_null(str_path((struct str){ "a\0b", 3 }));
}

static void
buffer_takes_from_the_front_and_grows(void **state)
{
	scoped_buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	buf_take(&b, 4);
	assert_true(str_starts(buf_str(&b), STR("2,3,4")));
	buf_put_u64(&b, UINT64_MAX);
	assert_true(str_ends(buf_str(&b), STR("18446744073709551615")));
	buf_take(&b, b.n);
	assert_int_equal(b.n, 0);
	assert_string_equal(buf_z(&b), "");
}

static void
arena_hands_out_zeroed_memory_again(void **state)
{
	struct arena *a = arena_new();
	struct str s;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t n = 1; n < 5000; n += 97) {
			char *p = arena_alloc(a, n);

			for (size_t i = 0; i < n; i++)
				assert_int_equal(p[i], 0);
			memset(p, 'x', n);
		}
		assert_true(arena_used(a) > 5000);
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	s = arena_printf(a, "%s-%d", "x", 5);
	assert_str(s, STR("x-5"));
	assert_int_equal(s.p[s.n], 0);
	arena_free(a);
}

static void
base64_round_trip_and_refusals(void **state)
{
	scoped_buf out = BUF_INIT;
	scoped_buf back = BUF_INIT;
	const char *const bad[] = { "a", "ab", "abc", "ab=c", "====", "a===", "ab c", "abcd\n" };

	(void)state;
	for (size_t n = 0; n < 50; n++) {
		char bytes[50];

		id_random_bytes(bytes, n ? n : 1);
		buf_clear(&out);
		buf_clear(&back);
		base64_encode(&out, (struct str){ bytes, n });
		assert_true(base64_decode(&back, buf_str(&out)));
		assert_str(buf_str(&back), ((struct str){ bytes, n }));
	}
	buf_clear(&back);
	for (size_t i = 0; i < countof(bad); i++)
		assert_false(base64_decode(&back, str_of(bad[i])));
	assert_int_equal(back.n, 0);
}

static void
utf8_refuses_what_rfc3629_refuses(void **state)
{
	scoped_buf out = BUF_INIT;
	struct str s;
	uint32_t c;

	(void)state;
	assert_true(utf8_valid(STR("a\xc3\xa9\xed\x95\x9c\xf0\x9d\x84\x9e")));
	assert_false(utf8_valid(STR("\xc0\x80")));
	assert_false(utf8_valid(STR("\xed\xa0\x80")));
	assert_false(utf8_valid(STR("\xf4\x90\x80\x80")));
	assert_false(utf8_valid(STR("\xe2\x82")));
	assert_false(utf8_valid(STR("\x80")));
	for (c = 0; c <= 0x10FFFF; c += 37) {
		uint32_t back;

		if (c >= 0xD800 && c <= 0xDFFF)
			continue;
		buf_clear(&out);
		utf8_put(&out, c);
		s = buf_str(&out);
		assert_true(utf8_next(&s, &back));
		assert_int_equal(back, c);
		assert_int_equal(s.n, 0);
	}
}

static void
map_keeps_what_was_set(void **state)
{
	struct map *m = map_new();
	static int values[2000];
	struct str key;
	void *value;
	size_t at = 0, seen = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		scoped_buf b = BUF_INIT;

		buf_printf(&b, "key-%d", i);
		values[i] = i;
		assert_null(map_set(m, buf_str(&b), &values[i]));
	}
	assert_int_equal(map_count(m), 2000);
	while (map_next(m, &at, &key, &value)) {
		seen++;
		if (*(int *)value % 2)
			assert_ptr_equal(map_remove(m, key), value);
	}
	assert_int_equal(seen, 2000);
	assert_int_equal(map_count(m), 1000);
	assert_null(map_get(m, STR("key-7")));
	assert_ptr_equal(map_get(m, STR("key-8")), &values[8]);
	assert_ptr_equal(map_set(m, STR("key-8"), &values[0]), &values[8]);
	map_free(m);
}

static struct buf logged;

static void
keep_line(struct str line)
{
	buf_put(&logged, line);
}

static void
log_line_cannot_be_forged(void **state)
{
	struct log log = { BUF_INIT };

	(void)state;
	log_set_sink(keep_line);
	log_set_name("imapd", "front");
	log_add_field(&log, KV("sid", "abc"));
	log_info(&log, "login", KV("user", STR("a\r\nb \"q\"\x1b")), KV("n", (size_t)3), KV("d", -4));
	log_debug(&log, "unseen");
	log_free(&log);
	assert_true(str_find(buf_str(&logged), STR(
	    " INFO imapd[front] login sid=abc user=\"a\\x0d\\x0ab \\\"q\\\"\\x1b\" n=3 d=-4\n"))
	    < logged.n);
	assert_int_equal(str_index(buf_str(&logged), '\n'), logged.n - 1);
	buf_free(&logged);
}

static void
clock_is_turned_by_its_file(void **state)
{
	char path[] = "/tmp/trivet-clock-XXXXXX";
	int fd = mkstemp(path);
	int64_t turn = 0, before;
	scoped_buf text = BUF_INIT;

	(void)state;
	assert_int_equal(write(fd, &turn, sizeof(turn)), sizeof(turn));
	assert_true(clock_turn_by_file(path));
	before = clock_now();
	turn = 1800;
	assert_int_equal(pwrite(fd, &turn, sizeof(turn), 0), sizeof(turn));
	assert_in_range(clock_now() - before, 1800, 1802);
	close(fd);
	unlink(path);
	clock_put_rfc5322(&text, 1795286912);
	assert_str(buf_str(&text), STR("Sat, 21 Nov 2026 18:48:32 +0000"));
	buf_clear(&text);
	clock_put_rfc3339(&text, 1795286912123);
	assert_str(buf_str(&text), STR("2026-11-21T18:48:32.123Z"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_reject_overflow_and_trailing_bytes),
		cmocka_unit_test(cutting_and_trimming),
		cmocka_unit_test(buffer_takes_from_the_front_and_grows),
		cmocka_unit_test(arena_hands_out_zeroed_memory_again),
		cmocka_unit_test(base64_round_trip_and_refusals),
		cmocka_unit_test(utf8_refuses_what_rfc3629_refuses),
		cmocka_unit_test(map_keeps_what_was_set),
		cmocka_unit_test(log_line_cannot_be_forged),
		cmocka_unit_test(clock_is_turned_by_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
