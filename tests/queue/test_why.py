# SPDX-License-Identifier: ISC
"""trivet why: every fate a message can have is told rightly; and the log that it comes from: written by the
recorder alone, through full disks, logrotate and its own death, and slowing nobody."""

import contextlib
import glob
import json
import os
import re
import resource
import signal
import sqlite3
import time

from remote import elsewhere
from trivet import Wire, equal, message, message_files, pids_of, send, smtp, wait_until

DAY = 86400
OFFERS_TLS = "250-mx.test\r\n250-STARTTLS\r\n250 PIPELINING"


def why(e, *words):
    """The stories as JSON; [] where nothing is known."""
    done = e.site.trivet("why", *words, "--json", check=False)
    return json.loads(done.stdout) if done.stdout else []


def wait_why(e, *words, event=None):
    """The one story, once it has this event: lines are gathered, rows are written in batches."""
    def look():
        found = why(e, *words)
        if len(found) == 1 and (event is None or any(v["event"] == event for v in found[0]["events"])):
            return found[0]
        return None
    return wait_until(f"'{event}' in the one answer to {words}", look)


def told(e, *words):
    """The sentences, on one line."""
    return " ".join(e.site.trivet("why", *words).stdout.split())


def says(e, words, *parts):
    text = told(e, *([words] if isinstance(words, str) else words))
    for part in parts:
        assert part in text, (part, text)


def only(story):
    r, = story["recipients"]
    return r


# ---- fates of mail that stays here ----

def test_a_local_delivery_is_told_with_its_folder_and_how_it_came(folder):
    with elsewhere(folder) as e:
        send(e.site, to="user1", subject="Künste nach 안녕", message_id="<One.Two@Client.Test>")
        story = wait_why(e, "one.two@client.test", event="message.accepted")
        r = only(story)
        equal((r["address"], r["state"], r["folder"], r["uid"]), ("user1@example.test", "delivered", "INBOX", "1"))
        equal((story["peer"], story["hello"], story["door"], story["tls"], story["login"], story["taken"]),
              ("127.0.0.1", "client.test", "smtp", None, None, True))
        equal(story["subject"], "Künste nach 안녕")
        says(e, "user1@example.test", 'subject "Künste nach 안녕"', "Received from client.test [127.0.0.1] at the door smtp",
             "without TLS, not logged in", "Delivered to <user1@example.test>, folder INBOX, UID 1.",
             "The client was told that the message is accepted.", "From <sender@elsewhere.test>")
        # Each way to ask finds it: the sender, the trace, words of the subject in any case, the time, and all at once.
        hour = time.strftime("%H:%M", time.gmtime())
        for words in (["SENDER@elsewhere.test"], [story["trace"]], ["안녕 KÜNSTE"], ["<One.Two@Client.Test>"],
                      ["user1@example.test", hour, "nach"], ["--since", "1h", "user1@example.test"]):
            equal([s["trace"] for s in why(e, *words)], [story["trace"]], words)
        assert story["trace"] in [s["trace"] for s in why(e, time.strftime("%Y-%m-%d", time.gmtime()))]
        for words in (["user2@example.test"], ["nach", "nirgendwo"], ["2001-01-01"], ["user1@example.test", "2001-01-01T10:00"]):
            equal(why(e, *words), [], words)
        e.site.turn_clock(2 * DAY)
        equal(why(e, "--since", "1d", "user1@example.test"), [])
        # Without smtpd too.
        e.site.stop()
        equal([s["trace"] for s in why(e, "user1@example.test")], [story["trace"]])


def test_a_login_over_tls_is_told(folder):
    with elsewhere(folder) as e:
        c = smtp(e.site, "submission_port", user=1, starttls=True)
        c.sendmail("user1@example.test", ["user2@example.test"], message(subject="From a user"))
        c.quit()
        story = wait_why(e, "From a user", event="message.accepted")
        equal((story["login"], story["tls"][:5], story["door"]), ("user1@example.test", "TLSv1", "submission"))
        says(e, story["trace"], "over TLSv1.", "logged in as user1@example.test")
        # A word of the secret is nowhere.
        with open(f"{e.site.folder}/state/trace.db", "rb") as f:
            assert e.site.password.encode() not in f.read()


