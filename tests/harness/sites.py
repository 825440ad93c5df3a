# SPDX-License-Identifier: ISC
"""A complete throw-away server in one folder: what tests/harness/server and the tests stand on.

Everything a site is lies in its folder: certificates, trivet.conf, mail, logs, and site.json with the
choices that made it. So any process may take it up again: Site(folder).start() brings up what is missing.
Each daemon is started as a session of its own; the session's number finds its processes whatever died.
"""

import contextlib
import errno
import fcntl
import json
import os
import pwd
import random
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAEMONS = ("smtpd", "imapd", "pop3d")

# Name in env, setting, daemon, distance from the port base, TLS from the first byte.
PORTS = (
    ("SMTP_PORT", "smtp_listen", "smtpd", 0, False),
    ("SUBMISSION_PORT", "submission_listen", "smtpd", 1, False),
    ("SUBMISSIONS_PORT", "submissions_listen", "smtpd", 2, True),
    ("IMAP_PORT", "imap_listen", "imapd", 3, False),
    ("IMAPS_PORT", "imaps_listen", "imapd", 4, True),
    ("POP3_PORT", "pop3_listen", "pop3d", 5, False),
    ("POP3S_PORT", "pop3s_listen", "pop3d", 6, True),
)
DNS_DISTANCE = 9        # kept free for a resolver of the test's own
PORTS_TAKEN = 10
FIRST_PORT, LAST_PORT = 10000, 32000    # below the kernel's own range, so that they are free after a restart too
ANSWER_SECONDS = 10
STOP_SECONDS = 12       # a daemon gives its processes 7


class Trouble(Exception):
    """What the person has to be told."""


def build_dir():
    """$TRIVET_BUILD, else the source top where it was built there, else ./build."""
    if os.environ.get("TRIVET_BUILD"):
        return os.path.abspath(os.environ["TRIVET_BUILD"])
    if os.path.exists(os.path.join(TOP, "trivet")):
        return TOP
    return os.path.join(TOP, "build")


def program(name):
    path = os.path.join(build_dir(), name if name == "trivet" else f"{name}/{name}")
    if not os.access(path, os.X_OK):
        raise Trouble(f"{path} is not there: build first, or name the build folder in TRIVET_BUILD")
    return path


# ---- processes ----

def process_table():
    """pid to (parent, session, start time in ticks, state)."""
    table = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        table[int(name)] = (int(fields[1]), int(fields[3]), int(fields[19]), fields[0])
    return table


def title_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").strip().decode("utf-8", "replace")
    except OSError:
        return ""


def descendants(pid, table):
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        for child, (its_parent, _, _, _) in table.items():
            if its_parent == parent and child not in found:
                found.append(child)
                todo.append(child)
    return found


def is_locked(path):
    """A daemon holds its pid file locked as long as it lives."""
    try:
        with open(path, "rb") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except OSError:
        return False


# ---- certificates ----

