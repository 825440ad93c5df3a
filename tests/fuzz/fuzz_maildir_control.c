/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as a folder's trivet-mailbox: refused, or read, and what is written of it then reads as the same. Also as
 * the keywords of the index, and as letters of a name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "maildir/control.h"

static char folder[] = "/tmp/trivet-fuzz-XXXXXX";
static char folder_in_memory[] = "/dev/shm/trivet-fuzz-XXXXXX";
static const char *folder_made;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
remove_folder(void)
{
	scoped_buf path = BUF_INIT;

	buf_printf(&path, "%s/trivet-mailbox", folder_made);
	unlink(buf_z(&path));
	rmdir(folder_made);
}

static void
log_nothing(struct str line)
{
	(void)line;
}

static int
open_folder(void)
{
	log_set_sink(log_nothing);
	folder_made = mkdtemp(folder_in_memory);
	if (folder_made == NULL)
		folder_made = mkdtemp(folder);
	if (folder_made == NULL)
		fatal("cannot make a folder");
	atexit(remove_folder);
	return open(folder_made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
write_file(int dir, struct str text)
{
	scoped_fd fd = openat(dir, "trivet-mailbox", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		fatal("cannot write");
}

static void
check_same(const struct control *a, const struct control *b)
{
	scoped_buf keywords_a = BUF_INIT;
	scoped_buf keywords_b = BUF_INIT;

	keywords_put(&keywords_a, &a->keywords);
	keywords_put(&keywords_b, &b->keywords);
	if (a->uidvalidity != b->uidvalidity || a->uid_reserve != b->uid_reserve ||
	    a->modseq_reserve != b->modseq_reserve || memcmp(a->id, b->id, sizeof(a->id)) != 0 ||
	    a->special_use != b->special_use || a->subscribed != b->subscribed ||
	    !str_eq(buf_str(&keywords_a), buf_str(&keywords_b)) ||
	    !str_eq(buf_str(&a->subscribed_names), buf_str(&b->subscribed_names)))
		fatal("a mailbox file does not read as it was written");
}

static void
check_keywords(struct str text)
{
	struct keywords k = { .count = 0 };
	scoped_buf letters = BUF_INIT;
	uint64_t bits;

	keywords_parse(&k, text);
	bits = keywords_bits(&k, text);
	keywords_put_letters(&letters, &k, bits);
	if (keywords_bits(&k, buf_str(&letters)) != bits || k.count > KEYWORDS_MAX)
		fatal("letters do not stay what they are");
	keywords_free(&k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int dir = -1;
	struct str text = { (const char *)data, size };
	scoped_control first = { 0 };
	scoped_control second = { 0 };

	if (dir < 0)
		dir = open_folder();
	check_keywords(text);
	write_file(dir, text);
	if (control_read(NULL, dir, &first) != STORE_OK)
		return 0;
	if (control_write(NULL, dir, &first) != STORE_OK ||
	    control_read(NULL, dir, &second) != STORE_OK)
		fatal("what was read cannot be written and read again");
	check_same(&first, &second);
	return 0;
}
