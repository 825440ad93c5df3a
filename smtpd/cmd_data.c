/* SPDX-License-Identifier: ISC */
/*
 * DATA: RFC 5321 4.1.1.4. Bytes go to the queue as they come; a message that turns out bad is given up
 * at once, read to its true end and refused there. 250 is the queue's word alone; once the last dot was
 * read the client may go, its message stays.
 */
#include "smtpd/smtpd.h"

#include "common/base/clock.h"
#include "common/mime/header.h"
#include "common/mime/word.h"
#include "smtpd/received.h"

static enum next run_receive_data(struct session *);
static enum next run_await_submit(struct session *);

static const struct step receive_data = { .name = "receive_data", .run = run_receive_data };
static const struct step await_submit = {
	.name = "await_submit", .run = run_await_submit, .ours = true, .outlives_client = true
};

static void begin_submission(struct session *);
static void put_trace(struct session *);
static void on_drained(void *context, struct submission *);
static void on_submitted(void *context, enum submit_result);
static void take_data(struct session *);
static enum next end_data(struct session *);

enum next
cmd_data(struct session *s)
{
	s->data.trace = s->mail.trace;
	begin_submission(s);
	put_trace(s);
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	s->step = &receive_data;
	return GO;
}

static enum credential_kind
credential_of(enum trust trust)
{
	switch (trust) {
	case TRUST_ACCOUNT:
		return CREDENTIAL_ACCOUNT;
	case TRUST_NETWORK:
		return CREDENTIAL_NETWORK;
	case TRUST_STRANGER:
		break;
	}
	return CREDENTIAL_NONE;
}

static void
begin_submission(struct session *s)
{
	struct envelope envelope = {
		.sender = s->mail.sender, .recipients = s->mail.recipients,
		.count = s->mail.count, .eight_bit = s->mail.eight_bit, .size = s->mail.size,
	};
	struct credential credential = {
		.kind = credential_of(session_trust(s)), .account = buf_str(&s->account),
		.peer = buf_str(&s->peer_text),
	};
	struct submit_options options = {
		.trace = s->data.trace, .sid = buf_str(&s->sid), .hello = buf_str(&s->hello),
	};

	s->data.submission = submit_begin(s->process, &envelope, &credential, &options,
	    on_drained, s);
}

/* Our field on top; at submission also what RFC 6409 8 lets us mend: line ends, Date, Message-ID. */
static void
put_trace(struct session *s)
{
	struct received received = {
		.hello = buf_str(&s->hello), .extended = s->extended,
		.secure = stream_is_secure(s->stream), .tls = stream_tls_info(s->stream),
		.logged_in = s->account.n > 0, .peer = &s->peer,
		.hostname = session_hostname(s), .trace = s->data.trace, .now = clock_now(),
		.recipient = s->mail.count == 1 ? s->mail.recipients[0].given : STR_EMPTY,
	};
	scoped_buf text = BUF_INIT;

	received_put(&text, &received);
	submit_write(s->data.submission, buf_str(&text));
	if (s->purpose != PURPOSE_SUBMISSION)
		return;
	s->data.dots.mend = true;
	buf_clear(&text);
	received_put_date(&text, received.now);
	s->data.head.add_date = arena_str(s->mail_arena, buf_str(&text));
	buf_clear(&text);
	received_put_message_id(&text, s->data.trace, received.hostname);
	s->data.head.add_message_id = arena_str(s->mail_arena, buf_str(&text));
}

static void
on_drained(void *context, struct submission *submission)
{
	struct session *s = context;

	(void)submission;
	if (s->stream != NULL)
		stream_poke(s->stream);
}

static enum next
run_receive_data(struct session *s)
{
	if (s->closing)
		return reply_goodbye(s, "4.3.2", "The server is going down, try again later");
	if (s->data.submission != NULL && submit_is_full(s->data.submission)) {
		session_be_patient(s);
		return WAIT;
	}
	take_data(s);
	if (dots_at_end(&s->data.dots))
		return end_data(s);
	/* Without the end there is no message (RFC 5321 4.1.1.4). */
	return s->eof ? END : WAIT;
}