def test_an_alias_is_told_by_its_targets(folder):
    with elsewhere(folder) as e:
        e.server("b.test")
        e.site.trivet("alias", "add", "team@example.test", "user1@example.test", "x@b.test")
        trace = e.submit("team@example.test")
        e.wait(trace, "relayed")
        story = wait_why(e, trace, event="relayed")
        equal(sorted((r["address"], r["given"], r["state"]) for r in story["recipients"]),
              [("user1@example.test", "team@example.test", "delivered"), ("x@b.test", "team@example.test", "relayed")])
        says(e, "team@example.test", "Delivered to <user1@example.test> (for <team@example.test>)",
             "took it for <x@b.test> (for <team@example.test>)")


def test_a_delivery_that_a_keeper_died_in_is_told(folder):
    with elsewhere(folder) as e:
        send(e.site, to="user2", subject="The first")       # so that there is a keeper
        keeper, = wait_until("a keeper", lambda: pids_of(e.site, "smtpd", "keeper user2"))
        os.kill(keeper, signal.SIGSTOP)
        c = smtp(e.site)
        c.ehlo()
        c.mail("x@elsewhere.test")
        c.rcpt("user2@example.test")
        c.putcmd("data")
        equal(c.getreply()[0], 354)
        c.send(message(subject="Killed in between") + b".\r\n")
        time.sleep(0.3)
        os.kill(keeper, signal.SIGKILL)
        equal(c.getreply()[0], 250)
        story = wait_why(e, "Killed in between", event="message.accepted")
        equal(only(story)["state"], "delivered")
        says(e, story["trace"], "The process that delivers to <user2@example.test> ended in the midst of it; the "
             "delivery is tried again.", "Delivered to <user2@example.test>")


# ---- fates of mail for elsewhere ----

def test_another_server_that_took_it_is_told_with_its_words(folder):
    with elsewhere(folder) as e:
        certificate = (f"{e.site.folder}/server.pem", f"{e.site.folder}/server.key")
        e.server("b.test", certificate=certificate, EHLO=OFFERS_TLS, dot="250 2.0.0 kept as 4711")
        e.server("c.test")
        trace = e.submit("x@b.test")
        story = wait_why(e, "x@b.test", event="relayed")
        r = only(story)
        equal((story["trace"], r["state"], r["tls"], r["host"].partition("[")[0]), (trace, "relayed", True, "mx0.b.test"))
        says(e, trace, "took it for <x@b.test>, over TLS, and said \"250 2.0.0 kept as 4711\"")
        trace = e.submit("x@c.test")
        wait_why(e, trace, event="relayed")
        says(e, trace, "took it for <x@c.test>, without TLS, and said")


def test_waiting_mail_is_told_with_its_next_attempt(folder):
    with elsewhere(folder) as e:
        e.server("b.test", RCPT="450 4.2.1 come back later")
        trace = e.submit("x@b.test")
        story = wait_why(e, trace, event="deferred")
        r = only(story)
        equal((r["state"], r["attempts"], r["status"], r["answer"]),
              ("waiting", 1, "4.2.1", "450 4.2.1 come back later"))
        row, = e.rows()
        due = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["next_at"]))
        equal(r["next_attempt"][:16].replace("T", " "), due)
        says(e, trace, "Try 1 for <x@b.test> failed for now: mx0.b.test[", 'said "450 4.2.1 come back later"',
             "Now: waits in the queue for <x@b.test>, tried 1 time; next attempt at " + due, "UTC, in ")
        e.site.turn_clock(31 * 60)
        e.wait(trace, "deferred", 2)
        wait_until("two tries", lambda: only(why(e, trace)[0])["attempts"] == 2)
        # The administrator takes it away.
        e.site.trivet("queue", "delete", trace)
        equal(only(wait_why(e, trace, event="removed"))["state"], "removed")
        says(e, trace, "Removed from the queue by the administrator; nobody was told.")


