/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions of imapd with mutated conversations. Each input must be over within a bound of turns and of time,
 * all its sessions must end with their clients, and neither memory nor descriptors may grow with the number of inputs.
 *
 *	sessions FOLDER INPUTS [SEED [FIRST]]
 *
 * The same seed makes the same inputs. FIRST skips inputs, to come sooner to the one that is named when something
 * breaks: a multiple of GROUP, after which the account is made anew.
 */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/sessions.h"

enum {
	GROUP = 100,			/* inputs with one account */
	QUIET_TURNS = 4,		/* so often nothing moved: all waits for us */
	TURNS_MAX = 100 * 1000,		/* of the loop, for one chunk */
	CPU_SECONDS_MAX = 20,		/* of one input, with sanitizers on a busy machine */
	GROWTH_MAX = 1024 * 1024,	/* octets in use without an account, after the first tenth */
	PEAK_MAX = 512,			/* MB of memory, with sanitizers too */
};

static uint64_t answers;	/* lines */

/* ---- an input ---- */

struct client {
	int fd;			/* -1: not open */
	struct buf unsent;
	bool eof;
};

struct play {
	struct client clients[CONNECTIONS_MAX];
	bool deaf;		/* nothing is read before all has been said */
};

static void
connect_client(struct client *client)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		fatal("no socket: %s", strerror(errno));
	client->fd = ends[0];
	server_connect(ends[1], client);
}

static bool
write_some(struct client *client)
{
	ssize_t n;

	if (client->fd < 0 || client->unsent.n == 0)
		return false;
	n = send(client->fd, client->unsent.p, client->unsent.n, MSG_NOSIGNAL);
	if (n > 0)
		buf_take(&client->unsent, (size_t)n);
	else if (errno != EAGAIN)
		buf_clear(&client->unsent);
	return n > 0;
}

static bool
read_some(struct client *client)
{
	char octets[65536];
	ssize_t n;

	if (client->fd < 0)
		return false;
	n = recv(client->fd, octets, sizeof(octets), 0);
	for (ssize_t i = 0; i < n; i++)
		answers += octets[i] == '\n';
	return n > 0;
}

static bool
move_octets(struct play *play, bool reads)
{
	bool moved = false;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		moved |= write_some(&play->clients[i]);
		if (reads)
			moved |= read_some(&play->clients[i]);
	}
	return moved;
}

/* Until all wait for more. */
static void
settle(struct play *play, bool reads)
{
	size_t turns = 0;

	for (int quiet = 0; quiet < QUIET_TURNS; turns++) {
		server_turn();
		quiet = move_octets(play, reads) ? 0 : quiet + 1;
		if (turns == TURNS_MAX)
			fatal("it does not come to rest");
	}
}

static void
say(struct play *play, const struct chunk *chunk)
{
	struct client *client = &play->clients[chunk->connection];

	if (client->fd < 0)
		connect_client(client);
	if (client->eof)
		return;
	buf_put(&client->unsent, buf_str(&chunk->octets));
	settle(play, !play->deaf);
	if (chunk->kind != CHUNK_EOF)
		return;
	shutdown(client->fd, SHUT_WR);
	client->eof = true;
}

static void
end_all(struct play *play)
{
	settle(play, true);
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		buf_free(&play->clients[i].unsent);
		close_fd(&play->clients[i].fd);
	}
	for (size_t turns = 0; !server_is_alone(); turns++) {
		server_turn();
		if (turns == TURNS_MAX)
			fatal("a session does not end with its client");
	}
}

static void
play_input(const struct conversation *input)
{
	struct play play = { .deaf = below(8) == 0 };

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		play.clients[i].fd = -1;
	for (size_t i = 0; i < input->count; i++)
		say(&play, &input->chunks[i]);
	end_all(&play);
}

/* ---- all of them ---- */

static double
seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

