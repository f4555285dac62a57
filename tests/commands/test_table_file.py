"""The table of `edge-inspect --csv`: row by row, safe for spreadsheets, never over a file that is none of ours."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edge.commands.table_file import TableFile, cell
from edge.errors import ConfigError
from edge.wire.flat import COLUMNS

ROW = dict.fromkeys(COLUMNS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert cell(text) == "'" + text


def test_numbers_stay_numbers() -> None:
    assert [cell(value) for value in (-1.5, 3, True, False, None, "a=b")] == ["-1.5", "3", "true", "false", "", "a=b"]


def test_each_row_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "ü b.csv"
    name = 'a,"b"\nµ=\udcff.tif'
    with TableFile(str(path)) as table:
        table.write(ROW | {"path": name, "area_fraction": 0.25})
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(keepends=True)))
    assert [tuple(row) for row in rows] == [COLUMNS]
    assert rows[0]["path"] == 'a,"b"\nµ=\\udcff.tif'
    assert (rows[0]["area_fraction"], rows[0]["area_um2"]) == ("0.25", "")


def test_a_table_is_written_anew_and_any_other_file_is_kept(tmp_path: Path) -> None:
    image = tmp_path / "image.tif"
    image.write_bytes(b"II*\0")
    with pytest.raises(ConfigError, match="is there and no table of edge-inspect"):
        TableFile(str(image))
    assert image.read_bytes() == b"II*\0"
    for _ in range(2):
        with TableFile(str(tmp_path / "a.csv")) as table:
            table.write(ROW)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(("name", "why"), [("", "is a folder"), ("none/a.csv", "cannot be written"), ("x" * 300, "cannot be")])
def test_what_cannot_be_written_is_told(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        TableFile(f"{tmp_path}/{name}")


def test_without_a_name_nothing_is_written() -> None:
    with TableFile(None) as table:
        table.write(ROW)
