"""Rows have the same columns whatever is known."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from edge.report import table
from edge.report.reading import Document, _document
from edge.wire import flat
from tests import ROOT
from tests.report.documents import inspection, source
from tests.wire.examples import abstained, classified_only, encoded, example, limited, segmented_only, tilted, uncalibrated


def test_rows_have_units_in_their_names_and_joined_columns() -> None:
    documents = source(inspection(), inspection("b.tif", number=2, scale=False)).inspections
    rows = table.rows(documents, {"b.tif": {"coupon": "c", "exposure_h": 24.0}})
    assert rows[0].keys() == rows[1].keys() == set(table.COLUMNS)
    assert (rows[0]["area_fraction"], rows[0]["area_fraction_lo"]) == (0.05, 0.04)
    assert (rows[0]["exposure_h"], rows[0]["coupon"]) == (168.0, None)
    assert (rows[1]["coupon"], rows[1]["exposure_h"], rows[1]["area_um2"]) == ("c", 24.0, None)
    assert table.region_rows(documents)[0].keys() == set(table.REGION_COLUMNS)


def test_the_frame_of_the_analysis_has_numbers_where_something_is_unknown() -> None:
    documents = source(inspection(scale=False)).inspections
    frame = table.frame(documents, table.rows(documents, {}))
    assert math.isnan(frame["pixel_size_nm"][0])
    assert frame["shapes"][0] == [(0.7, 2.0)]
    assert frame["region_diameters_um"][0] == []


def test_what_path_patterns_name_becomes_columns_and_numbers_become_parameters() -> None:
    said = [inspection(f"{n}.tif", number=n) for n in range(2)]
    for n, one in enumerate(said):
        one["sample"] |= {"coupon": f"c{n}", "current": f"{n}.5", "heat": f"H{n}", "area": "1", "spare": None}
    documents = source(*said).inspections
    assert table.path_columns(documents) == (("current",), ("heat", "area"))
    rows = table.rows(documents, {"1.tif": {"current": 7.0}})
    assert [(row["coupon"], row["current"], row["heat"]) for row in rows] == [("c0", 0.5, "H0"), ("c1", 7.0, "H1")]


KINDS = [example, abstained, limited, uncalibrated, classified_only, segmented_only, tilted]


def document(inspected: Any) -> Document:
    found = _document(json.dumps(encoded(inspected)).encode())
    assert isinstance(found, Document)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_measure_has_one_name_in_all_tables(kind: Any) -> None:
    said = encoded(kind())
    (row,) = table.rows((document(kind()),), {})
    wanted = flat.flat(said)
    assert {column: row[column] for column in flat.COLUMNS[:-2]} == {column: wanted[column] for column in flat.COLUMNS[:-2]}
    assert tuple(row)[: len(table.COLUMNS)] == table.COLUMNS


def test_every_column_has_a_type() -> None:
    numbers = set(table.COLUMNS) - table.TEXTS - table.FLAGS - table.WHOLE
    (row,) = table.rows((document(example()),), {})
    assert all(isinstance(row[name], float | int) or row[name] is None for name in numbers)
    assert all(isinstance(row[name], str) or row[name] is None for name in table.TEXTS & set(table.COLUMNS))
    assert not table.OF_THE_ANALYSIS & set(table.COLUMNS)


def test_the_page_on_reports_names_every_column() -> None:
    text = (ROOT / "docs" / "use" / "report.md").read_text(encoding="utf-8")
    own = set(table.COLUMNS) - set(flat.COLUMNS) | set(table.REGION_COLUMNS)
    assert not {name for name in own if f"`{name}`" not in text}
