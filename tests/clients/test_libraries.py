# SPDX-License-Identifier: ISC
"""What people write their own programs with: each library does the work of work.py, over TLS and STARTTLS."""

import itertools
import os
import sys

from packages import imapflow_folder
from runner import skip
from work import Refusals, check, do, other_ca, prepare
from programs import made_test, need
from trivet import equal, run_program

DAEMONS = ("imapd", "smtpd")
SETTINGS = {"log_level": "debug"}
USERS = 40
users = itertools.count(1)
HERE = os.path.dirname(os.path.realpath(__file__)) + "/libraries"


def perl(module, script):
    need("perl")
    if run_program("perl", f"-M{module}", "-MIO::Socket::SSL", "-e1").returncode != 0:
        skip(f"perl's {module} is not installed (contrib/packages.test)")
    return ["perl", f"{HERE}/{script}"], {}


def mail_imapclient():
    return perl("Mail::IMAPClient", "imapclient.pl")


def mail_imaptalk():
    return perl("Mail::IMAPTalk", "imaptalk.pl")


def imaplib():
    return [sys.executable, f"{HERE}/work_imaplib.py"], {}


def imapflow():
    need("node")
    folder = imapflow_folder()
    if not os.path.exists(f"{folder}/node_modules/imapflow"):
        skip("imapflow is not in the build folder: tests/run puts it there")
    return ["node", f"{HERE}/imapflow.js"], {"NODE_PATH": f"{folder}/node_modules"}


LIBRARIES = {"Mail IMAPClient": mail_imapclient, "Mail IMAPTalk": mail_imaptalk, "imaplib": imaplib,
             "imapflow": imapflow}


def does_its_work(site, folder, library, mode):
    words, env = LIBRARIES[library]()
    user = next(users)
    prepare(site, user)
    refusals = Refusals(site)
    code, said = do(site, folder, user, mode, words, env=env)
    equal(code, 0, said)
    refusals.expect()
    check(site, user)


def is_refused(site, folder, library):
    words, env = LIBRARIES[library]()
    user = next(users)
    prepare(site, user)
    code, said = do(site, folder, user, "tls", words, password="wrong", env=env)
    if code == 0 or "idle\n" in said:
        raise AssertionError(f"it went on with a wrong password: {said}")
    for mode in ("tls", "starttls"):
        code, said = do(site, folder, user, mode, words, ca_file=other_ca(site, folder), env=env)
        if code == 0 or "idle\n" in said:
            raise AssertionError(f"it trusted a stranger's certificate: {said}")


def more_tests():
    tests = []
    for library in LIBRARIES:
        tests += [made_test(f"a_program_with_{library}_does_its_work_over_{mode}", does_its_work, library, mode)
                  for mode in ("starttls", "tls")]
        tests.append(made_test(f"a_program_with_{library}_ends_at_a_wrong_password_and_a_strangers_certificate",
                               is_refused, library))
    return tests
