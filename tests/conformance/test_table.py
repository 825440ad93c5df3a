# SPDX-License-Identifier: ISC
"""The table of sections: it has no errors by what ran, and it would tell of them."""

import importlib.machinery
import importlib.util
import os

import sites
from runner import results_path, run_program, skip
from trivet import equal

PATH = f"{sites.TOP}/tests/conformance/table"


def load():
    loader = importlib.machinery.SourceFileLoader("table", PATH)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("table", loader))
    loader.exec_module(module)
    return module


def test_every_section_is_shown_by_a_test_that_passed_or_has_a_word_why():
    if not os.path.exists(results_path()):
        skip("nothing ran before")
    done = run_program(PATH, "--faults", results_path(), text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_citations_are_read_as_people_write_them():
    read = load().citations_in
    for line, wanted in (
            ("RFC 3501 6.3.1, 7.1, 7.3: what SELECT tells.", [("3501", "6.3.1"), ("3501", "7.1"), ("3501", "7.3")]),
            ("RFC 3501 6.1.1 to 6.1.3.", [("3501", "6.1.1"), ("3501", "6.1.2"), ("3501", "6.1.3")]),
            ("RFC 3207 4.2 and 6: what was", [("3207", "4.2"), ("3207", "6")]),
            ("RFC 3501 section 9, sequence-set", [("3501", "9")]),
            ("RFC 5321 appendix D.1: the typical", [("5321", "D.1")]),
            ("RFC 2342 5, 9208 4.1.1", [("2342", "5"), ("9208", "4.1.1")]),
            ("RFC 6409 4.3, RFC 4954 4.", [("6409", "4.3"), ("4954", "4")]),
            ("RFC 2449 4. A line", [("2449", "4")]),
            ("RFC 5322 A dot", [("5322", None)]),
            ("BODY[RFC822.SIZE] 1.2", [])):
        equal((line, list(read(line))), (line, wanted))


def test_a_citation_without_a_passing_test_is_an_error():
    table = load()
    rfcs = {"3501": table.Rfc("3501", "IMAP")}
    rfcs["3501"].sections["6.4"] = table.Section("6.4", "Commands", "", "")
    rows = {o: {"name": o, "outcome": o, "file": "", "line": 0} for o in ("passed", "failed", "skipped")}
    for section, outcomes, good in (
            ("6.4", ["passed"], True), ("6.4", ["passed", "skipped"], True), ("6.4", ["skipped"], False),
            ("6.4", ["passed", "failed"], False), ("6.4", [], False), ("6.5", ["passed"], False),
            (None, ["passed"], False)):
        faults = []
        citation = table.Citation("tests/imap/x.conv:1", "3501", section, [rows[o] for o in outcomes])
        table.judge(citation, rfcs, {"imap": []}, faults)
        equal((section, outcomes, not faults), (section, outcomes, good))
    faults = []
    table.judge(table.Citation("tests/imap/x.conv:1", "3501", "6.4", []), rfcs, {}, faults)
    equal(faults, [])       # its family did not run
