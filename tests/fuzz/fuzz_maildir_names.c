/* SPDX-License-Identifier: ISC */
/*
 * Names that others chose: a mailbox name, a directory, a file. What is accepted goes to
 * disk and back unchanged, and never has a slash or leads upward.
 */
#include <stdint.h>
#include <stdlib.h>

#include "maildir/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_directory(struct str name)
{
	scoped_buf dir = BUF_INIT, back = BUF_INIT;
	bool canonical;

	layout_put_dir(&dir, name);
	if (str_has_char(buf_str(&dir), '/') || dir.p[0] != '.' ||
	    str_eq(buf_str(&dir), STR("..")) || str_eq(buf_str(&dir), STR(".trivet")))
		abort();
	if (layout_is_inbox(name))
		return;
	if (!layout_name_of_dir(buf_str(&dir), &back, &canonical) || !canonical ||
	    !str_eq(buf_str(&back), name))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = { (const char *)data, size };
	scoped_buf name = BUF_INIT;
	struct file_name file;
	bool canonical;

	if (layout_name(s, &name))
		check_directory(buf_str(&name));
	if (layout_name_of_dir(s, &name, &canonical))
		check_directory(buf_str(&name));
	if (file_name_parse(s, &file) && (file.prefix.n == 0 || file.base.n < file.prefix.n))
		abort();
	return 0;
}
