# SPDX-License-Identifier: ISC
"""That make fuzz starts: the instrumented tree is built, and each target hears some inputs beyond its seeds."""

import os
import re

import sites
from runner import run_program, seconds, skip, slow_build

RUNS = 50
SKIPPED = 77
BUILD_SECONDS = 400


def campaign(*words):
    done = run_program(f"{sites.TOP}/tests/fuzz/campaign", *words, text=True, timeout=BUILD_SECONDS * slow_build())
    if done.returncode == SKIPPED:
        skip(done.stdout.splitlines()[0])
    return done


@seconds(BUILD_SECONDS)
def test_every_target_starts_and_bears_some_inputs():
    done = campaign("--runs", str(RUNS), f"{sites.build_dir()}/fuzz")
    assert done.returncode == 0, done.stdout + done.stderr
    passed, failed, skipped = map(int, re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped",
                                                    done.stdout.splitlines()[-1]).groups())
    corpora = [n for n in os.listdir(f"{sites.TOP}/tests/fuzz/corpus") if not n.startswith(".")]
    assert (passed, failed, skipped) == (len(corpora), 0, 0), done.stdout
