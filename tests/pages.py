"""Pages in, their fenced blocks out, each with what is to become of it: run, run by another test, or not run and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import ROOT

SHELL: Final = ("", "sh", "bash", "console")
RUN_HERE: Final = (*SHELL, "toml", "json", "yaml")
OUTPUT: Final = "text"
BLOCK: Final = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<text>.*?)^ *```[ \t]*$", re.DOTALL | re.MULTILINE)
MARK: Final = re.compile(r"<!-- (?:run by (?P<by>\S+)|not run: (?P<why>[^>]+?)) -->\s*\Z")
HOW: Final = "fix it, or put `<!-- not run: REASON -->` or `<!-- run by tests/FILE.py -->` on a line of its own above it"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. by: the test that runs it.  why: why nobody does; both empty where it is run here."""

    page: str
    line: int
    language: str
    text: str
    by: str = ""
    why: str = ""

    @property
    def where(self) -> str:
        """For messages and names of tests."""
        return f"{self.page}:{self.line}"

    @property
    def run_here(self) -> bool:
        """Whether `tests/test_docs_run.py` runs it."""
        return not self.by and not self.why and self.language in RUN_HERE


def pages() -> list[Path]:
    """All that people read, but for what has changed in the past."""
    return sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.name != "CHANGELOG.md")


def blocks(page: Path) -> list[Block]:
    """In the order of the page."""
    return blocks_of(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix())


def blocks_of(text: str, name: str) -> list[Block]:
    """The same of a page's text."""
    found = []
    for match in BLOCK.finditer(text):
        mark = MARK.search(text[: match.start()])
        inner = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        by, why = (mark["by"] or "", mark["why"] or "") if mark else ("", "")
        found.append(Block(name, text.count("\n", 0, match.start()) + 1, match["language"].strip(), inner, by, why))
    return found


def unclear(block: Block) -> str | None:
    """What is wrong with how a block says what becomes of it, None where nothing is."""
    if block.by:
        test = ROOT / block.by
        if not test.is_file():
            return f"{block.where}: {block.by} is not there"
        if Path(block.page).name not in test.read_text(encoding="utf-8"):
            return f"{block.where}: {block.by} does not name this page"
        return None
    if block.why or block.run_here or block.language == OUTPUT:
        return None
    return f"{block.where}: nobody runs a block of {block.language!r}: {HOW}; output and drawings are `text`"