/* What came for the message; what there is to pass on goes to the queue, a bad message nowhere. */
static void
take_data(struct session *s)
{
	struct data *data = &s->data;
	struct buf *input = stream_input(s->stream);
	struct buf *body = &data->passed;

	buf_clear(body);
	buf_take(input, dots_take(&data->dots, buf_str(input), body));
	data->octets += body->n;
	if (data->octets - data->progress >= DATA_PROGRESS_MIN) {
		data->progress = data->octets;
		session_be_patient(s);
	}
	if (data->dots.faults != 0 || data->octets > s->process->settings->message_size_limit) {
		submit_abandon(data->submission);
		data->submission = NULL;
	}
	/* Of a bad message too: the log says which one it was. */
	if (!head_is_over(&data->head)) {
		buf_clear(&data->finished);
		head_take(&data->head, buf_str(&data->passed), &data->finished);
		body = &data->finished;
	}
	if (data->submission == NULL)
		return;
	submit_write(data->submission, buf_str(body));
}

/* NULL: nothing is wrong with the message. */
static const char *
data_fault(const struct session *s)
{
	const struct data *data = &s->data;

	if (data->dots.faults & DOTS_BARE)
		return "550 5.6.11 The message holds a CR or LF that is no line end";
	if (data->dots.faults & DOTS_NUL)
		return "550 5.6.1 The message holds a NUL octet";
	if (data->dots.faults & DOTS_LONG_LINE)
		return "554 5.6.0 The message has a line that is too long";
	if (data->octets > s->process->settings->message_size_limit)
		return "552 5.3.4 Message too large";
	/* RFC 5321 6.3 */
	if (data->head.received > RECEIVED_MAX)
		return "554 5.4.6 Too many hops, this is a loop";
	return NULL;
}

/* What people know a message by. */
static void
log_headers(struct session *s)
{
	const struct head *head = &s->data.head;
	struct str added = head->add_message_id;
	scoped_buf id = BUF_INIT, subject = BUF_INIT;

	header_put_unfolded(&id, head->has_message_id ? str_trim(buf_str(&head->message_id)) :
	    str_trim(str_from(added, str_index(added, ':') + 1)));
	word_put_utf8(&subject, str_trim(buf_str(&head->subject)));
	log_info(&s->log, "message.headers", MAIL_TRACE(s), KV("message_id", buf_str(&id)),
	    KV("subject", buf_str(&subject)));
}

static enum next
end_data(struct session *s)
{
	const char *fault = data_fault(s);

	s->step = &read_command;
	session_be_patient(s);
	log_headers(s);
	if (fault != NULL) {
		log_info(&s->log, "message.refused", KV("trace", s->data.trace),
		    KV("from", s->mail.sender), KV("octets", s->data.octets), KV("reply", fault));
		session_forget_mail(s);
		return reply_error(s, fault);
	}
	buf_clear(&s->data.finished);
	head_end(&s->data.head, &s->data.finished);
	submit_write(s->data.submission, buf_str(&s->data.finished));
	s->answered = false;
	s->step = &await_submit;
	submit_end(s->data.submission, on_submitted, s);
	return GO;
}

static void
on_submitted(void *context, enum submit_result result)
{
	struct session *s = context;

	s->data.submission = NULL;
	s->data.result = result;
	session_answered(s);
}

static const char *
submit_refusal(enum submit_result result)
{
	switch (result) {
	case SUBMIT_OK:
		return NULL;
	case SUBMIT_TRY_LATER:
		return "451 4.3.0 The message could not be kept, try again later";
	case SUBMIT_NO_ROOM:
		return "452 4.3.1 The server's disk is full, try again later";
	case SUBMIT_FULL:
		return "552 5.2.2 The mailbox is full";
	case SUBMIT_REFUSED:
		return "554 5.7.1 The message is refused";
	case SUBMIT_TOO_LARGE:
		break;
	}
	return "552 5.3.4 Message too large";
}

static enum next
run_await_submit(struct session *s)
{
	scoped_buf text = BUF_INIT;
	const char *refusal;
	enum next next = GO;

	if (!s->answered)
		return WAIT;
	s->step = &read_command;
	session_be_patient(s);
	refusal = submit_refusal(s->data.result);
	log_info(&s->log, refusal == NULL ? "message.accepted" : "message.refused",
	    KV("trace", s->data.trace), KV("from", s->mail.sender),
	    KV("recipients", s->mail.count), KV("octets", s->data.octets),
	    KV("reply", refusal == NULL ? "250" : refusal));
	if (s->stream == NULL)
		return END;
	if (refusal == NULL) {
		buf_put_z(&text, "250 2.0.0 Ok: queued as ");
		buf_put(&text, s->data.trace);
		reply_line(s, buf_str(&text));
	} else {
		next = reply_error(s, refusal);
	}
	session_forget_mail(s);
	return next;
}
