# SPDX-License-Identifier: ISC
"""Debian's Roundcube behind nginx and php-fpm, on loopback, with the very files of contrib/webmail; names, ports and
paths of a throw-away site stand in them for the examples."""

import contextlib
import os
import pwd
import signal
import sqlite3
import ssl
import subprocess
import urllib.request

from runner import need, skip
from sites import TOP
from trivet import wait_until

ROUNDCUBE = "/usr/share/roundcube"
FPM = "/usr/sbin/php-fpm8.2"
NGINX = "/usr/sbin/nginx"
DISTANCE = 8            # of its port from the site's base


def example(name, changes):
    """A file of contrib/webmail; every example in it is there to be changed."""
    with open(f"{TOP}/contrib/webmail/{name}", encoding="utf-8") as f:
        text = f.read()
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"contrib/webmail/{name} has no {old!r}")
        text = text.replace(old, new)
    return text


class Webmail:
    """settings: lines of PHP behind those of trivet.inc.php."""

    def __init__(self, site, folder, settings=""):
        for path in (FPM, NGINX, f"{ROUNDCUBE}/index.php"):
            if not os.path.exists(path):
                skip(f"{path} is not installed (contrib/packages.long)")
        need("chromium", "chromedriver")
        self.site, self.folder, self.port = site, f"{folder}/webmail", site.port_base + DISTANCE
        self.url = f"https://localhost:{self.port}/"
        self.user = "www-data" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.children = []
        self.settings = settings
        for name in ("config", "data", "temp", "logs", "nginx"):
            os.makedirs(f"{self.folder}/{name}")

    def __enter__(self):
        try:
            self.make()
            self.start([FPM, "-F", "-y", f"{self.folder}/php-fpm.conf", *(["-R"] if os.geteuid() == 0 else [])])
            self.start([NGINX, "-p", f"{self.folder}/nginx", "-c", f"{self.folder}/nginx.conf", "-g", "daemon off;"])
            wait_until("the webmail answers", self.answers)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def make(self):
        self.make_config()
        self.make_database()
        self.write("php-fpm.conf", f"""
[global]
error_log = {self.folder}/logs/fpm
[webmail]
{f'user = {self.user}' if os.geteuid() == 0 else ''}
listen = {self.folder}/fpm.sock
{f'listen.owner = {self.user}' if os.geteuid() == 0 else ''}
pm = static
pm.max_children = 4
env[ROUNDCUBE_CONFIG_DIR] = {self.folder}/config
php_admin_value[session.save_path] = {self.folder}/temp
php_admin_value[sys_temp_dir] = {self.folder}/temp
php_admin_value[upload_tmp_dir] = {self.folder}/temp
php_admin_value[upload_max_filesize] = 50M
php_admin_value[post_max_size] = 70M
""")
        server = example("nginx.conf", {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl", "webmail.example.org;": "localhost;",
            "/etc/ssl/webmail.example.org/fullchain.pem": f"{self.site.folder}/server.pem",
            "/etc/ssl/webmail.example.org/privkey.pem": f"{self.site.folder}/server.key",
            "unix:/run/php/php8.2-fpm.sock": f"unix:{self.folder}/fpm.sock"})
        os.symlink("/etc/nginx/fastcgi_params", f"{self.folder}/fastcgi_params")
        temporary = "".join(f"\t{name}_temp_path {self.folder}/nginx/{name};\n"
                            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.write("nginx.conf", f"""
{f'user {self.user};' if os.geteuid() == 0 else ''}
pid {self.folder}/nginx/pid;
error_log {self.folder}/logs/nginx;
events {{}}
http {{
	include /etc/nginx/mime.types;
	access_log {self.folder}/logs/access;
{temporary}
{server}
}}
""")
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self.user)
            for name in ("data", "data/db", "temp", "logs", "nginx"):
                os.chown(f"{self.folder}/{name}", entry.pw_uid, entry.pw_gid)

    def make_config(self):
        for name in ("defaults.inc.php", "mimetypes.php"):
            os.symlink(f"/etc/roundcube/{name}", f"{self.folder}/config/{name}")
        self.write("config/trivet.inc.php", example("trivet.inc.php", {
            "'mail.example.org'": f"'mail.{self.site.domain}'", "'example.org'": f"'{self.site.domain}'",
            "localhost:993": f"localhost:{self.site.imaps_port}", "localhost:465": f"localhost:{self.site.submissions_port}",
            "/etc/ssl/certs/ca-certificates.crt": self.site.ca_file}))
        self.write("config/config.inc.php", f"""<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{self.folder}/data/db?mode=0640';
$config['des_key'] = '{os.urandom(12).hex()}';
$config['temp_dir'] = '{self.folder}/temp/';
$config['log_dir'] = '{self.folder}/logs/';
$config['imap_debug'] = true;
$config['enable_spellcheck'] = false;
include('{self.folder}/config/trivet.inc.php');
{self.settings}
""")

    def make_database(self):
        with open(f"{ROUNDCUBE}/SQL/sqlite.initial.sql", encoding="utf-8") as f:
            tables = f.read()
        with contextlib.closing(sqlite3.connect(f"{self.folder}/data/db")) as db:
            db.executescript(tables)

    def start(self, words):
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        with open(f"{self.folder}/logs/started", "ab") as log:
            self.children.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                                  cwd=self.folder, start_new_session=True))

    def answers(self):
        for child in self.children:
            if child.poll() is not None:
                raise AssertionError(f"the web server ended: {self.log('started')}")
        with contextlib.suppress(OSError):
            return self.fetch("")[1]
        return False

    def fetch(self, path):
        """A page's code and octets, without a browser."""
        context = ssl.create_default_context(cafile=self.site.ca_file)
        try:
            with urllib.request.urlopen(self.url + path, context=context, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, b""

    def log(self, name):
        try:
            with open(f"{self.folder}/logs/{name}", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def end(self):
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
