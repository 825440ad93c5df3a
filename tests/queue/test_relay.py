# SPDX-License-Identifier: ISC
"""Mail for elsewhere: which server it goes to, what is said there, and what comes of each recipient."""

import time

from remote import USUAL, elsewhere
from trivet import equal, message, two_sites, wait_until, without_trace


def outcomes(e, trace):
    return sorted((w, f["to"]) for w in ("relayed", "deferred", "rejected") for _, f in e.events(trace, w))


def test_the_octets_arrive_as_they_were_sent(folder):
    with elsewhere(folder) as e:
        server = e.server("b.test")
        octets = (b"From: a@example.test\r\nTo: x@b.test\r\nSubject: =?utf-8?b?7JWI64WV?=\r\nMessage-ID: <1@client.test>\r\n"
                  b"Date: Sat, 21 Nov 2026 18:48:32 +0000\r\n\r\n.dot\r\n..two\r\n.\r\n\xec\x95\x88\xeb\x85\x95\r\n"
                  + b"x" * 900 + b"\r\n" + b"a line\r\n" * 20000 + b".\r\n\r\nend\r\n")
        # smtplib doubles the dots itself.
        trace = e.submit("x@b.test", octets=octets)
        e.wait(trace, "relayed")
        mail, = server.mails
        equal(without_trace(mail.octets), octets)
        equal(mail.sender, "user1@example.test")
        assert any(c.startswith("MAIL FROM:<user1@example.test> SIZE=") and c.endswith(" BODY=8BITMIME")
                   for c in server.commands), server.commands
        e.is_empty()


def test_mx_hosts_are_tried_in_their_order(folder):
    """RFC 5321 5.1."""
    with elsewhere(folder) as e:
        dead, busy, good = e.address(), e.address(), e.address()
        e.domain("b.test", dead, busy, good)
        e.server(host=busy, greeting="421 4.3.2 too busy")
        server = e.server(host=good)
        trace = e.submit("x@b.test")
        e.wait(trace, "relayed")
        equal([f["host"].partition("[")[0] for _, f in e.events(trace, "host_failed")], ["mx0.b.test", "mx1.b.test"])
        equal(len(server.mails), 1)


def test_each_recipient_has_its_own_answer(folder):
    """RFC 2920 3.1."""
    with elsewhere(folder) as e:
        def rcpt(line):
            return {"good": "250 ok", "late": "450 4.2.1 later", "full": "552 5.2.2 full", "old": "552 too many",
                    "none": "550 no"}[line.partition("<")[2].partition("@")[0]]
        for pipelining in (True, False):
            name = f"p{int(pipelining)}.test"
            server = e.server(name, RCPT=rcpt, **({} if pipelining else {"EHLO": "250 mx.test"}))
            trace = e.submit([f"{n}@{name}" for n in ("none", "good", "late", "full", "old")])
            e.wait(trace, "relayed")
            wait_until("all", lambda: len(outcomes(e, trace)) == 5)
            equal(outcomes(e, trace), sorted([
                ("relayed", f"good@{name}"), ("rejected", f"none@{name}"), ("rejected", f"full@{name}"),
                ("deferred", f"late@{name}"), ("deferred", f"old@{name}")]))
            equal([m.recipients for m in server.mails], [[f"good@{name}"]])


