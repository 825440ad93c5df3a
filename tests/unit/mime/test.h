/* SPDX-License-Identifier: ISC */
/* What the tests of this folder share: cmocka, and comparing views. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"

static inline void
check_str(struct str got, struct str want, const char *what)
{
	if (!str_eq(got, want))
		fail_msg("%s\n got: %.*s\nwant: %.*s", what, STR_ARG(got), STR_ARG(want));
}
