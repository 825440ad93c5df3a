# SPDX-License-Identifier: ISC
"""What a disk would hold if the power went: the record of faults.c, replayed.

The strict model: of a file survives what was written before the last sync of that file began, of a folder the names
that were there when its last sync began; syncfs syncs all. A rename is never half done. What was not synced may have
reached the disk all the same, any part of it: strict(False) takes such parts by chance.
"""

import ctypes
import mmap
import os
import re
import stat
import struct

LOG_AT = 64 * 1024
HEADER = struct.Struct("=IIQQQII")
WRITE, TRUNCATE, ENTRY, GONE, MOVE, SYNC, SYNCFS, MARK = range(1, 9)
PAGE = 4096


def read_events(path, end):
    """Yields (position, kind, a, b, c, octets), in the order in which it happened."""
    with open(path, "rb") as f:
        log = mmap.mmap(f.fileno(), LOG_AT + end, access=mmap.ACCESS_READ)
    at = 0
    while at < end:
        size, kind, a, b, c, text, _ = HEADER.unpack_from(log, LOG_AT + at)
        if size == 0:
            raise ValueError(f"the record ends at {at} of {end}")
        begin = LOG_AT + at + HEADER.size
        if kind != 0:       # 0: its process was killed while it wrote this down
            yield at, kind, a, b, c, log[begin:begin + text]
        at += size


class Node:
    """A file's octets or a folder's names: on the disk, and what came after, [(position, change)]."""

    def __init__(self, is_folder, content=None):
        self.is_folder = is_folder
        self.durable = content if content is not None else ({} if is_folder else b"")
        self.pending = []

    def sync(self, begun):
        kept = [p for p in self.pending if p[0] >= begun]
        self.durable = self.after(p[1] for p in self.pending if p[0] < begun)
        self.pending = kept

    def after(self, changes):
        changes = list(changes)
        if not changes:
            return self.durable
        content = dict(self.durable) if self.is_folder else bytearray(self.durable)
        for change in changes:
            change(content)
        return content if self.is_folder else bytes(content)


def write_at(offset, octets):
    def change(content):
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(octets)] = octets
    return change


def cut_to(size):
    def change(content):
        del content[size:]
        content.extend(bytes(size - len(content)))
    return change


def put_name(name, ino):
    def change(names):
        names[name] = ino
    return change


def drop_name(name):
    def change(names):
        names.pop(name, None)
    return change


def rename(old, new, ino):
    def change(names):
        names.pop(old, None)
        names[new] = ino
    return change


def name_of(path):
    return os.path.basename(path)


def born(path):
    """When a file was made, in ns: what trivet-mailbox(5) calls its file."""
    AT_FDCWD, STATX_BTIME = -100, 0x800
    room = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statx(AT_FDCWD, os.fsencode(path), 0, STATX_BTIME, room):
        raise OSError(ctypes.get_errno(), path)
    seconds, nanoseconds = struct.unpack_from("=qI", room, 80)
    return seconds * 1000000000 + nanoseconds


def named_anew(content, path):
    """This is the same file, not a copy of it: the disk is another one only here."""
    return re.sub(rb"(?m)^file .*$", b"file %d" % born(path), content)


class Disk:
    def __init__(self, top):
        self.nodes = {}
        self.live = {}          # folder to its names, now
        self.pairs = {}         # position of a rename between folders to the two
        self.top = os.stat(top).st_ino
        self.take(top)

    def take(self, path):
        """All that is there now is on the disk."""
        st = os.lstat(path)
        if stat.S_ISDIR(st.st_mode):
            names = {}
            for entry in os.scandir(path):
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                    names[entry.name.encode()] = entry.inode()
                    self.take(entry.path)
            self.nodes[st.st_ino] = Node(True, names)
            self.live[st.st_ino] = dict(names)
        elif stat.S_ISREG(st.st_mode):
            with open(path, "rb") as f:
                self.nodes[st.st_ino] = Node(False, f.read())

    def node(self, ino, is_folder=False):
        if ino not in self.nodes:
            self.nodes[ino] = Node(is_folder)
            if is_folder:
                self.live[ino] = {}
        return self.nodes[ino]

    def happen(self, at, kind, a, b, c, octets):
        if kind == WRITE:
            pages = range(b - b % PAGE, b + len(octets), PAGE)
            for page in pages:      # each may get there without the others
                begin, end = max(b, page), min(b + len(octets), page + PAGE)
                self.node(a).pending.append((at, write_at(begin, octets[begin - b:end - b])))
        elif kind == TRUNCATE:
            self.node(a).pending.append((at, cut_to(b)))
        elif kind == ENTRY:
            self.node(b, stat.S_ISDIR(c))
            folder = self.node(a, True)
            if self.live[a].get(octets) != b:
                self.live[a][octets] = b
                folder.pending.append((at, put_name(octets, b)))
        elif kind == GONE:
            self.live[a].pop(octets, None)
            self.node(a, True).pending.append((at, drop_name(octets)))
        elif kind == MOVE:
            self.move(at, a, b, *octets.split(b"\0"))
        elif kind == SYNC:
            self.sync(a, b)
        elif kind == SYNCFS:
            for ino in list(self.nodes):
                self.sync(ino, b)

    def move(self, at, a, b, old, new):
        ino = self.live[a].pop(old, None)
        if ino is None:
            return
        self.live[b][new] = ino
        if a == b:
            self.node(a).pending.append((at, rename(old, new, ino)))
            return
        self.node(b).pending.append((at, put_name(new, ino)))
        self.node(a).pending.append((at, drop_name(old)))
        self.pairs[at] = (a, b)

    def sync(self, ino, begun):
        node = self.node(ino)
        for at, _ in node.pending if node.is_folder else ():
            # The old name does not go before the new one is there.
            if at < begun and at in self.pairs and self.pairs[at][0] == ino:
                other = self.nodes[self.pairs[at][1]]
                if any(p[0] == at for p in other.pending):
                    other.sync(at + 1)
        node.sync(begun)

    # -- what is found afterwards --

    def build(self, folder, chance=None):
        """Writes it out. chance: a random.Random, and what was not synced is there by chance."""
        self.chosen = {}
        self.placed = {}
        self.share = chance.choice([0.1, 0.5, 0.9]) if chance else 0
        self.put(self.top, folder, chance)

    def content(self, node, chance):
        if chance is None or not node.pending:
            return node.durable
        return node.after(change for at, change in node.pending if self.takes(at, node.is_folder, chance))

    def takes(self, at, is_folder, chance):
        if not is_folder:
            return chance.random() < self.share
        if at not in self.chosen:       # both ends of a rename, or none
            self.chosen[at] = chance.random() < self.share
        return self.chosen[at]

    def put(self, ino, path, chance):
        node = self.nodes[ino]
        if ino in self.placed:      # one file of several names
            os.link(self.placed[ino], path)
            return
        content = self.content(node, chance)
        if not node.is_folder:
            self.placed[ino] = path
            with open(path, "wb") as f:
                f.write(named_anew(content, path) if name_of(path) == "trivet-mailbox" else content)
            os.chmod(path, 0o600)
            return
        os.mkdir(path, 0o700)
        for name, child in content.items():
            if child in self.nodes:
                self.put(child, os.path.join(path, os.fsdecode(name)), chance)