def run_openssl(*words, text=None):
    try:
        subprocess.run(["openssl", *words], input=text, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise Trouble("the command openssl is missing: install the package openssl") from None
    except subprocess.CalledProcessError as e:
        raise Trouble(f"openssl {words[0]}: {e.stderr.strip()}") from None


def make_ca(folder):
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "30", "-subj", "/CN=Throw-away test CA", "-keyout", f"{folder}/ca.key",
                "-out", f"{folder}/ca.pem", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_certificate(folder, host, domain):
    names = sorted({"localhost", "mail." + domain, "mail.example.test"})
    addresses = sorted({"127.0.0.1", "::1", host})
    san = ",".join([f"DNS:{n}" for n in names] + [f"IP:{a}" for a in addresses])
    with open(f"{folder}/server.ext", "w", encoding="ascii") as f:
        f.write(f"subjectAltName={san}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    run_openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", f"/CN=mail.{domain}", "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.csr")
    run_openssl("x509", "-req", "-in", f"{folder}/server.csr", "-CA", f"{folder}/ca.pem", "-CAkey",
                f"{folder}/ca.key", "-set_serial", str(random.getrandbits(63)), "-days", "30",
                "-extfile", f"{folder}/server.ext", "-out", f"{folder}/server.pem")
    os.unlink(f"{folder}/server.csr")
    os.unlink(f"{folder}/server.ext")


# ---- ports ----

def is_free(host, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as s:
            if kind == socket.SOCK_STREAM:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError:
                return False
    return True


def find_port_base(*hosts):
    for _ in range(500):
        base = random.randrange(FIRST_PORT, LAST_PORT, PORTS_TAKEN)
        if all(is_free(h, base + n) for h in hosts for n in range(PORTS_TAKEN)):
            return base
    raise Trouble("no ten free ports in a row")


def greeting(host, port, tls, seconds=2):
    """The first line a server says, or None."""
    try:
        with socket.create_connection((host, port), seconds) as s:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                s = context.wrap_socket(s)
            line = b""
            while not line.endswith(b"\n"):
                more = s.recv(512)
                if not more:
                    return None
                line += more
            s.close()
            return line.decode("utf-8", "replace").strip()
    except OSError:
        return None


# ---- the site ----

def nobody_reaches(folder):
    """Can the user nobody open it? (Homes often are closed.)"""
    entry = pwd.getpwnam("nobody")
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            os._exit(0 if os.access(os.path.dirname(folder), os.X_OK) else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


class Site:
    """One throw-away server. New choices count only for a folder that is not a site yet."""

    def __init__(self, folder, users=10, password="secret", port_base=None, settings=(), sandbox=True,
                 host="127.0.0.1", domain="example.test", daemons=DAEMONS):
        self.folder = os.path.abspath(folder)
        self.config = f"{self.folder}/trivet.conf"
        self.log = f"{self.folder}/log"
        self.ca_file = f"{self.folder}/ca.pem"
        self.clock_file = f"{self.folder}/clock"
        self.ports_chosen = port_base is not None
        self.choices = {"users": users, "password": password, "port_base": port_base,
                        "settings": list(settings), "sandbox": sandbox, "host": host, "domain": domain,
                        "daemons": list(daemons), "sessions": {}}
        if self.exists():
            with open(f"{self.folder}/site.json", encoding="utf-8") as f:
                self.choices = json.load(f)
            self.ports_chosen = True

    def __getattr__(self, name):
        """site.users, site.password, site.imap_port ..."""
        choices = self.__dict__.get("choices", {})
        if name in choices:
            return choices[name]
        for env, _, _, distance, _ in PORTS:
            if env.lower() == name:
                return choices["port_base"] + distance
        if name == "dns_port":
            return choices["port_base"] + DNS_DISTANCE
        raise AttributeError(name)

    def exists(self):
        return os.path.exists(f"{self.folder}/site.json")

    def save(self):
        with open(f"{self.folder}/site.json.tmp", "w", encoding="utf-8") as f:
            json.dump(self.choices, f, indent=1)
        os.rename(f"{self.folder}/site.json.tmp", f"{self.folder}/site.json")

    def pid_file(self, daemon):
        return f"{self.folder}/run/{daemon}.pid"

    def maildir(self, user):
        return f"{self.folder}/mail/{self.domain}/{user}"

    def address(self, number):
        return f"user{number}@{self.domain}"

    # -- making it --

    def settings_text(self):
        rows = {
            "hostname": f"mail.{self.domain}",
            "state_dir": f"{self.folder}/state",
            "mail_dir": f"{self.folder}/mail",
            "run_dir": f"{self.folder}/run",
            "log_file": self.log,
            "tls_certificate": f"{self.folder}/server.pem",
            "tls_key": f"{self.folder}/server.key",
            "plaintext_login": "127.0.0.0/8, ::1/128",
            "default_domain": self.domain,
            "test_clock": self.clock_file,
            "dns_servers": f"127.0.0.1@{self.dns_port}",
            "connections_per_address": "20000",
            "sessions_per_user": "10000",
            "login_failures_per_minute": "100000",
        }
        if os.geteuid() == 0:
            rows["user"] = "nobody" if nobody_reaches(self.folder) else "root"
        for env, setting, _, distance, _ in PORTS:
            rows[setting] = f"{self.host}:{self.port_base + distance}"
        for text in self.settings:
            name, sign, value = text.partition("=")
            if not sign:
                raise Trouble(f"--set '{text}': expected 'KEY = VALUE'")
            rows[name.strip()] = value.strip()
        return "".join(f"{name} = {value}\n" for name, value in rows.items())

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(self.settings_text())

    def set(self, **settings):
        """Changes trivet.conf; takes effect with reload() or restart()."""
        names = set(settings)
        self.choices["settings"] = [t for t in self.settings if t.partition("=")[0].strip() not in names]
        self.choices["settings"] += [f"{k} = {v}" for k, v in settings.items()]
        self.save()
        self.write_config()

    def value(self, name):
        """What trivet.conf says."""
        with open(self.config, encoding="utf-8") as f:
            for line in f:
                key, _, value = line.partition("=")
                if key.strip() == name:
                    return value.strip()
        return None

    def give_away(self):
        """To the user that the daemons become."""
        if self.value("user") in (None, "root") or os.geteuid() != 0:
            return
        entry = pwd.getpwnam(self.value("user"))
        for folder, names, files in os.walk(self.folder):
            for path in [folder] + [os.path.join(folder, n) for n in files]:
                os.chown(path, entry.pw_uid, entry.pw_gid)

    def create(self):
        if os.path.exists(self.folder) and os.listdir(self.folder):
            raise Trouble(f"{self.folder} is there already and is no site: name a new folder")
        for name in DAEMONS:
            if name in self.daemons:
                program(name)
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        for name in ("state", "mail", "run", "stderr"):
            os.mkdir(f"{self.folder}/{name}")
        with open(self.clock_file, "wb") as f:
            f.write(bytes(8))
        if self.port_base is None:
            self.choices["port_base"] = find_port_base(self.host)
        make_ca(self.folder)
        make_certificate(self.folder, self.host, self.domain)
        self.write_config()
        self.add_users()
        self.give_away()
        self.save()

    def trivet(self, *words, text=None, check=True):
        done = subprocess.run([program("trivet"), "-c", self.config, *words], input=text, text=True,
                              capture_output=True, env=self.environment())
        if check and done.returncode != 0:
            raise Trouble(f"trivet {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def add_users(self):
        """One by the command; the others are copies of its row, because a good hash is slow on purpose."""
        self.trivet("domain", "add", self.domain)
        if self.users < 1:
            return
        self.trivet("user", "add", self.address(1), "--password-stdin", text=self.password + "\n")
        db = sqlite3.connect(f"{self.folder}/state/users.db")
        with contextlib.closing(db), db:
            kept = [row[1] for row in db.execute("PRAGMA table_info(accounts)") if row[1] not in ("id", "address")]
            columns = ", ".join(kept)
            db.executemany(f"INSERT INTO accounts (address, {columns}) SELECT ?, {columns} FROM accounts "
                           "WHERE address = ?",
                           [(self.address(n), self.address(1)) for n in range(2, self.users + 1)])

    # -- running it --

    def environment(self):
        env = dict(os.environ)
        env.pop("TRIVET_READY_FD", None)
        return env

    def is_running(self, daemon):
        return is_locked(self.pid_file(daemon)) and self.master(daemon) is not None

    def master(self, daemon):
        try:
            with open(self.pid_file(daemon), encoding="ascii") as f:
                pid = int(f.read())
        except (OSError, ValueError):
            return None
        state = process_table().get(pid)
        return pid if state and state[3] != "Z" else None

    def processes(self, daemon=None):
        """pid to title of all that runs for this folder, also where the daemon's master is gone."""
        table = process_table()
        found = set()
        for name in [daemon] if daemon else DAEMONS:
            pid = self.master(name) if is_locked(self.pid_file(name)) else None
            if pid:
                found |= {pid, *descendants(pid, table)}
            session, born = self.sessions.get(name, (None, None))
            if session in table and table[session][2] != born:
                continue        # the number is another process's by now
            found |= {p for p, row in table.items() if row[1] == session and row[2] >= born}
        return {p: title_of(p) for p in sorted(found) if p in table and table[p][3] != "Z"}

    def spawn(self, daemon, wrapper):
        read_end, write_end = os.pipe()
        options = [] if self.sandbox else ["--no-sandbox"]
        with open(f"{self.folder}/stderr/{daemon}", "ab") as err:
            child = subprocess.Popen(
                [*wrapper, program(daemon), "-c", self.config, *options], stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                cwd="/", start_new_session=True, pass_fds=(write_end,),
                env={**self.environment(), "TRIVET_READY_FD": str(write_end)})
        os.close(write_end)
        row = process_table().get(child.pid)
        if row:
            self.choices["sessions"][daemon] = (child.pid, row[2])
        return child, read_end

    def start_daemon(self, daemon, wrapper=(), seconds=ANSWER_SECONDS):
        """Returns None, or what the daemon says hinders it."""
        child, fd = self.spawn(daemon, wrapper)
        os.set_blocking(fd, False)
        said, until = b"", time.monotonic() + seconds
        while b"\n" not in said and time.monotonic() < until:
            try:
                more = os.read(fd, 4096)
                if not more:
                    break
                said += more
            except BlockingIOError:
                if child.poll() is not None:
                    break
                time.sleep(0.01)
        os.close(fd)
        text = said.decode("utf-8", "replace").strip()
        if text == "ready":
            return None
        if child.poll() is None and not text:
            return f"{daemon} did not say it is ready within {seconds} s"
        return text or f"{daemon} ended: {self.tail_of(f'stderr/{daemon}', 5)}"

    def start(self, wrapper=(), seconds=ANSWER_SECONDS):
        """Brings up what is missing, and waits until every port answers."""
        fresh = not self.exists()
        if fresh:
            self.create()
        for attempt in range(5):
            trouble = self.start_missing(wrapper, seconds)
            if not trouble or self.ports_chosen or not fresh or "in use" not in trouble:
                break
            self.kill()
            self.choices["port_base"] = find_port_base(self.host)
            self.write_config()
        if trouble:
            raise Trouble(trouble)
        self.wait_for_answers(wrapper, seconds)
        self.save()
        self.write_env()
        return self

    def start_missing(self, wrapper, seconds):
        for daemon in self.daemons:
            if self.is_running(daemon):
                continue
            for pid in self.processes(daemon):      # children of a master that is gone
                send_signal(pid, signal.SIGKILL)
            self.wait_until_gone(daemon, 5)
            trouble = self.start_daemon(daemon, wrapper, seconds)
            if trouble:
                return trouble
        return None

    def wait_for_answers(self, wrapper, seconds):
        until = time.monotonic() + seconds
        for env, setting, daemon, distance, tls in PORTS:
            if daemon not in self.daemons or self.value(setting) == "":
                continue
            while greeting(self.host, self.port_base + distance, tls) is None:
                trouble = f"{daemon} does not answer on {self.host}:{self.port_base + distance} ({env}); see {self.log}"
                if not self.is_running(daemon):         # it was just dying when we looked
                    trouble = self.start_missing(wrapper, seconds)
                if time.monotonic() > until:
                    raise Trouble(trouble)
                time.sleep(0.02)

    def wait_until_gone(self, daemon, seconds):
        until = time.monotonic() + seconds
        while self.processes(daemon) or is_locked(self.pid_file(daemon)):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def stop(self):
        """SIGTERM; says which daemon had to be killed, or returns None."""
        for daemon in DAEMONS:
            pid = self.master(daemon) if is_locked(self.pid_file(daemon)) else None
            if pid:
                send_signal(pid, signal.SIGTERM)
        slow = [d for d in DAEMONS if not self.wait_until_gone(d, STOP_SECONDS)]
        if slow:
            left = {p: t for d in slow for p, t in self.processes(d).items()}
            self.kill()
            return f"had to be killed after {STOP_SECONDS} s: {left}"
        return None

    def kill(self):
        """SIGKILL to all processes of the folder; masters first, so that none comes back."""
        for _ in range(200):
            left = self.processes()
            if not left:
                return
            for pid in sorted(left, key=lambda p: ": master" not in left[p]):
                send_signal(pid, signal.SIGKILL)
            time.sleep(0.01)
        raise Trouble(f"still there after SIGKILL: {left}")

    def reload(self):
        for daemon in self.daemons:
            pid = self.master(daemon)
            if pid:
                send_signal(pid, signal.SIGHUP)

    def status(self):
        """Rows (daemon, pid or None, whether each of its ports answers)."""
        rows = []
        for daemon in self.daemons:
            pid = self.master(daemon) if self.is_running(daemon) else None
            answers = pid is not None and all(
                greeting(self.host, self.port_base + distance, tls) is not None
                for _, setting, its, distance, tls in PORTS if its == daemon and self.value(setting) != "")
            rows.append((daemon, pid, answers))
        return rows

    # -- what a shell sources --

    def env(self):
        rows = {"HOST": self.host, "DOMAIN": self.domain, "USERS": str(self.users), "PASSWORD": self.password}
        for env, setting, daemon, distance, _ in PORTS:
            if daemon in self.daemons and self.value(setting) != "":
                rows[env] = str(self.port_base + distance)
        rows["CA_FILE"] = self.ca_file
        rows["PIDFILES"] = " ".join(self.pid_file(d) for d in self.daemons)
        rows["LOG"] = self.log
        rows["MAILDIR"] = self.maildir("%u")
        rows["CONFIG"] = self.config
        return rows

    def write_env(self):
        text = "".join(f"{k}={shlex.quote(v)}\n" for k, v in self.env().items())
        with open(f"{self.folder}/env", "w", encoding="utf-8") as f:
            f.write(text)
        return text

    # -- the clock, the logs --

    def turn_clock(self, seconds):
        """Ahead of the real time by this much, from now on."""
        with open(self.clock_file, "r+b") as f:
            f.write(struct.pack("=q", int(seconds)))

    def clock(self):
        with open(self.clock_file, "rb") as f:
            return struct.unpack("=q", f.read(8))[0]

    def tail_of(self, name, lines=40, begin=0):
        try:
            with open(f"{self.folder}/{name}", encoding="utf-8", errors="replace") as f:
                f.seek(begin)
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def stderr_names(self):
        """Of what the daemons and those who look over their shoulder wrote."""
        try:
            return sorted(os.listdir(f"{self.folder}/stderr"))
        except FileNotFoundError:
            return []

    def complaints(self):
        """What a sanitizer, valgrind or an assertion wrote."""
        marks = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion", "ERROR: ")
        found = []
        for name in self.stderr_names():
            with open(f"{self.folder}/stderr/{name}", encoding="utf-8", errors="replace") as f:
                lines = f.readlines()
            for i, line in enumerate(lines):
                if any(m in line for m in marks):
                    found.append(f"{name}: " + "".join(lines[i:i + 25]))
                    break
        return found

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except OSError as e:
        if e.errno not in (errno.ESRCH,):
            print(f"cannot signal process {pid}: {e}", file=sys.stderr)
