# SPDX-License-Identifier: ISC
"""Conversations with a server, as text: read line by line, held over sockets.

NAME is any connection's name:

    # comment                 which paragraph of which RFC
    NAME: connect DOOR        opens a connection; the greeting is the next line to expect
    NAME: starttls            the TLS handshake, after the server's consent
    NAME: C: text             sends a line
    NAME: R: text             sends just this; \\r \\n \\x00 and the like are understood, {n*text} repeats
    NAME: S: regex            the next line, whole
    NAME: U: regex            a line that comes before the next S:, in any order with other U:
    NAME: U: ...              other lines may come before the next S: too
    NAME: N: regex            no line before the next S: is like this
    NAME: quiet SECONDS       nothing comes
    NAME: closed              the server ends the connection, nothing more comes
    NAME: eof                 we send no more
    NAME: close               we end the connection
    sleep SECONDS
    settings KEY = VALUE      first lines of a file: what the server is to be set to

$name is a variable; (?P<name>...) in a regex sets one. Octets are Latin-1 characters here.
A conversation has accounts that nobody used before: $USER and $USER2, $NAME being the first without its domain.
"""

import base64
import glob
import os
import re
import socket
import ssl
import time

from sites import Site

TIMEOUT = 10.0
USERS_EACH = 2


class Failure(Exception):
    pass


