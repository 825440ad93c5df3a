# SPDX-License-Identifier: ISC
"""A file system of its own for each side of a comparison, made anew in a file.

Where many files were deleted in the last minutes, ext4 takes several times as long to make one: what one side deletes,
what is left of an earlier run, what others do on the machine, all would be counted as the other side's work.
"""

import os
import subprocess

MB = 1024 * 1024
SIZE_MB = 4096


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


class Disk:
    """A directory `path`, on a file system of its own where that can be made: root, loop devices, mkfs.ext4."""

    def __init__(self, folder, name):
        self.path = f"{folder}/{name}"
        self.image = f"{folder}/{name}.ext4"
        self.device = None
        self.mounted = False
        os.mkdir(self.path)
        try:
            self.mounted = os.geteuid() == 0 and self.mount()
        except OSError:     # no room, or no such program
            pass
        if not self.mounted:
            self.remove()

    def mount(self):
        # Written once, so that the file below takes no part any more.
        with open(self.image, "wb") as f:
            for _ in range(SIZE_MB):
                f.write(bytes(MB))
            os.fsync(f.fileno())
        self.device = run("losetup", "-f", "--show", "--direct-io=on", self.image) or run("losetup", "-f", "--show", self.image)
        return self.device is not None and run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0", self.device) is not None \
            and run("mount", self.device, self.path) is not None

    def written_kb(self):
        """What has reached the file system's device; everything does before this returns."""
        run("sync", "-f", self.path)
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as f:
            return int(f.read().split()[6]) * 512 / 1024

    def remove(self):
        if self.mounted:
            run("umount", self.path)
        if self.device:
            run("losetup", "-d", self.device)
        if os.path.exists(self.image):
            os.unlink(self.image)
        self.mounted, self.device = False, None
