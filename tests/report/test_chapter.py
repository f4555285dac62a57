"""Each series becomes a chapter, with drawings where there is something to draw."""

from __future__ import annotations

import pytest

from edge.report import table
from tests.report.documents import inspection, source

pytest.importorskip("statsmodels")


def test_mixed_scales_are_series_of_their_own() -> None:
    from edge.report.chapter import of_series

    said = [inspection(f"{n}.tif", number=n, scale=n % 2 == 0, exposure_h=24.0 * n) for n in range(1, 7)]
    documents = source(*said).inspections
    chapters = of_series(documents, table.rows(documents, {}), exposure_h=48.0, surface_mm2=100.0)
    assert len(chapters) == 2
    assert all(chapter.why for chapter in chapters)
    assert "<svg" in (chapters[0].series[0].svg or "")
    assert all(plot.notes for chapter in chapters for plot in chapter.series)


def test_a_factorial_series_with_coupons_is_analysed() -> None:
    from edge.report.chapter import of_series

    said, joined = [], {}
    for number in range(36):
        annealing, exposure, copy = 60.0 + 30 * (number % 3), (24.0, 168.0, 336.0, 504.0)[number // 3 % 4], number // 12
        one = inspection(f"{number}.tif", number=number, annealing_min=annealing, exposure_h=exposure)
        one["corrosion"]["area_fraction"] = 0.01 * exposure**0.5 * (60 / annealing) * (1 + 0.1 * copy)
        said.append(one)
        joined[f"{number}.tif"] = {"coupon": f"c{number}", "field_selection": "random", "current": float(number % 5)}
    documents = source(*said).inspections
    (chapter,) = of_series(documents, table.rows(documents, joined), ("current",), exposure_h=336.0)
    plots = {plot.title: plot for plot in chapter.series}
    assert any("analysis of variance" in title and plot.rows for title, plot in plots.items())
    assert [row[0] for row in plots["Annealing times, ranked by area fraction after 336 h"].rows[1:]] == ["120", "90", "60"]
    assert plots["Process parameters against area fraction"].rows[1][0] == "current"