def test_a_refusal_by_the_other_side_is_told_with_the_report(folder):
    with elsewhere(folder) as e:
        e.server("b.test", RCPT="550 5.1.1 no one of that name")
        trace = e.submit("nobody@b.test", subject="For nobody")
        story = wait_why(e, trace, event="bounced")
        r = only(story)
        equal((r["state"], r["status"], r["sender_told"]), ("failed", "5.1.1", True))
        report, = [v["report"] for v in story["events"] if v["event"] == "bounced"]
        says(e, trace, "Refused for good for <nobody@b.test>: mx0.b.test[", 'said "550 5.1.1 no one of that name"',
             f"The sender was told so, by message {report}.")
        says(e, report, f"Made by this server, to tell what became of message {trace}.",
             "Not delivered: your mail to nobody@b.test", "Delivered to <user1@example.test>, folder INBOX")


def test_mail_that_is_given_up_is_told(folder):
    with elsewhere(folder) as e:
        e.domain("down.test", e.address())
        trace = e.submit("x@down.test")
        e.wait(trace, "deferred")
        e.site.turn_clock(5 * DAY + 60)
        r = only(wait_why(e, trace, event="bounced"))
        equal((r["state"], r["sender_told"]), ("expired", True))
        says(e, trace, "Given up for <x@down.test> after 2 tries; at last", "Connection refused",
             "The sender was told so, by message")


# ---- what never came in ----

def talk(e, *lines, sender="x@elsewhere.test"):
    c = smtp(e.site)
    c.ehlo()
    for line in lines:
        c.docmd(line)
    c.quit()


def test_refusals_before_data_are_found_by_address_and_time(folder):
    with elsewhere(folder, relay_networks="", message_size_limit="64k") as e:
        e.site.trivet("user", "set", "user3@example.test", "--quota", "1")
        talk(e, "MAIL FROM:<x@elsewhere.test>", "RCPT TO:<nobody@example.test>")
        talk(e, "MAIL FROM:<x@elsewhere.test>", "RCPT TO:<some@where.test>")
        talk(e, "MAIL FROM:<x@elsewhere.test> SIZE=900", "RCPT TO:<user3@example.test>")
        talk(e, "MAIL FROM:<big@elsewhere.test> SIZE=900000")
        for to, words in (("nobody@example.test", "550 5.1.1"), ("some@where.test", "550 5.7.1"),
                          ("user3@example.test", "5 5.2.2")):
            story = wait_why(e, to, time.strftime("%H:%M", time.gmtime()), event="recipient.refused")
            r = only(story)
            equal((story["taken"], r["address"], r["state"]), (False, to, "refused"))
            assert re.match(words.replace("5 5.2.2", r"[45]52 [45]\.2\.2"), r["answer"]), r
            says(e, to, f"The recipient <{to}> was refused: \"{r['answer']}\".", "which was not taken")
        story = wait_why(e, "big@elsewhere.test", event="sender.refused")
        equal((story["trace"], story["reply"]), (None, "552 5.3.4 Message too large"))
        says(e, "big@elsewhere.test", 'The sender <big@elsewhere.test> was refused: "552 5.3.4 Message too large".',
             "Connection", "which handed in no message")


def test_wrong_logins_are_found_by_their_name(folder):
    with elsewhere(folder) as e:
        c = smtp(e.site, "submission_port", starttls=True)
        c.ehlo()
        c.docmd("AUTH PLAIN AHVzZXIxQGV4YW1wbGUudGVzdAB3cm9uZw==")     # user1@example.test, "wrong"
        c.quit()
        story = wait_why(e, "user1@example.test", event="login.failed")
        equal((story["trace"], story["taken"], story["door"]), (None, False, "submission"))
        says(e, "user1@example.test", 'A login as "user1@example.test" was refused: wrong name or password.')


def data(e, octets, end=b".\r\n", wait=True):
    with Wire(e.site, "smtp_port") as w:
        w.line()
        for line in (b"HELO client.test", b"MAIL FROM:<x@elsewhere.test>", b"RCPT TO:<user1@example.test>", b"DATA"):
            w.say(line)
            w.line()
        w.send(octets + end)
        return w.line() if wait else b""


