/* SPDX-License-Identifier: ISC */
/*
 * Preloaded under valgrind, whose older versions answer the system call openat2 with ENOSYS: the same file is
 * opened by openat, which valgrind knows. What openat2 refuses on top is tested elsewhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>

long
syscall(long number, ...)
{
	static long (*real)(long, ...);
	const struct open_how *how;
	va_list args;
	long a[6];

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_openat2) {
		how = (const struct open_how *)a[2];
		return openat((int)a[0], (const char *)a[1], (int)how->flags, (mode_t)how->mode);
	}
	if (real == NULL)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
