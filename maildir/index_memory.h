/* SPDX-License-Identifier: ISC */
/*
 * SQLite's memory. Its many small pieces lie in places of their own, all of which are given back when it holds none:
 * among the process's others they would hold on to most of the pages that an open index needed. One thread.
 */
#pragma once

/* Before SQLite begins; what processes that are forked later take is their own. */
void index_memory_install(void);
/* Databases were closed: gives back what it can. */
void index_memory_rest(void);
