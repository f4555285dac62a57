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


def test_the_early_law_stands_beside_the_growth_law() -> None:
    from edge.report import growth, plots
    from tests.report.tables import factorial

    result = growth.fit_growth(factorial(lambda t, _: 0.01 + 0.1 * t / 504))
    assert (result.law, result.power is None) == ("growth", False)
    drawn = plots.growth(result, "area fraction") or ""
    assert drawn.count("stroke-dasharray") >= 2  # dotted, one an annealing time
