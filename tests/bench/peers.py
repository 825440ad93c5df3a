# SPDX-License-Identifier: ISC
"""Debian's Postfix and Dovecot as one throw-away site: private configuration, loopback, high ports.

Their packages' own services stay as they are: nothing below /etc, /var/lib or /var/spool is touched.
Both need root, because they become the users that their packages made.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "harness"))

from sites import Trouble, descendants, find_port_base, greeting, make_ca, make_certificate, process_table

DOVECOT = """\
base_dir = {dir}/dovecot
state_dir = {dir}/dovecot
log_path = {dir}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{dir}/server.pem
ssl_key = <{dir}/server.key
disable_plaintext_auth = no
first_valid_uid = 1
mail_uid = nobody
mail_gid = nogroup
mail_location = maildir:{dir}/mail/%n
auth_username_format = %Ln
mail_max_userip_connections = 10000
default_client_limit = 4000
default_process_limit = 400
service imap {{
  process_limit = 4000
}}
passdb {{
  driver = passwd-file
  args = username_format=%n {dir}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
service anvil {{
  client_limit = 5000
}}
service auth {{
  client_limit = 5000
}}
# Login processes that serve more than one connection: what its manual calls high performance.
service imap-login {{
  service_count = 0
  process_min_avail = {cores}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = {cores}
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {dir}/postfix/queue
data_directory = {dir}/postfix/data
maillog_file = {dir}/postfix.log
maillog_file_prefixes = {dir}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.bench.test
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
lmtp_destination_concurrency_limit = 50
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
default_process_limit = 100
"""

MASTER_CF = """\
127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Peers:
    """Has the attributes of Site that the rounds use."""

    name = "Postfix + Dovecot"
    host = "127.0.0.1"
    domain = "example.test"
    password = "secret"

    def __init__(self, folder, users):
        self.folder = folder
        self.users = users
        base = find_port_base("127.0.0.1")
        self.smtp_port, self.imap_port, self.pop3_port, self.lmtp_port, self.imaps_port = range(base, base + 5)

    def maildir(self, user):
        return f"{self.folder}/mail/{user}"

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text.format(dir=self.folder, cores=os.cpu_count(), smtp=self.smtp_port, imap=self.imap_port,
                                pop3=self.pop3_port, lmtp=self.lmtp_port, imaps=self.imaps_port))

    def create(self):
        for name in ("mail", "dovecot", "postfix", "postfix/conf", "postfix/queue", "postfix/data"):
            os.makedirs(f"{self.folder}/{name}")
            os.chmod(f"{self.folder}/{name}", 0o755)
        shutil.chown(f"{self.folder}/mail", "nobody", "nogroup")
        postfix = pwd.getpwnam("postfix")
        os.chown(f"{self.folder}/postfix/data", postfix.pw_uid, postfix.pw_gid)
        # In the clear: Trivet keeps what it has verified, so no side pays for hashes in a round.
        with open(f"{self.folder}/passwd", "w", encoding="ascii") as f:
            f.writelines(f"user{n}:{{PLAIN}}{self.password}\n" for n in range(1, self.users + 1))
        make_ca(self.folder)
        make_certificate(self.folder, self.host, self.domain)
        self.write("dovecot.conf", DOVECOT)
        self.write("postfix/conf/main.cf", MAIN_CF)
        self.write("postfix/conf/master.cf", MASTER_CF)

    def start(self):
        self.create()
        self.dovecot = subprocess.Popen(["dovecot", "-F", "-c", f"{self.folder}/dovecot.conf"],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done = subprocess.run(["postfix", "-c", f"{self.folder}/postfix/conf", "start"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"postfix: {done.stderr.strip()}")
        until = time.monotonic() + 15
        for port in (self.smtp_port, self.imap_port, self.pop3_port, self.lmtp_port):
            while greeting(self.host, port, False) is None:
                if time.monotonic() > until:
                    raise Trouble(f"Postfix or Dovecot does not answer on port {port}; see {self.folder}/*.log")
                time.sleep(0.05)
        return self

    def postfix_master(self):
        try:
            with open(f"{self.folder}/postfix/queue/pid/master.pid", encoding="ascii") as f:
                return int(f.read())
        except (OSError, ValueError):
            return None

    def processes(self):
        table = process_table()
        found = []
        for pid in (self.dovecot.pid, self.postfix_master()):
            if pid in table:
                found += [pid, *descendants(pid, table)]
        return found

    def stop(self):
        subprocess.run(["postfix", "-c", f"{self.folder}/postfix/conf", "stop"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if getattr(self, "dovecot", None):
            self.dovecot.send_signal(signal.SIGTERM)
            try:
                self.dovecot.wait(10)
            except subprocess.TimeoutExpired:
                self.dovecot.kill()
                self.dovecot.wait()
