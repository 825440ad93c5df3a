# SPDX-License-Identifier: ISC
"""trivet queue: what the administrator sees of the queue and does about it."""

import json

from remote import elsewhere
from trivet import equal, wait_until


def test_the_queue_is_listed_with_the_last_answer_and_the_next_time(folder):
    with elsewhere(folder) as e:
        equal(e.site.trivet("queue").stdout, "The queue is empty.\n")
        equal(json.loads(e.site.trivet("queue", "list", "--json").stdout), [])
        e.server("b.test", RCPT="450 4.2.1 come back later")
        trace = e.submit("x@b.test")
        e.wait(trace, "deferred")
        text = e.site.trivet("queue").stdout
        assert f"{trace}  from <user1@example.test> (network 127.0.0.1)" in text, text
        assert "to x@b.test, 1 attempt, next attempt in 29 minutes\n" in text or "in 30 minutes\n" in text, text
        assert "4.2.1 mx0.b.test[" in text and "said: 450 4.2.1 come back later\n" in text, text
        assert "1 message in the queue.\n" in text, text
        e.site.turn_clock(29 * 60)
        assert "next attempt in 59 seconds" in (text := e.site.trivet("queue", "show", trace).stdout) or \
            " seconds\n" in text or "1 minute\n" in text, text
        row, = json.loads(e.site.trivet("queue", "--json").stdout)
        equal((row["trace"], row["recipients"][0]["status"], row["recipients"][0]["attempts"]), (trace, "4.2.1", 1))


def test_retry_tries_at_once(folder):
    with elsewhere(folder) as e:
        server = e.server("b.test", RCPT="450 4.2.1 come back later")
        one, two = e.submit("x@b.test"), e.submit("y@b.test")
        e.wait(one, "deferred")
        e.wait(two, "deferred")
        e.site.trivet("queue", "retry", one)
        e.wait(one, "deferred", 2)
        equal(e.count(two, "deferred"), 1)
        server.answers["RCPT"] = "250 ok"
        e.site.trivet("queue", "retry", "ALL")
        e.wait(one, "relayed")
        e.wait(two, "relayed")
        e.is_empty()


def test_delete_gives_up_and_tells_nobody(folder):
    with elsewhere(folder) as e:
        e.server("b.test", RCPT="450 4.2.1 come back later")
        trace = e.submit("x@b.test")
        e.wait(trace, "deferred")
        e.site.trivet("queue", "delete", trace)
        e.wait(trace, "removed")
        e.is_empty()
        equal(e.inbox(1), [])
        for words in (("delete", trace), ("show", trace), ("retry", "nonsense"), ("delete", "ALL")):
            done = e.site.trivet("queue", *words, check=False)
            equal((done.returncode, "no such message" in done.stderr), (1, True), words)


def test_without_smtpd_the_wish_is_kept(folder):
    with elsewhere(folder) as e:
        e.server("b.test", RCPT="450 4.2.1 come back later")
        trace = e.submit("x@b.test")
        e.wait(trace, "deferred")
        e.site.stop()
        done = e.site.trivet("queue", "delete", trace, check=False)
        equal((done.returncode, "does not run" in done.stderr), (1, True))
        e.site.start()
        wait_until("it is removed", lambda: not e.spool())
