# SPDX-License-Identifier: ISC
"""tests/fuzz/sessions with 100,000 mutated conversations, in a tree of its own with the sanitizers."""

import os

import sites
from runner import only_long, run_program, seconds

INPUTS = 100_000
BUILD_SECONDS = 1200
RUN_SECONDS = 7200


def step(*words, cwd, limit):
    done = run_program(*words, cwd=cwd, text=True, timeout=limit)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@only_long
@seconds(BUILD_SECONDS + RUN_SECONDS)
def test_no_mutated_conversation_ends_hangs_or_fattens_a_session():
    tree = f"{sites.build_dir()}/fuzz/sessions"
    os.makedirs(tree, exist_ok=True)
    if not os.path.exists(f"{tree}/config.status"):
        step(f"{sites.TOP}/configure", "-q", "CFLAGS=-g -O1", "--enable-sanitizers", cwd=tree, limit=BUILD_SECONDS)
    step("make", "-s", "-j2", "tests/fuzz/sessions", cwd=tree, limit=BUILD_SECONDS)
    print("    " + step(f"{tree}/tests/fuzz/sessions", f"{sites.TOP}/tests/imap", str(INPUTS), cwd=tree,
                        limit=RUN_SECONDS).strip(), flush=True)
