/* SPDX-License-Identifier: ISC */
/*
 * The model test's coordinator. Batches of operations are handed to four processes of ours, and to one that is
 * not, to be done at once; then everybody looks, and what is there must be what some order of the same operations
 * makes of the model. No (UIDVALIDITY, UID) ever names two messages, UIDNEXT and HIGHESTMODSEQ never fall, nothing
 * is lost or doubled, what clients were told is all there is to know (worker.c), the files say what the index says.
 * Processes are killed with -9 in the midst of it, and indexes removed.
 *
 *	tests/model/test_model [--operations N] [--seed N | --from N] [--keep]
 *
 * --seed: with this seed alone; --from: with this one and those after it. Each is done with 2500 operations at most.
 * make check runs 2500 operations. The long run is 100,000, in a build with --enable-sanitizers:
 *	TRIVET_MODEL_OPERATIONS=100000 make check TESTS=tests/model/test_model
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/model/coordinator.h"

enum {
	OPERATIONS = 2500,
	SEED_OPERATIONS = 2500,	/* with one seed at most */
	SETTLE_EACH = 40,
};

struct coordinator c;

/* ---- a batch ---- */

static void
kill_one(int i)
{
	int status;

	kill(c.actor[i].pid, SIGKILL);
	waitpid(c.actor[i].pid, &status, 0);
	/* It may have answered before. */
	if (!receive(i, &c.answer[i]))
		c.answer[i] = (struct answer){ .killed = true };
	close(c.actor[i].fd);
	start_actor(i);
	c.killed++;
}

static void
run_batch(void)
{
	int victim = (c.with & WITH_KILLS) != 0 && !c.active[OUTSIDER] && one_in(9) ? (int)random_below(WORKERS) : -1;

	memset(c.answer, 0, sizeof(c.answer));
	for (int i = 0; i < ACTORS; i++)
		if (c.active[i]) {
			send_op(i, &c.op[i]);
			c.step++;
		}
	if (victim >= 0 && c.active[victim]) {
		usleep(random_below(one_in(2) ? 400 : 3000));
		kill_one(victim);
	}
	for (int i = 0; i < ACTORS; i++) {
		if (!c.active[i] || i == victim)
			continue;
		if (!receive(i, &c.answer[i]))
			wrong("a process ended");
		if (c.answer[i].trouble[0] != '\0') {
			buf_printf(&c.why, "  process %d: %s\n", i, c.answer[i].trouble);
			wrong("what a client was told is wrong");
		}
		/* Nothing of it, or all. */
		if (c.answer[i].result == STORE_BUSY) {
			c.answer[i].killed = true;
			c.busy++;
		}
	}
}

static void
note_selects(void)
{
	for (int i = 0; i < WORKERS; i++) {
		char *open = c.actor[i].open[c.op[i].handle];

		if (c.active[i] && c.op[i].kind == DO_SELECT && !c.answer[i].killed)
			snprintf(open, ID_ROOM, "%s", c.answer[i].result == STORE_OK ? c.answer[i].seen[0].id : "");
	}
}

static void
lose_index(void)
{
	scoped_buf command = BUF_INIT;

	buf_printf(&command, one_in(2) ? "rm -f %s/.trivet/index.db" :
	    "cd %s/.trivet && rm -f index.db-wal index.db-shm && echo nothing > x && mv x index.db", c.path);
	if (system(buf_z(&command)) != 0)
		wrong("the index cannot be removed");
	/* Deliveries that were made are known by their files only. */
	c.now.deliveries = 0;
	c.rebuilt++;
	c.index_lost = true;
}

static void
between_batches(void)
{
	struct op op = { .kind = ASK_REOPEN };
	struct answer a;
	int i = (int)random_below(WORKERS);

	for (uint32_t k = 0; k < c.now.count; k++)
		for (uint32_t n = 0; n < c.now.folder[k].count; n++)
			c.now.folder[k].message[n].fresh = c.now.folder[k].message[n].touched = false;
	memset(c.active, 0, sizeof(c.active));
	c.index_lost = false;
	if (c.batches % SETTLE_EACH == 0) {
		settle();
		if ((c.with & WITHOUT_INDEX) != 0)
			lose_index();
	}
	if (one_in(60)) {
		ask(i, &op, &a);
		memset(c.actor[i].open, 0, sizeof(c.actor[i].open));
	}
}