def test_messages_that_were_not_taken_are_told(folder):
    with elsewhere(folder, message_size_limit="64k") as e:
        data(e, message(subject="Much too large", body="x" * 70 + "\r\n") + b"more\r\n" * 20000)
        data(e, message(subject="Smuggled") + b"\n.\r\nMAIL FROM:<evil@b.test>\r\n")
        data(e, message(subject="Never ended"), end=b"", wait=False)
        for subject, event, reply in (("Much too large", "message.refused", "552 5.3.4 Message too large"),
                                      ("Smuggled", "message.refused", "550 5.6.11")):
            story = wait_why(e, subject, event=event)
            r = only(story)
            equal((story["taken"], r["state"], story["reply"][:len(reply)]), (False, "refused", reply))
            says(e, subject, "The message (", f'was refused: "{reply}')
        story, = [s for s in why(e, "user1@example.test") if any(v["event"] == "data.cut" for v in s["events"])] or \
            wait_until("the cut", lambda: [s for s in why(e, "user1@example.test")
                                           if any(v["event"] == "data.cut" for v in s["events"])])
        equal((story["taken"], only(story)["state"]), (False, "accepted"))
        says(e, story["trace"], "The client was gone before the end of the message, after", "nothing was taken")
        equal(message_files(e.site, 1), [])


# ---- the log ----

def recorder_of(e):
    pid, = wait_until("the recorder", lambda: pids_of(e.site, "smtpd", "recorder"))
    return pid


def limit_files(pid, octets):
    """Files of this process cannot grow beyond that; asked as its own user, who may."""
    owner = os.stat(f"/proc/{pid}")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
                os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, resource.RLIM_INFINITY))
            code = 0
        finally:
            os._exit(code)
    equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)


def test_all_lines_of_one_message_share_its_trace(folder):
    with elsewhere(folder) as e:
        trace = e.submit(["user2@example.test"])
        e.wait(trace, "message.accepted")
        words = [w for w, _ in e.events(trace)]
        for word in ("sender.accepted", "recipient.accepted", "message.headers", "submitted", "published",
                     "delivered", "message.accepted"):
            equal(words.count(word), 1, word)
        equal({f.get("sid") for w, f in e.events(trace) if w in ("sender.accepted", "submitted")},
              {e.events(trace, "submitted")[0][1]["sid"]})


def test_a_log_that_cannot_be_written_stops_nothing_and_is_told_later(folder):
    with elsewhere(folder) as e:
        recorder = recorder_of(e)
        send(e.site, subject="Before")
        wait_until("the log is quiet", lambda: b"message.accepted" in open(e.site.log, "rb").read())
        size = os.path.getsize(e.site.log) + 100        # so that a line is torn
        limit_files(recorder, size)
        began = time.monotonic()
        for n in range(20):
            send(e.site, subject=f"While it is full {n}")
        assert time.monotonic() - began < 10
        equal(len(message_files(e.site, 1)), 21)
        time.sleep(0.3)
        assert os.path.getsize(e.site.log) <= size
        equal(recorder_of(e), recorder)
        limit_files(recorder, resource.RLIM_INFINITY)
        send(e.site, subject="After")
        (_, lost), = wait_until("the loss is told", lambda: e.events(word="log.lost"))
        assert int(lost["n"]) > 100, lost
        wait_until("the log goes on", lambda: any(f.get("subject") == "After" for _, f in e.events(word="message.headers")))
        whole = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]{12}Z [A-Z]+ smtpd\S* \S+")
        with open(e.site.log, encoding="utf-8") as f:
            broken = [line for line in f if not whole.match(line)]
        assert len(broken) <= 1, broken


