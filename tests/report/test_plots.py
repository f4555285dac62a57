"""Drawings hold their text as text."""

from __future__ import annotations

import pytest

from edge.report import table
from tests.report.documents import inspection, source

pytest.importorskip("matplotlib")


def test_points_are_drawn_with_searchable_text() -> None:
    from edge.report import growth, plots

    documents = source(inspection(), inspection("b.tif", number=2, exposure_h=24.0)).inspections
    drawn = plots.growth(growth.fit_growth(table.frame(documents, table.rows(documents, {}))), "area fraction")
    assert drawn is not None
    assert drawn.startswith("<svg")
    assert "annealed 60 min" in drawn
