# SPDX-License-Identifier: ISC
"""That `make faults` starts: some of its points, and some of its cuts."""

import os

from trivet import not_with_sanitizers, run_program, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = "write,fsync,rename,link,unlink,ftruncate,open,close,mkdir,read,mmap"


def run(program, *words):
    done = run_program(f"{HERE}/{program}", *words, timeout=280)
    if done.returncode != 0:
        raise AssertionError((done.stdout + done.stderr).decode(errors="replace")[-6000:])
    print("    " + done.stdout.decode().strip().splitlines()[-1], flush=True)


@not_with_sanitizers
@seconds(300)
def test_whatever_call_fails_no_answer_was_a_lie():
    run("every", "--sample", "100", "--kinds", KINDS, "--jobs", "1")


@not_with_sanitizers
@seconds(300)
def test_whenever_the_power_is_cut_what_was_answered_is_there():
    run("power", "--sample", "8", "--more", "1")
