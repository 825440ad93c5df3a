/* SPDX-License-Identifier: ISC */
/* For the driver, tests/faults/machine.py: arms faults, reads counts, turns clocks, and has things recorded. */
#include "tests/faults/faults.h"

bool faults_attach(const char *path);
void faults_arm(unsigned role, unsigned kind, unsigned what, unsigned error, uint64_t at,
    uint64_t times);
void faults_disarm(void);
uint64_t faults_fired(void);
void faults_clear_counts(void);
uint64_t faults_count(unsigned role, unsigned kind);
uint64_t faults_total(void);
const char *faults_kind_name(unsigned kind);
const char *faults_role_name(unsigned role);
void faults_hurry(int64_t ms, bool all);
void faults_boot(unsigned number);
void faults_record(uint64_t device);
uint64_t faults_tail(void);
void faults_mark(const char *text);

bool
faults_attach(const char *path)
{
	return attach(path, true);
}

void
faults_arm(unsigned its_role, unsigned kind, unsigned what, unsigned error, uint64_t at,
    uint64_t times)
{
	faults_disarm();
	control->role = its_role;
	control->kind = kind;
	control->error = error;
	control->at = at;
	control->times = times;
	control->seen = control->fired = 0;
	__atomic_store_n(&control->what, what, __ATOMIC_RELEASE);
}

void
faults_disarm(void)
{
	__atomic_store_n(&control->what, NOTHING, __ATOMIC_RELEASE);
}

uint64_t
faults_fired(void)
{
	return __atomic_load_n(&control->fired, __ATOMIC_ACQUIRE);
}

void
faults_clear_counts(void)
{
	memset(control->counts, 0, sizeof(control->counts));
}

uint64_t
faults_count(unsigned its_role, unsigned kind)
{
	return __atomic_load_n(&control->counts[its_role][kind], __ATOMIC_RELAXED);
}

uint64_t
faults_total(void)
{
	uint64_t n = 0;

	for (unsigned r = 0; r < DAEMONS * ROLES; r++)
		for (unsigned k = 0; k < KINDS; k++)
			n += faults_count(r, k);
	return n;
}

const char *
faults_kind_name(unsigned kind)
{
	return kind < KINDS ? kind_names[kind] : NULL;
}

const char *
faults_role_name(unsigned its_role)
{
	static char name[64];

	if (its_role / ROLES >= DAEMONS)
		return NULL;
	snprintf(name, sizeof(name), "%s: %s", daemon_names[its_role / ROLES],
	    its_role % ROLES < ROLE_NAMES ? role_names[its_role % ROLES] : "");
	return name;
}

void
faults_hurry(int64_t ms, bool all)
{
	__atomic_fetch_add(all ? &control->ahead_ms : &control->master_ahead_ms, ms, __ATOMIC_RELAXED);
}

void
faults_boot(unsigned number)
{
	control->boot = number;
}

void
faults_record(uint64_t device)
{
	__atomic_store_n(&control->recording, device, __ATOMIC_RELEASE);
}

uint64_t
faults_tail(void)
{
	return record_tail();
}

void
faults_mark(const char *text)
{
	struct iovec part = { (void *)(uintptr_t)text, strlen(text) };

	record(EVENT_MARK, 0, 0, 0, &part, 1);
}
