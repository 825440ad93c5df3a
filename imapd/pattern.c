/* SPDX-License-Identifier: ISC */
#include "imapd/pattern.h"

/*
 * "*" matches anything, "%" anything but the separator. Going back to the last "%", else to
 * the last "*", is enough: an earlier one could only take what the later one can take as
 * well.
 */
bool
pattern_matches(struct str pattern, struct str name, bool nocase)
{
	size_t p = 0, n = 0;
	size_t star = SIZE_MAX, star_at = 0, percent = SIZE_MAX, percent_at = 0;

	for (;;) {
		char c = p < pattern.n ? pattern.p[p] : 0;

		if (p < pattern.n && c == '*') {
			star = ++p;
			star_at = n;
			percent = SIZE_MAX;
		} else if (p < pattern.n && c == '%') {
			percent = ++p;
			percent_at = n;
		} else if (p < pattern.n && n < name.n && (c == name.p[n] ||
		    (nocase && ascii_lower(c) == ascii_lower(name.p[n])))) {
			p++;
			n++;
		} else if (p == pattern.n && n == name.n) {
			return true;
		} else if (percent != SIZE_MAX && percent_at < name.n &&
		    name.p[percent_at] != '/') {
			p = percent;
			n = ++percent_at;
		} else if (star != SIZE_MAX && star_at < name.n) {
			p = star;
			n = ++star_at;
			percent = SIZE_MAX;
		} else {
			return false;
		}
	}
}

size_t
pattern_plain_length(struct str pattern)
{
	size_t plain = 0;

	for (size_t i = 0; i < pattern.n; i++)
		plain += pattern.p[i] != '*' && pattern.p[i] != '%';
	return plain;
}
