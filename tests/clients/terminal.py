# SPDX-License-Identifier: ISC
"""A program on a terminal of its own: what it shows is read, keys are sent."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from runner import slow_build

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78]|\x0f|\x0e")


class Terminal:
    def __init__(self, folder, words, rows=40, columns=120):
        self.said, self.looked, self.status = b"", 0, None
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(folder)
            os.environ.update(HOME=folder, TERM="xterm", LC_ALL="C.UTF-8")
            os.environ.pop("LD_PRELOAD", None)
            os.execvp(words[0], words)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.child, signal.SIGKILL)
            self.status = os.waitpid(self.child, 0)[1]
        os.close(self.terminal)

    def read(self, seconds):
        """False at the end."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.said += more
        return bool(more)

    def text(self):
        return ESCAPES.sub("", self.said.decode("utf-8", "replace"))

    def wait_for(self, pattern, limit=15):
        """Something new on the screen that has the pattern."""
        until = time.monotonic() + limit * slow_build()
        while True:
            found = re.compile(pattern).search(self.text(), self.looked)
            if found:
                self.looked = found.end()
                return
            if time.monotonic() > until or not self.read(0.2):
                raise AssertionError(f"the screen does not show {pattern}: {self.text()[-1500:]!r}")

    def push(self, keys):
        """By neomutt's own command: functions stand in <>."""
        self.read(0)
        os.write(self.terminal, f':push "{keys}"\r'.encode())

    def ended(self, limit=15):
        """Its exit code, once it ends by itself."""
        until = time.monotonic() + limit * slow_build()
        while self.read(0.2):
            if time.monotonic() > until:
                raise AssertionError(f"it does not end: {self.text()[-1500:]!r}")
        self.status = os.waitpid(self.child, 0)[1]
        return os.waitstatus_to_exitcode(self.status)
