"""Parts are there whole or not at all, and what an end left half done is found."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.archive import tables
from edge.errors import ConfigError
from edge.wire.flat import COLUMNS
from tests.archive.making import images, inspected


def test_regions_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    paths = images(tmp_path / "in")
    inspected(tmp_path / "in", tmp_path / "out", paths)
    (part,) = tables.parts(tmp_path / "out")
    counts = [row["region_count"] or 0 for row in tables.rows(tmp_path / "out", ("region_count",))]
    regions = tables.column(tmp_path / "out" / tables.REGIONS / part.name, "inspection_id")
    assert len(regions) == sum(counts) > 0
    assert list(tables.rows(tmp_path / "out", (*COLUMNS, tables.DOCUMENT)))


def test_what_was_left_half_done_is_done_again(tmp_path: Path) -> None:
    paths = images(tmp_path / "in", 1)
    inspected(tmp_path / "in", tmp_path / "out", paths)
    (part,) = tables.parts(tmp_path / "out")
    (part.parent / f".{part.name}.123").write_bytes(b"half")
    orphan = tmp_path / "out" / tables.REGIONS / "orphan.parquet"
    orphan.write_bytes(b"regions without their verdicts")
    assert set(tables.done(tmp_path / "out")) == set(paths)
    assert [file.name for file in part.parent.iterdir()] == [part.name]
    assert not orphan.exists()
    part.unlink()
    assert tables.done(tmp_path / "out") == {}
    assert not list((tmp_path / "out" / tables.REGIONS).iterdir())


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    inspected(tmp_path / "in", tmp_path / "out", images(tmp_path / "in", 1))
    (part,) = tables.parts(tmp_path / "out")
    part.write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=part.name):
        tables.done(tmp_path / "out")
    with pytest.raises(ConfigError, match=part.name):
        list(tables.rows(tmp_path / "out", ("path",)))
