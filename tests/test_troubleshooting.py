"""The troubleshooting page says what the program says, word for word; and each page has its reader."""

from __future__ import annotations

import re

from edge.errors import FAILURE_CODES
from edge.service.cures import CURES, cure_of
from tests import ROOT

PAGE = (ROOT / "docs" / "use" / "troubleshooting.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[tuple[str, str]]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return [(left, right) for left, right in found[1:] if left != "---"]


def test_each_reason_has_its_row_with_the_cure_of_the_program() -> None:
    shown = rows("Why the status is degraded")
    assert [cure_of(reason) for reason, _ in shown] == [cure for _, cure in shown]
    assert {cure for _, cure in shown} == {cure for _, cure in CURES}


def test_each_code_of_a_failure_has_its_row() -> None:
    assert [code.strip("`") for code, _ in rows("Why an image failed")] == list(FAILURE_CODES)


def test_each_page_for_users_is_named_for_somebody() -> None:
    roles = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    known = {"version-2.md"}  # for whoever has consumers of version 1; MQTT leads there
    pages = {path.name for path in (ROOT / "docs" / "use").glob("*.md")}
    homeless = sorted(name for name in pages - known if f"use/{name})" not in roles)
    assert not homeless, f"docs/README.md names nobody who reads {homeless}: put each into the row of its reader"
