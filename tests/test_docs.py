"""What the documents point at is there: files, modules, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if "://" not in target and not (page.parent / target).exists()]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_file_of_the_project_that_is_named_exists(page: Path) -> None:
    """Written as `edge/sem/reading.py`; what a recipe adds is in its own test."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:edge|export|training|tests|systemd|docs)/[\w./-]+?)`", text))
    missing = sorted(name for name in named if not (ROOT / name).exists())
    if page.name.startswith("add-a-"):
        missing = [name for name in missing if Path(name).suffix != ".py"]
    assert not missing


def test_the_architecture_has_a_row_for_every_room() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = {path.parent for top in ("edge", "training") for path in (ROOT / top).glob("*/__init__.py")}
    assert not [room.name for room in rooms if f"`{room.relative_to(ROOT)}/`" not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_table_has_a_row_twice(page: Path) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
        first = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
        assert sorted({name for name in first if name.startswith("**")}) == sorted(n for n in first if n.startswith("**"))
        assert len(set(table.splitlines()[2:])) == len(table.splitlines()[2:])
