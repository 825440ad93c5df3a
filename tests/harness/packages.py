# SPDX-License-Identifier: ISC
"""The lists contrib/packages.* and what of them is not installed. Where it is no Debian, nothing is missing."""

import os
import shutil
import subprocess

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
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y install --no-install-recommends "$@" ||
	{{ apt-get -q update && apt-get -q -y install --no-install-recommends "$@"; }}
"""


def install(names):
    """True where all are there now."""
    if not names:
        return True
    root = [] if os.geteuid() == 0 else ["sudo", "-n"] if shutil.which("sudo") else None
    if root is None or subprocess.run([*root, "true"], capture_output=True).returncode != 0:
        print("These packages are missing, and without root or sudo they cannot be installed:")
        print("  apt-get install " + " ".join(names))
        return False
    print("Installing with apt-get, starting no service: " + " ".join(names), flush=True)
    done = subprocess.run([*root, "sh", "-c", INSTALL, "sh", *names], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout[-3000:])
    return done.returncode == 0
