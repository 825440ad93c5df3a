/* SPDX-License-Identifier: ISC */
/* What a check found, in words: stable ones for programs, sentences for people. */
#include "ctl/mail_work.h"

static const struct {
	const char *word;
	const char *what;
	const char *repair;
} words[] = {
	[FOUND_INDEX_MISSING] = { "index-missing", "there is no index", "it was made from the files" },
	[FOUND_INDEX_DAMAGED] = { "index-damaged", "the index is damaged", "it was made anew from the files" },
	[FOUND_INDEX_ROWS] = { "index-rows", "rows of the index belong to nothing", "they were removed" },
	[FOUND_SEARCH_DAMAGED] = { "search-damaged", "search.db is damaged",
		"it was removed; searching makes it anew" },
	[FOUND_FOLDER_NEW] = { "folder-new", "the index does not know this folder", "it is a mailbox now" },
	[FOUND_FOLDER_GONE] = { "folder-gone", "its folder is gone", "the mailbox was taken off the list" },
	[FOUND_FOLDER_BROKEN] = { "folder-broken", "this part of it cannot be opened", "it was made" },
	[FOUND_CONTROL_MISSING] = { "identity-missing", "trivet-mailbox is not there",
		"it was written from the index" },
	[FOUND_CONTROL_BAD] = { "identity-unreadable", "trivet-mailbox cannot be read",
		"it was written anew from the index" },
	[FOUND_CONTROL_DIFFERS] = { "identity-differs", "trivet-mailbox and the index differ",
		"they say the same now" },
	[FOUND_COUNTS] = { "sum-wrong", "a sum is wrong", "it was counted anew" },
	[FOUND_UID_NEXT] = { "uid-next-wrong", "the next UID is not above all that were given out",
		"it was raised" },
	[FOUND_FILE_MISSING] = { "file-missing", "the message's file is gone",
		"the message was taken off the list" },
	[FOUND_FILE_NEW] = { "file-new", "the file is no message yet", "it was taken in" },
	[FOUND_FILE_UNFINISHED] = { "file-unfinished", "the message's file is not in its place",
		"it was put there" },
	[FOUND_FILE_LEFT] = { "file-left", "the file of an expunged message is still there", "it was removed" },
	[FOUND_FILE_SIZE] = { "size-wrong", "the file has not the size that its name says",
		"what it has was taken in as a new message" },
	[FOUND_FILE_WIRE] = { "wire-size-wrong", "the message has not the size that clients are told",
		"it was taken in as a new message" },
	[FOUND_FILE_UID] = { "uid-differs", "the file's name says another UID",
		"it was taken in as a new message" },
	[FOUND_FILE_FLAGS] = { "flags-differ", "the file's name says other flags", "name and flags agree now" },
	[FOUND_FILE_FOREIGN] = { "not-a-message", "it can be no message", "it is a message now" },
	[FOUND_FILE_OLD] = { "file-abandoned", "a file that nobody finished writing", "it was removed" },
	[FOUND_NOT_OURS] = { "not-ours", "not Trivet's, and left alone", "it is gone" },
};
_Static_assert(countof(words) == FOUND_KINDS, "each finding has its words");

const char *
mail_finding_word(enum finding_kind kind)
{
	return words[kind].word;
}

const char *
mail_repair_words(enum finding_kind kind)
{
	return words[kind].repair;
}

void
mail_put_finding(struct buf *out, const struct finding *f)
{
	if (f->mailbox.n > 0) {
		buf_put(out, f->mailbox);
		buf_put_z(out, ": ");
	}
	if (f->uid != 0)
		buf_printf(out, "UID %u: ", f->uid);
	buf_put_z(out, words[f->kind].what);
	if (f->kind == FOUND_INDEX_ROWS)
		buf_printf(out, " (%llu)", (unsigned long long)f->is);
	else if (f->is != f->should)
		buf_printf(out, " (%llu, not %llu)", (unsigned long long)f->is, (unsigned long long)f->should);
	if (f->detail.n > 0)
		buf_printf(out, ": %.*s", STR_ARG(f->detail));
	if (f->file.n > 0)
		buf_printf(out, " [%.*s]", STR_ARG(f->file));
}

const char *
mail_result_words(enum store_result r)
{
	switch (r) {
	case STORE_FULL:
		return "the disk is full";
	case STORE_BUSY:
		return "somebody else is working on it, or there is too little room to work; try again";
	case STORE_OVER_QUOTA:
		return "the account is full";
	case STORE_READ_ONLY:
		return "it can only be read";
	case STORE_NO_SUCH:
		return "there is no such mailbox";
	case STORE_OK:
	case STORE_EXISTS:
	case STORE_BAD_NAME:
	case STORE_NOT_ALLOWED:
	case STORE_TOO_LARGE:
	case STORE_GONE:
	case STORE_BROKEN:
		break;
	}
	return "that failed; the lines above say how";
}
