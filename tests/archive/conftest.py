"""Two results to compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.archive import tables
from tests.archive.making import images, inspected


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """Two results of the same images, of which the second says one severity and one area otherwise."""
    paths = images(tmp_path / "<in>")
    for out in ("before", "after"):
        inspected(tmp_path / "<in>", tmp_path / out, paths, pictures=True)
    (part,) = tables.parts(tmp_path / "after")
    documents = [json.loads(row[tables.DOCUMENT]) for row in tables.rows(tmp_path / "after", (tables.DOCUMENT,))]
    documents[0]["severity"] |= {"label": "low", "abstained": False}
    documents[1]["severity"] |= {"label": "severe", "abstained": False}
    documents[1]["corrosion"]["area_fraction"] = 0.9
    tables.write_part(tmp_path / "after", part.stem, [json.dumps(one).encode() for one in documents])
    before = [json.loads(row[tables.DOCUMENT]) for row in tables.rows(tmp_path / "before", (tables.DOCUMENT,))]
    before[0]["severity"] |= {"label": "low", "abstained": False}
    before[1]["severity"] |= {"label": "low", "abstained": False}
    tables.write_part(tmp_path / "before", part.stem, [json.dumps(one).encode() for one in before])
    return tmp_path / "before", tmp_path / "after"
