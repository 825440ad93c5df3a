# SPDX-License-Identifier: ISC
"""A day in the webmail of contrib/webmail: Debian's Roundcube, in a real browser, with the mouse and the keyboard; what came
of it is looked up by IMAP. Pictures of the list and of a message are left in the build folder, tests/clients/webmail.*.png.
"""

import contextlib
import email
import email.message
import email.policy
import itertools
import os
import re

from browser import ELEMENT, ENTER, Browser
from sites import build_dir
from trivet import drop, equal, fetch_all, header_of, imap, message, ok, only_long, seconds, wait_until, with_subject
from webmail import Webmail
from work import FOLDER, WORD, Refusals, modified_utf7

DAEMONS = ("imapd", "smtpd")
SETTINGS = {"log_level": "debug", "default_quota": "10M"}
USERS = 30
users = itertools.count(1)
BYTES = bytes(range(256)) * 300


class Desk:
    """Somebody in front of the browser."""

    def __init__(self, webmail, browser, site, user):
        self.webmail, self.browser, self.site, self.user = webmail, browser, site, user

    def log_in(self, password=None):
        b = self.browser
        b.go(self.webmail.url)
        b.type("input[name=_user]", f"user{self.user}")
        b.type("input[name=_pass]", password or self.site.password)
        b.click("#rcmloginsubmit")

    def settle(self):
        """Until the page has come, and what it fetched for itself."""
        self.browser.wait(lambda: self.browser.run(
            "return document.readyState == 'complete' && !!window.rcmail && !rcmail.busy && jQuery.active == 0"),
            "the page is at rest")

    def go(self, query):
        self.browser.frame()
        self.browser.go(f"{self.webmail.url}?{query}")
        self.settle()

    def open_box(self, name):
        self.go(f"_task=mail&_mbox={name}")

    def rows(self):
        """The subjects, from the top."""
        self.settle()
        return self.browser.texts("#messagelist tr.message span.subject a")

    def wait_for_rows(self, subjects):
        try:
            self.browser.wait(lambda: self.rows() == subjects, "the list")
        except AssertionError:
            equal(self.rows(), subjects, "the list")

    def options(self, **choices):
        """The dialog behind "Options": column, order, mode."""
        b = self.browser
        b.click("#listmenulink")
        b.see(".ui-dialog select[name=sort_col]")
        for name, value in choices.items():
            b.click(f".ui-dialog select[name={name}] option[value='{value}']")
        b.click(".ui-dialog button.save")
        b.not_see(".ui-dialog")
        self.settle()

    def show(self, subject):
        """In the frame beside the list, where the browser is then."""
        self.browser.frame()
        self.settle()
        self.browser.click("#messagelist tr.message span.subject a", subject)

        def shown():
            self.browser.frame("#messagecontframe")
            return self.browser.shown("#message-header", subject)
        self.browser.wait(shown, f"to see {subject}")
        self.settle()

    def select(self, subject):
        self.show(subject)
        self.browser.frame()
        self.settle()

    def menu(self, link, item):
        """An item of a menu that pops up."""
        self.browser.frame()
        self.browser.click(link)
        self.browser.click(f".popover {item}")

    def tool(self, name):
        self.browser.frame()
        self.browser.click(f"#toolbar-menu a.{name}:not(.disabled)")
        self.settle()

    def confirm(self):
        self.browser.click(".ui-dialog button.mainaction")
        self.browser.not_see(".ui-dialog")
        self.settle()

    def say_to(self, recipient, subject, text):
        b = self.browser
        self.settle()
        if recipient:
            b.type("#compose_to ul.recipient-input input", recipient + ",", clear=False)
        if subject:
            b.type("#compose-subject", subject)
        b.type("#composebody", text, clear=False)

    def attach(self, path):
        self.browser.upload("#uploadformInput", path)
        self.browser.see("#attachment-list li", os.path.basename(path))
        self.settle()

    def send(self):
        self.browser.click("button.send")
        self.browser.wait(lambda: "_action=compose" not in self.browser.url(), "the message is sent")
        self.settle()

    def picture(self, name):
        folder = os.path.join(build_dir(), "tests", "clients")
        os.makedirs(folder, exist_ok=True)
        self.browser.picture(f"{folder}/webmail.{name}.png")