/* Of the heap, exactly. */
static size_t
octets_in_use(void)
{
	if (__sanitizer_get_current_allocated_bytes != NULL)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

/* Of memory, at most, ever. */
static size_t
peak_megabytes(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss >> 10 : 0;
}

/* Those that are open; .what tells of each. */
static size_t
descriptors(struct buf *what)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[300];
	size_t count = 0;
	ssize_t n;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));
		if (n > 0)
			buf_printf(what, "%s%.*s", count++ > 0 ? ", " : "", (int)n, target);
	}
	if (folder != NULL)
		closedir(folder);
	return count;
}

static void
run_one(uint64_t seed, uint64_t number, double *slowest)
{
	/* A hang ends here, with the number of the input in its parent's hands. */
	const struct itimerval limit = { .it_value.tv_sec = CPU_SECONDS_MAX };
	struct conversation input;
	double before = seconds(CLOCK_PROCESS_CPUTIME_ID), took;

	setitimer(ITIMER_PROF, &limit, NULL);
	set_chance(seed, number);
	make_input(&input);
	play_input(&input);
	free_chunks(&input);
	took = seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
	*slowest = took > *slowest ? took : *slowest;
}

static void
run_all(uint64_t seed, uint64_t first, uint64_t count, _Atomic uint64_t *at)
{
	size_t warm = 0, now = 0, open_now, open_before = 0;
	double slowest = 0, began = seconds(CLOCK_MONOTONIC);
	scoped_buf what = BUF_INIT;

	server_start();
	for (uint64_t number = first; number < first + count; number++) {
		*at = number;
		if ((number - first) % GROUP == 0)
			make_account();
		run_one(seed, number, &slowest);
		if ((number - first) % GROUP != GROUP - 1 && number != first + count - 1)
			continue;
		drop_account();
		buf_clear(&what);
		now = octets_in_use();
		open_now = descriptors(&what);
		if (open_before != 0 && open_now > open_before)
			fatal("%zu descriptors are open, there were %zu: %s", open_now, open_before, buf_z(&what));
		open_before = open_now;
		if (number - first < count / 10 || warm == 0)
			warm = now;
		if (now > warm + GROWTH_MAX)
			fatal("%zu octets are in use, there were %zu", now, warm);
		if (peak_megabytes() > PEAK_MAX)
			fatal("%zu MB of memory were needed at once", peak_megabytes());
	}
	printf("%llu inputs from %llu on, seed %llu: %llu sessions, %llu logins, %llu lines of answers; %.0f a second, the slowest "
	    "%.2f s; %zu octets in use after a tenth, %zu at the end; %zu MB at most\n", (unsigned long long)count, (unsigned long long)first,
	    (unsigned long long)seed, (unsigned long long)server_connections(), (unsigned long long)server_logins(), (unsigned long long)answers,
	    (double)count / (seconds(CLOCK_MONOTONIC) - began), slowest, warm, now, peak_megabytes());
	if (server_logins() < count / 2 && count >= GROUP)
		fatal("most inputs do not get to a mailbox");
}

static uint64_t
argument(int argc, char **argv, int n, uint64_t otherwise)
{
	uint64_t number = otherwise;

	if (n < argc && !str_to_u64(str_of(argv[n]), &number))
		fatal("%s is no number", argv[n]);
	return number;
}

const char *__asan_default_options(void);

/* Freed memory that is held back looks like growth. */
const char *
__asan_default_options(void)
{
	return "quarantine_size_mb=8:detect_leaks=0";
}

int
main(int argc, char **argv)
{
	uint64_t count = argument(argc, argv, 2, 3 * GROUP), seed = argument(argc, argv, 3, 1);
	uint64_t first = argument(argc, argv, 4, 0);
	_Atomic uint64_t *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *source = getenv("srcdir");
	scoped_buf folder = BUF_INIT;
	int status;
	pid_t child;

	buf_printf(&folder, "%s/tests/imap", source != NULL ? source : ".");
	read_conversations(argc > 1 ? argv[1] : buf_z(&folder));
	child = fork();
	if (child == 0) {
		run_all(seed, first, count, at);
		exit(0);
	}
	if (at == MAP_FAILED || child < 0 || waitpid(child, &status, 0) != child)
		fatal("no child: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	fprintf(stderr, "input %llu of seed %llu: %s %d\n", (unsigned long long)*at, (unsigned long long)seed,
	    WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return 1;
}
