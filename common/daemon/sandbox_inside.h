/* SPDX-License-Identifier: ISC */
/* What the sandbox's own files share: the rows of sandbox_calls.c and the filter that is made of them. */
#pragma once

#include <linux/filter.h>

#include "common/daemon/sandbox.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZERS 1
#endif
#endif

enum { SANDBOX_ARGUMENTS = 2, SANDBOX_GROUPS = 8 };

enum sandbox_test {
	TEST_NONE,
	TEST_BITS,		/* (argument & mask) == value; 32 bits, for arguments that are ints */
	TEST_NULL,		/* a pointer that is NULL */
	TEST_SELF,		/* our own process id */
};

/* A row: this call, if all tests hold. Several rows of a call are alternatives. */
struct sandbox_call {
	uint32_t number;
	uint16_t refuse;	/* not allowed, but no reason to die: this errno */
	struct sandbox_argument {
		enum sandbox_test test;
		unsigned index;
		uint32_t mask;
		uint32_t value;
	} arguments[SANDBOX_ARGUMENTS];
};

struct sandbox_group {
	const struct sandbox_call *calls;
	size_t count;
};

/* NULL after the last. */
extern const struct sandbox_group *const sandbox_groups[ROLE_COUNT][SANDBOX_GROUPS];

/* sandbox_filter.c */
bool sandbox_filter_is_known(void);	/* for this processor */
/* False, errno set: the kernel takes no filters. Not for roles without groups. */
must_check bool sandbox_filter_install(enum role);

