/* SPDX-License-Identifier: ISC */
/*
 * The recorder: the only writer of its daemon's log. The others hand it finished lines through
 * one pipe, which never makes them wait: a line that finds it full is lost, and the next one that goes through is
 * preceded by "log.lost n=..." . The pipe is master's and outlives a recorder that died: its successor
 * goes on where it ended.
 */
#pragma once

#include "common/base/log_parse.h"
#include "common/daemon/process.h"

/* What a daemon does with its log's lines besides writing them down; all run in the recorder. */
struct recorder_reader {
	void (*start)(struct process *);
	/* Every line of level INFO and above, whatever log_level says. Valid during the call. */
	void (*line)(struct process *, const struct log_line *);
	/* There were more lines than can be read: so many were passed over. */
	void (*passed_over)(struct process *, uint64_t lines);
	void (*stop)(struct process *);
};

struct recorder_files {
	int pipe;	/* the end for reading */
	int log;	/* the log file, or standard error */
};

/* ends[0] for reading, ends[1] for writing; neither blocks. False: errno says why. */
must_check bool recorder_pipe(int ends[2]);
/* The role: context is a struct recorder_files, whose descriptors it owns from here on. */
void recorder_start(struct process *, void *context);
/* For master, when no recorder is left: what still lies in the pipe goes to the log. Never waits for either. */
void recorder_copy_rest(const struct recorder_files *);

/* The log file of these settings opened for appending, or -1 (with errno; standard error is kept). */
int recorder_open_log(const struct settings *);
/* Lines of this process go to this descriptor from now on: the pipe, or the file itself. Not owned. */
void recorder_use(int fd);
/* Where they go; standard error until told otherwise. */
int recorder_used(void);
