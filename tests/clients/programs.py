# SPDX-License-Identifier: ISC
"""The mail programs: how each is told to send a file, and to fetch all that is in an INBOX.

A sender is function(site, mode, recipient, path, folder); a reader is function(site, mode, user, folder) and
returns messages as octets with CRLF. mode is "starttls", "tls" or, where a program cannot do the former, "plain".
Every program checks the server's certificate against the site's CA.
"""

import glob
import os
import pty
import re
import select
import signal
import subprocess
import time

from trivet import equal, imap, need, ok, pop3, run_program, slow_build

HOST = "localhost"      # a name of the certificate


def made_test(name, work, *words):
    """One of more_tests(): work does it, with the site, the folder and these words."""
    def test(site, folder):
        work(site, folder, *words)
    test.__name__ = f"test_{name}"
    return test


def environment(folder):
    env = {**os.environ, "HOME": folder, "LC_ALL": "C.UTF-8", "TERM": "xterm", "FETCHMAILHOME": folder}
    env.pop("LD_PRELOAD", None)
    return env


def run(folder, *words, **options):
    """The program's standard output; fails with what it said."""
    env = {**environment(folder), **options.pop("env", {})}
    done = run_program(*words, env=env, cwd=folder, **options)
    if done.returncode != 0:
        raise AssertionError(f"{words[0]} ended with {done.returncode}: "
                             + (done.stderr + done.stdout[-2000:]).decode("utf-8", "replace"))
    return done.stdout


class Background:
    """A program that goes on until it is told to end."""

    def __init__(self, folder, *words):
        self.said = open(f"{folder}/said", "wb")
        self.child = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.said,
                                      stderr=self.said, env=environment(folder))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(3 * slow_build())
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.said.close()


def write(folder, name, text, mode=0o600):
    path = f"{folder}/{name}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def with_crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def read_files(pattern):
    found = []
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb") as f:
            found.append(with_crlf(f.read()))
    return found


# ---- senders ----

def submission(site, mode):
    return site.submissions_port if mode == "tls" else site.submission_port


def send_by_swaks(site, mode, recipient, path, folder):
    need("swaks")
    with open(path, "rb") as f:
        octets = f.read().removesuffix(b"\r\n")        # it adds a line end of its own
    with open(path, "wb") as f:
        f.write(octets)
    run(folder, "swaks", "--server", HOST, "--port", str(submission(site, mode)), "--ehlo", "client.test",
        "-tlsc" if mode == "tls" else "-tls", "--tls-verify", "--tls-ca-path", site.ca_file,
        "--auth", "LOGIN", "--auth-user", "user1", "--auth-password", site.password,
        "--from", site.address(1), "--to", recipient, "--data", f"@{path}")


def send_by_curl(site, mode, recipient, path, folder):
    need("curl")
    scheme = "smtps" if mode == "tls" else "smtp"
    run(folder, "curl", "-sS", f"{scheme}://{HOST}:{submission(site, mode)}/client.test", "--ssl-reqd",
        "--cacert", site.ca_file, "-u", f"user1:{site.password}", "--mail-from", site.address(1),
        "--mail-rcpt", recipient, "--upload-file", path)


def send_by_msmtp(site, mode, recipient, path, folder):
    need("msmtp")
    with open(path, "rb") as f:
        run(folder, "msmtp", f"--host={HOST}", f"--port={submission(site, mode)}", "--tls=on",
            f"--tls-starttls={'off' if mode == 'tls' else 'on'}", f"--tls-trust-file={site.ca_file}",
            "--auth=plain", "--user=user1", f"--passwordeval=echo {site.password}",
            f"--from={site.address(1)}", "--", recipient, stdin=f)


SENDERS = {"swaks": send_by_swaks, "curl": send_by_curl, "msmtp": send_by_msmtp}


# ---- readers by IMAP ----

def imap_port(site, mode):
    return site.imaps_port if mode == "tls" else site.imap_port


def curl_words(site, user):
    return ["curl", "-sS", "--ssl-reqd", "--cacert", site.ca_file, "-u", f"user{user}:{site.password}"]


def read_by_curl_imap(site, mode, user, folder):
    need("curl")
    url = f"{'imaps' if mode == 'tls' else 'imap'}://{HOST}:{imap_port(site, mode)}/INBOX"
    found = run(folder, *curl_words(site, user), url, "-X", "UID SEARCH ALL")
    uids = re.search(rb"\* SEARCH ?([0-9 ]*)", found).group(1).split()
    return [run(folder, *curl_words(site, user), f"{url};UID={uid.decode()}") for uid in uids]