/* ---- a seed ---- */

static void
begin(uint64_t seed)
{
	struct op op = { .kind = ASK_LIST };
	struct answer a;

	c.seed = seed;
	c.random = (seed + 1) * 0x9e3779b97f4a7c15u;
	c.with = (unsigned)(seed % 8);
	c.step = c.batches = 0;
	snprintf(c.path, sizeof(c.path), "%s/trivet-model-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(c.path) == NULL)
		fatal("mkdtemp: errno %d", errno);
	c.messages = map_new();
	c.boxes = map_new();
	memset(&c.now, 0, offsetof(struct state, folder));
	memset(c.active, 0, sizeof(c.active));
	memset(c.actor, 0, sizeof(c.actor));
	for (int i = 0; i < ACTORS; i++) {
		start_actor(i);
		if (i == 0)
			ask(0, &op, &a);
	}
	for (uint32_t i = 0; i < a.names; i++) {
		struct folder_state *f = &c.now.folder[c.now.count++];

		memset(f, 0, offsetof(struct folder_state, message));
		snprintf(f->name, sizeof(f->name), "%s", a.list[i].name);
		snprintf(f->id, sizeof(f->id), "%s", a.list[i].id);
		f->uid_next = 1;
	}
}

static void
free_map(struct map *m)
{
	size_t at = 0;
	struct str key;
	void *value;

	while (map_next(m, &at, &key, &value))
		free(value);
	map_free(m);
}

static void
end(void)
{
	scoped_buf command = BUF_INIT;
	int status;

	settle();
	for (int i = 0; i < ACTORS; i++) {
		close(c.actor[i].fd);
		waitpid(c.actor[i].pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			wrong("a process did not end well");
	}
	buf_printf(&command, "rm -rf %s", c.path);
	if (!c.keep && system(buf_z(&command)) != 0)
		fatal("rm failed");
	free_map(c.messages);
	free_map(c.boxes);
}

static void
run_seed(uint64_t seed, uint64_t operations)
{
	begin(seed);
	while (c.step < operations) {
		choose_batch();
		run_batch();
		note_selects();
		c.batches++;
		sync_all(false);
		look();
		explain_batch();
		for (uint32_t i = 0; i < c.seen_count; i++)
			see(&c.seen[i]);
		sync_all(true);
		between_batches();
	}
	end();
	c.done += c.step;
	if (c.tell)
		fprintf(stderr, "model: seed %llu done, %llu operations so far\n", (unsigned long long)seed,
		    (unsigned long long)c.done);
}

static void
quiet(struct str line)
{
	if (getenv("TRIVET_TEST_LOG") != NULL)
		(void)!write(2, line.p, line.n);
}

int
main(int argc, char **argv)
{
	const char *asked = getenv("TRIVET_MODEL_OPERATIONS");
	uint64_t operations = asked != NULL ? strtoull(asked, NULL, 10) : OPERATIONS, first = 0, each;
	bool one = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--operations") == 0 && i + 1 < argc)
			operations = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			first = strtoull(argv[++i], NULL, 10), one = true;
		else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
			first = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--keep") == 0)
			c.keep = true;
		else
			fatal("model: %s?", argv[i]);
	}
	log_set_sink(quiet);
	signal(SIGPIPE, SIG_IGN);
	c.tell = operations > OPERATIONS;
	each = operations / 8 < SEED_OPERATIONS ? operations / 8 : SEED_OPERATIONS;
	for (uint64_t seed = first; c.done < operations; seed++)
		run_seed(seed, one ? operations : each);
	printf("%llu operations, %llu processes killed, %llu indexes removed, busy %llu times\n",
	    (unsigned long long)c.done, (unsigned long long)c.killed, (unsigned long long)c.rebuilt,
	    (unsigned long long)c.busy);
	return 0;
}
