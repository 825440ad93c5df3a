# SPDX-License-Identifier: ISC
"""The lists contrib/packages.* and what of them is not installed. Where it is no Debian, nothing is missing.

Besides, imapflow, which Debian does not have: npm puts it into the build folder, as the lock file in
tests/clients/imapflow says.
"""

import filecmp
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def packages_of(name):
    """Behind a package stand the programs that will do in its place, wherever they are from."""
    with open(f"{TOP}/contrib/packages.{name}", encoding="ascii") as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return [package for package, *programs in rows if not programs or not all(map(shutil.which, programs))]


def missing_packages(names):
    if shutil.which("dpkg-query") is None:
        return []
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
                          capture_output=True, text=True)
    there = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return [n for n in names if n not in there]


# A package's service must not be started by its installation: invoke-rc.d asks this program.
POLICY = "/usr/sbin/policy-rc.d"
INSTALL = f"""
set -e
made=
if ! [ -e {POLICY} ]; then
	printf '#!/bin/sh\\nexit 101\\n' > {POLICY}
	chmod 755 {POLICY}
	made=1
fi
trap '[ -z "$made" ] || rm -f {POLICY}' EXIT
get() {{
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}}
get install --no-install-recommends "$@" ||
	{{ get update && get install --no-install-recommends "$@"; }}
"""


def as_root():
    """The words before a command that root is to run, or None. On a terminal sudo may ask for its password."""
    if os.geteuid() == 0:
        return []
    sudo = ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]
    if shutil.which("sudo") is None or subprocess.run([*sudo, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        return None
    return sudo


def install(names):
    """True where all are there now."""
    if not names:
        return True
    print("To be installed with apt-get, starting no service: " + " ".join(names), flush=True)
    root = as_root()
    if root is None:
        print("That takes root or sudo. Some tests cannot run without.")
        return False
    done = subprocess.run([*root, "sh", "-c", INSTALL, "sh", *names], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout[-3000:])
    return done.returncode == 0


# ---- imapflow ----

def imapflow_folder():
    from sites import build_dir
    return os.path.join(build_dir(), "tests", "clients", "imapflow")


def install_imapflow():
    """True where the build folder has it in the version of the lock file."""
    folder, lists = imapflow_folder(), ("package.json", "package-lock.json")
    source = f"{TOP}/tests/clients/imapflow"
    if all(os.path.exists(f"{folder}/node_modules/{n}") and
           filecmp.cmp(f"{folder}/node_modules/{n}", f"{source}/{n}", shallow=False) for n in lists):
        return True
    if shutil.which("npm") is None:
        return False
    print("To be installed with npm, into the build folder: imapflow and what it needs", flush=True)
    os.makedirs(folder, exist_ok=True)
    for name in lists:
        shutil.copy(f"{source}/{name}", folder)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"],
                          cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode != 0:
        print(done.stdout[-3000:])
        return False
    for name in lists:          # only now is it whole
        shutil.copy(f"{source}/{name}", f"{folder}/node_modules")
    return True
