# SPDX-License-Identifier: ISC
"""One session of each protocol under valgrind: no definite leak, no bad access, in any process."""

import glob
import os
import re
from unittest import mock

from trivet import Site, imap, message, need, not_with_sanitizers, ok, pop3, run_program, seconds, smtp, wait_until

HERE = os.path.dirname(os.path.realpath(__file__))


def use(site):
    s = smtp(site, "submission_port", user=1, starttls=True)
    s.sendmail(site.address(1), [site.address(1), site.address(2)], message(sender=site.address(1), subject="one"))
    s.quit()
    s = smtp(site)
    s.sendmail("a@elsewhere.test", [site.address(1)], message(subject="two", body="x" * 300_000))
    s.quit()
    c = imap(site, 1, "imaps_port", timeout=60)
    ok(c.create("Work"))
    ok(c.select("INBOX"))
    ok(c.append("INBOX", r"(\Seen)", None, message(subject="three")))
    ok(c.noop())
    ok(c.fetch("1:*", "(UID FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    ok(c.search(None, "SUBJECT", "one"))
    ok(c.store("1", "+FLAGS", r"(\Deleted kept)"))
    ok(c.copy("1:2", "Work"))
    ok(c.expunge())
    ok(c.list())
    ok(c.status("Work", "(MESSAGES UIDNEXT)"))
    c.logout()
    p = pop3(site, 1, "pop3s_port", timeout=60)
    p.uidl()
    for n in range(1, p.stat()[0] + 1):
        p.retr(n)
        p.top(n, 1)
    p.dele(1)
    p.quit()


def faults_of(report):
    with open(report, encoding="utf-8", errors="replace") as f:
        text = f.read()
    lost = re.search(r"definitely lost: ([\d,]+) bytes", text)
    errors = re.search(r"ERROR SUMMARY: (\d+) errors", text)
    if (lost and lost[1] != "0") or (errors and errors[1] != "0"):
        return re.sub(r"(?m)^==\d+== ?", "", text)[:2500]
    return None if errors else f"{report}: the process ended without a summary, after {text[-500:]}"


@not_with_sanitizers
@seconds(240)
def test_a_session_of_each_protocol_leaks_nothing_under_valgrind(folder):
    need("valgrind")
    wrapper = ["valgrind", "-q", "--trace-children=yes", "--leak-check=full", "--show-leak-kinds=definite",
               "--errors-for-leak-kinds=definite", "--child-silent-after-fork=no", "-v", "--vgdb=no",
               f"--suppressions={HERE}/valgrind.supp", f"--log-file={folder}/valgrind.%p"]
    site = Site(f"{folder}/site", users=2, sandbox=False,
                settings=["processes = 1", "connect_timeout = 60s"])
    os.chmod(folder, 0o777)         # each process writes its own report, as the user it became
    built = run_program("cc", "-shared", "-fPIC", "-o", f"{folder}/openat2.so", f"{HERE}/valgrind_openat2.c", "-ldl")
    if built.returncode != 0:
        raise AssertionError(built.stderr.decode())
    try:
        with mock.patch.dict(os.environ, LD_PRELOAD=f"{folder}/openat2.so"):
            site.start(wrapper, seconds=60)
        use(site)
        slow = site.stop()
        if slow:
            raise AssertionError(slow)
    except BaseException:
        print(site.tail_of("log", 30))
        raise
    finally:
        site.kill()
    reports = glob.glob(f"{folder}/valgrind.*")
    wait_until("each process has written its report", lambda: len(reports) >= 10, 1)
    faults = [f for f in map(faults_of, sorted(reports)) if f]
    if faults:
        raise AssertionError(f"{len(faults)} of {len(reports)} processes:\n" + "\n".join(faults[:8]))
