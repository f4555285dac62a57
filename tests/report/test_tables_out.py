"""Tables are stable, in UTF-8, and no spreadsheet takes a text for a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edge.errors import ConfigError
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


def test_types_do_not_depend_on_what_is_known_and_odd_names_come_back(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    names = ["a,b\n<i>.tif", 'say "x".tif', "\udcff.tif"]
    for number, some in enumerate(([], [inspection(name, number=n) for n, name in enumerate(names)])):
        documents, out = source(*some).inspections, tmp_path / f"{number}.html"
        tables_out.write_tables(out, table.rows(documents, {}), table.region_rows(documents), ("current",), ("heat",))
    empty, full = (pq.read_schema(tmp_path / f"{number}.parquet") for number in (0, 1))
    assert empty == full
    assert (str(full.field("current").type), str(full.field("heat").type)) == ("double", "string")
    with (tmp_path / "1.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [*names[:2], r"\udcff.tif"]


def test_a_table_that_cannot_be_written_leaves_the_earlier_one(tmp_path: Path) -> None:
    tables_out.write_tables(tmp_path / "r.html", [], [], ())
    before = (tmp_path / "r.csv").read_bytes()
    with pytest.raises(ZeroDivisionError):
        tables_out.write_tables(tmp_path / "r.html", (1 / 0 for _ in range(1)), [], ())  # type: ignore[arg-type]
    assert (tmp_path / "r.csv").read_bytes() == before
    with pytest.raises(ConfigError):
        tables_out.write_tables(tmp_path / "not" / "r.html", [], [], ())
