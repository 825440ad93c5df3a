# SPDX-License-Identifier: ISC
"""The preloaded library faults.c, and a throw-away server that runs with it."""

import contextlib
import ctypes
import glob
import os
import shutil
import subprocess
import tempfile
import time
from unittest import mock

from sites import DAEMONS, TOP, Site, Trouble, build_dir, title_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROLES = 16
FAIL, KILL_BEFORE, KILL_AFTER = 1, 2, 3
MEMORY = "/dev/shm"         # where syncs cost nothing, and no inode number comes twice


def compile_library():
    """Next to the build, made anew when its sources are newer."""
    sources, made = sorted(glob.glob(f"{HERE}/faults*.c")), f"{build_dir()}/tests/faults/faults.so"
    newest = max(os.path.getmtime(path) for path in [*sources, f"{HERE}/faults.h"])
    if not os.path.exists(made) or os.path.getmtime(made) < newest:
        os.makedirs(os.path.dirname(made), exist_ok=True)
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wno-missing-attributes", "-shared",
                        "-fPIC", f"-I{TOP}", "-o", f"{made}.{os.getpid()}", *sources, "-ldl"], check=True)
        os.rename(f"{made}.{os.getpid()}", made)
    return made


class Machine:
    """Arms faults, reads counts. One for a process: the library has one map."""

    def __init__(self, path):
        self.path = path
        self.file = compile_library()
        self.library = ctypes.CDLL(self.file)
        self.library.faults_count.restype = self.library.faults_fired.restype = ctypes.c_uint64
        self.library.faults_tail.restype = self.library.faults_total.restype = ctypes.c_uint64
        self.library.faults_kind_name.restype = self.library.faults_role_name.restype = ctypes.c_char_p
        self.library.faults_attach.restype = ctypes.c_bool
        if not self.library.faults_attach(path.encode()):
            raise Trouble(f"{path} cannot be made")
        os.chmod(path, 0o666)
        self.kinds = []
        while (name := self.library.faults_kind_name(len(self.kinds))) is not None:
            self.kinds.append(name.decode())
        self.roles = {}
        for n in range(len(DAEMONS) * ROLES):
            name = self.library.faults_role_name(n).decode()
            if not name.endswith(": "):
                self.roles[name] = n

    def environment(self):
        return mock.patch.dict(os.environ, LD_PRELOAD=self.file, TRIVET_FAULTS=self.path)

    def arm(self, role, kind, what, error=0, at=1, times=1):
        self.library.faults_arm(self.roles[role], self.kinds.index(kind), what, error, ctypes.c_uint64(at),
                                ctypes.c_uint64(times))

    def disarm(self):
        """How often it happened."""
        self.library.faults_disarm()
        return self.library.faults_fired()

    def clear_counts(self):
        self.library.faults_clear_counts()

    def counts(self):
        """(role, kind) to how many calls."""
        found = {}
        for role, r in self.roles.items():
            for k, kind in enumerate(self.kinds):
                n = self.library.faults_count(r, k)
                if n:
                    found[role, kind] = n
        return found

    def hurry(self, seconds, everybody=False):
        """master, or everybody, believes that so much time has passed."""
        self.library.faults_hurry(ctypes.c_int64(int(seconds * 1000)), everybody)

    def quiet(self, patience=2.0):
        """Waits until nobody does anything any more."""
        before, until = None, time.monotonic() + patience
        while time.monotonic() < until:
            now = self.library.faults_total()
            if now == before:
                return
            before = now
            time.sleep(0.03)

    def boot(self, number):
        """From now on /proc tells of another boot."""
        self.library.faults_boot(number)

    def record(self, device):
        self.library.faults_record(ctypes.c_uint64(device))

    def mark(self, text):
        self.library.faults_mark(text.encode())

    def tail(self):
        return self.library.faults_tail()


class Stand:
    """A server under the library; with statement."""

    def __init__(self, folder=None, users=4, settings=()):
        self.own = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="trivet-faults-", dir=MEMORY)
        os.chmod(self.folder, 0o755)
        self.machine = Machine(f"{self.folder}/control")
        self.site = Site(f"{self.folder}/site", users=users, settings=settings)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        if not self.site.exists():
            self.site.create()
        with self.machine.environment():
            self.site.start()

    def master_pids(self):
        found = {}
        for daemon in DAEMONS:
            with contextlib.suppress(OSError, ValueError), open(self.site.pid_file(daemon), encoding="ascii") as f:
                found[daemon] = int(f.read())
        return found

    def masters_live(self):
        """Without a look at every process there is."""
        pids = self.master_pids()
        return all(d in pids and f"{d}: master" in title_of(pids[d]) for d in DAEMONS)

    def has_keepers(self):
        for pid in self.master_pids().values():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                if any(": keeper" in title_of(int(child)) for child in f.read().split()):
                    return True
        return False

    def close(self):
        with contextlib.suppress(Exception):
            self.machine.disarm()
        self.site.kill()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)


def wait_for(seconds, condition, pause=0.01):
    """The last value of condition(), the first true one."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > until:
            return value
        time.sleep(pause)