class Connection:
    """watcher: reads along what the server says, and raises AssertionError at what it may not say."""

    def __init__(self, host, port, ca_file, tls, watcher=None):
        self.watcher = watcher
        self.ca_file = ca_file
        self.socket = socket.create_connection((host, port), TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        self.wanted, self.unwanted, self.others = [], [], False
        if tls:
            self.start_tls()

    def start_tls(self):
        if self.input:
            raise Failure("plaintext before TLS: %r" % self.input)
        context = ssl.create_default_context(cafile=self.ca_file)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def receive(self, timeout):
        self.socket.settimeout(timeout)
        octets = self.socket.recv(65536)
        self.input += octets
        if self.watcher:
            self.watcher.feed(octets)
        return len(octets) > 0

    def line(self):
        while b"\r\n" not in self.input:
            if not self.receive(TIMEOUT):
                raise Failure("the server closed the connection, last %r" % self.input)
        line, _, self.input = self.input.partition(b"\r\n")
        return line.decode("latin-1")


class Conversation:
    """doors: what may follow `connect`, to (name of a port of the site, TLS from the first byte)."""

    def __init__(self, path, site, users, doors):
        self.path, self.site, self.doors = path, site, doors
        name, password = users[0].partition("@")[0], site.password
        self.variables = {
            "USER": users[0], "USER2": users[1], "PASSWORD": password, "DOMAIN": site.domain,
            "NAME": name, "HOST": "mail." + site.domain,
            "PLAIN": base64.b64encode(f"\0{name}\0{password}".encode()).decode(),
            "USER64": base64.b64encode(name.encode()).decode(),
            "PASSWORD64": base64.b64encode(password.encode()).decode(),
        }
        self.connections = {}
        with open(path, encoding="utf-8") as f:
            self.lines = f.read().split("\n")
        self.log = []

    def expand(self, text, quote=lambda value: value):
        def value(match):
            name = match.group(1)
            return quote(self.variables[name]) if name in self.variables else match.group(0)
        return re.sub(r"\$([A-Za-z][A-Za-z0-9]*)", value, text)

    def matches(self, pattern, line):
        match = re.fullmatch(self.expand(pattern, re.escape), line, re.DOTALL)
        if match:
            self.variables.update(match.groupdict())
        return bool(match)

    def say(self, connection, name, octets):
        self.log.append("%s C %r" % (name, octets[:300]))
        connection.socket.settimeout(TIMEOUT)
        connection.socket.sendall(octets)

    def next_line(self, connection, name):
        try:
            line = connection.line()
        except (socket.timeout, TimeoutError):
            raise Failure("nothing came") from None
        self.log.append("%s S %s" % (name, line[:2000]))
        return line

    def expect(self, connection, name, pattern):
        while True:
            line = self.next_line(connection, name)
            if any(self.matches(p, line) for p in connection.unwanted):
                raise Failure("came and must not: %s" % line)
            hit = next((p for p in connection.wanted if self.matches(p, line)), None)
            if hit is not None:
                connection.wanted.remove(hit)
            elif self.matches(pattern, line):
                break
            elif not connection.others:
                raise Failure("expected %s\n    came %s" % (" or ".join([pattern] + connection.wanted), line))
        if connection.wanted:
            raise Failure("did not come: %s" % " and ".join(connection.wanted))
        connection.wanted, connection.unwanted, connection.others = [], [], False

    def quiet(self, connection, seconds):
        try:
            if not connection.input and not connection.receive(seconds):
                raise Failure("the server closed the connection")
        except (socket.timeout, TimeoutError):
            return
        raise Failure("something came: %r" % connection.input)

    def closed(self, connection):
        try:
            while connection.receive(TIMEOUT):
                pass
        except (ConnectionResetError, ssl.SSLError):
            pass
        except (socket.timeout, TimeoutError):
            raise Failure("the connection is still open") from None
        if connection.input:
            raise Failure("something came before the end: %r" % connection.input)

    def raw(self, text):
        text = re.sub(r"\{(\d+)\*([^}]*)\}", lambda m: m.group(2) * int(m.group(1)), self.expand(text))
        return text.encode("utf-8").decode("unicode_escape").encode("latin-1")

    def connect(self, name, door):
        port, tls = self.doors[door]
        self.connections[name] = Connection(self.site.host, getattr(self.site, port), self.site.ca_file, tls)

    def on_connection(self, name, rest):
        verb, _, argument = rest.partition(" ")
        if verb == "connect":
            self.connect(name, argument)
            return
        connection = self.connections[name]
        if verb == "C:":
            self.say(connection, name, self.expand(argument).encode("utf-8") + b"\r\n")
        elif verb == "R:":
            self.say(connection, name, self.raw(argument))
        elif verb == "S:":
            self.expect(connection, name, argument)
        elif verb == "U:" and argument == "...":
            connection.others = True
        elif verb == "U:":
            connection.wanted.append(argument)
        elif verb == "N:":
            connection.unwanted.append(argument)
            connection.others = True
        elif verb == "quiet":
            self.quiet(connection, float(argument))
        elif verb == "closed":
            self.closed(connection)
        elif verb == "eof":
            connection.socket.shutdown(socket.SHUT_WR)
        elif verb == "close":
            connection.socket.close()
        elif verb == "starttls":
            connection.start_tls()
        else:
            raise Failure("%s is not known here" % verb)

    def one_line(self, line):
        if line.startswith("#") or not line.strip():
            return
        verb, _, argument = line.partition(" ")
        if verb == "sleep":
            time.sleep(float(argument))
        elif verb.endswith(":"):
            self.on_connection(verb[:-1], argument)
        elif verb != "settings":
            raise Failure("that is no line of a conversation")

    def hold(self):
        """The reason why it went wrong, or None."""
        try:
            for number, line in enumerate(self.lines, 1):
                self.one_line(line)
            return None
        except (Failure, AssertionError, OSError, ssl.SSLError, KeyError, re.error) as why:
            return "%s:%d: %s\n    %r" % (os.path.relpath(self.path), number, line, why)
        finally:
            for connection in self.connections.values():
                connection.socket.close()


def settings_of(path):
    """The settings a conversation asks for: each set of them gets a server of its own."""
    with open(path, encoding="utf-8") as f:
        return tuple(line.partition(" ")[2].strip() for line in f if line.startswith("settings "))


def tests_of(folder, doors, daemons, kind=Conversation):
    """A test for runner.py for each *.conv in the folder; one that wants settings gets a server of its own."""
    return [test_of(path, number, doors, daemons, kind)
            for number, path in enumerate(sorted(glob.glob(os.path.join(folder, "*.conv"))))]


def test_of(path, number, doors, daemons, kind):
    settings = settings_of(path)

    def hold(site, first):
        conversation = kind(path, site, [site.address(first), site.address(first + 1)], doors)
        why = conversation.hold()
        if why:
            raise AssertionError("\n      ".join([why, *conversation.log[-12:]]))

    def with_others(site):
        hold(site, number * USERS_EACH + 1)

    def alone(folder):
        site = Site(f"{folder}/site", users=USERS_EACH, settings=settings, daemons=daemons)
        try:
            hold(site.start(), 1)
        finally:
            site.stop()
            site.kill()

    chosen = alone if settings else with_others
    chosen.__name__ = "test_" + os.path.basename(path).removesuffix(".conv")
    chosen.made_from = path
    return chosen
