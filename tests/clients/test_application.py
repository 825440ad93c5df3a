# SPDX-License-Identifier: ISC
"""Mail as an application's author sends it: smtplib, port 465, Korean text, and no QUIT."""

import email
import email.policy
import smtplib
import time
from email.message import EmailMessage

from trivet import equal, fetch_all, tls, two_sites, wait_until


def send_as_an_application(site, recipient, number):
    m = EmailMessage()
    m["From"] = site.address(1)
    m["To"] = recipient
    m["Subject"] = f"주문이 접수되었습니다 {number}"
    m["Message-ID"] = f"<order-{number}@shop.test>"
    m.set_content("안녕하세요,\n\n주문해 주셔서 감사합니다.\n.\n..\n끝\n")
    server = smtplib.SMTP_SSL("localhost" if site.host == "127.0.0.1" else site.host, site.submissions_port,
                              context=tls(site), timeout=20)
    server.login(site.address(1), site.password)
    server.send_message(m)
    server.sock.close()         # no QUIT: the program just ends
    return m


def check(octets, sent):
    got = email.message_from_bytes(octets, policy=email.policy.default)
    equal(got["Subject"], sent["Subject"], "the subject")
    equal(got["Message-ID"], sent["Message-ID"], "the message id")
    equal(got.get_content().replace("\r\n", "\n"), sent.get_content(), "the text")


def arrived(site, user, sent):
    return [m for m in fetch_all(site, user) if sent["Message-ID"].encode() in m]


def test_an_applications_mail_without_quit_reaches_a_local_user_exactly_once(site):
    for number in range(5):
        sent = send_as_an_application(site, site.address(2), number)
        wait_until("it arrives", lambda m=sent: arrived(site, 2, m))
        check(arrived(site, 2, sent)[0], sent)
    time.sleep(1)
    equal(len(fetch_all(site, 2)), 5, "messages")


def test_an_applications_mail_without_quit_reaches_the_other_site_exactly_once(folder):
    with two_sites(folder) as (a, b, _):
        for number in range(3):
            sent = send_as_an_application(a, b.address(2), number)
            wait_until("it arrives at the other site", lambda m=sent: arrived(b, 2, m), 15)
            check(arrived(b, 2, sent)[0], sent)
        time.sleep(2)
        equal(len(fetch_all(b, 2)), 3, "messages at the other site")
        equal(len(fetch_all(a, 1)), 0, "messages back at the sender's")
