/* SPDX-License-Identifier: ISC */
/*
 * A process that is not ours: does to the files what mutt, mbsync, rsync or an old MDA do, without
 * asking anybody. Its answer says what it managed to do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "maildir/layout.h"
#include "tests/model/model.h"

static int root;
static uint32_t serial;

static int
open_sub(const char *mailbox, const char *sub)
{
	scoped_buf path = BUF_INIT;

	layout_put_dir(&path, str_of(mailbox));
	buf_printf(&path, "/%s", sub);
	return openat(root, buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The name of the file that says this UID. */
static bool
find_uid(int dir, uint32_t uid, struct buf *name, struct file_name *parsed)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	bool found = false;

	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		found = file_name_parse(str_of(e->d_name), parsed) && parsed->has_uid && parsed->uid == uid &&
		    !str_starts(parsed->prefix, STR("torn"));
		if (found) {
			buf_put_z(name, e->d_name);
			found = file_name_parse(buf_str(name), parsed);
		}
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* Letters are turned round; as mutt writes them, in no order of ours. */
static void
turn_letters(struct str before, const char *turned, struct buf *out)
{
	for (size_t i = 0; i < before.n; i++)
		if (!str_has_char(str_of(turned), before.p[i]))
			buf_put_c(out, before.p[i]);
	for (size_t i = strlen(turned); i-- > 0;)
		if (!str_has_char(before, turned[i]))
			buf_put_c(out, turned[i]);
}

static void
note_letters(struct answer *a, struct str was, struct str is)
{
	a->flags_on = letters_flags(is) & ~letters_flags(was);
	a->flags_off = letters_flags(was) & ~letters_flags(is);
	a->words_on = str_has_char(is, 'P') && !str_has_char(was, 'P');
	a->words_off = !str_has_char(is, 'P') && str_has_char(was, 'P');
}

static void
rename_flags(const struct op *op, struct answer *a, int cur, const struct buf *name, const struct file_name *parsed)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT, letters = BUF_INIT;
	struct str is;

	turn_letters(parsed->letters, op->letters, &letters);
	is = buf_str(&letters);
	buf_put(&from, buf_str(name));
	file_name_put(&to, parsed->base, is);
	a->done = renameat(cur, buf_z(&from), cur, buf_z(&to)) == 0;
	note_letters(a, parsed->letters, is);
}

static bool
write_mail(int dir, const char *name, uint32_t mail, bool lf, bool cut)
{
	scoped_buf text = BUF_INIT;
	struct timespec times[2] = { { .tv_sec = content_date(mail) }, { .tv_sec = content_date(mail) } };
	scoped_fd fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	content_put(&text, mail, lf);
	if (cut)
		buf_cut(&text, text.n / 2);
	return fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && futimens(fd, times) == 0;
}

/* tmp/ first, as a Maildir writer does. */
static void
add_file(const struct op *op, struct answer *a)
{
	scoped_buf name = BUF_INIT, final = BUF_INIT, size = BUF_INIT;
	scoped_fd tmp = open_sub(op->name, "tmp");
	scoped_fd to = open_sub(op->name, op->kind == OUT_ADD_NEW ? "new" : "cur");
	bool torn = op->kind == OUT_TORN;

	buf_printf(&name, "%s17%08u.M%uP%d.else.where", torn ? "torn" : "", serial++, op->mail, (int)getpid());
	content_put(&size, op->mail, op->lf);
	buf_put(&final, buf_str(&name));
	if (torn)
		buf_printf(&final, ",S=%zu,W=%zu", size.n, size.n);
	else if (op->count > 0)		/* sizes that another server may have written, and its UID */
		buf_printf(&final, "%s,U=%u", op->flags & FLAG_DRAFT ? "" : ",W=7", op->uids[0]);
	if (op->kind != OUT_ADD_NEW) {
		buf_put_z(&final, ":2,");
		letters_put_flags(&final, op->flags);
	}
	if (tmp < 0 || to < 0 || !write_mail(tmp, buf_z(&name), op->mail, op->lf, torn))
		return;
	a->done = renameat(tmp, buf_z(&name), to, buf_z(&final)) == 0;
}

