"""Tables are stable, in UTF-8, and no spreadsheet takes a text for a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edge.report import table, tables_out
from tests.report.documents import inspection, source


def test_formulas_are_made_harmless_and_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    documents = source(inspection("=cmd|'µ'.tif")).inspections
    rows = table.rows(documents, {"=cmd|'µ'.tif": {"+x": -1.5}})
    written = tables_out.write_tables(tmp_path / "r.html", rows, table.region_rows(documents), ("+x",))
    assert {path.name for path in written} == {"r.csv", "r.parquet", "r.regions.csv", "r.regions.parquet"}
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row["path"] == "'=cmd|'µ'.tif"
    assert row["'+x"] == "-1.5"  # a number stays one
    assert pq.read_table(tmp_path / "r.parquet").column("path").to_pylist() == ["=cmd|'µ'.tif"]


def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    tables_out.write_tables(tmp_path / "r.html", [], [], ())
    assert (tmp_path / "r.csv").read_text().strip() == ",".join(table.COLUMNS)
