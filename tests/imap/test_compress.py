# SPDX-License-Identifier: ISC
"""COMPRESS (RFC 4978 3): all that goes after the tagged OK is one stream of raw deflate each way, readable answer by answer."""

import os
import zlib

from runner import slow_build
from trivet import Wire, equal, imap, memory_of, message, name_of, pids_of, send, wait_until

DAEMONS = ("imapd", "smtpd")
USERS = 8
MIB = 1 << 20


class Deflated(Wire):
    """Logged in; compress() turns it on."""

    def __init__(self, site, user, port="imap_port"):
        super().__init__(site, port)
        self.inflater = self.deflater = None
        self.came = 0       # octets on the wire since
        self.line()
        self.ask(f"LOGIN {name_of(user)} {site.password}")

    def ask(self, command, good=b"OK"):
        self.say(b"t " + command.encode())
        lines = self.until(b"t ")
        assert lines[-1].startswith(b"t " + good), f"{command}: {lines}"
        return lines

    def compress(self):
        self.ask("COMPRESS DEFLATE")
        self.inflater, self.deflater = zlib.decompressobj(-15), zlib.compressobj(9, zlib.DEFLATED, -15)
        return self

    def send(self, octets):
        if self.deflater:
            octets = self.deflater.compress(octets) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        super().send(octets)

    def receive(self):
        if not self.inflater:
            return super().receive()
        while octets := self.socket.recv(65536):
            self.came += len(octets)
            octets = self.inflater.decompress(octets)
            if octets:
                self.watcher.feed(octets)
                return octets
        return b""


def test_a_session_goes_on_in_deflate(site):
    """RFC 4978 3: over TLS as well; literals both ways, one that no deflate makes smaller."""
    for port in ("imap_port", "imaps_port"):
        with Deflated(site, 1, port) as c:
            assert b"COMPRESS=DEFLATE" in c.ask("CAPABILITY")[0]
            c.compress()
            noise = b"Subject: noise\r\n\r\n" + os.urandom(MIB).hex().encode() + b"\r\n"
            c.send(b"t APPEND INBOX {%d}\r\n" % len(noise))
            assert c.line().startswith(b"+ ")
            c.send(noise + b"\r\n")
            assert c.until(b"t ")[-1].startswith(b"t OK [APPENDUID")
            c.ask("SELECT INBOX")
            c.say(b"t FETCH * BODY.PEEK[]")
            assert c.line().endswith(b"BODY[] {%d}" % len(noise))
            equal(c.octets(len(noise)), noise)
            c.until(b"t OK")
            c.ask("LOGOUT")


def test_text_becomes_much_smaller(site):
    """RFC 4978 4."""
    with Deflated(site, 2) as c:
        text = b"Subject: text\r\n\r\n" + b"The same words over and over again.\r\n" * 30000
        c.compress()
        c.send(b"t APPEND INBOX {%d+}\r\n%s\r\n" % (len(text), text))
        c.until(b"t OK")
        c.ask("SELECT INBOX")
        before = c.came
        c.ask("FETCH 1 BODY.PEEK[]")
        assert c.came - before < len(text) / 20, f"{c.came - before} octets for {len(text)}"


def test_what_is_told_in_idle_can_be_read_at_once(site):
    with Deflated(site, 3) as c:
        c.compress()
        c.ask("SELECT INBOX")
        c.say(b"t IDLE")
        assert c.line().startswith(b"+ ")
        send(site, message("news"), to=name_of(3))
        equal(c.until(b"* 1 RECENT")[0], b"* 1 EXISTS")
        c.say(b"DONE")
        c.until(b"t OK")


def test_pipelined_commands_in_one_block(site):
    with Deflated(site, 4) as c:
        c.compress()
        c.send(b"".join(b"t%d NOOP\r\n" % n for n in range(2000)))
        for n in range(2000):
            assert c.line().startswith(b"t%d OK" % n)


def test_twice_or_by_another_name_is_refused(site):
    """RFC 4978 3, 5; and before login there is no such command."""
    with Wire(site, "imap_port") as c:
        c.line()
        c.say(b"a COMPRESS DEFLATE")
        assert c.line().startswith(b"a BAD")
    with Deflated(site, 5) as c:
        c.ask("COMPRESS LZMA", b"BAD")
        c.ask("COMPRESS", b"BAD")
        c.ask("COMPRESS DEFLATE 9", b"BAD")
        c.compress()
        assert b"[COMPRESSIONACTIVE]" in c.ask("COMPRESS DEFLATE", b"NO")[-1]
        c.ask("NOOP")


def test_what_is_no_deflate_ends_the_session_and_no_other(site):
    other = imap(site, 6, select="INBOX")
    for octets in (b"t NOOP\r\n", b"\xff" * 1000, b"\x03\x00"):     # text; no block; the end of the stream
        c = Deflated(site, 6).compress()
        c.socket.sendall(octets)
        assert c.is_closed(10), octets
        c.close()
    other.noop()
    other.logout()


def test_a_bomb_is_a_line_too_long(site):
    """100 MB of spaces are 100 KB: they are inflated piece by piece, and skipped."""
    with Deflated(site, 7) as c:
        c.compress()
        keeper = [pid for pid in pids_of(site, "imapd", "keeper") if memory_of(pid)]
        before = max(memory_of(pid) for pid in keeper)
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packed.compress(b"t NOOP " + b" " * (100 * MIB)) + packed.flush(zlib.Z_SYNC_FLUSH)
        assert len(bomb) < MIB
        c.socket.sendall(bomb)
        assert c.until(b"t BAD")
        after = max(memory_of(pid) for pid in keeper)
        assert after - before < 2 * MIB * slow_build(), f"{after - before} octets more"


def test_who_reads_nothing_stops_the_answers(site):
    """What is deflated and not taken stays under the mark of a plain connection."""
    with Deflated(site, 8) as c:
        noise = b"Subject: noise\r\n\r\n" + os.urandom(4 * MIB).hex().encode() + b"\r\n"
        c.send(b"t APPEND INBOX {%d+}\r\n%s\r\n" % (len(noise), noise))
        c.until(b"t OK")
        c.compress()
        c.ask("SELECT INBOX")
        keepers = pids_of(site, "imapd", "keeper")
        before = sum(memory_of(pid) for pid in keepers)
        c.send(b"".join(b"t%d FETCH 1 BODY.PEEK[]\r\n" % n for n in range(50)))
        with imap(site, 8) as other:
            wait_until("the others are answered", lambda: other.noop()[0] == "OK")
        after = sum(memory_of(pid) for pid in keepers)
        assert after - before < 4 * MIB * slow_build(), f"{after - before} octets more"
