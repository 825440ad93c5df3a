/* SPDX-License-Identifier: ISC */
/*
 * Two streams joined. Each side's output is filled only up to its high-water mark, so a pump holds a
 * bounded number of bytes however slow one side is. The keeper's end is the end: what it
 * said last is still brought to the client. The client's end is told to the keeper,
 * whose answers still come.
 */
#include "common/net/pump.h"

#include <stdlib.h>

enum { LAST_BYTES_MS = 60 * 1000 };	/* a side that neither takes nor says anything at the end */

struct pump {
	struct stream *client, *keeper;
	loop_call *ended;
	void *context;
	bool client_ended, keeper_ended;
};

static void
end(struct pump *p)
{
	loop_call *ended = p->ended;
	void *context = p->context;

	stream_finish(p->client);
	stream_finish(p->keeper);
	free(p);
	ended(context);
}

/* An empty output takes the whole input over without a copy. */
static void
take_over(struct buf *in, struct buf *out)
{
	struct buf spare = *out;

	if (out->n > 0) {
		buf_put(out, buf_str(in));
		buf_clear(in);
		return;
	}
	*out = *in;
	*in = spare;
}

static void
move(struct stream *from, struct stream *to)
{
	if (!stream_is_full(to) && stream_input(from)->n > 0) {
		take_over(stream_input(from), stream_output(to));
		stream_flush(to);
	}
	if (stream_is_full(to))
		stream_pause(from);
	else
		stream_resume(from);
}

/* Nothing more will come from the keeper: over, when the client has taken all. */
static void
end_if_all_is_said(struct pump *p)
{
	if (stream_input(p->keeper)->n == 0 && stream_output(p->client)->n == 0) {
		end(p);
		return;
	}
	stream_set_idle_ms(p->client, LAST_BYTES_MS);
}

static void
tell_end_to_keeper(struct pump *p)
{
	if (stream_input(p->client)->n > 0)
		return;
	stream_shut_output(p->keeper);
	stream_set_idle_ms(p->keeper, LAST_BYTES_MS);
}

static void
carry(struct pump *p, struct stream *from, struct stream *to)
{
	if (p->keeper_ended) {
		move(p->keeper, p->client);
		buf_free(stream_input(p->client));	/* nobody is there to hear it */
		end_if_all_is_said(p);
		return;
	}
	move(from, to);
	if (p->client_ended && from == p->client)
		tell_end_to_keeper(p);
}

static void
on_event(void *context, struct stream *stream, enum stream_event event)
{
	struct pump *p = context;
	struct stream *other = stream == p->client ? p->keeper : p->client;

	switch (event) {
	case STREAM_INPUT:
		carry(p, stream, other);
		break;
	case STREAM_DRAINED:
		carry(p, other, stream);
		break;
	case STREAM_EOF:
		if (stream == p->client)
			p->client_ended = true;
		else
			p->keeper_ended = true;
		carry(p, stream, other);
		break;
	case STREAM_BROKEN:
		/* A keeper that left with input unread breaks the connection; its words before count. */
		if (stream == p->keeper) {
			p->keeper_ended = true;
			carry(p, stream, other);
			break;
		}
		end(p);
		break;
	case STREAM_IDLE:
		end(p);
		break;
	case STREAM_SECURE:
		break;
	}
}

struct pump *
pump_new(struct stream *client, struct stream *keeper, loop_call *ended, void *context)
{
	struct pump *p = xcalloc(1, sizeof(*p));

	p->client = client;
	p->keeper = keeper;
	p->ended = ended;
	p->context = context;
	stream_set_handler(client, on_event, p);
	stream_set_handler(keeper, on_event, p);
	stream_set_idle_ms(client, 0);
	stream_set_idle_ms(keeper, 0);
	stream_set_input_limit(client, STREAM_INPUT_LIMIT);
	stream_set_input_limit(keeper, STREAM_INPUT_LIMIT);
	stream_resume(client);
	stream_resume(keeper);
	/* What came before the join waits in the inputs. */
	stream_poke(client);
	stream_poke(keeper);
	return p;
}

void
pump_free(struct pump *p)
{
	if (p == NULL)
		return;
	stream_free(p->client);
	stream_free(p->keeper);
	free(p);
}