@contextlib.contextmanager
def at_the_desk(site, folder, log_in=True, settings=""):
    """Nothing but what went wrong on purpose may be refused by the server, or be an error to Roundcube."""
    user = next(users)
    refusals = Refusals(site)
    with Webmail(site, folder, settings) as webmail, Browser(f"{folder}/browser") as browser:
        desk = Desk(webmail, browser, site, user)
        try:
            if log_in:
                desk.log_in()
                browser.see("#messagelist-content")
                desk.settle()
            yield desk
        except BaseException:
            desk.picture(f"failed.{user}")
            print(webmail.log("errors.log")[-2000:])
            raise
        if log_in:
            equal(webmail.log("errors.log"), "", "Roundcube's log of errors")
            refusals.expect()


def flags_of(site, user, subject, mailbox="INBOX"):
    c = imap(site, user, select=f'"{mailbox}"')
    try:
        numbers = ok(c.search(None, "SUBJECT", f'"{subject}"'))[0].split()
        equal(len(numbers), 1, f"messages with the subject {subject} in {mailbox}")
        row = ok(c.fetch(numbers[0], "(FLAGS)"))[0]
        return set(re.search(rb"FLAGS \(([^)]*)\)", row).group(1).decode().split()) - {"\\Recent"}
    finally:
        c.logout()


def subjects_in(site, user, mailbox="INBOX"):
    found = [email.message_from_bytes(m, policy=email.policy.default) for m in fetch_all(site, user, f'"{mailbox}"')]
    return sorted(str(m["Subject"]) for m in found)


def with_attachment(subject, name):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"], m["To"], m["Subject"] = "Ann Sender <ann@x.test>", "user1@example.test", subject
    m["Date"], m["Message-ID"] = "Mon, 02 Mar 2026 10:00:00 +0100", "<attachment@x.test>"
    m.set_content(f"the plain part {WORD}\r\n")
    m.add_alternative(f"<html><body><h1>the <i>HTML</i> part {WORD}</h1><script>document.title='run'</script>"
                      '<img src="http://tracker.invalid/x.png" alt="far"></body></html>', subtype="html")
    m.add_attachment(BYTES, maintype="application", subtype="octet-stream", filename=name)
    return m.as_bytes()


# ---- logging in ----

@only_long
@seconds(180)
def test_the_webmail_lets_nobody_in_with_a_wrong_password_and_nobody_stay_after_logout(site, folder):
    with at_the_desk(site, folder, log_in=False) as desk:
        b = desk.browser
        desk.log_in(password="wrong")
        b.see("#messagestack", "Login failed")
        desk.log_in()
        b.see("#mailboxlist li", "Inbox")
        equal(b.texts("#mailboxlist li a"), ["Inbox", "Drafts", "Sent", "Junk", "Trash", "Archive"], "the folders")
        desk.settle()
        b.click("a.logout")
        b.see("#rcmloginsubmit")
        b.go(desk.webmail.url + "?_task=mail")
        b.see("#rcmloginsubmit")
        for path in ("config/config.inc.php", "logs/errors.log", "plugins/markasjunk/markasjunk.php", ".htaccess",
                     "plugins/markasjunk/config.inc.php.dist", "plugins/markasjunk/composer.json", "temp/", "../data/db"):
            equal(desk.webmail.fetch(path)[0] in (400, 403, 404), True, f"{path} is not handed out")


# ---- the list ----

COLUMNS = {      # subject: From, To, Cc, Date's day, lines, in the order of arrival
    "delta": ("dora@x.test", "y@example.test", "c3@x.test", 4, 10),
    "Re: alpha": ("carl@x.test", "z@example.test", "c1@x.test", 2, 400),
    "charlie": ("bert@x.test", "w@example.test", "c4@x.test", 3, 100),
    "bravo": ("anna@x.test", "x@example.test", "c2@x.test", 1, 200),
}
ORDERS = {
    "arrival": ["delta", "Re: alpha", "charlie", "bravo"],
    "date": ["bravo", "Re: alpha", "charlie", "delta"],
    "subject": ["Re: alpha", "bravo", "charlie", "delta"],
    "from": ["bravo", "charlie", "Re: alpha", "delta"],
    "fromto": ["bravo", "charlie", "Re: alpha", "delta"],
    "to": ["charlie", "bravo", "delta", "Re: alpha"],
    "cc": ["Re: alpha", "bravo", "delta", "charlie"],
    "size": ["delta", "charlie", "bravo", "Re: alpha"],
}


