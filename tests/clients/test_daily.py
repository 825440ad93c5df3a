# SPDX-License-Identifier: ISC
"""Programs at their daily work: neomutt on a terminal, fetchmail and getmail that wait for mail and take it along,
imapfilter that sorts. What they did is looked up on the server afterwards."""

import itertools
import os
import re

from programs import HOST, Background, environment, read_files, run, taker, with_crlf, write
from runner import need, run_program, slow_build
from terminal import Terminal
from trivet import drop, equal, fetch_all, header_of, imap, message, ok, send, wait_until
from work import FOLDER, Refusals, idles, large_message, modified_utf7, other_ca

DAEMONS = ("imapd", "smtpd")
SETTINGS = {"log_level": "debug"}
USERS = 30
users = itertools.count(1)
QUOTED = f'"{modified_utf7(FOLDER)}"'
TYPED = FOLDER.replace(" ", "<quote-char> ")        # where neomutt asks for a mailbox, a blank completes


def account(site, *subjects, box=QUOTED):
    """A new user's number. Each message has a Korean word in its body; the folder has a large one."""
    user = next(users)
    for subject in subjects:
        drop(site, user, message(subject=subject, body=f"가나다라 text of the {subject}\r\n"))
    c = imap(site, user)
    ok(c.create(box))
    ok(c.append(box, "(\\Seen)", None, large_message()))
    c.logout()
    return user


def subjects(octets):
    return sorted(re.search(rb"(?im)^subject: *(\S+)", header_of(m)).group(1).decode() for m in octets)


def flagged(site, user, key, mailbox="INBOX"):
    """Subjects of the messages that SEARCH finds by the key."""
    c = imap(site, user, select=mailbox)
    try:
        numbers = ok(c.search(None, key))[0].split()
        return subjects([ok(c.fetch(n, "(BODY.PEEK[HEADER])"))[0][1] for n in numbers])
    finally:
        c.logout()


def port_of(site, mode):
    return site.imaps_port if mode == "tls" else site.imap_port


# ---- neomutt ----

def neomutt(site, folder, user, mode, password=None, ca_file=None):
    need("neomutt")
    url = f"{'imaps' if mode == 'tls' else 'imap'}://user{user}@{HOST}:{port_of(site, mode)}"
    rc = write(folder, "neomuttrc", f"""
set ssl_starttls = yes
set ssl_force_tls = yes
set ssl_ca_certificates_file = "{ca_file or site.ca_file}"
set imap_pass = "{password or site.password}"
set folder = "{url}"
set spoolfile = "+INBOX"
set trash = "+Trash"
set mbox_type = mbox
set charset = utf-8
set imap_idle = yes
set imap_check_subscribed = yes
set mail_check = 1
set timeout = 1
set confirmappend = no
set confirmcreate = no
set auto_tag = no
set copy = no
set delete = yes
set move = no
set quit = yes
set wait_key = no
set sort = mailbox-order
set header_cache = ""
set beep = no
""")
    return Terminal(folder, ["neomutt", "-n", "-F", rc])


def does_its_work_in_neomutt(site, folder, mode):
    user = account(site, "first", "second", "third", "fourth")
    refusals = Refusals(site)
    with neomutt(site, folder, user, mode) as t:
        t.wait_for("fourth")
        t.push("<limit>~s first<enter><flag-message><limit>all<enter>")
        t.push("<limit>~s second<enter><copy-message>=" + TYPED + "<enter><limit>all<enter>")
        t.push("<limit>~s third<enter><save-message>=" + TYPED + "<enter><limit>all<enter>")
        t.push("<limit>~s fourth<enter><delete-message><limit>all<enter><sync-mailbox>")
        wait_until("the work is on the server", lambda: subjects(fetch_all(site, user)) == ["first", "second"])
        equal(flagged(site, user, "FLAGGED"), ["first"], "what is flagged")
        wait_until("it idles", lambda: idles(site, refusals))
        send(site, subject="fifth", to=f"user{user}", body="가나다라\r\n")
        t.wait_for("fifth")
        t.push("<limit>=b 가나다라<enter><tag-pattern>~A<enter><tag-prefix><copy-message>" + folder + "/found<enter>")
        wait_until("what the server's search found is saved", lambda: mbox(f"{folder}/found", 3))
        t.push("<change-folder>=" + TYPED + "<enter>")
        t.wait_for("large")
        t.push("<limit>~s large<enter><copy-message>" + folder + "/copied<enter>")
        wait_until("the large message is saved", lambda: mbox(f"{folder}/copied", 1))
        t.push("<quit>")
        equal(t.ended(), 0, "its exit code")
    equal(with_crlf(mbox(f"{folder}/copied", 1)[0]).partition(b"\r\n\r\n")[2],
          large_message().partition(b"\r\n\r\n")[2], "the large message")
    equal(subjects(fetch_all(site, user, QUOTED)), ["large", "second", "third"], "the folder")
    equal(subjects(fetch_all(site, user, "Trash")), ["fourth"], "the trash")
    refusals.expect()


