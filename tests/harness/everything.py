# SPDX-License-Identifier: ISC
"""Builds Trivet and runs all its tests.

Installs the packages that are missing (says so before; as root or with sudo), builds out of tree in
./build or $TRIVET_BUILD, runs `make check`, then the programs tests/FAMILY/run; prints a line per family and,
last, `N passed, N failed, N skipped`. With CI=true a skip counts as a failure.
"""

import argparse
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from packages import TOP, install, install_imapflow, missing_packages, packages_of

FIRST = ["unit", "imap", "pop3", "smtp", "mail", "clients"]     # others follow by name
LAST = ["conformance"]          # looks at what came of the others
NO_FAMILIES = {"unit", "harness", "data", "bench"}
COUNTS = re.compile(r"^(?:.*: )?(\d+) passed, (\d+) failed, (\d+) skipped\s*$")


def say(*words):
    print(*words, flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also what needs Debian's mail servers")
    parser.add_argument("--long", action="store_true", help="also what takes long")
    parser.add_argument("--sanitizers", action="store_true", help="with a build that has ASan and UBSan")
    parser.add_argument("--only", metavar="FAMILY", action="append", help="this family; may be given again")
    parser.add_argument("--no-install", action="store_true", help="install no packages")
    return parser.parse_args()


# ---- building ----

def build_dir(sanitizers):
    if os.environ.get("TRIVET_BUILD"):
        return os.path.abspath(os.environ["TRIVET_BUILD"])
    return f"{TOP}/build-sanitizers" if sanitizers else f"{TOP}/build"


def step(what, words, folder, log):
    """Runs it with its output in the log; shows the end of it where it fails."""
    with open(log, "ab") as out:
        code = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
    if code != 0:
        with open(log, encoding="utf-8", errors="replace") as f:
            say("".join(f.readlines()[-40:]))
        say(f"{what} failed; all of its output: {log}")
    return code == 0


def forget_results(folder):
    """All families run: nothing of before counts."""
    if os.path.exists(f"{folder}/test-results.json"):
        os.unlink(f"{folder}/test-results.json")


def source_is_configured():
    return os.path.exists(f"{TOP}/config.status")


def is_older(made, source):
    """Both in TOP. With a Makefile, make itself looks; this is for a build that has not come so far."""
    if not os.path.exists(f"{TOP}/{made}"):
        return True
    return os.path.getmtime(f"{TOP}/{made}") < os.path.getmtime(f"{TOP}/{source}")


def build(folder, sanitizers):
    os.makedirs(folder, exist_ok=True)
    log = f"{folder}/build.log"
    with open(log, "wb"):
        pass
    jobs = f"-j{os.cpu_count() or 1}"
    configured = os.path.exists(f"{folder}/config.status")
    if folder == TOP:
        words = ["./configure", "-q"]
    elif source_is_configured():
        say(f"{TOP} was built in place: run 'make distclean' there first")
        return False
    else:
        words = [f"{TOP}/configure", "-q"]
    if sanitizers:
        words.append("--enable-sanitizers")
    if is_older("configure", "configure.ac") and not step("autoreconf", ["autoreconf", "-fi"], TOP, log):
        return False
    if not configured and not step("configure", words, folder, log):
        return False
    return step("make", ["make", "-s", jobs], folder, log)


# ---- families ----

def run_unit(folder):
    """make check; its programs are the tests. Returns (passed, failed, skipped)."""
    log = f"{folder}/check.log"
    with open(log, "wb") as out:
        code = subprocess.run(["make", "-k", f"-j{os.cpu_count() or 1}", "check"], cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT).returncode
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read()
    counts = {word: sum(int(n) for n in re.findall(rf"^# {word}: +(\d+)", text, re.MULTILINE))
              for word in ("PASS", "FAIL", "SKIP", "ERROR")}
    failed = counts["FAIL"] + counts["ERROR"]
    if code != 0:
        failed = failed or 1
        faults = [line for line in text.splitlines() if re.match(r"(FAIL|ERROR)|.*(error|Error)", line)]
        say("\n".join(faults[:20]))
        say(f"all of the output: {log}")
    keep_unit_results(folder)
    return counts["PASS"], failed, counts["SKIP"]


def keep_unit_results(folder):
    """What automake's driver wrote of each program, for tests/conformance/table."""
    from runner import keep_results     # after set_environment: it goes by the build folder
    rows = []
    for place, _, names in os.walk(f"{folder}/tests/unit"):
        for name in sorted(n for n in names if n.endswith(".trs")):
            with open(f"{place}/{name}", encoding="utf-8") as f:
                passed = ":test-result: PASS" in f.read()
            program = os.path.relpath(f"{place}/{name}", folder).removesuffix(".trs")
            rows.append({"name": program, "file": f"{program}.c", "line": 0, "outcome": "passed" if passed else "failed"})
    keep_results("unit", rows, True)


def run_program(name):
    """Shows what the family says, and returns its last line's counts."""
    last = ""
    with subprocess.Popen(f"{TOP}/tests/{name}/run", cwd=TOP, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
        for line in child.stdout:
            last = line
            if not line.startswith("PASS") and not COUNTS.match(line):
                say(line.rstrip("\n"))
    found = COUNTS.match(last)
    if not found:
        say(f"tests/{name}/run ended without its counts (exit code {child.returncode})")
        return 0, 1, 0
    passed, failed, skipped = (int(n) for n in found.groups())
    return passed, failed if child.returncode == 0 else max(failed, 1), skipped


def families(args):
    found = sorted(n for n in os.listdir(f"{TOP}/tests")
                   if n not in NO_FAMILIES and os.access(f"{TOP}/tests/{n}/run", os.X_OK))
    ordered = [n for n in FIRST if n in found or n == "unit"] + [n for n in found if n not in FIRST + LAST] + \
              [n for n in LAST if n in found]
    unknown = set(args.only or []) - set(ordered)
    if unknown:
        sys.exit(f"there is no family {', '.join(sorted(unknown))}; there are {', '.join(ordered)}")
    return [n for n in ordered if not args.only or n in args.only]


def set_environment(folder, args):
    """What the families' programs go by."""
    for name in ("peers", "long", "sanitizers"):
        if getattr(args, name):
            os.environ[f"TRIVET_TEST_{name.upper()}"] = "1"
    os.environ["TRIVET_BUILD"] = folder
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    if args.sanitizers:
        os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=1:disable_coredump=1")
        os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")


def main():
    args = parse()
    began = time.monotonic()
    chosen = families(args)
    wanted = packages_of("build") + (packages_of("test") if set(chosen) - {"unit"} else [])
    for name in ("long", "peers"):
        if getattr(args, name):
            wanted += packages_of(name)
    if not args.no_install:
        install(missing_packages(wanted))       # where it cannot, the build or a skip says what is missing
    folder = build_dir(args.sanitizers)
    say(f"Building in {folder}")
    if not build(folder, args.sanitizers):
        say("0 passed, 1 failed, 0 skipped")
        return 1
    set_environment(folder, args)
    if "clients" in chosen and not args.no_install:
        install_imapflow()
    if not args.only:
        forget_results(folder)
    total, lines = [0, 0, 0], []
    for name in chosen:
        started = time.monotonic()
        say(f"Running {name}")
        counts = run_unit(folder) if name == "unit" else run_program(name)
        total = [a + b for a, b in zip(total, counts)]
        lines.append("{:<10} {} passed, {} failed, {} skipped ({:.0f} s)".format(
            name, *counts, time.monotonic() - started))
    say(f"\n{time.monotonic() - began:.0f} seconds in all")
    say("\n".join(lines))
    if os.environ.get("CI") == "true" and total[2]:
        say("CI=true: what was skipped counts as failed")
        total = [total[0], total[1] + total[2], 0]
    say("{} passed, {} failed, {} skipped".format(*total))
    return 1 if total[1] else 0


sys.exit(main())