def test_who_does_not_know_EHLO_is_greeted_the_old_way(folder):
    """RFC 5321 3.2."""
    with elsewhere(folder) as e:
        server = e.server("b.test", EHLO="502 5.5.1 what?")
        e.wait(e.submit("x@b.test"), "relayed")
        equal([c.split()[0] for c in server.commands], ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT"])
        equal(server.commands[2], "MAIL FROM:<user1@example.test>")


def test_tls_is_used_where_it_is_offered(folder):
    """RFC 3207 4.1."""
    offers = "250-mx.test\r\n250-STARTTLS\r\n250 PIPELINING"
    with elsewhere(folder) as e:
        e.server("seed.test")
        certificate = (f"{e.site.folder}/server.pem", f"{e.site.folder}/server.key")
        server = e.server("b.test", certificate=certificate, EHLO=offers)
        trace = e.submit("x@b.test")
        _, fields = e.wait(trace, "relayed")[0]
        equal((server.mails[0].secure, fields["tls"]), (True, "1"))
        # Refused, or broken: in the clear then, with the same server.
        server = e.server("c.test", EHLO=offers, STARTTLS="454 4.7.0 not now")
        e.wait(e.submit("x@c.test"), "relayed")
        equal((server.mails[0].secure, len(server.connections)), (False, 1))
        server = e.server("d.test", EHLO=offers)
        trace = e.submit("x@d.test")
        e.wait(trace, "relayed")
        equal((server.mails[0].secure, len(server.connections), e.count(trace, "tls_failed")), (False, 2, 1))


def test_what_goes_wrong_is_tried_again_or_told(folder):
    """RFC 5321 4.5.3.2.1 to 4.5.3.2.6, RFC 1870 6.2."""
    giant = "250-" + "x" * 5000 + "\r\n250 ok"
    endless = "\r\n".join(["250-more"] * 3000) + "\r\n250 ok"
    rows = {                    # what the server does, what comes of it
        "hangs.test": ({"greeting": None}, "deferred", "4.4.2"),
        "mute.test": ({"MAIL": None}, "deferred", "4.4.2"),
        "closes.test": ({"greeting": ""}, "deferred", "4.4.2"),
        "afterdot.test": ({"dot": ""}, "deferred", "4.4.2"),
        "dot4.test": ({"dot": "452 4.3.1 no room"}, "deferred", "4.3.1"),
        "dot5.test": ({"dot": "554 5.6.0 spam"}, "rejected", "5.6.0"),
        "data5.test": ({"DATA": "554 no"}, "rejected", "5.0.0"),
        "mail5.test": ({"MAIL": "550 5.7.1 not you"}, "rejected", "5.7.1"),
        "hello5.test": ({"greeting": "554 5.3.2 no mail here"}, "rejected", "5.3.2"),
        "giant.test": ({"EHLO": giant}, "deferred", "4.4.2"),
        "endless.test": ({"EHLO": endless}, "deferred", "4.4.2"),
        "rubbish.test": ({"RCPT": "\x00\x01 what is this"}, "deferred", "4.4.2"),
        "small.test": ({"EHLO": "250-mx\r\n250 SIZE 100"}, "rejected", "5.3.4"),
    }
    with elsewhere(folder, reply_timeout="2s", relay_networks="127.0.0.0/8") as e:
        e.free = list(range(2, 10))
        # One host for each: more loopback addresses than the usual eight.
        traces = {}
        for n, (domain, (answers, _, _)) in enumerate(rows.items()):
            e.server(domain, host=f"127.0.1.{n + 1}", **answers)
            traces[domain] = e.submit(f"x@{domain}")
        for domain, (_, word, status) in rows.items():
            _, fields = e.wait(traces[domain], word)[0]
            equal((domain, fields["status"]), (domain, status))


def test_a_domain_without_a_way_is_told_at_once(folder):
    """RFC 5321 5.1, RFC 7505 3."""
    with elsewhere(folder) as e:
        e.zone.update({
            "null.test": {"MX": [[0, "."]]},
            "broken.test": {"rcode": "SERVFAIL"},
            "empty.test": {"TXT": ["nothing"]},
            "implicit.test": {"A": [e.server().host]},
            "loop.test": {"MX": [[10, "mail.example.test"]]},
            "mail.example.test": {"A": ["127.0.0.1"]},
            "circle.test": {"MX": [[10, "other.test"]]}, "other.test": {"A": ["127.0.0.1"]},
        })
        for domain, word, status in (
                ("nowhere.test", "rejected", "5.1.2"), ("null.test", "rejected", "5.1.10"),
                ("broken.test", "deferred", "4.4.3"), ("empty.test", "rejected", "5.4.4"),
                ("loop.test", "rejected", "5.4.6"), ("circle.test", "rejected", "5.4.6"),
                ("[127.0.0.1]", "rejected", "5.4.6"), ("implicit.test", "relayed", None)):
            trace = e.submit(f"x@{domain}")
            _, fields = e.wait(trace, word)[0]
            equal((domain, fields.get("status")), (domain, status))
        trace = e.submit(f"x@[{e.servers[0].host}]")
        e.wait(trace, "relayed")


def test_a_relay_host_gets_everything_in_one_transaction(folder):
    with elsewhere(folder) as e:
        server = e.server(host="127.0.0.9")
        e.site.set(relay_host=f"127.0.0.9:{e.base}", **{"outgoing_smtp_port": "1"})
        e.site.restart() if hasattr(e.site, "restart") else (e.site.stop(), e.site.start())
        trace = e.submit(["x@a.test", "x@b.test", "y@c.test"])
        e.wait(trace, "relayed", 3)
        equal([m.recipients for m in server.mails], [["x@a.test", "x@b.test", "y@c.test"]])


def test_a_destination_gets_no_more_connections_than_it_may(folder):
    with elsewhere(folder, destination_concurrency="2", reply_timeout="20s") as e:
        import threading
        go, busy, most, lock = threading.Event(), [0], [0], threading.Lock()

        def dot(_line):
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            go.wait(10)
            with lock:
                busy[0] -= 1
            return "250 ok"
        server = e.server("b.test", dot=dot)
        other = e.server("c.test")
        traces = [e.submit("x@b.test") for _ in range(8)]
        wait_until("two at once", lambda: busy[0] == 2)
        e.wait(e.submit("x@c.test"), "relayed")     # the busy one does not hold up others
        time.sleep(0.2)
        equal(most[0], 2)
        go.set()
        for t in traces:
            e.wait(t, "relayed")
        equal((len(server.mails), most[0], len(other.mails)), (8, 2, 1))
        e.is_empty()


def test_a_courier_that_dies_takes_nothing_along(folder):
    import os
    import signal
    from trivet import pids_of
    with elsewhere(folder, reply_timeout="30s") as e:
        server = e.server("b.test", RCPT=["", "250 ok"])
        server.answers["MAIL"] = lambda line: None if len(server.connections) < 2 else USUAL["MAIL"]
        trace = e.submit("x@b.test")
        wait_until("it hangs", lambda: any(c.startswith("MAIL") for c in server.commands))
        os.kill(pids_of(e.site, "smtpd", "courier")[0], signal.SIGKILL)
        e.wait(trace, "deferred")
        server.answers["RCPT"] = "250 ok"
        e.site.turn_clock(30)
        e.wait(trace, "relayed")
        equal(len(server.mails), 1)


def test_a_reload_gives_the_courier_a_successor_and_ends_no_attempt(folder):
    import threading
    from trivet import pids_of
    with elsewhere(folder, reply_timeout="60s") as e:
        go = threading.Event()
        held = e.server("b.test", dot=lambda line: "250 ok" if go.wait(60) else "451 late")
        other = e.server("c.test")
        before = set(pids_of(e.site, "smtpd", "courier"))
        trace = e.submit("x@b.test")
        wait_until("it is being said", lambda: held.mails)
        e.site.reload()
        wait_until("there is another", lambda: set(pids_of(e.site, "smtpd", "courier")) - before)
        for _ in range(4):
            e.wait(e.submit("x@c.test"), "relayed")
        # Twice: a third begins, the second has nothing to do and goes, the first stays with what it has.
        e.site.reload()
        wait_until("the second has gone", lambda: len(pids_of(e.site, "smtpd", "courier")) == 2 and
                   before <= set(pids_of(e.site, "smtpd", "courier")))
        e.wait(e.submit("x@c.test"), "relayed")
        go.set()
        e.wait(trace, "relayed")
        wait_until("the first has gone", lambda: not before & set(pids_of(e.site, "smtpd", "courier")))
        equal((len(held.mails), len(other.mails)), (1, 5))
        e.is_empty()


def inbox(site, user):
    import glob
    return [open(p, "rb").read() for p in glob.glob(f"{site.maildir(f'user{user}')}/[nc]*/*")]


def test_two_sites_find_each_other(folder):
    with two_sites(folder) as (a, b, _):
        import smtplib
        c = smtplib.SMTP(a.host, a.submission_port, timeout=20)
        import ssl
        c.starttls(context=ssl.create_default_context(cafile=a.ca_file))
        c.login("user1", "secret")
        c.sendmail("user1@a.test", ["user2@b.test", "nobody@b.test"],
                   message(to="user2@b.test", sender="user1@a.test", subject="Over there"))
        c.quit()
        got, = wait_until("it is there", lambda: inbox(b, 2))
        assert b"\r\nSubject: Over there\r\n" in got
        told, = wait_until("nobody is told of", lambda: inbox(a, 1))
        assert b"Final-Recipient: rfc822;nobody@b.test" in told and b"Status: 5.1.1" in told, told