def run_on_terminal(folder, words, seconds):
    """For a program that wants a terminal. It has to end by itself."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(HOME=folder, TERM="xterm", LC_ALL="C.UTF-8")
        os.execvp(words[0], words)
    said, until = b"", time.monotonic() + seconds * slow_build()
    try:
        while time.monotonic() < until:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    more = os.read(terminal, 65536)
                except OSError:
                    break
                if not more:
                    break
                said += more
        else:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"{words[0]} did not end: {said[-1500:]!r}")
    finally:
        os.close(terminal)
        status = os.waitpid(child, 0)[1]
    if status != 0:
        raise AssertionError(f"{words[0]} ended with {status}: {said[-1500:]!r}")


def read_by_neomutt(site, mode, user, folder):
    need("neomutt")
    scheme = "imaps" if mode == "tls" else "imap"
    os.makedirs(f"{folder}/mail", exist_ok=True)        # or it asks, and takes our keys for the answer
    rc = write(folder, "neomuttrc", f"""
set ssl_starttls = yes
set ssl_force_tls = yes
set ssl_ca_certificates_file = "{site.ca_file}"
set imap_pass = "{site.password}"
set folder = "{folder}/mail"
set mbox_type = mbox
set confirmappend = no
set confirmcreate = no
set copy = no
set sort = mailbox-order
set wait_key = no
set move = no
set quit = yes
set header_cache = ""
push "<tag-pattern>~A<enter><tag-prefix><copy-message>{folder}/copied<enter><quit>"
""")
    run_on_terminal(folder, ["neomutt", "-n", "-F", rc, "-f",
                             f"{scheme}://user{user}@{HOST}:{imap_port(site, mode)}/INBOX"], 30)
    with open(f"{folder}/copied", "rb") as f:
        parts = re.split(rb"^From [^\n]*\n", f.read(), flags=re.MULTILINE)[1:]
    return [with_crlf(part.removesuffix(b"\n")) for part in parts]     # mbox: a blank line behind each


def read_by_mbsync(site, mode, user, folder):
    need("mbsync")
    rc = write(folder, "mbsyncrc", f"""
IMAPAccount a
Host {HOST}
Port {imap_port(site, mode)}
User user{user}
Pass {site.password}
SSLType {'IMAPS' if mode == 'tls' else 'STARTTLS'}
CertificateFile {site.ca_file}

IMAPStore far
Account a

MaildirStore near
Path {folder}/mbsync/
Inbox {folder}/mbsync/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
""")
    os.makedirs(f"{folder}/mbsync", exist_ok=True)
    run(folder, "mbsync", "-c", rc, "c")
    return [re.sub(rb"(?m)^X-TUID: [^\n]*\n", b"", m) for m in read_files(f"{folder}/mbsync/INBOX/*/*")]


def taker(folder):
    """A delivery program that writes each message to a file of its own, which is there only when it is whole."""
    os.makedirs(f"{folder}/taken", exist_ok=True)
    return write(folder, "take", f"#!/bin/sh\ncat > {folder}/taking.$$ && mv {folder}/taking.$$ {folder}/taken/$$\n",
                 0o700)


def read_by_fetchmail(site, mode, user, folder, protocol, plain_port, tls_port):
    need("fetchmail")
    port = tls_port if mode == "tls" else plain_port
    secure = "ssl" if mode == "tls" else "sslproto TLS1.2+"
    rc = write(folder, "fetchmailrc", f"""
set no bouncemail
poll {HOST} protocol {protocol} port {port}
    user "user{user}" password "{site.password}"
    {secure} sslcertck sslcertfile "{site.ca_file}"
    fetchall keep mda "{taker(folder)}"
""")
    run(folder, "fetchmail", "-f", rc, "--nosyslog", "--nodetach", "--invisible", "-i", f"{folder}/ids",
        "--pidfile", f"{folder}/pid",
        env={"FETCHMAILHOME": folder})
    return read_files(f"{folder}/taken/*")


def read_by_fetchmail_imap(site, mode, user, folder):
    return read_by_fetchmail(site, mode, user, folder, "imap", site.imap_port, site.imaps_port)


def read_by_getmail(site, mode, user, folder, kind, plain_port, tls_port):
    need("getmail")
    middle = "SSL" if mode == "tls" else ""
    ca = f"ca_certs = {site.ca_file}" if mode == "tls" else ""
    write(folder, "getmailrc", f"""
