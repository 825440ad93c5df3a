/* SPDX-License-Identifier: ISC */
/*
 * A client's lines of one exchange: the mechanism, "+" or "-" for with or without initial response,
 * then base64 lines.
 */
#include "common/auth/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct sasl_reply reply)
{
	if (reply.result == SASL_BAD && reply.why == NULL)
		fatal("bad without a reason");
	if (reply.result == SASL_CREDENTIALS && (reply.credentials.user.n == 0
	    || reply.credentials.user.n > SASL_NAME_MAX
	    || reply.credentials.authorise_as.n > SASL_NAME_MAX
	    || reply.credentials.password.n == 0
	    || reply.credentials.password.n > SASL_PASSWORD_MAX))
		fatal("credentials beyond the limits");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size }, mechanism = STR_EMPTY, line, bytes;
	struct sasl s = SASL_INIT;
	bool initial;

	(void)str_cut(&rest, '\n', &mechanism);
	initial = str_starts(rest, STR("+"));
	rest = str_from(rest, 1);
	if (!initial)
		check(sasl_start(&s, mechanism, NULL));
	while (str_cut(&rest, '\n', &line)) {
		scoped_buf decoded = BUF_INIT;

		if (sasl_decode(line, initial, &decoded) != SASL_LINE_OK)
			continue;
		bytes = buf_str(&decoded);
		check(initial ? sasl_start(&s, mechanism, &bytes) : sasl_step(&s, bytes));
		initial = false;
	}
	sasl_end(&s);
	return 0;
}