def mbox(path, count):
    """The messages of an mbox file, if so many are there whole."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        octets = f.read()
    parts = re.split(rb"^From [^\n]*\n", octets, flags=re.MULTILINE)[1:]
    return [p.removesuffix(b"\n") for p in parts] if len(parts) == count and octets.endswith(b"\n\n") else None


def test_work_in_neomutt_over_tls_is_on_the_server(site, folder):
    does_its_work_in_neomutt(site, folder, "tls")


def test_work_in_neomutt_over_starttls_is_on_the_server(site, folder):
    does_its_work_in_neomutt(site, folder, "starttls")


def test_neomutt_says_that_the_password_is_wrong_or_the_certificate_a_strangers(site, folder):
    user = account(site, "first")
    with neomutt(site, folder, user, "tls", password="wrong") as t:
        t.wait_for("[Ll]ogin failed|[Aa]uthentication failed")
    with neomutt(site, folder, user, "starttls", ca_file=other_ca(site, folder)) as t:
        t.wait_for(r"\(r\)eject")
        equal("first" in t.text(), False, "a message on the screen")


# ---- fetchmail ----

def fetchmail_words(site, folder, user, mode, password=None, ca_file=None, more="", options=()):
    need("fetchmail")
    rc = write(folder, "fetchmailrc", f"""
set no bouncemail
poll {HOST} protocol imap port {port_of(site, mode)}
    user "user{user}" password "{password or site.password}"
    {'ssl' if mode == 'tls' else 'sslproto TLS1.2+'} sslcertck sslcertfile "{ca_file or site.ca_file}"
    mda "{taker(folder)}" {more}
""")
    return ["fetchmail", "-f", rc, "--nosyslog", "--nodetach", "--invisible", "-i", f"{folder}/ids", "--pidfile",
            f"{folder}/pid", *options]


def taken(folder):
    return subjects(read_files(f"{folder}/taken/*"))


def takes_it_along_by_fetchmail(site, folder, mode):
    user = account(site, "first", "second")
    refusals = Refusals(site)
    with Background(folder, *fetchmail_words(site, folder, user, mode, more="idle")):
        wait_until("it fetched what was there", lambda: taken(folder) == ["first", "second"])
        wait_until("it idles", lambda: idles(site, refusals))
        send(site, subject="third", to=f"user{user}")
        wait_until("it fetched what came", lambda: taken(folder) == ["first", "second", "third"])
        wait_until("nothing is left on the server", lambda: not fetch_all(site, user))
    run(folder, *fetchmail_words(site, folder, user, mode, more=f'folder "{modified_utf7(FOLDER)}" fetchall'))
    equal(taken(folder), ["first", "large", "second", "third"], "what it fetched")
    equal(fetch_all(site, user, QUOTED), [], "what is left in the folder")
    got = [m for m in read_files(f"{folder}/taken/*") if b"Subject: large\r\n" in header_of(m)]
    equal(got[0].partition(b"\r\n\r\n")[2], large_message().partition(b"\r\n\r\n")[2], "the large message")
    refusals.expect()


def test_fetchmail_takes_along_what_is_there_and_what_comes_over_tls(site, folder):
    takes_it_along_by_fetchmail(site, folder, "tls")


def test_fetchmail_takes_along_what_is_there_and_what_comes_over_starttls(site, folder):
    takes_it_along_by_fetchmail(site, folder, "starttls")


def test_fetchmail_that_keeps_mail_on_the_server_takes_only_what_is_new(site, folder):
    user = account(site, "first", "second")
    refusals = Refusals(site)
    run(folder, *fetchmail_words(site, folder, user, "tls", more="keep"))
    drop(site, user, message(subject="third"))
    run(folder, *fetchmail_words(site, folder, user, "tls", more="keep"))
    equal(taken(folder), ["first", "second", "third"], "what it fetched")
    equal(flagged(site, user, "SEEN"), ["first", "second", "third"], "what is seen on the server")
    code = run_program(*fetchmail_words(site, folder, user, "tls", more="keep"), env=environment(folder), cwd=folder)
    equal(code.returncode, 1, "its exit code: there was no mail")
    refusals.expect()


def test_fetchmail_takes_nothing_with_a_wrong_password_or_a_strangers_certificate(site, folder):
    user = account(site, "first")
    for mode in ("tls", "starttls"):
        for options, code in (({"password": "wrong"}, 3), ({"ca_file": other_ca(site, folder)}, 2)):
            done = run_program(*fetchmail_words(site, folder, user, mode, **options), env=environment(folder),
                               cwd=folder)
            equal(done.returncode, code, f"its exit code: {done.stdout + done.stderr}")
    equal(taken(folder), [], "what it fetched")
    equal(subjects(fetch_all(site, user)), ["first"], "what is on the server")


# ---- getmail ----

def getmail_words(site, folder, user, password=None, ca_file=None, mailboxes=("INBOX",), delete=True, options=()):
    """It has no STARTTLS."""
    need("getmail")
    write(folder, "getmailrc", f"""