[retriever]
type = Simple{kind}{middle}Retriever
server = {HOST}
port = {tls_port if mode == 'tls' else plain_port}
username = user{user}
password = {site.password}
{ca}

[destination]
type = MDA_external
path = {taker(folder)}
allow_root_commands = true

[options]
read_all = true
delete = false
received = false
delivered_to = false
""")
    run(folder, "getmail", f"--getmaildir={folder}", "--rcfile=getmailrc")
    return read_files(f"{folder}/taken/*")


def read_by_getmail_imap(site, mode, user, folder):
    return read_by_getmail(site, mode, user, folder, "IMAP", site.imap_port, site.imaps_port)


PERL = """
use strict; use Mail::IMAPClient;
my ($host, $port, $mode, $ca, $user, $password, $folder) = @ARGV;
my $ssl = [ SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_hostname => $host ];
my %how = $mode eq "tls" ? (Ssl => $ssl) : (Starttls => $ssl);
my $imap = Mail::IMAPClient->new(Server => $host, Port => $port, User => $user, Password => $password,
	Uid => 1, Peek => 1, %how) or die "connect: $@";
$imap->select("INBOX") or die $imap->LastError;
my $n = 0;
for my $uid ($imap->search("ALL")) {
	open(my $out, ">:raw", sprintf("%s/perl.%06d", $folder, $n++)) or die $!;
	my $octets = $imap->message_string($uid);
	die $imap->LastError unless defined $octets;
	print $out $octets;
	close($out);
}
$imap->logout;
"""


def read_by_perl(site, mode, user, folder):
    need("perl")
    done = subprocess.run(["perl", "-MMail::IMAPClient", "-MIO::Socket::SSL", "-e1"], capture_output=True)
    if done.returncode != 0:
        need("Mail::IMAPClient")
    run(folder, "perl", write(folder, "read.pl", PERL), HOST, str(imap_port(site, mode)), mode, site.ca_file,
        f"user{user}", site.password, folder)
    found = []
    for path in sorted(glob.glob(f"{folder}/perl.*")):
        with open(path, "rb") as f:
            found.append(f.read())
    return found


def read_by_imaplib(site, mode, user, _folder):
    c = imap(site, user, port="imaps_port" if mode == "tls" else "imap_port", starttls=mode != "tls")
    ok(c.select("INBOX"))
    found = [ok(c.uid("fetch", uid, "(RFC822)"))[0][1] for uid in ok(c.uid("search", "ALL"))[0].split()]
    c.logout()
    return found


# ---- readers by POP3 ----

def read_by_curl_pop3(site, mode, user, folder):
    need("curl")
    scheme, port = ("pop3s", site.pop3s_port) if mode == "tls" else ("pop3", site.pop3_port)
    url = f"{scheme}://{HOST}:{port}/"
    rows = run(folder, *curl_words(site, user), url).split(b"\r\n")
    numbers = [row.split()[0].decode() for row in rows if row]
    return [run(folder, *curl_words(site, user), url + number) for number in numbers]


def read_by_fetchmail_pop3(site, mode, user, folder):
    return read_by_fetchmail(site, mode, user, folder, "pop3", site.pop3_port, site.pop3s_port)


def read_by_getmail_pop3(site, mode, user, folder):
    return read_by_getmail(site, mode, user, folder, "POP3", site.pop3_port, site.pop3s_port)


def read_by_poplib(site, mode, user, _folder):
    c = pop3(site, user, port="pop3s_port" if mode == "tls" else "pop3_port", stls=mode != "tls")
    found = []
    for row in c.list()[1]:
        number, size = row.split()
        octets = b"".join(line + b"\r\n" for line in c.retr(int(number))[1])
        equal(len(octets), int(size), "LIST's size")
        found.append(octets)
    c.quit()
    return found


BOTH = ("starttls", "tls")
READERS = {
    "curl imap": (read_by_curl_imap, BOTH),
    "neomutt": (read_by_neomutt, BOTH),
    "mbsync": (read_by_mbsync, BOTH),
    "fetchmail imap": (read_by_fetchmail_imap, BOTH),
    "getmail imap": (read_by_getmail_imap, ("plain", "tls")),
    "imaplib": (read_by_imaplib, BOTH),
    "Mail IMAPClient": (read_by_perl, BOTH),
    "curl pop3": (read_by_curl_pop3, BOTH),
    "fetchmail pop3": (read_by_fetchmail_pop3, BOTH),
    "getmail pop3": (read_by_getmail_pop3, ("plain", "tls")),
    "poplib": (read_by_poplib, BOTH),
}
