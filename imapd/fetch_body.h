/* SPDX-License-Identifier: ISC */
/* The octets of a body as FETCH sends them, behind the literal's announcement. */
#pragma once

#include "imapd/imapd.h"

enum {
	FILE_LEAST = 8 * 1024,		/* a body below it is read: to send it from its file would take no less */
	FILE_SLICE = STREAM_HIGH_WATER,	/* sent from its file at once: with each that is taken the client's time begins anew */
};

struct body_octets {
	uint32_t uid;
	uint64_t at;			/* in work.content */
	uint64_t left;
};

/*
 * In slices; END where they cannot be read: no answer can follow a literal that is not whole. last: nothing else of the
 * content is wanted.
 */
enum next body_put(struct session *, struct body_octets *, bool last);
