"""What standards ask for is said of the fields that were chosen as they demand, and not of others."""

from __future__ import annotations

import pytest

from edge.report import table
from tests.report.documents import inspection, source

pytest.importorskip("statsmodels")


@pytest.mark.parametrize(("selection", "said"), [("random", False), ("operator", True), (None, True)])
def test_fields_chosen_by_the_operator_describe_images_alone(selection: str | None, said: bool) -> None:
    from edge.report.standards import in_standards

    documents = source(*(inspection(f"{n}.tif", number=n) for n in range(3))).inspections
    joined = {f"{n}.tif": {"field_selection": selection} for n in range(3)}
    found = in_standards(table.frame(documents, table.rows(documents, joined)), 100.0).plots
    assert any("hosen by the operator" in plot.title for plot in found) == said
    assert any("not measured" in note for plot in found for note in plot.notes)
    assert any("says nothing of penetration" in plot.title for plot in found)


def test_pits_are_described_by_density_sizes_and_shape_with_a_drawing() -> None:
    from edge.report.standards import in_standards

    documents = source(inspection(), inspection("b.tif", number=2, exposure_h=24.0)).inspections
    pits = next(p for p in in_standards(table.frame(documents, table.rows(documents, {})), None).plots if "Pits" in p.title)
    assert pits.title == "Pits, in the words of ASTM G46-21 and ISO 11463:2020"
    assert {"density, a m²", "a mm²", "circularity", "aspect"} <= set(pits.rows[0])
    assert "diameter of a region" in (pits.svg or "")
    assert any("already exceeds the charts" in note for note in pits.notes)
