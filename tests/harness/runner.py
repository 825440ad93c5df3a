# SPDX-License-Identifier: ISC
"""Runs the functions test_* of a family's modules, each named for what must be true.

A test takes what it needs by the names of its arguments:
  site    the module's throw-away server, made once with its SETTINGS (a dict) and USERS (a number)
  fresh   a server of the test's own, the same way
  folder  an empty folder
The options --long, --peers and --sanitizers may also come as TRIVET_TEST_LONG=1 and so on.
It passes when it returns, fails when it raises, is skipped by skip("why"). Each has a time limit; the logs
of a failed one are shown and kept. A sanitizer's or valgrind's complaint fails the test that caused it.
"""

import argparse
import faulthandler
import importlib.util
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import sites

SECONDS = 60


class Skip(Exception):
    """Why a test cannot run here."""


class TooLong(BaseException):
    """Not to be caught by a test that catches Exception."""


class Options:
    long = False
    peers = False
    sanitizers = False


def skip(why):
    raise Skip(why)


def need(*programs):
    for name in programs:
        if shutil.which(name) is None:
            skip(f"{name} is not installed (contrib/packages.test)")


def seconds(limit):
    """Decorator: another time limit than SECONDS."""
    def mark(function):
        function.seconds = limit
        return function
    return mark


def only_long(function):
    """Decorator: runs with --long only."""
    function.only_long = True
    return function


def not_with_sanitizers(function):
    """Decorator: makes no sense in a build that has them."""
    function.not_with_sanitizers = True
    return function


def slow_build():
    """How many times slower a sanitizer build may be."""
    return 3 if Options.sanitizers else 1


# ---- one test ----

def on_alarm(_number, _frame):
    raise TooLong()


def on_end(number, _frame):
    """The servers are stopped on the way out."""
    sys.exit(128 + number)


def sentence(function):
    return function.__name__.removeprefix("test_").replace("_", " ")


class Module:
    """A file of tests, and its server."""

    def __init__(self, path):
        name = os.path.splitext(os.path.basename(path))[0]
        spec = importlib.util.spec_from_file_location(name, path)
        self.name = name.removeprefix("test_")
        self.module = importlib.util.module_from_spec(spec)
        sys.modules[name] = self.module
        spec.loader.exec_module(self.module)
        self.folder = None
        self.shared = None

    def tests(self):
        found = [f for n, f in vars(self.module).items() if n.startswith("test_") and callable(f)]
        if hasattr(self.module, "more_tests"):
            found += self.module.more_tests()
        return found

    def make_site(self, folder):
        settings = [f"{k} = {v}" for k, v in getattr(self.module, "SETTINGS", {}).items()]
        return sites.Site(folder, users=getattr(self.module, "USERS", 10), settings=settings,
                          daemons=getattr(self.module, "DAEMONS", sites.DAEMONS)).start()

    def get_shared(self):
        if self.shared is None:
            self.folder = tempfile.mkdtemp(prefix="trivet-test-")
            os.chmod(self.folder, 0o755)
            self.shared = self.make_site(f"{self.folder}/site")
        else:
            self.shared.start()     # a test before may have left something dead
        return self.shared

    def close(self):
        why = None
        if self.shared is not None:
            why = self.shared.stop()
            faults = self.shared.complaints()
            if faults:
                why = "\n".join(([why] if why else []) + faults)
            self.shared.remove()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        return why


class Run:
    """One test with what it was given."""

    def __init__(self, module, function):
        self.module = module
        self.function = function
        self.folder = tempfile.mkdtemp(prefix="trivet-test-")
        os.chmod(self.folder, 0o755)
        self.fresh = None
        self.site = None
        self.log_before = 0

    def arguments(self):
        given = {}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.default is not parameter.empty:
                continue        # made in a loop
            if name == "site":
                given[name] = self.site = self.module.get_shared()
            elif name == "fresh":
                given[name] = self.site = self.fresh = self.module.make_site(f"{self.folder}/site")
            elif name == "folder":
                given[name] = self.folder
            else:
                raise TypeError(f"{self.function.__name__}: nobody gives '{name}'")
        if self.site is not None and os.path.exists(self.site.log):
            self.log_before = os.path.getsize(self.site.log)
        return given

    def __call__(self):
        """None, or Skip, or the text of what failed."""
        limit = getattr(self.function, "seconds", SECONDS) * slow_build()
        signal.signal(signal.SIGALRM, on_alarm)
        signal.alarm(int(limit))
        failure = None
        try:
            self.function(**self.arguments())
        except Skip as e:
            return e
        except TooLong:
            failure = f"not done after {limit} s\n{traceback.format_exc()}"
        except KeyboardInterrupt:
            raise
        except BaseException:
            failure = traceback.format_exc()
        finally:
            signal.alarm(0)
        if self.fresh is not None:
            slow = self.fresh.stop()
            if slow and not failure:
                failure = slow
            faults = self.fresh.complaints()
            if faults:
                failure = (failure or "") + "\n".join(faults)
        if failure:
            failure += self.logs()
        return failure

    def logs(self):
        """What was logged during the test."""
        if self.site is None:
            return ""
        text = ""
        for name in ["log"] + [f"stderr/{n}" for n in self.site.stderr_names()]:
            tail = self.site.tail_of(name, 40, self.log_before if name == "log" else 0)
            if tail:
                text += f"\n---- last lines of {name}\n{tail}"
        return text

    def close(self, keep_as):
        if self.fresh is not None:
            self.fresh.kill()
        if keep_as and self.site is not None:
            os.makedirs(keep_as, exist_ok=True)
            for name in ("log", "stderr", "trivet.conf"):
                source = f"{self.site.folder}/{name}"
                copy = shutil.copytree if os.path.isdir(source) else shutil.copy
                if os.path.exists(source):
                    copy(source, f"{keep_as}/{name}")
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- what came of it, for tests/conformance/table ----

