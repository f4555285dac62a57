"""What changes between two results of edge-archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from edge.archive import identity, tables
from edge.archive.compare import compare
from edge.compare.changes import models_said
from edge.errors import ConfigError


def test_what_changed_most_stands_first(results: tuple[Path, Path]) -> None:
    found = compare(*results)
    assert (found.both, found.only_before, found.only_after, found.other_files) == (4, 0, 0, 0)
    assert found.changed[0].path == "below/AN_90_2h.png"
    assert found.changed[0].answers == ("low", "severe")
    assert found.matrix["low", "low"] == 1
    assert found.matrix["failed", "failed"] == 1
    assert found.shifts["area_fraction"][0] == 3
    assert "4 images in both; 1 of them are said otherwise" in found.text()
    assert found.second.picture(found.changed[0].after["inspection_id"])


def test_images_that_one_lacks_or_that_changed_are_counted_apart(results: tuple[Path, Path]) -> None:
    before, after = results
    (part,) = tables.parts(after)
    documents: list[dict[str, Any]] = [json.loads(row[tables.DOCUMENT]) for row in tables.rows(after, (tables.DOCUMENT,))]
    documents[0]["image"]["path"] = "new.png"
    documents[1]["image"]["sha256"] = "f" * 64
    tables.write_part(after, part.stem, [json.dumps(one).encode() for one in documents])
    found = compare(before, after)
    assert (found.both, found.only_before, found.only_after, found.other_files) == (2, 1, 1, 1)
    assert "new.png" not in [one.path for one in found.changed]


def test_what_cannot_be_compared_is_said(results: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no results"):
        compare(results[0], tmp_path / "<in>")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / identity.FILE).write_bytes((results[0] / identity.FILE).read_bytes())
    with pytest.raises(ConfigError, match="no image in common"):
        compare(results[0], tmp_path / "empty")


def test_nothing_changes_between_a_result_and_itself(results: tuple[Path, Path]) -> None:
    found = compare(results[0], results[0])
    assert found.changed == ()
    assert list(models_said(found.first, found.second)) == []