static bool
copy_file(int from_dir, const char *from, int to_dir, const char *to)
{
	scoped_fd in = openat(from_dir, from, O_RDONLY | O_CLOEXEC);
	scoped_fd out = in < 0 ? -1 : openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct timespec times[2];
	char bytes[4096];
	struct stat st;
	ssize_t n;

	if (out < 0 || fstat(in, &st) != 0)
		return false;
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			return false;
	times[0] = times[1] = st.st_mtim;
	return futimens(out, times) == 0;
}

/* cp of a message into new/: another message, though its name says the same UID. */
static void
double_file(const struct op *op, struct answer *a, int cur, const struct buf *name)
{
	scoped_fd new = open_sub(op->name, "new"), tmp = open_sub(op->name, "tmp");
	scoped_buf from = BUF_INIT, to = BUF_INIT;
	struct file_name parsed;

	buf_put(&from, buf_str(name));
	if (!file_name_parse(buf_str(&from), &parsed) || new < 0 || tmp < 0)
		return;
	buf_put(&to, parsed.base);
	if (!copy_file(cur, buf_z(&from), tmp, buf_z(&to)))
		return;
	a->done = renameat(tmp, buf_z(&to), new, buf_z(&to)) == 0;
}

/* A backup that is put back beside what is there: the same file with the flags it had then. */
static void
twin_file(const struct op *op, struct answer *a, int cur, const struct buf *name, const struct file_name *parsed)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT, letters = BUF_INIT;

	turn_letters(parsed->letters, op->letters, &letters);
	buf_put(&from, buf_str(name));
	file_name_put(&to, parsed->base, buf_str(&letters));
	a->done = copy_file(cur, buf_z(&from), cur, buf_z(&to));
}

static void
carry_file(const struct op *op, struct answer *a, int cur, const struct buf *name)
{
	scoped_fd to = open_sub(op->to, "cur");
	scoped_buf from = BUF_INIT;
	struct file_name parsed;

	buf_put(&from, buf_str(name));
	if (to < 0 || !file_name_parse(buf_str(&from), &parsed))
		return;
	a->done = renameat(cur, buf_z(&from), to, buf_z(&from)) == 0;
	a->flags_on = letters_flags(parsed.letters);
	a->words_on = str_has_char(parsed.letters, 'P');
}

/* mbsync puts its own number in the name. */
static void
rename_file(const struct op *op, struct answer *a, int cur, const struct buf *name, const struct file_name *parsed)
{
	scoped_buf from = BUF_INIT, to = BUF_INIT, letters = BUF_INIT;

	buf_put(&from, buf_str(name));
	buf_put(&to, parsed->prefix);
	if (op->to[0] != '\0')
		buf_printf(&to, ",U=%u", op->trace);
	turn_letters(parsed->letters, op->letters, &letters);
	buf_printf(&to, ":2,%.*s", STR_ARG(buf_str(&letters)));
	a->done = renameat(cur, buf_z(&from), cur, buf_z(&to)) == 0;
	note_letters(a, parsed->letters, buf_str(&letters));
}

static void
touch_message(const struct op *op, struct answer *a)
{
	scoped_buf name = BUF_INIT;
	struct file_name parsed;
	scoped_fd cur = open_sub(op->name, "cur"), new = open_sub(op->name, "new");

	if (cur < 0 || new < 0 || !find_uid(cur, op->uids[0], &name, &parsed))
		return;
	if (op->kind == OUT_FLAGS)
		rename_flags(op, a, cur, &name, &parsed);
	else if (op->kind == OUT_REMOVE)
		a->done = unlinkat(cur, buf_z(&name), 0) == 0;
	else if (op->kind == OUT_DOUBLE)
		double_file(op, a, cur, &name);
	else if (op->kind == OUT_TWIN)
		twin_file(op, a, cur, &name, &parsed);
	else if (op->kind == OUT_CARRY)
		carry_file(op, a, cur, &name);
	else if (op->kind == OUT_RENAME)
		rename_file(op, a, cur, &name, &parsed);
	else
		a->done = renameat(cur, buf_z(&name), new, buf_z(&name)) == 0;
}

void
outsider_run(const char *path, int fd)
{
	struct op op;
	static struct answer a;

	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (op_receive(fd, &op)) {
		memset(&a, 0, sizeof(a));
		if (op.kind == OUT_ADD_NEW || op.kind == OUT_ADD_CUR || op.kind == OUT_TORN)
			add_file(&op, &a);
		else
			touch_message(&op, &a);
		answer_send(fd, &a);
	}
	exit(0);
}