[retriever]
type = SimpleIMAPSSLRetriever
server = {HOST}
port = {site.imaps_port}
username = user{user}
password = {password or site.password}
ca_certs = {ca_file or site.ca_file}
mailboxes = ({"".join(f'"{m}", ' for m in mailboxes)})

[destination]
type = MDA_external
path = {taker(folder)}
allow_root_commands = true

[options]
read_all = false
delete = {str(delete).lower()}
received = false
delivered_to = false
""")
    return ["getmail", f"--getmaildir={folder}", "--rcfile=getmailrc", *options]


def test_getmail_takes_along_what_is_there_and_what_comes(site, folder):
    user = account(site, "first", "second")
    refusals = Refusals(site)
    run(folder, *getmail_words(site, folder, user, mailboxes=("INBOX", FOLDER)))
    equal(taken(folder), ["first", "large", "second"], "what it fetched")
    equal(fetch_all(site, user) + fetch_all(site, user, QUOTED), [], "what is left on the server")
    with Background(folder, *getmail_words(site, folder, user, options=["--idle=INBOX"])):
        wait_until("it idles", lambda: idles(site, refusals))
        send(site, subject="third", to=f"user{user}")
        wait_until("it fetched what came", lambda: "third" in taken(folder))
        wait_until("nothing is left on the server", lambda: not fetch_all(site, user))
    refusals.expect()


def test_getmail_that_keeps_mail_on_the_server_takes_only_what_is_new(site, folder):
    user = account(site, "first", "second")
    refusals = Refusals(site)
    run(folder, *getmail_words(site, folder, user, delete=False))
    drop(site, user, message(subject="third"))
    run(folder, *getmail_words(site, folder, user, delete=False))
    run(folder, *getmail_words(site, folder, user, delete=False))
    equal(taken(folder), ["first", "second", "third"], "what it fetched")
    equal(subjects(fetch_all(site, user)), ["first", "second", "third"], "what is on the server")
    refusals.expect()


def test_getmail_takes_nothing_with_a_wrong_password_or_a_strangers_certificate(site, folder):
    user = account(site, "first")
    for options in ({"password": "wrong"}, {"ca_file": other_ca(site, folder)}):
        run_program(*getmail_words(site, folder, user, **options), env=environment(folder), cwd=folder)
        equal(taken(folder), [], "what it fetched")
    equal(subjects(fetch_all(site, user)), ["first"], "what is on the server")


# ---- imapfilter ----

def imapfilter_words(site, folder, user, mode, work, password=None, ca_file=None):
    need("imapfilter")
    path = write(folder, "config.lua", f"""
