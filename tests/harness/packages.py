# SPDX-License-Identifier: ISC
"""The lists contrib/packages.* and what of them is not installed. Where it is no Debian, nothing is missing."""

import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def packages_of(name):
    with open(f"{TOP}/contrib/packages.{name}", encoding="ascii") as f:
        return [line.strip() for line in f if line.strip() and not line.startswith("#")]


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