@only_long
@seconds(240)
def test_the_webmails_list_is_sorted_by_each_column_and_threads_are_shown(site, folder):
    with at_the_desk(site, folder) as desk:
        fill_list(site, desk.user)
        desk.open_box("INBOX")
        for column, order in ORDERS.items():
            desk.options(sort_col=column, sort_ord="ASC", mode="list")
            desk.wait_for_rows(order)
            desk.options(sort_col=column, sort_ord="DESC")
            desk.wait_for_rows(order[::-1])
        desk.picture("list")
        for number, parents in enumerate(([], [0], [0, 1]), 1):
            reply(site, desk.user, number, parents)
        desk.options(sort_col="arrival", sort_ord="ASC", mode="threads")
        desk.menu("a.threads:not(.disabled)", "a.expand.all")
        desk.wait_for_rows([*ORDERS["arrival"], "plan", "Re: plan", "Re: plan again"])
        edges = desk.browser.run("return [...document.querySelectorAll('#messagelist tr.message span.subject a')].map("
                                 "a => a.getBoundingClientRect().left)")
        equal(len(set(edges[:5])), 1, f"where the first begin: {edges}")
        equal(edges[4] < edges[5] < edges[6], True, f"each answer stands further in than what it answers: {edges}")
        desk.picture("threads")


def fill_list(site, user):
    for subject, (sender, to, cc, day, lines) in COLUMNS.items():
        octets = message(subject=subject, sender=sender, to=to, Cc=cc, body="a line\r\n" * lines)
        octets = re.sub(rb"Date: [^\r]*", f"Date: Mon, {day:02} Mar 2026 10:00:00 +0000".encode(), octets)
        drop(site, user, octets)
        wait_until("it is there", lambda s=subject: with_subject(site, user, s))


def reply(site, user, number, parents):
    subject = ("plan", "Re: plan", "Re: plan again")[number - 1]
    references = " ".join(f"<plan{p + 1}@x.test>" for p in parents)
    more = {"References": references} if parents else {}
    drop(site, user, message(subject=subject, message_id=f"<plan{number}@x.test>", **more))
    wait_until("it is there", lambda: with_subject(site, user, subject))


@only_long
@seconds(180)
def test_the_webmail_with_its_caches_on_shows_what_other_programs_did_meanwhile(site, folder):
    """Roundcube keeps flags and headers, and asks by QRESYNC what changed."""
    settings = "$config['imap_cache'] = 'db';\n$config['messages_cache'] = true;"
    with at_the_desk(site, folder, settings=settings) as desk:
        b, names = desk.browser, [f"m{n}" for n in range(1, 9)]
        for name in names:
            drop(site, desk.user, message(subject=name))
        desk.open_box("INBOX")
        desk.options(sort_col="arrival", sort_ord="ASC", mode="list")
        desk.wait_for_rows(names)
        desk.open_box("INBOX")
        desk.wait_for_rows(names)
        c = imap(site, desk.user, select="INBOX")
        ok(c.store("2", "+FLAGS", "(\\Flagged)"))
        ok(c.store("3,5", "+FLAGS", "(\\Deleted)"))
        ok(c.expunge())
        ok(c.append("INBOX", None, None, message(subject="m9")))
        ok(c.store("1", "+FLAGS", "(\\Seen)"))
        c.logout()
        desk.open_box("INBOX")
        desk.wait_for_rows([n for n in names if n not in ("m3", "m5")] + ["m9"])
        equal(b.texts("#messagelist tr.message.flagged span.subject a"), ["m2"], "what is flagged")
        equal("m1" in b.texts("#messagelist tr.message.unread span.subject a"), False, "m1 is shown as unread")
        told = desk.webmail.log("imap.log")
        equal("ENABLE QRESYNC" in told and "VANISHED" in told, True, "it asked by QRESYNC")


# ---- reading ----