options.timeout = 20
options.charset = "UTF-8"
options.subscribe = true
options.starttls = {str(mode != 'tls').lower()}
account = IMAP {{ server = "{HOST}", port = {port_of(site, mode)}, username = "user{user}",
	password = "{password or site.password}" {', ssl = "auto"' if mode == 'tls' else ''} }}
{work}
""")
    return ["imapfilter", "-c", path, "-t", ca_file or site.ca_file]


# imapfilter 2.8 reads a syllable wrongly whose code has the bit 0x800: its folder has none.
SIMPLE = "새투 & 편"
SIMPLE_QUOTED = f'"{modified_utf7(SIMPLE)}"'

SORT = """
all, folders = account:list_all("")
found = false
for _, name in ipairs(all) do found = found or name == "FOLDER" end
assert(found, "the folder is not in the list: " .. table.concat(all, ", "))
exist, recent, unseen, next = account.INBOX:check_status()
assert(exist == 4, "messages: " .. exist)
assert(#account.INBOX:contain_body("가나다라") == 4, "found by a word")
account.INBOX:contain_subject("first"):mark_flagged()
account.INBOX:contain_subject("first"):add_flags({ "Work" })
account.INBOX:contain_subject("second"):copy_messages(account["FOLDER"])
account.INBOX:contain_subject("third"):move_messages(account["FOLDER/안"])
account.INBOX:contain_subject("fourth"):delete_messages()
assert(#(account.INBOX:is_unseen() * account.INBOX:is_smaller(100000) - account.INBOX:is_flagged()) == 1)
assert(#account.INBOX:arrived_before("04-Sep-2018") == 0)
assert(#account["FOLDER"]:is_larger(1000000) == 1)
for _, m in ipairs(account["FOLDER"]:is_larger(1000000)) do
	mailbox, uid = table.unpack(m)
	text = mailbox[uid]:fetch_message()
end
file = io.open("large", "wb")
file:write(text)
file:close()
print("idle")
io.stdout:flush()
assert(account.INBOX:enter_idle(), "no IDLE")
account.INBOX:contain_subject("fifth"):mark_seen()
""".replace("FOLDER", SIMPLE)


def sorts_by_imapfilter(site, folder, mode):
    user = account(site, "first", "second", "third", "fourth", box=SIMPLE_QUOTED)
    refusals = Refusals(site)
    with Background(folder, *imapfilter_words(site, folder, user, mode, SORT)) as b:
        wait_until("it idles, or ended", lambda: idles(site, refusals) or b.child.poll() is not None)
        if b.child.poll() is None:
            send(site, subject="fifth", to=f"user{user}")
        code = b.child.wait(30 * slow_build())
        with open(f"{folder}/said", "rb") as f:
            equal(code, 0, f.read())
    with open(f"{folder}/large", "rb") as f:
        equal(f.read(), large_message(), "the large message")
    equal(subjects(fetch_all(site, user)), ["fifth", "first", "second"], "INBOX")
    equal(flagged(site, user, "SEEN"), ["fifth"], "what is seen")
    equal(flagged(site, user, "KEYWORD Work"), ["first"], "what has the keyword")
    equal(subjects(fetch_all(site, user, SIMPLE_QUOTED)), ["large", "second"], "the folder")
    equal(subjects(fetch_all(site, user, f'"{modified_utf7(SIMPLE)}/&xUg-"')), ["third"], "the folder made for a move")
    refusals.expect("TRYCREATE")


def test_imapfilter_sorts_and_makes_the_folder_that_is_missing_over_tls(site, folder):
    sorts_by_imapfilter(site, folder, "tls")


def test_imapfilter_sorts_and_makes_the_folder_that_is_missing_over_starttls(site, folder):
    sorts_by_imapfilter(site, folder, "starttls")


def test_imapfilter_does_nothing_with_a_wrong_password_or_a_strangers_certificate(site, folder):
    user = account(site, "first")
    work = "account.INBOX:select_all():delete_messages()"
    for mode in ("tls", "starttls"):
        for options in ({"password": "wrong"}, {"ca_file": other_ca(site, folder)}):
            run_program(*imapfilter_words(site, folder, user, mode, work, **options), env=environment(folder),
                        cwd=folder)
    equal(subjects(fetch_all(site, user)), ["first"], "what is on the server")
