"""Rows have the same columns whatever is known."""

from __future__ import annotations

import math

from edge.report import table
from tests.report.documents import inspection, source


def test_rows_have_units_in_their_names_and_joined_columns() -> None:
    documents = source(inspection(), inspection("b.tif", number=2, scale=False)).inspections
    rows = table.rows(documents, {"b.tif": {"coupon": "c", "exposure_h": 24.0}})
    assert rows[0].keys() == rows[1].keys() == set(table.COLUMNS)
    assert (rows[0]["area_percent"], rows[0]["area_lo_percent"], rows[0]["exposure_h"], rows[0]["coupon"]) == (
        5.0,
        4.0,
        168.0,
        None,
    )
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