@only_long
@seconds(180)
def test_the_webmail_shows_html_and_plain_text_and_hands_out_an_attachment_as_it_was(site, folder):
    with at_the_desk(site, folder) as desk:
        drop(site, desk.user, with_attachment("보고서 2026", "첨부 report.bin"))
        drop(site, desk.user, message(subject="only plain", body=f"just text\r\n{WORD}\r\n> quoted\r\n"))
        desk.open_box("INBOX")
        b = desk.browser
        desk.show("보고서 2026")
        b.see("#messagebody h1", f"the HTML part {WORD}")
        equal(b.run("return document.querySelectorAll('#messagebody img[src^=\"http://tracker\"]').length"), 0,
              "pictures from far away")
        equal(b.run("return document.title") == "run", False, "a script of the message ran")
        b.see("#attachment-list li", "첨부 report.bin")
        desk.picture("message")

        def download():
            b.click("#attachment-list li a.dropdown")
            b.click(".popover a.download")
        equal(b.download(download, "첨부 report.bin"), BYTES, "the attachment")
        desk.show("only plain")
        b.see("#messagebody", f"just text\n{WORD}")
        wait_until("it is seen", lambda: "\\Seen" in flags_of(site, desk.user, "only plain"))


# ---- searching ----

@only_long
@seconds(180)
def test_the_webmail_finds_by_subject_sender_and_body_in_korean_too(site, folder):
    with at_the_desk(site, folder) as desk:
        drop(site, desk.user, message(subject="invoice 2026", body="please pay\r\n", sender="shop@x.test"))
        drop(site, desk.user, message(subject="주문 확인", body="thank you\r\n"))
        drop(site, desk.user, message(subject="other", body="이 편지에 가나다라 말이 있다\r\n"))
        desk.open_box("INBOX")
        desk.options(sort_col="arrival", sort_ord="ASC")
        b = desk.browser

        def find(text, found, *modifiers):
            if modifiers:
                if not b.shown("#searchmenu"):
                    b.click("a[data-target=searchmenu]")
                    b.see("#searchmenu")
                for arrow in b.shown("#searchmenu li:has(> ul.d-none) > a.dropdown"):
                    b.tell("POST", f"/element/{arrow}/click")
                boxes = b.run("return [...document.querySelectorAll('#searchmenu input')].map(e => [e.value, e.checked])")
                for value, checked in boxes:
                    if checked != (value in modifiers):
                        b.click(f"#searchmenu input[value={value}] + label")
            b.type("#mailsearchform", text + ENTER)
            desk.wait_for_rows(found)

        find("invoice", ["invoice 2026"])
        find("주문", ["주문 확인"])
        find("shop@x.test", ["invoice 2026"])
        find("가나다라", [])
        find("가나다라", ["other"], "body")
        find("please pay", ["invoice 2026"])
        find("thank", ["주문 확인"], "text")
        find("nowhere", [])
        b.click(".searchbar a.reset")
        desk.wait_for_rows(["invoice 2026", "주문 확인", "other"])


# ---- writing ----

@only_long
@seconds(240)
def test_what_is_written_in_the_webmail_arrives_with_its_attachment_and_a_draft_is_there_once(site, folder):
    other = next(users)
    with at_the_desk(site, folder) as desk:
        b = desk.browser
        path = f"{folder}/붙임.bin"
        with open(path, "wb") as f:
            f.write(BYTES)
        os.chmod(path, 0o644)
        desk.go("_task=mail&_action=compose")
        desk.say_to(site.address(other), "안녕 from the webmail", f"Hello,\n{WORD}\n.\n")
        desk.attach(path)
        for more in ("en", "d"):
            desk.say_to(None, None, more)
            b.click("a.save.draft")
            b.see("#messagestack", "Message saved to Drafts")
            b.not_see("#messagestack div")
            desk.settle()
        equal(subjects_in(site, desk.user, "Drafts"), ["안녕 from the webmail"], "the drafts")
        desk.open_box("Drafts")
        b.double_click("#messagelist tr.message span.subject a", "안녕 from the webmail")
        b.see("#attachment-list li", "붙임.bin")
        desk.settle()
        desk.send()
        wait_until("it arrives", lambda: fetch_all(site, other))
        for box, user in (("INBOX", other), ("Sent", desk.user)):
            check_letter(fetch_all(site, user, box))
        equal(subjects_in(site, desk.user, "Drafts"), [], "the drafts that are left")


