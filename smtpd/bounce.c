/* SPDX-License-Identifier: ISC */
/*
 * The text of a bounce or a delay notice. Invariant: nothing that a stranger's server or address says can
 * add a line to our header or to the status part: what is not printable ASCII becomes '?'.
 */
#include "smtpd/bounce.h"

#include "common/base/clock.h"

enum { TEXT_LINE = 72 };	/* where lines of human words are folded */

/* RFC 3463 3: subject.detail of a status, in words a sender can do something with. */
static const struct {
	const char *code;
	const char *words;
} explanations[] = {
	{ ".1.0", "The address could not be used there." },
	{ ".1.1", "There is no such mailbox. Please check the address for a typing error." },
	{ ".1.2", "There is no such mail domain. Please check the part after the @." },
	{ ".1.3", "The address is not written correctly." },
	{ ".1.6", "The mailbox has moved and left no new address." },
	{ ".1.10", "This domain says that it takes no mail at all." },
	{ ".2.1", "The mailbox is closed." },
	{ ".2.2", "The mailbox is full. The recipient has to make room first." },
	{ ".2.3", "The message is larger than the recipient may receive." },
	{ ".3.1", "The recipient's mail server has no room at the moment." },
	{ ".3.4", "The message is larger than the recipient's mail server takes." },
	{ ".4.1", "The recipient's mail server did not answer." },
	{ ".4.2", "The connection to the recipient's mail server broke off." },
	{ ".4.3", "The name of the recipient's mail server could not be looked up." },
	{ ".4.4", "No mail server for this domain could be found." },
	{ ".4.6", "The domain's mail servers point back at this one, which does not serve it." },
	{ ".4.7", "It could not be delivered in the time allowed." },
	{ ".7.1", "The recipient's mail server does not take this message." },
};

static void
put_clean(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_put_c(out, text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?');
}

/* Words of `text` on lines of TEXT_LINE octets, each with the indent. */
static void
put_folded(struct buf *out, const char *indent, struct str text)
{
	struct str word;
	size_t column = 0;

	while (str_word(&text, &word)) {
		if (column > 0 && column + 1 + word.n > TEXT_LINE) {
			buf_put(out, STR("\r\n"));
			column = 0;
		}
		if (column == 0) {
			buf_put_z(out, indent);
			column = strlen(indent);
		} else {
			buf_put_c(out, ' ');
			column++;
		}
		put_clean(out, word);
		column += word.n;
	}
	buf_put(out, STR("\r\n"));
}

void
bounce_put_span(struct buf *out, int64_t seconds)
{
	static const struct { int64_t seconds; const char *word; } units[] = {
		{ 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" },
	};
	size_t u = 0;
	int64_t n;

	if (seconds < 0)
		seconds = 0;
	while (u + 1 < countof(units) && seconds < 2 * units[u].seconds &&
	    seconds != units[u].seconds)
		u++;
	n = seconds / units[u].seconds;
	buf_printf(out, "%lld %s%s", (long long)n, units[u].word, n == 1 ? "" : "s");
}

/* RFC 3464 2.3.4: the class must say what the action says. */
static void
put_status(struct buf *out, const struct bounce *b, struct str status)
{
	const char class = b->kind == BOUNCE_FAILED ? '5' : '4';

	buf_put_c(out, class);
	if (status.n >= 5 && status.p[1] == '.')
		put_clean(out, str_from(status, 1));
	else
		buf_put(out, STR(".0.0"));
}

static const char *
explain(struct str status)
{
	for (size_t i = 0; i < countof(explanations); i++) {
		if (status.n > 1 && str_eq(str_from(status, 1), str_of(explanations[i].code)))
			return explanations[i].words;
	}
	return NULL;
}

/* ---- the parts ---- */

static void
put_subject(struct buf *out, const struct bounce *b)
{
	buf_put(out, b->kind == BOUNCE_FAILED ? STR("Subject: Not delivered: your mail to ") :
	    STR("Subject: Delayed: your mail to "));
	if (b->count == 1)
		put_clean(out, str_sub(b->recipients[0].given, 0, 200));
	else
		buf_printf(out, "%zu recipients", b->count);
	buf_put(out, STR("\r\n"));
}

static bool
is_eight_bit(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] > 127)
			return true;
	}
	return false;
}

