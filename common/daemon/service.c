/* SPDX-License-Identifier: ISC */
/*
 * main() of the three daemons: settings, the pid file, the ports, then master. Called by trivet(8),
 * a supervisor or a person; stays in the foreground.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/daemon/master.h"
#include "common/daemon/sandbox.h"
#include "common/daemon/title.h"
#include "common/net/tls.h"

enum { DESCRIPTORS_WANTED = 65536, PID_TEXT = 32 };

/* The end of `trivet start`'s pipe, from the environment. */
static int
take_ready_fd(void)
{
	const char *text = getenv("TRIVET_READY_FD");
	uint32_t fd;

	if (text == NULL || !str_to_u32(str_of(text), &fd) || fcntl((int)fd, F_GETFD) < 0)
		return -1;
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	unsetenv("TRIVET_READY_FD");
	return (int)fd;
}

_Noreturn static void
refuse(const struct master *m, const char *name, const char *why)
{
	if (m->ready_fd >= 0)
		dprintf(m->ready_fd, "%s: %s\n", name, why);
	fprintf(stderr, "%s: %s\n", name, why);
	exit(1);
}

printf_like(3, 4) _Noreturn static void
refuse_with(const struct master *m, const char *name, const char *format, ...)
{
	scoped_buf why = BUF_INIT;
	va_list args;

	va_start(args, format);
	buf_vprintf(&why, format, args);
	va_end(args);
	refuse(m, name, buf_z(&why));
}

