"""Rows of two results, and what changed between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.compare.changes import READ, Changes, Side, compared

PICTURE = b"a picture"


def row(name: str, severity: str | None = "low", area: float | None = 0.1, **others: Any) -> dict[str, Any]:
    """One image's row."""
    state = "abstained" if severity is None else "judged"
    told = {"inspection_id": f"id of {name}", "path": name, "image_sha256": "a" * 64, "severity_state": state}
    return {**dict.fromkeys(READ), **told, "severity": severity, "area_fraction": area, "region_count": 3, **others}


def side(title: str, sha256: str = "b" * 64, settings: str = "c" * 64) -> Side:
    """A result with a picture of every image."""
    return Side(title, f"the {title}", {"segmenter": sha256, "taught": None}, settings, lambda _: PICTURE)


def example(name: str = "b.png") -> Changes:
    """Three images, of which `name` is severe now and has more area, and one that abstains now."""
    before = [row("a.png"), row(name), row("c.png"), row("gone.png")]
    after = [row("a.png"), row(name, "severe", 0.9), row("c.png", None), row("new.png")]
    return compared(side("present"), side("candidate", "d" * 64), before, after, lambda one: one["path"])


def written(path: Path) -> str:
    """What stands in a file."""
    return path.read_text(encoding="utf-8")
