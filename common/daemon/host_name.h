/* SPDX-License-Identifier: ISC */
/* Names of hosts and domains as DNS and SMTP take them, and the name of this one. */
#pragma once

#include "common/base/buf.h"

enum { HOST_NAME_MAX_OCTETS = 253, HOST_LABEL_MAX_OCTETS = 63 };

/* Labels of letters, digits and inner hyphens (RFC 5321 4.1.2), RFC 1035's lengths; pure. */
bool host_name_valid(struct str name);
/*
 * The machine's own name, with its domain where /etc/hosts knows it. DNS is not asked: reading a
 * configuration must not wait for the network. False where the machine has no valid name.
 */
must_check bool host_name_own(struct buf *out);
/* The full name that text in the form of hosts(5) gives to the short one; pure. */
must_check bool host_name_in_hosts(struct str text, struct str name, struct str *full);
