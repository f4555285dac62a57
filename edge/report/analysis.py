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
    if not documents:
        return (), ("There is no inspection to analyse.",)
    try:
        from edge.report import chapter
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        return (), (f"Series analysis, plots and Parquet files need more libraries: {INSTALL}",)
    return chapter.of_series(documents, listed, names, exposure_h=exposure_h, surface_mm2=surface_mm2), ()