def test_the_log_is_opened_anew_at_sighup(folder):
    with elsewhere(folder) as e:
        send(e.site, subject="Old")
        wait_until("it is logged", lambda: e.events(word="message.accepted"))
        os.rename(e.site.log, f"{e.site.log}.1")
        e.site.reload()
        wait_until("there is a new one", lambda: os.path.exists(e.site.log))
        send(e.site, subject="New")
        wait_until("new lines go there", lambda: any(f.get("subject") == "New" for _, f in e.events(word="message.headers")))
        with open(f"{e.site.log}.1", encoding="utf-8") as f:
            old = f.read()
        assert "subject=Old" in old and "subject=New" not in old, old[-500:]


def test_a_recorder_that_dies_loses_next_to_nothing_and_nobody_waits(folder):
    with elsewhere(folder) as e:
        recorder = recorder_of(e)
        os.kill(recorder, signal.SIGSTOP)
        began = time.monotonic()
        for n in range(30):
            send(e.site, subject=f"Unheard {n}")
        assert time.monotonic() - began < 10
        os.kill(recorder, signal.SIGKILL)
        wait_until("all is told by the next one",
                   lambda: len([1 for _, f in e.events(word="message.headers") if f["subject"].startswith("Unheard")]) == 30)
        assert recorder_of(e) != recorder
        wait_why(e, "Unheard 29", event="message.accepted")


def test_a_full_pipe_loses_lines_and_says_how_many(folder):
    with elsewhere(folder) as e:
        recorder = recorder_of(e)
        os.kill(recorder, signal.SIGSTOP)
        try:
            c = smtp(e.site)
            c.ehlo("client.test")
            began = time.monotonic()
            for n in range(0, 12000, 100):      # each EHLO is a line of some 500 octets
                c.send(b"".join(b"EHLO " + b"a" * 60 + b"." + b"b" * 60 + b"." + b"c" * 60 + b".test\r\n" for _ in range(100)))
                for _ in range(100):
                    equal(c.getreply()[0], 250)
            assert time.monotonic() - began < 60
            c.quit()
        finally:
            os.kill(recorder, signal.SIGCONT)
        wait_until("it is read", lambda: len(e.events(word="hello")) > 1000)
        # With the next line of that front.
        wait_until("the loss is told", lambda: send(e.site, subject="After") and e.events(word="log.lost"))
        told_lost = sum(int(f["n"]) for _, f in e.events(word="log.lost"))
        assert told_lost > 100, told_lost


def test_what_is_old_or_too_much_is_forgotten(folder):
    with elsewhere(folder, trace_days="2") as e:
        send(e.site, subject="An old one")
        wait_why(e, "An old one", event="message.accepted")
        e.site.turn_clock(3 * DAY)
        send(e.site, subject="A new one")
        wait_why(e, "A new one", event="message.accepted")
        wait_until("the old one is gone", lambda: not why(e, "An old one"))
        equal(len(why(e, "A new one")), 1)


def test_no_more_is_kept_than_may_be(folder):
    with elsewhere(folder, trace_size="1M") as e:
        c = smtp(e.site)
        for _ in range(80):
            c.send(b"".join(b"EHLO n%d.test\r\n" % n for n in range(100)))
            for _ in range(100):
                equal(c.getreply()[0], 250)
        c.quit()
        send(e.site, subject="The newest")
        wait_why(e, "The newest", event="message.accepted")

        def used():
            db = sqlite3.connect(f"file:{e.site.folder}/state/trace.db?mode=ro", uri=True)
            with contextlib.closing(db):
                pages, unused, size = (db.execute(f"PRAGMA {p}").fetchone()[0]
                                       for p in ("page_count", "freelist_count", "page_size"))
                return (pages - unused) * size
        wait_until("the oldest is gone", lambda: used() <= 1 << 20)
        equal(len(why(e, "The newest")), 1)


def test_a_broken_trace_db_is_made_anew(folder):
    with elsewhere(folder) as e:
        e.site.stop()
        for path in glob.glob(f"{e.site.folder}/state/trace.db*"):
            os.unlink(path)
        with open(f"{e.site.folder}/state/trace.db", "wb") as f:
            f.write(b"this is no database" * 1000)
        e.site.start()
        send(e.site, subject="It is taken all the same")
        e.site.stop()
        e.site.start()
        send(e.site, subject="The second")
        wait_why(e, "The second", event="message.accepted")
