/* SPDX-License-Identifier: ISC */
/* trivet start --foreground: stays with the daemons, for systemd and containers. */
#pragma once

#include "ctl/ctl.h"
#include "ctl/daemons.h"

/*
 * Blocks the signals that supervise() takes; before the first daemon is started, so that none is
 * missed. -1 with errno.
 */
must_check int supervise_signals(void);
/*
 * Restarts what ends, with growing pauses, until SIGTERM or SIGINT; then stops all. SIGHUP is
 * passed on. Returns the exit code.
 */
int supervise(struct ctl *, struct daemons *, int signal_fd);