static void
put_header(struct buf *out, const struct bounce *b)
{
	buf_put(out, STR("Date: "));
	clock_put_rfc5322(out, b->now);
	buf_put(out, STR("\r\nFrom: Mail Delivery System <mailer-daemon@"));
	put_clean(out, b->hostname);
	buf_put(out, STR(">\r\nTo: <"));
	put_clean(out, b->to);
	buf_put(out, STR(">\r\n"));
	put_subject(out, b);
	buf_put(out, STR("Message-ID: <"));
	put_clean(out, b->id);
	buf_put_c(out, '@');
	put_clean(out, b->hostname);
	/* RFC 3834 5: so that nobody's vacation answers. */
	buf_put(out, STR(">\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"=_"));
	put_clean(out, b->id);
	buf_put(out, STR("\"\r\n"));
	if (is_eight_bit(b->header))
		buf_put(out, STR("Content-Transfer-Encoding: 8bit\r\n"));
	buf_put(out, STR("\r\nThis is a report in several parts, made by a mail server.\r\n"));
}

static void
put_boundary(struct buf *out, const struct bounce *b, const char *tail)
{
	buf_put(out, STR("\r\n--=_"));
	put_clean(out, b->id);
	buf_put_z(out, tail);
	buf_put(out, STR("\r\n"));
}

static void
put_words_for(struct buf *out, const struct bounce_recipient *r)
{
	const char *explanation = explain(r->status);
	scoped_buf said = BUF_INIT;

	buf_put(out, STR("\r\n  "));
	put_clean(out, r->given);
	if (!str_eq_nocase(r->given, r->address)) {
		buf_put(out, STR(" (that is "));
		put_clean(out, r->address);
		buf_put_c(out, ')');
	}
	buf_put(out, STR("\r\n"));
	if (explanation)
		put_folded(out, "    ", str_of(explanation));
	if (r->host.n > 0) {
		buf_put(&said, STR("The mail server "));
		put_clean(&said, r->host);
		buf_put(&said, STR(" said: "));
	}
	buf_put(&said, r->answer);
	if (r->answer.n > 0 && (r->host.n > 0 || !explanation))
		put_folded(out, "    ", buf_str(&said));
}

static void
put_words(struct buf *out, const struct bounce *b)
{
	scoped_buf line = BUF_INIT;

	put_boundary(out, b, "");
	buf_put(out, STR("Content-Type: text/plain; charset=us-ascii\r\n"
	    "Content-Description: Notification\r\n\r\n"));
	if (b->kind == BOUNCE_FAILED) {
		put_folded(out, "", b->count == 1 ?
		    STR("Your message could not be delivered to this recipient:") :
		    STR("Your message could not be delivered to these recipients:"));
	} else {
		buf_put(&line, STR("Your message has been waiting for "));
		bounce_put_span(&line, b->now - b->arrived);
		buf_put(&line, b->count == 1 ? STR(" for this recipient:") :
		    STR(" for these recipients:"));
		put_folded(out, "", buf_str(&line));
	}
	for (size_t i = 0; i < b->count; i++)
		put_words_for(out, &b->recipients[i]);
	buf_put(out, STR("\r\n"));
	buf_clear(&line);
	if (b->kind == BOUNCE_FAILED) {
		buf_put(&line, STR("It will not be tried again. The top of your message is "
		    "attached, so that you can tell which one it was."));
	} else {
		buf_put(&line, STR("You need not do anything: it will be tried again for "));
		bounce_put_span(&line, b->until - b->now);
		buf_put(&line, STR(", and you will hear if it fails for good."));
	}
	put_folded(out, "", buf_str(&line));
}

static void
put_date_field(struct buf *out, const char *name, int64_t when)
{
	buf_put_z(out, name);
	clock_put_rfc5322(out, when);
	buf_put(out, STR("\r\n"));
}

static void
put_text_field(struct buf *out, const char *name, struct str value)
{
	buf_put_z(out, name);
	put_clean(out, value);
	buf_put(out, STR("\r\n"));
}

/* RFC 3464 2.3: one block for each recipient. */
static void
put_status_of(struct buf *out, const struct bounce *b, const struct bounce_recipient *r)
{
	size_t name = str_index(r->host, '[');
	bool quoted = r->answer.n >= 3 && ascii_is_digit(r->answer.p[0]);

	buf_put(out, STR("\r\n"));
	if (!str_eq_nocase(r->given, r->address))
		put_text_field(out, "Original-Recipient: rfc822;", r->given);
	put_text_field(out, "Final-Recipient: rfc822;", r->address);
	buf_put(out, b->kind == BOUNCE_FAILED ? STR("Action: failed\r\nStatus: ") :
	    STR("Action: delayed\r\nStatus: "));
	put_status(out, b, r->status);
	buf_put(out, STR("\r\n"));
	/* RFC 3464 2.3.5: a name; its address and port stand in the words for people. */
	if (r->host.n > 0)
		put_text_field(out, "Remote-MTA: dns;", name > 0 ? str_sub(r->host, 0, name) : r->host);
	/* Only what another server said in SMTP is an SMTP diagnostic. */
	if (r->answer.n > 0)
		put_text_field(out, r->host.n > 0 && quoted ? "Diagnostic-Code: smtp; " :
		    "Diagnostic-Code: X-Trivet; ", r->answer);
	if (r->last_at > 0)
		put_date_field(out, "Last-Attempt-Date: ", r->last_at);
	if (b->kind == BOUNCE_DELAYED)
		put_date_field(out, "Will-Retry-Until: ", b->until);
}

static void
put_delivery_status(struct buf *out, const struct bounce *b)
{
	put_boundary(out, b, "");
	buf_put(out, STR("Content-Type: message/delivery-status\r\n"
	    "Content-Description: Delivery report\r\n\r\n"));
	put_text_field(out, "Reporting-MTA: dns;", b->hostname);
	put_text_field(out, "X-Trivet-Trace: ", b->trace);
	put_date_field(out, "Arrival-Date: ", b->arrived);
	for (size_t i = 0; i < b->count; i++)
		put_status_of(out, b, &b->recipients[i]);
}

/* RFC 6522 3: the header alone; a bounce with the whole body would carry spam to whom it names. */
static void
put_original(struct buf *out, const struct bounce *b)
{
	put_boundary(out, b, "");
	buf_put(out, STR("Content-Type: text/rfc822-headers\r\n"
	    "Content-Description: Header of your message\r\n"));
	if (is_eight_bit(b->header))
		buf_put(out, STR("Content-Transfer-Encoding: 8bit\r\n"));
	buf_put(out, STR("\r\n"));
	buf_put(out, b->header);
	if (!str_ends(b->header, STR("\n")))
		buf_put(out, STR("\r\n"));
}

void
bounce_put(struct buf *out, const struct bounce *b)
{
	put_header(out, b);
	put_words(out, b);
	put_delivery_status(out, b);
	put_original(out, b);
	put_boundary(out, b, "--");
}