def results_path():
    return os.path.join(sites.build_dir(), "test-results.json")


def outcome(function, name, word):
    """A test's row. Those made in a loop say themselves which file they came from."""
    code = function.__code__
    path = getattr(function, "made_from", code.co_filename)
    return {"name": name, "file": os.path.relpath(path, sites.TOP), "outcome": word,
            "line": 0 if hasattr(function, "made_from") else code.co_firstlineno}


def keep_results(family, rows, whole):
    """In the place of the family's earlier ones; where only some ran, of theirs."""
    try:
        with open(results_path(), encoding="utf-8") as f:
            kept = json.load(f)
    except (FileNotFoundError, ValueError):
        kept = {}
    names = {row["name"] for row in rows}
    before = [] if whole else [row for row in kept.get(family, []) if row["name"] not in names]
    kept[family] = before + rows
    with open(results_path() + ".new", "w", encoding="utf-8") as f:
        json.dump(kept, f, indent=0)
    os.replace(results_path() + ".new", results_path())


# ---- a family ----

def parse(argv):
    parser = argparse.ArgumentParser(description="one family of tests; tests/run runs all")
    parser.add_argument("--only", metavar="WORDS", help="tests whose module or sentence holds this")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--peers", action="store_true", help="also what needs Debian's mail servers")
    parser.add_argument("--sanitizers", action="store_true", help="the build has them: be patient")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args(argv)
    for name in ("long", "peers", "sanitizers"):
        setattr(Options, name, getattr(args, name) or bool(os.environ.get(f"TRIVET_TEST_{name.upper()}")))
    return args


def wanted(args, module, function):
    if getattr(function, "not_with_sanitizers", False) and Options.sanitizers:
        return False
    if getattr(function, "only_long", False) and not (Options.long or args.list):
        return False
    words = (args.only or "").replace("_", " ")
    return words in sentence(function) or words in module.name.replace("_", " ")


def kept_logs(family, module, function):
    """A new folder for a failed test's logs, below the build folder."""
    name = f"{module.name}.{function.__name__}"[:120]
    path = os.path.join(sites.build_dir(), "test-logs", family, name)
    shutil.rmtree(path, ignore_errors=True)
    return path


def family(folder, argv):
    """Runs folder/test_*.py; prints a line per test and, last, the counts. Returns the exit code."""
    faulthandler.register(signal.SIGUSR1)
    signal.signal(signal.SIGTERM, on_end)
    signal.signal(signal.SIGHUP, on_end)
    args = parse(argv)
    name = os.path.basename(os.path.abspath(folder))
    counts = {"passed": 0, "failed": 0, "skipped": 0, "rows": []}
    try:
        for path in sorted(os.listdir(folder)):
            if path.startswith("test_") and path.endswith(".py"):
                run_module(Module(os.path.join(folder, path)), name, args, counts)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        counts["failed"] += 1
    if not args.list:
        keep_results(name, counts["rows"], args.only is None)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


def run_module(module, name, args, counts):
    chosen = [f for f in module.tests() if wanted(args, module, f)]
    if args.list:
        for function in chosen:
            print(f"{name}/{module.name}: {sentence(function)}")
        return
    try:
        for function in chosen:
            run_one(module, function, name, counts)
    finally:
        why = module.close()
    if why:
        counts["failed"] += 1
        print(f"FAIL {name}/{module.name}: the server ends cleanly and without a complaint\n{why}", flush=True)


def run_one(module, function, name, counts):
    began = time.monotonic()
    run = Run(module, function)
    keep_as = None
    try:
        result = run()
        if isinstance(result, str):
            keep_as = kept_logs(name, module, function)
    finally:
        run.close(keep_as)
    word, count, more = "PASS", "passed", ""
    if isinstance(result, Skip):
        word, count, more = "SKIP", "skipped", f" ({result})"
    elif result is not None:
        word, count = "FAIL", "failed"
    counts[count] += 1
    counts["rows"].append(outcome(function, f"{name}/{module.name}: {sentence(function)}", count))
    print(f"{word} {name}/{module.name}: {sentence(function)}{more} [{time.monotonic() - began:.1f} s]", flush=True)
    if word == "FAIL":
        print("    " + result.strip().replace("\n", "\n    "), flush=True)
        if os.path.isdir(keep_as):      # a test with a server of its own making shows what it will
            print(f"    (logs: {keep_as})", flush=True)


def run_program(*words, **options):
    """subprocess.run that never waits for a terminal or for ever."""
    options.setdefault("timeout", 30 * slow_build())
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run(words, capture_output=True, **options)
