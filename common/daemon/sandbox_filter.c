/* SPDX-License-Identifier: ISC */
/*
 * Makes seccomp's filter (classic BPF) of a role's rows: the processor is checked first, then each row in turn,
 * and who reaches the end is killed. Invariant: nothing is allowed that no row allows.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/daemon/sandbox_inside.h"

/* Another processor needs its name here, and somebody who runs the tests on it. */
#if defined(__x86_64__)
enum { KNOWN = true, ARCHITECTURE = (int)AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__) && defined(__AARCH64EL__)
enum { KNOWN = true, ARCHITECTURE = (int)AUDIT_ARCH_AARCH64 };
#else
enum { KNOWN = false, ARCHITECTURE = 0 };
#endif

enum {
	STEPS_MAX = 1024,
	STEPS_OF_ROW = 16,		/* at most, what one row takes */
	X32_BIT = 0x40000000,		/* x86_64's calls with short pointers: another table of calls, which we do not use */
};

struct filter {
	struct sock_filter steps[STEPS_MAX];
	unsigned short count;
	bool number_loaded;
};

static void
put(struct filter *f, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	f->steps[f->count++] = (struct sock_filter){ code, if_true, if_false, k };
}

static void
load(struct filter *f, size_t offset)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
answer(struct filter *f, uint32_t action)
{
	put(f, BPF_RET | BPF_K, action, 0, 0);
}

/* The halves of an argument: both processors are little-endian. */
static size_t
low_of(unsigned index)
{
	return offsetof(struct seccomp_data, args) + index * sizeof(uint64_t);
}

static size_t
high_of(unsigned index)
{
	return low_of(index) + sizeof(uint32_t);
}

/* Goes on where the value is k, else to the row's end, which is filled in afterwards. */
static void
go_on_if(struct filter *f, uint32_t k)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, k, 0, UINT8_MAX);
}

static void
put_test(struct filter *f, const struct sandbox_argument *a)
{
	switch (a->test) {
	case TEST_NONE:
		return;
	case TEST_BITS:
		load(f, low_of(a->index));
		if (a->mask != UINT32_MAX)
			put(f, BPF_ALU | BPF_AND | BPF_K, a->mask, 0, 0);
		go_on_if(f, a->value);
		break;
	case TEST_NULL:
		load(f, low_of(a->index));
		go_on_if(f, 0);
		load(f, high_of(a->index));
		go_on_if(f, 0);
		break;
	case TEST_SELF:
		load(f, low_of(a->index));
		go_on_if(f, (uint32_t)getpid());
		break;
	}
	f->number_loaded = false;
}

static void
put_row(struct filter *f, const struct sandbox_call *row)
{
	unsigned first;

	if (f->count + STEPS_OF_ROW > STEPS_MAX)
		fatal("the sandbox has too many rows");
	if (!f->number_loaded)
		load(f, offsetof(struct seccomp_data, nr));
	f->number_loaded = true;
	first = f->count;
	go_on_if(f, row->number);
	for (size_t i = 0; i < countof(row->arguments); i++)
		put_test(f, &row->arguments[i]);
	answer(f, row->refuse != 0 ? SECCOMP_RET_ERRNO | row->refuse : SECCOMP_RET_ALLOW);
	for (unsigned i = first; i < f->count; i++)
		if (f->steps[i].jf == UINT8_MAX)
			f->steps[i].jf = (uint8_t)(f->count - i - 1);
}

static void
put_all(struct filter *f, enum role role)
{
	load(f, offsetof(struct seccomp_data, arch));
	put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)ARCHITECTURE, 1, 0);
	answer(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
	f->number_loaded = true;
#if defined(__x86_64__)
	put(f, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	answer(f, SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t g = 0; g < SANDBOX_GROUPS && sandbox_groups[role][g] != NULL; g++)
		for (size_t i = 0; i < sandbox_groups[role][g]->count; i++)
			put_row(f, &sandbox_groups[role][g]->calls[i]);
	answer(f, SECCOMP_RET_KILL_PROCESS);
}

bool
sandbox_filter_is_known(void)
{
	return KNOWN;
}

bool
sandbox_filter_install(enum role role)
{
	struct filter *f;
	struct sock_fprog program;
	bool ok;

	if (!KNOWN || sandbox_groups[role][0] == NULL) {
		errno = ENOSYS;
		return false;
	}
	f = xcalloc(1, sizeof(*f));
	put_all(f, role);
	program = (struct sock_fprog){ f->count, f->steps };
	/* SPEC_ALLOW: kernels before 5.16 slow down whoever has a filter; nothing here runs what strangers send. */
	ok = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0;
	free(f);
	return ok;
}