def check_letter(messages):
    equal(len(messages), 1, "messages")
    m = email.message_from_bytes(messages[0], policy=email.policy.default)
    equal(str(m["Subject"]), "안녕 from the webmail")
    equal(m.get_body(("plain",)).get_content().replace("\r\n", "\n").rstrip(), f"Hello,\n{WORD}\n.\nend", "the text")
    parts = list(m.iter_attachments())
    equal([p.get_filename() for p in parts], ["붙임.bin"], "the attachments")
    equal(parts[0].get_content(), BYTES, "the attachment")


@only_long
@seconds(180)
def test_a_message_that_was_answered_or_forwarded_in_the_webmail_is_marked_so(site, folder):
    other = next(users)
    with at_the_desk(site, folder) as desk:
        drop(site, desk.user, message(subject="question", sender=site.address(other), message_id="<question@x.test>",
                                      body="what time?\r\n"))
        desk.open_box("INBOX")
        desk.select("question")
        desk.tool("reply")
        desk.browser.see("#composebody")
        desk.say_to(None, None, "at noon\n")
        desk.send()
        wait_until("the answer arrives", lambda: fetch_all(site, other))
        answer = fetch_all(site, other)[0]
        equal(b"In-Reply-To: <question@x.test>" in header_of(answer), True, "it says what it answers")
        equal(b"> what time?" in answer, True, "the quotation")
        equal("\\Answered" in flags_of(site, desk.user, "question"), True, "it is marked as answered")
        desk.open_box("INBOX")
        desk.browser.wait(lambda: desk.browser.elements("#messagelist span.msgicon.replied"), "the sign of an answer")
        desk.select("question")
        desk.tool("forward")
        desk.browser.see("#composebody")
        desk.say_to(site.address(other), None, "see below\n")
        desk.send()
        wait_until("it arrives", lambda: len(fetch_all(site, other)) == 2)
        equal("$Forwarded" in flags_of(site, desk.user, "question"), True, "it is marked as forwarded")


# ---- folders ----

def listed(site, user, lsub=False):
    c = imap(site, user)
    rows = ok(c.lsub() if lsub else c.list())
    c.logout()
    return {re.search(rb'"([^"]*)"$', row).group(1).decode() for row in rows}


def save_folder(desk, **fields):
    """The form in the frame."""
    b = desk.browser
    b.frame("#preferences-frame")
    b.see("input[name=_name]")
    for name, value in fields.items():
        if name == "_parent":
            b.click(f"select[name=_parent] option[value='{value}']")
        else:
            b.type(f"input[name={name}]", value)
    b.click("button.submit")
    b.frame()
    b.see("#messagestack", "Folder")
    desk.settle()


