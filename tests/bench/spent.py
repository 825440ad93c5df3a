# SPDX-License-Identifier: ISC
"""What a server's processes spent: CPU, memory, and what they wrote to the disk."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "harness"))

from sites import title_of

TICK = os.sysconf("SC_CLK_TCK")
QUIET_MS, PATIENCE_SECONDS = 1.0, 30


def process_cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e6


class Cpu:
    """What a server's processes have spent: of the living in nanoseconds, of the dead as their parents were told."""

    def __init__(self, server, without=""):
        self.living, self.dead = {}, 0
        for pid in server.processes():
            try:
                if without and without in title_of(pid):
                    continue
                self.living[pid] = process_cpu_ms(pid)
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                    fields = f.read().rpartition(")")[2].split()
                self.dead += (int(fields[13]) + int(fields[14])) * 1000 / TICK
            except OSError:
                continue

    def ms_since(self, earlier):
        # Who died meanwhile is in `dead` with all it ever spent.
        gone = sum(ms for pid, ms in earlier.living.items() if pid not in self.living)
        living = sum(ms - earlier.living.get(pid, 0) for pid, ms in self.living.items())
        return max(living + self.dead - earlier.dead - gone, 0)


def settle(server, seconds):
    """Waits until nothing has been done for so long: what was put off is over. Says what there is then."""
    until, quiet, last = time.monotonic() + PATIENCE_SECONDS, time.monotonic(), {}
    pids = list(server.processes())
    while time.monotonic() < until and time.monotonic() - quiet < seconds:
        now = {pid: process_cpu_ms(pid) for pid in pids if os.path.exists(f"/proc/{pid}/schedstat")}
        if any(ms - last.get(pid, 0) > QUIET_MS for pid, ms in now.items()):
            quiet = time.monotonic()
        last = now
        time.sleep(0.1)
    return Cpu(server)


def sum_of(path, *starts):
    """Numbers of these lines of a file in /proc; 0 where the process is gone."""
    try:
        with open(path, encoding="ascii") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(starts))
    except OSError:
        return 0


def written_kb(server):
    """What has been written to its disk, as far as it has one of its own."""
    return server.disk.written_kb() if server.disk else 0


def memory_mb(server):
    """Proportional set size: shared pages count once in all."""
    return sum(sum_of(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in server.processes()) / 1024


def private_kb(pid):
    return sum_of(f"/proc/{pid}/smaps_rollup", "Private_Dirty:", "Private_Clean:")
