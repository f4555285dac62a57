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
    chapters = of_series(documents, table.rows(documents, {}), surface_mm2=100.0)
    assert len(chapters) == 2
    assert all(chapter.why for chapter in chapters)
    assert "<svg" in (chapters[0].series[0].svg or "")
    assert all(plot.notes for chapter in chapters for plot in chapter.series)
