# SPDX-License-Identifier: ISC
"""imapd(8) lists the capabilities that are offered, each of them and no other."""

import os
import re

from trivet import Wire

DAEMONS = ("imapd",)
USERS = 1
MANUAL = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "imapd", "imapd.8")


def listed():
    """Names in the columns of "What it speaks", without what follows a "=" that is a number."""
    with open(MANUAL, encoding="utf-8") as f:
        part = f.read().partition(".Ss What it speaks")[2].partition(".El")[0]
    return {re.sub(r"= Ns.*", "", name).strip() for name in re.findall(r"^\.It (.*?) Ta ", part, re.M)}


def test_every_capability_is_in_the_manual_page(site):
    with Wire(site, "imap_port") as c:
        words = re.search(rb"\[CAPABILITY ([^\]]*)\]", c.line())[1].decode().split()
    offered = {re.sub(r"^(APPENDLIMIT)=\d+$", r"\1", word) for word in words if word != "STARTTLS" and not word.startswith("AUTH=")}
    assert offered == listed(), f"only offered: {offered - listed()}; only in the page: {listed() - offered}"
