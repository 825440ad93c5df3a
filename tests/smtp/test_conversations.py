# SPDX-License-Identifier: ISC
"""The conversations of *.conv; tests/harness/conversation.py tells their language."""

import os

from conversation import USERS_EACH, tests_of

HERE = os.path.dirname(os.path.realpath(__file__))
DOORS = {"smtp": ("smtp_port", False), "submission": ("submission_port", False),
         "submissions": ("submissions_port", True)}
DAEMONS = ("smtpd",)
USERS = USERS_EACH * sum(name.endswith(".conv") for name in os.listdir(HERE))


def more_tests():
    return tests_of(HERE, DOORS, DAEMONS)
