/* SPDX-License-Identifier: ISC */
/* The account as a whole: rows that belong to nothing, search.db, and the folders in its directory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maildir/check.h"
#include "maildir/index_vfs.h"

/* ---- the index itself ---- */

/* Each row has its other half. What has none is known to nobody. */
static const struct {
	const char *count;
	const char *drop;
} stray[] = {
#define STRAY(table, condition) { "SELECT count(*) FROM " table " WHERE " condition, \
	"DELETE FROM " table " WHERE " condition }
	STRAY("messages", "key >> 32 NOT IN (SELECT number FROM mailboxes) OR mailbox != key >> 32"),
	STRAY("messages", "key NOT IN (SELECT key FROM files)"),
	STRAY("files", "key NOT IN (SELECT key FROM messages)"),
	STRAY("texts", "key NOT IN (SELECT key FROM messages)"),
	STRAY("headers", "key NOT IN (SELECT key FROM messages)"),
	STRAY("made", "key NOT IN (SELECT key FROM messages)"),
	STRAY("expunged", "mailbox NOT IN (SELECT number FROM mailboxes)"),
#undef STRAY
};

static enum store_result
count_stray(struct check *c, uint64_t *out)
{
	enum store_result r = STORE_OK;

	*out = 0;
	for (size_t i = 0; r == STORE_OK && i < countof(stray); i++) {
		sqlite3_stmt *q = check_ask(c, stray[i].count, BIND());

		if (index_row(c->a, q))
			*out += (uint64_t)sqlite3_column_int64(q, 0);
		r = check_end(c, q);
	}
	return r;
}

static enum store_result
drop_stray(struct check *c)
{
	enum store_result r = txn_begin(c->a);

	if (r != STORE_OK)
		return r;
	for (size_t i = 0; r == STORE_OK && i < countof(stray); i++)
		r = check_do(c, stray[i].drop, BIND());
	/* They went without a modseq. */
	if (r == STORE_OK)
		r = snapshot_files_drop(c->a);
	return txn_end(c->a, r);
}

/* Opened here alone: the account's own would throw away what is damaged. */
static bool
search_is_whole(struct check *c, struct buf *why)
{
	scoped_buf path = BUF_INIT;
	sqlite3_stmt *q = NULL;
	sqlite3 *db = NULL;
	bool ok = false;
	int code, one = 1;

	index_vfs_put_path(&path, c->a->dir, "search.db");
	code = sqlite3_open_v2(buf_z(&path), &db, SQLITE_OPEN_READWRITE, NULL);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, INDEX_BUSY_MS);
		sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &one);
		code = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &q, NULL);
	}
	if (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
		struct str text = index_text(q, 0);

		ok = str_eq(text, STR("ok"));
		buf_put(why, text);
	} else {
		code = sqlite3_errcode(db);
		ok = (code & 0xff) == SQLITE_BUSY;
		buf_put_z(why, sqlite3_errmsg(db));
	}
	sqlite3_finalize(q);
	sqlite3_close(db);
	return ok;
}

static void
check_search(struct check *c)
{
	static const char *const files[] = { "search.db", "search.db-wal", "search.db-shm" };
	struct finding one = { .kind = FOUND_SEARCH_DAMAGED };
	scoped_buf why = BUF_INIT;
	uint64_t size;
	int64_t mtime;

	if (!files_stat(c->a->ours, files[0], &size, &mtime) || search_is_whole(c, &why))
		return;
	one.detail = buf_str(&why);
	for (size_t i = 0; c->o->repair && i < countof(files); i++)
		one.repaired = unlinkat(c->a->ours, files[i], 0) == 0 || one.repaired;
	check_tell(c, &one);
}

enum store_result
check_index(struct check *c, bool *usable)
{
	struct finding one = { .kind = FOUND_INDEX_ROWS };
	enum store_result r = count_stray(c, &one.is);

	*usable = r == STORE_OK;
	if (r == STORE_OK && one.is > 0) {
		if (c->o->repair)
			r = drop_stray(c);
		one.repaired = c->o->repair && r == STORE_OK;
		check_tell(c, &one);
	}
	if (r == STORE_OK)
		check_search(c);
	return r;
}

/* ---- folders ---- */

struct root {
	struct check *c;
	struct findings found;
	bool later;	/* the directory has changed since the rows and it agreed */
};

static bool
is_of_ours(struct str name)
{
	static const struct str known[] = { { "cur", 3 }, { "new", 3 }, { "tmp", 3 },
	    { "trivet-mailbox", 14 }, { ".trivet", 7 }, { "trivet-deleted", 14 } };

	for (size_t i = 0; i < countof(known); i++)
		if (str_eq(name, known[i]))
			return true;
	return false;
}

static bool
see_root(void *arg, struct str name)
{
	struct root *root = arg;
	scoped_buf mailbox = BUF_INIT;
	scoped_box box = BOX_NONE;
	struct finding one = { .kind = FOUND_NOT_OURS, .file = name };
	struct stat st;
	bool canonical;

	if (is_of_ours(name) || fstatat(root->c->a->dir, name.p, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return true;
	if (root->c->kept && (str_starts(name, STR("arriving-")) || str_starts(name, STR("deleting-"))))
		return true;
	if (S_ISDIR(st.st_mode) && layout_name_of_dir(name, &mailbox, &canonical)) {
		if (canonical && box_find(root->c->a, buf_str(&mailbox), &box) == STORE_OK)
			return true;
		one.kind = FOUND_FOLDER_NEW;
		one.mailbox = buf_str(&mailbox);
		one.later = root->later;
	}
	findings_add(&root->found, &one);
	return true;
}

static enum store_result
look_at_root(struct check *c, struct findings *out)
{
	struct root root = { .c = c };
	int64_t known;
	enum store_result r = state_get(c->a, "root_mtime", &known);

	root.later = known != files_mtime_ns(c->a->dir);
	if (r == STORE_OK && !files_list(c->a->dir, see_root, &root))
		r = files_failed(&c->a->log, "list", STR("."));
	*out = root.found;
	return r;
}

/* What a repair makes of new folders it makes before: they are mailboxes to be looked at then. */
enum store_result
check_tree(struct check *c)
{
	scoped_findings found = { 0 };
	enum store_result r = look_at_root(c, &found);
	bool any = false;

	for (size_t i = 0; i < found.count; i++)
		any |= found.all[i].kind == FOUND_FOLDER_NEW;
	for (int look = 1; r == STORE_OK && any && look < LOOKS && check_has_company(c); look++) {
		scoped_findings again = { 0 };

		usleep(LOOK_AGAIN_MS * 1000);
		r = look_at_root(c, &again);
		findings_keep_common(&found, &again);
	}
	if (r == STORE_OK && any && c->o->repair)
		r = tree_sync(c->a);
	for (size_t i = 0; r == STORE_OK && i < found.count; i++) {
		scoped_box box = BOX_NONE;
		struct finding *one = &found.all[i];

		one->repaired = c->o->repair && one->kind == FOUND_FOLDER_NEW &&
		    box_find(c->a, one->mailbox, &box) == STORE_OK;
		check_tell(c, one);
	}
	return r;
}
