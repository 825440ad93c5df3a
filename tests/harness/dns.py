# SPDX-License-Identifier: ISC
"""A name server that tells what a test wants: MX, A, AAAA, TXT, CNAME, NXDOMAIN, SERVFAIL, late or no answers.

The zone is a dict (or a JSON file, read again when it changes):
  {"b.test": {"MX": [[10, "mail.b.test"]]}, "mail.b.test": {"A": ["127.0.0.3"]},
   "slow.test": {"delay": 3, "A": [...]}, "broken.test": {"rcode": "SERVFAIL"}, "silent.test": {"drop": true}}
Names that are not there are NXDOMAIN; a name without the wanted type has an empty answer.
As a program: tests/harness/dns.py PORT ZONE.json
"""

import ipaddress
import json
import os
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {v: k for k, v in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
UDP_MAX = 1232
TTL = 0         # nobody keeps an answer: what the test changes counts at once


def put_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode("ascii")
    return out + b"\0"


def get_name(data, at):
    labels = []
    while data[at]:
        if data[at] >= 192:
            raise ValueError("a question with a pointer")
        labels.append(data[at + 1:at + 1 + data[at]].decode("ascii", "replace"))
        at += 1 + data[at]
    return ".".join(labels).lower(), at + 1


def put_value(kind, value):
    if kind == "A":
        return ipaddress.IPv4Address(value).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(value).packed
    if kind == "MX":
        return struct.pack(">H", value[0]) + put_name(value[1])
    if kind == "TXT":
        text = value.encode()
        return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, max(len(text), 1), 255))
    return put_name(value)


def put_record(name, kind, value):
    octets = put_value(kind, value)
    return put_name(name) + struct.pack(">HHIH", TYPES[kind], 1, TTL, len(octets)) + octets


class Server:
    """with Server(zone) as s: ... s.port; s.zone may be changed at any time; s.asked lists (name, type)."""

    def __init__(self, zone=None, file=None, host="127.0.0.1", port=0):
        self.zone = zone if zone is not None else {}
        self.file = file
        self.read_at = 0
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, port))
        self.host, self.port = self.udp.getsockname()
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((host, self.port))
        self.tcp.listen(50)
        self.closing = False

    def __enter__(self):
        for work in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing = True
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def rows(self, name):
        if self.file and os.stat(self.file).st_mtime_ns != self.read_at:
            self.read_at = os.stat(self.file).st_mtime_ns
            with open(self.file, encoding="utf-8") as f:
                self.zone = json.load(f)
        return self.zone.get(name)

    def answer(self, question, limit):
        """The octets of the answer; None: none."""
        number, flags = struct.unpack(">HH", question[:4])
        name, end = get_name(question, 12)
        kind = NAMES.get(struct.unpack(">H", question[end:end + 2])[0], "?")
        asked = question[12:end + 4]
        self.asked.append((name, kind))
        rows = self.rows(name)
        records = []
        rcode = RCODES["NXDOMAIN"] if rows is None else RCODES[rows.get("rcode", "NOERROR")]
        if rows is None and any(n.endswith("." + name) for n in self.zone):
            rcode = RCODES["NOERROR"]       # an empty non-terminal (RFC 8020)
        if rows:
            if rows.get("drop"):
                return None
            time.sleep(rows.get("delay", 0))
            for row in [kind, "CNAME"] if kind != "CNAME" else [kind]:
                records += [put_record(name, row, v) for v in rows.get(row, [])] if row in TYPES else []
        body = b"".join(records)
        head = 0x8480 | (flags & 0x0100) | rcode
        if limit and 12 + len(asked) + len(body) > limit:
            return struct.pack(">HHHHHH", number, head | 0x0200, 1, 0, 0, 0) + asked
        return struct.pack(">HHHHHH", number, head, 1, len(records), 0, 0) + asked + body

    def serve_udp(self):
        while not self.closing:
            try:
                question, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self.answer_udp, args=(question, peer), daemon=True).start()

    def answer_udp(self, question, peer):
        try:
            answer = self.answer(question, UDP_MAX)
            if answer:
                self.udp.sendto(answer, peer)
        except (OSError, ValueError, IndexError, struct.error):
            pass        # rubbish, or we are closing

    def serve_tcp(self):
        while not self.closing:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.answer_tcp, args=(connection,), daemon=True).start()

    def answer_tcp(self, connection):
        with connection:
            try:
                while True:
                    size = connection.recv(2, socket.MSG_WAITALL)
                    if len(size) < 2:
                        return
                    question = connection.recv(struct.unpack(">H", size)[0], socket.MSG_WAITALL)
                    answer = self.answer(question, 0)
                    if answer is None:
                        return
                    connection.sendall(struct.pack(">H", len(answer)) + answer)
            except (OSError, ValueError, IndexError, struct.error):
                pass


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with Server(file=sys.argv[2], port=int(sys.argv[1])) as server:
        print(f"{server.host}@{server.port}", flush=True)
        threading.Event().wait()