@only_long
@seconds(240)
def test_folders_are_made_renamed_subscribed_and_deleted_in_the_webmail(site, folder):
    default = {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"}
    box = modified_utf7(FOLDER)
    with at_the_desk(site, folder) as desk:
        b, user = desk.browser, desk.user
        desk.go("_task=settings&_action=folders")
        desk.tool("create")
        save_folder(desk, _name=FOLDER)
        b.see("#subscription-table li", FOLDER)
        desk.go("_task=settings&_action=folders")
        desk.tool("create")
        save_folder(desk, _name="안", _parent=box)
        equal(listed(site, user) - default, {box, f"{box}/&xUg-"}, "folders in LIST")
        equal(listed(site, user, lsub=True) - default, {box, f"{box}/&xUg-"}, "folders in LSUB")

        desk.go("_task=settings&_action=folders")
        b.click("#subscription-table li > a", FOLDER)
        save_folder(desk, _name="이름 & 새로")
        new = modified_utf7("이름 & 새로")
        equal(listed(site, user) - default, {new, f"{new}/&xUg-"}, "folders in LIST after the new name")
        equal(listed(site, user, lsub=True) - default, {new, f"{new}/&xUg-"}, "folders in LSUB after the new name")

        desk.go("_task=settings&_action=folders")
        b.run("document.querySelector(arguments[0]).click()", f"#subscription-table input[value='{new}/&xUg-']")
        b.see("#messagestack", "unsubscribed")
        equal(listed(site, user, lsub=True) - default, {new}, "folders in LSUB after unsubscribing")

        for name in (f"{new}/&xUg-", new):
            desk.go("_task=settings&_action=folders")
            b.run("rcmail.subscription_list.select(arguments[0])", name)
            b.frame("#preferences-frame")
            b.see("input[name=_name]")
            b.frame()
            desk.tool("delete")
            desk.confirm()
            b.see("#messagestack", "deleted")
        equal(listed(site, user), default, "folders in the end")


# ---- flags, junk, moving, deleting, quota ----

@only_long
@seconds(300)
def test_marks_moves_junk_archive_and_trash_of_the_webmail_are_on_the_server(site, folder):
    names = ["flagged", "unread", "junk", "archived", "moved", "dragged", "deleted", "large"]
    with at_the_desk(site, folder) as desk:
        b, user = desk.browser, desk.user
        for name in names:
            drop(site, user, message(subject=name, body="x" * 70 + "\r\n" if name != "large" else
                                     ("y" * 70 + "\r\n") * 35000))
        c = imap(site, user)
        ok(c.create("Work"))
        ok(c.subscribe("Work"))
        c.logout()
        desk.open_box("INBOX")
        desk.options(sort_col="arrival", sort_ord="ASC")
        desk.wait_for_rows(names)
        b.see("#quotadisplay .count", "24%")

        desk.select("flagged")
        desk.menu("#markmessagemenulink", "a.flag")
        wait_until("it is flagged", lambda: "\\Flagged" in flags_of(site, user, "flagged"))
        desk.select("unread")
        wait_until("it is seen", lambda: "\\Seen" in flags_of(site, user, "unread"))
        desk.menu("#markmessagemenulink", "a.unread")
        wait_until("it is unseen again", lambda: "\\Seen" not in flags_of(site, user, "unread"))
        desk.select("junk")
        desk.tool("junk")
        wait_until("it is in Junk", lambda: subjects_in(site, user, "Junk") == ["junk"])
        equal("$Junk" in flags_of(site, user, "junk", "Junk"), True, "it is marked as junk")
        desk.select("archived")
        desk.tool("archive")
        wait_until("it is in the archive", lambda: subjects_in(site, user, "Archive") == ["archived"])
        desk.select("moved")
        desk.menu("#messagemenulink", "a.move")
        b.click("#folder-selector li a", "Work")
        wait_until("it is in Work", lambda: subjects_in(site, user, "Work") == ["moved"])
        drag(b, "dragged", "Work")
        wait_until("both are in Work", lambda: subjects_in(site, user, "Work") == ["dragged", "moved"])
        for name in ("deleted", "large"):
            desk.select(name)
            desk.tool("delete")
        wait_until("they are in the trash", lambda: subjects_in(site, user, "Trash") == ["deleted", "large"])
        desk.wait_for_rows(["flagged", "unread"])
        equal(subjects_in(site, user), ["flagged", "unread"], "INBOX")

        desk.open_box("Trash")
        desk.menu("a.sidebar-menu", "a.purge")
        desk.confirm()
        wait_until("the trash is empty", lambda: subjects_in(site, user, "Trash") == [])
        b.see("#quotadisplay .count", "0%")
        desk.open_box("Junk")
        desk.select("junk")
        desk.tool("notjunk")
        wait_until("it is back", lambda: "junk" in subjects_in(site, user))
        equal("$Junk" in flags_of(site, user, "junk"), False, "it is marked as junk still")


def drag(b, subject, box):
    """A message by the mouse onto a folder."""
    row = b.wait(lambda: b.shown("#messagelist tr.message span.subject a", subject), f"{subject} in the list")[0]
    target = b.wait(lambda: b.shown("#mailboxlist li a", box), f"{box} in the folders")[0]
    steps = [{"type": "pointerMove", "duration": 0, "origin": {ELEMENT: row}, "x": 0, "y": 0},
             {"type": "pointerDown", "button": 0},
             {"type": "pointerMove", "duration": 100, "origin": {ELEMENT: row}, "x": -30, "y": 10},
             {"type": "pointerMove", "duration": 200, "origin": {ELEMENT: target}, "x": 0, "y": 0},
             {"type": "pointerMove", "duration": 50, "origin": {ELEMENT: target}, "x": 2, "y": 1},
             {"type": "pointerUp", "button": 0}]
    b.tell("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})
