"""Documents and rows in; chapters of the page, one a series, and what is missing for more, out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge.report.page import INSTALL, Chapter
from edge.report.reading import Document
from edge.report.table import Row

LIBRARIES: Final = frozenset({"matplotlib", "pandas", "scipy", "statsmodels", "sklearn", "patsy"})


def chapters(
    documents: tuple[Document, ...],
    listed: list[Row],
    names: Sequence[str] = (),
    *,
    exposure_h: float | None = None,
    surface_mm2: float | None = None,
) -> tuple[tuple[Chapter, ...], tuple[str, ...]]:
    """The chapters, and sentences on what is missing. The arguments are those of `chapter.of_series`."""
    measured = [at for at, one in enumerate(documents) if one.said["corrosion"].get("area_fraction") is not None]
    left = len(documents) - len(measured)
    said = (f"{left} of {len(documents)} have no area, for stage 1 was not asked: they are in no analysis.",) if left else ()
    if not measured:
        return (), (*said, "There is no inspection to analyse.")
    documents, listed = tuple(documents[at] for at in measured), [listed[at] for at in measured]
    try:
        from edge.report import chapter
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        return (), (
            *said,
            f"Series analysis, plots and Parquet files need more libraries: {INSTALL}",
        )
    return chapter.of_series(documents, listed, names, exposure_h=exposure_h, surface_mm2=surface_mm2), said
