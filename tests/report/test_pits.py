from __future__ import annotations

import numpy as np
import pytest

from edge.report.pits import describe_pits
from tests.report.tables import table

FIELD = {
    "annealing_min": 60,
    "exposure_h": 1,
    "count": 3,
    "density_per_mm2": 300.0,
    "region_diameters_um": [1.0, 2.0, 3.0],
    "shapes": [0.5, 0.7, 0.9],
}


def test_density_sizes_and_shape_of_a_condition() -> None:
    (row,) = describe_pits(table([FIELD, {**FIELD, "density_per_mm2": 100.0}])).rows
    assert row.pits == 6
    assert row.density_per_mm2 == pytest.approx(200)
    assert row.density_per_m2 == pytest.approx(2e8)
    assert row.diameters_um[50] == 2.0
    assert row.circularity_median == pytest.approx(0.7)
    assert sum(row.histogram[1]) == 6


def test_depth_is_not_measured_and_no_chart_is_rated() -> None:
    found = describe_pits(table([FIELD]))
    assert (found.rows[0].depth, found.rows[0].pitting_factor) == ("not measured", "not measured")
    assert "a single pit in a field of 100 µm is 1.0e+08 a m², which already exceeds the charts" in found.notes[0]


def test_an_image_without_scale_counts_in_no_density() -> None:
    bare = {**FIELD, "field_um2": np.nan, "density_per_mm2": np.nan, "region_diameters_um": None}
    found = describe_pits(table([bare]))
    assert found.rows[0].density_per_mm2 is None
    assert found.rows[0].diameters_um == {}
    assert "no scale" in found.missing[0]


def test_nothing_one_size_and_aspects() -> None:
    assert describe_pits(table([])).rows == ()
    (row,) = describe_pits(table([{**FIELD, "region_diameters_um": [2.0, 2.0], "shapes": [(0.5, 1.5), (0.7, 2.5)]}])).rows
    assert sum(row.histogram[1]) == 2
    assert row.aspect_median == pytest.approx(2.0)
