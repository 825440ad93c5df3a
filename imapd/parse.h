/* SPDX-License-Identifier: ISC */
/*
 * From words to requests. parse_head first; whoever owns the table of commands looks
 * .word up and runs its row's parser, which takes all that is left of the
 * command. PARSED or BAD, never MORE (the command is whole); BAD leaves a sentence in lexer->why.
 * The parsers of APPEND and REPLACE take the "{n}" of the message too, but not its number: that the frame knows.
 *
 *	struct lexer lexer = lexer_of(arena, str_sub(input, 0, frame.consumed));
 *	if (parse_head(&lexer, req) == BAD || row->parse(&lexer, req) == BAD) ... lexer.why
 */
#pragma once

#include "imapd/lexer.h"
#include "imapd/request.h"

typedef enum parse parse_arguments(struct lexer *, struct request *);

/* tag SP ["UID" SP] word. Sets .tag, .by_uid and .word; with BAD .tag may be empty. */
must_check enum parse parse_head(struct lexer *, struct request *);

parse_arguments parse_nothing;		/* CAPABILITY NOOP LOGOUT STARTTLS NAMESPACE IDLE CHECK ... */
parse_arguments parse_login;
parse_arguments parse_authenticate;
parse_arguments parse_id;
parse_arguments parse_enable;
parse_arguments parse_getquota;
parse_arguments parse_compress;
parse_arguments parse_mailbox;		/* DELETE SUBSCRIBE UNSUBSCRIBE GETQUOTAROOT */
parse_arguments parse_select;		/* SELECT EXAMINE */
parse_arguments parse_create;
parse_arguments parse_rename;
parse_arguments parse_status;
parse_arguments parse_list;		/* LIST XLIST */
parse_arguments parse_lsub;
parse_arguments parse_append;
parse_arguments parse_replace;
/* What stands behind a message, .append being that of it: the next one's announcement, or the end. */
parse_arguments parse_append_next;
parse_arguments parse_append_end;
parse_arguments parse_fetch;
parse_arguments parse_store;
parse_arguments parse_copy;		/* COPY MOVE */
parse_arguments parse_expunge;		/* UID EXPUNGE has a set */
parse_arguments parse_search;
parse_arguments parse_sort;
parse_arguments parse_thread;

/* ---- what the parsers share; false leaves lexer->why ---- */

must_check bool take_mailbox(struct lexer *, struct mailbox_name *out);
/* Decodes and canonicalises a name or a pattern as it was sent, modified UTF-7 unless the lexer says .utf8. */
struct mailbox_name mailbox_name_of(const struct lexer *, struct str sent);
must_check bool take_set(struct lexer *, struct sequence_set *out);
/* "(" [flag *(SP flag)] ")" */
must_check bool take_flag_list(struct lexer *, struct flags *out);
/* flag *(SP flag), at least one */
must_check bool take_bare_flags(struct lexer *, struct flags *out);
/* "(" item *(SP item) ")" of STATUS */
must_check bool take_status_items(struct lexer *, unsigned *out);
/* ["RETURN" SP "(" [option *(SP option)] ")" SP]: RFC 4466 2.6.1. Nothing is taken where no RETURN stands. */
must_check bool take_search_return(struct lexer *, struct search_arguments *out);
/* "3:7" or "-3:-7" (RFC 9394 4) */
must_check bool take_partial_range(struct lexer *, struct partial_range *out);
/* charset SP search-key *(SP search-key): the end of SORT and THREAD (RFC 5256 5), and of the command. */
must_check bool take_search_program(struct lexer *, struct search_arguments *out);
/* Quoted or bare dd-Mon-yyyy as days since 1970. */
must_check bool take_date(struct lexer *, int32_t *day);
/* DQUOTE dd-Mon-yyyy hh:mm:ss +zzzz DQUOTE as seconds since 1970. */
must_check bool take_date_time(struct lexer *, int64_t *seconds);
