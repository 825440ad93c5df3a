# SPDX-License-Identifier: ISC
"""Every call of the script, made to fail in every way: counted first, then one after the other."""

import errno
import os
import re
import shutil
import time
from dataclasses import dataclass

import sites
from lines import Broken, Line
from machine import FAIL, KILL_AFTER, KILL_BEFORE, Stand, wait_for
from script import Round

KILLS = [("killed before", KILL_BEFORE, 0, 1), ("killed after", KILL_AFTER, 0, 1)]
EVER = 2 ** 63


def fails(name, persistently=False):
    number = getattr(errno, name)
    return [(name, FAIL, number, 1)] + ([(f"{name} from then on", FAIL, number, EVER)] if persistently else [])


FAULTS = {
    "write": fails("ENOSPC", persistently=True) + fails("EIO") + KILLS,
    "fsync": fails("EIO", persistently=True) + fails("ENOSPC") + KILLS,
    "rename": fails("ENOSPC", persistently=True) + fails("EIO") + KILLS,
    "link": fails("ENOSPC", persistently=True) + fails("EIO") + KILLS,
    "unlink": fails("EIO", persistently=True) + KILLS,
    "ftruncate": fails("ENOSPC") + fails("EIO") + KILLS,
    "open": fails("EMFILE", persistently=True) + fails("ENOSPC") + fails("EIO") + KILLS,
    "close": fails("EIO", persistently=True) + KILLS,
    "mkdir": fails("ENOSPC", persistently=True) + fails("EIO") + KILLS,
    "read": fails("EIO", persistently=True) + KILLS[:1],
    "mmap": fails("ENOMEM", persistently=True) + KILLS[:1],
    "malloc": fails("ENOMEM") + [("ENOMEM 30 times", FAIL, errno.ENOMEM, 30)] + KILLS[:1],
}
SWEEP_EVERY = 10
COUNTING_ROUNDS = 4
SCENES = ("warm", "late", "cold", "new", "reload")
WAITS = (0.4, 2.5, 6)       # flags become names; the mailboxes are synced; SQLite's log goes into the index
LEAVES = 61                 # a keeper goes home


@dataclass(frozen=True)
class Point:
    role: str
    kind: str
    name: str
    what: int
    error: int
    times: int
    at: int
    scene: str

    def __str__(self):
        return f"{self.role}, {self.scene}: {self.kind} number {self.at}: {self.name}"


class Runner:
    """Points on a stand of its own."""

    def __init__(self, log=print, keeps=False):
        self.stand = None
        self.keeps = keeps      # the setting undelete_days
        self.rounds = 0
        self.log = log

    def __enter__(self):
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.stand:
            self.stand.close()

    def begin(self):
        if self.stand:
            self.stand.close()
        self.stand = Stand(settings=["undelete_days = 30"] if self.keeps else ())
        self.stand.start()
        Line.wait_less = lambda: self.stand.machine.hurry(1, everybody=True)
        Round(self.stand.site).sow()
        self.play("warm").check()

    # -- counting --

    def let_go(self):
        """What was put off is done now."""
        m = self.stand.machine
        for seconds in WAITS:
            m.hurry(seconds, everybody=True)
            time.sleep(0.03)
            m.quiet()

    def send_keepers_home(self):
        for _ in range(30):
            self.stand.machine.hurry(LEAVES, everybody=True)
            if wait_for(1, lambda: not self.stand.has_keepers()):
                return
        raise Broken("keepers do not go home")

    def set_scene(self, scene):
        if scene in ("cold", "new"):
            self.send_keepers_home()
        if scene == "new":
            for n in (1, 2, 3):
                shutil.rmtree(self.stand.site.maildir(f"user{n}"), ignore_errors=True)

    def play(self, scene, blind=False):
        work = Round(self.stand.site, blind=blind, keeps=self.keeps)
        if scene == "reload":
            self.stand.site.reload()
        work.play()
        if scene == "late":
            self.let_go()
        return work

    def count(self):
        """(scene, role, kind) to the number of calls."""
        found = {}
        for scene in SCENES:
            for _ in range(COUNTING_ROUNDS):
                self.stand.machine.quiet()
                self.set_scene(scene)
                self.stand.machine.clear_counts()
                work = self.play(scene)
                self.stand.machine.quiet(0.2)
                for (role, kind), calls in self.stand.machine.counts().items():
                    found[scene, role, kind] = max(found.get((scene, role, kind), 0), calls)
                work.check()
                work.sweep()
        return found

    # -- one point --

    def run(self, point):
        """(how often it happened, None or what is broken)."""
        stand = self.stand
        try:
            self.set_scene(point.scene)
            stand.machine.arm(point.role, point.kind, point.what, point.error, point.at, point.times)
            work = self.play(point.scene, blind=point.kind in ("read", "open"))
            fired = stand.machine.disarm()
            if fired:
                stand.machine.hurry(20)
            if not stand.masters_live():
                stand.start()
            if fired:
                work.wait_for_service()
            work.send_again()
            work.check()
            self.rounds += 1
            if self.rounds % SWEEP_EVERY == 0:
                work.sweep()
            return fired, None
        except Exception as e:
            stand.machine.disarm()
            what = f"{type(e).__name__}: {e}"
            self.keep_log(point, what)
            self.begin()
            return 1, what

    def keep_log(self, point, what):
        folder = f"{sites.build_dir()}/test-logs/faults"
        os.makedirs(folder, exist_ok=True)
        name = str(point).replace(": ", ".").replace(" ", "_")
        with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
            f.write(f"{point}\n{what}\n\n")
            f.writelines(line for line in self.stand.site.tail_of("log", 60000).splitlines(True)
                         if not re.search(r"\] (login|logout|login\.ok) ", line))
            for other in self.stand.site.stderr_names():
                f.write(f"\n---- {other}\n{self.stand.site.tail_of(f'stderr/{other}')}")


def fewer(faults):
    """To be killed after a call is to be killed before the next; the first error stands for others."""
    fails = [f for f in faults if f[1] == FAIL]
    return fails[:2] + [f for f in faults if f[1] == KILL_BEFORE]


def all_points(counts, scenes=SCENES, roles="", kinds=()):
    """Once warm; what is put off; each account's first message for a while, and its first of all; while the settings
    are read again."""
    found = []
    for (scene, role, kind), calls in sorted(counts.items()):
        if scene not in scenes or roles not in role or (kinds and kind not in kinds):
            continue
        first = 1 + (counts.get(("warm", role, kind), 0) if scene == "late" else 0)
        if scene in ("cold", "new", "reload") and kind == "malloc" or scene == "reload" and role.endswith("keeper"):
            continue
        for name, what, error, times in FAULTS[kind] if scene in ("warm", "late") else fewer(FAULTS[kind]):
            found += [Point(role, kind, name, what, error, times, at, scene) for at in range(first, calls + 1)]
    return found