/* Who holds the lock may be just about to write its number over an old one. */
static void
read_earlier(int fd, char earlier[PID_TEXT])
{
	uint32_t pid;

	for (int i = 0; i < 50; i++) {
		ssize_t n = pread(fd, earlier, PID_TEXT - 1, 0);

		earlier[n > 0 ? n : 0] = '\0';
		earlier[strcspn(earlier, "\n")] = '\0';
		if (str_to_u32(str_of(earlier), &pid) && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
			return;
		usleep(10000);
	}
}

/* Held by master alone, as long as it lives: a lock that is there means a daemon that runs. */
static void
write_pid_file(struct master *m)
{
	scoped_buf path = BUF_INIT;
	char earlier[PID_TEXT] = "";
	int fd;

	if (mkdir(m->settings->run_dir, 0755) != 0 && errno != EEXIST)
		refuse_with(m, m->service->name, "cannot make the folder %s (setting run_dir in %s): %s",
		    m->settings->run_dir, m->settings->config_path, strerror(errno));
	buf_printf(&path, "%s/%s.pid", m->settings->run_dir, m->service->name);
	fd = open(buf_z(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		refuse_with(m, m->service->name, "cannot open %s (setting run_dir in %s): %s",
		    buf_z(&path), m->settings->config_path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		read_earlier(fd, earlier);
		refuse_with(m, m->service->name, "is already running for %s, process %s",
		    m->settings->config_path, earlier);
	}
	if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		refuse_with(m, m->service->name, "cannot write %s: %s", buf_z(&path),
		    strerror(errno));
	m->pid_fd = fd;
}

/* Whom the others become, when root started us. */
static void
find_user(struct master *m)
{
	const char *name = m->settings->user[0] ? m->settings->user : "trivet";
	const struct passwd *pw;

	m->uid = (uid_t)-1;
	m->gid = (gid_t)-1;
	if (geteuid() != 0 || strcmp(name, "root") == 0)
		return;
	pw = getpwnam(name);
	if (pw == NULL)
		refuse_with(m, m->service->name,
		    "there is no user %s (setting user in %s): make it with "
		    "'useradd --system %s', or name another one", name,
		    m->settings->config_path, name);
	m->uid = pw->pw_uid;
	m->gid = pw->pw_gid;
}

static void
raise_descriptor_limit(void)
{
	struct rlimit limit;
	struct rlimit wanted = { DESCRIPTORS_WANTED, DESCRIPTORS_WANTED };

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max >= DESCRIPTORS_WANTED)
		wanted.rlim_max = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn(NULL, "descriptors.limit", KV("errno", errno));
}

static unsigned
fronts_wanted(const struct settings *settings)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (settings->processes > 0)
		return settings->processes;
	return cores > 0 ? (unsigned)cores : 1;
}

void
master_count_roles(struct master *m)
{
	unsigned cores = fronts_wanted(m->settings);

	m->roles[ROLE_RECORDER].count = 1;
	m->roles[ROLE_FRONT].count = cores;
	m->roles[ROLE_AUTH].count = 1;
	m->roles[ROLE_AUTH_HASH].count = cores;
	m->roles[ROLE_AUTH_PAM].count = m->settings->pam_service[0] ? 1 : 0;
	m->roles[ROLE_SIGNER].count = m->settings->tls_certificate[0] ? cores : 0;
	m->roles[ROLE_QUEUE].count = m->service->queue_start ? 1 : 0;
	m->roles[ROLE_COURIER].count = m->service->courier_start ? 1 : 0;
	m->roles[ROLE_SYNCER].count = m->service->syncers;
	m->roles[ROLE_NURSERY].count = 1;
}

static const char *
parse_arguments(const struct master *m, int argc, char **argv)
{
	enum { NO_SANDBOX = 256, LANDLOCK_ABI, ESCAPES };
	static const struct option rows[] = {
		{ .name = "no-sandbox", .val = NO_SANDBOX },
		{ .name = "landlock-abi", .has_arg = required_argument, .val = LANDLOCK_ABI },
		{ .name = "escape-attempts", .val = ESCAPES },
		{ 0 },
	};
	struct sandbox_options sandbox = { 0 };
	const char *config = NULL;
	uint32_t abi = 0;
	int option;

	while ((option = getopt_long(argc, argv, "c:", rows, NULL)) != -1) {
		if (option == 'c')
			config = optarg;
		else if (option == NO_SANDBOX)
			sandbox.off = true;
		else if (option == ESCAPES)
			sandbox.escapes = true;
		else if (option != LANDLOCK_ABI || !str_to_u32(str_of(optarg), &abi) || abi == 0)
			refuse(m, m->service->name, "usage: -c CONFIG; see trivet(8)");
	}
	sandbox.landlock_most = abi;
	sandbox_set(&sandbox);
	if (optind < argc)
		refuse_with(m, m->service->name, "what is '%s'? usage: -c CONFIG; see trivet(8)",
		    argv[optind]);
	return config;
}

/* Until the recorder runs our own lines go to the file directly. */
static void
open_log_pipe(struct master *m, int log)
{
	int ends[2];

	if (!recorder_pipe(ends))
		refuse_with(m, m->service->name, "cannot make a pipe: %s", strerror(errno));
	m->files = (struct recorder_files){ .pipe = ends[0], .log = log >= 0 ? log : STDERR_FILENO };
	m->log_pipe = ends[1];
	recorder_use(m->files.log);
}

int
service_main(const struct service *service, int argc, char **argv)
{
	struct master *m = xcalloc(1, sizeof(*m));
	const char *config;
	char *why;
	int log;

	m->service = service;
	m->pid_fd = -1;
	m->ready_fd = take_ready_fd();
	log_set_name(service->name, role_name(ROLE_MASTER));
	config = parse_arguments(m, argc, argv);
	m->settings = settings_read(config, &why);
	if (m->settings == NULL)
		refuse(m, service->name, why);
	title_init(argc, argv);
	umask(0027);
	if (m->settings->test_clock[0] && !clock_turn_by_file(m->settings->test_clock))
		refuse_with(m, service->name, "cannot map %s (setting test_clock in %s): %s",
		    m->settings->test_clock, m->settings->config_path, strerror(errno));
	find_user(m);
	write_pid_file(m);
	log = recorder_open_log(m->settings);
	if (log < 0 && m->settings->log_file[0])
		refuse_with(m, service->name, "cannot open %s (setting log_file in %s): %s",
		    m->settings->log_file, m->settings->config_path, strerror(errno));
	open_log_pipe(m, log);
	raise_descriptor_limit();
	m->doors = doors_bind(service, m->settings, NULL, 0, &m->door_count, &why);
	if (m->doors == NULL)
		refuse(m, service->name, why);
	master_count_roles(m);
	owners_find(m, m->settings->user[0] ? m->settings->user : "trivet");
	owners_give(m);
	tls_prepare();
	master_run(m);
}
