"""Rows in; for each series that may be pooled, its analysis as drawings, tables and sentences out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from edge.inspection.overlay import four_figures
from edge.report import anova, growth, parameters, plots, ranking, series, standards, table
from edge.report.page import Chapter, Plot
from edge.report.reading import Document
from edge.report.table import Row

if TYPE_CHECKING:
    import pandas as pd

MEASURES: Final = {
    "area_fraction": ("Area fraction against exposure", "area fraction"),
    "density_per_mm2": ("Density of regions against exposure", "regions a mm²"),
    "diameter_um": ("Diameter of regions against exposure", "median diameter, µm"),
}


def of_series(
    documents: tuple[Document, ...],
    listed: list[Row],
    names: Sequence[str] = (),
    *,
    exposure_h: float | None = None,
    surface_mm2: float | None = None,
) -> tuple[Chapter, ...]:
    """A chapter a series. names: process parameters.  exposure_h: where annealing times are ranked.

    surface_mm2: see `extremes.largest`.
    """
    return tuple(
        Chapter(
            one.name,
            one.why,
            (*_growths(one.table), _anova(one.table), _ranking(one.table, exposure_h), *_parameters(one.table, names)),
            tuple(standards.in_standards(one.table, surface_mm2)),
        )
        for one in series.split(table.frame(documents, listed))
    )


def _growths(rows: pd.DataFrame) -> Sequence[Plot]:
    found = []
    for measure, (title, label) in MEASURES.items():
        result = growth.fit_growth(rows, measure)
        said = [("annealing, min", "plateau (95 %)", "time constant, h (95 %)", "offset (95 %)")]
        said += [
            (
                f"{at:g}",
                _estimate(result.plateau.get(at)),
                _estimate(result.time_constant_h.get(at)),
                _estimate(result.offset.get(at)),
            )
            for at in sorted({curve.annealing_min for curve in result.curves})
        ]
        law = [f"Law: {result.law}; {result.coupons} coupons."] if result.law else []
        if result.exponent is not None and result.exponent_interval is not None:
            low, high = result.exponent_interval
            law.append(f"Exponent {four_figures(result.exponent)}, 95 % from {four_figures(low)} to {four_figures(high)}.")
        if result.aicc_growth is not None and result.aicc_power is not None:
            law.append(f"AICc: growth law {result.aicc_growth:.1f}, power law {result.aicc_power:.1f}; lower is better.")
        notes = (*law, *result.missing, *result.notes)
        table_rows = tuple(said) if len(said) > 1 else ()
        found.append(Plot(title, plots.growth(result, label), notes, table_rows))
    return found


def _anova(rows: pd.DataFrame) -> Plot:
    result = anova.two_way(rows)
    head = ("term", "sum of squares", "degrees of freedom", "F", "p", "partial η²")
    lines = [
        (
            *(one.term, _digits(one.sum_squares), f"{one.df:g}", _digits(one.f)),
            *(_p(one.p), _digits(one.partial_eta2)),
        )
        for one in result.rows
    ]
    notes = (*([result.method] if result.method else ()), *result.assumptions, *result.missing, *result.notes)
    title = "Area fraction by annealing time and exposure: analysis of variance"
    return Plot(title, None, notes, (head, *lines) if lines else ())


def _ranking(rows: pd.DataFrame, exposure_h: float | None) -> Plot:
    title = "Annealing times, ranked by area fraction"
    if exposure_h is None:
        return Plot(title, None, ("No exposure was named to rank them at: --at HOURS.",))
    result = ranking.rank(rows, exposure_h)
    head = ("annealing, min", "median area fraction", "95 %", "probability of being the smallest", "coupons")
    lines = [
        (
            *(f"{one.annealing_min:g}", f"{one.median:.2%}", f"{one.lo:.2%} to {one.hi:.2%}"),
            *(f"{one.probability_best:.0%}", str(one.coupons)),
        )
        for one in result.rows
    ]
    return Plot(f"{title} after {exposure_h:g} h", None, (*result.missing, *result.notes), (head, *lines) if lines else ())


def _parameters(rows: pd.DataFrame, names: Sequence[str]) -> Sequence[Plot]:
    """Nothing without process parameters."""
    if not names:
        return ()
    result = parameters.correlate(rows, names)
    head = ("parameter", "Spearman's ρ", "95 %", "p", "p, adjusted after Holm", "coupons")
    lines = [
        (one.name, f"{one.rho:.2f}", f"{one.lo:.2f} to {one.hi:.2f}", _p(one.p), _p(one.p_holm), str(one.coupons))
        for one in result.rows
    ]
    notes = (*result.missing, *result.notes)
    found = [Plot("Process parameters against area fraction", None, notes, (head, *lines) if lines else ())]
    if result.importance is not None:
        said = (f"R² of the forest on {result.importance.groups} that it has not seen: {result.importance.r2:.2f}.",)
        table_rows = [("parameter", "fall of R²", "deviation")]
        table_rows += [(name, f"{mean:.3f}", f"{sd:.3f}") for name, mean, sd in result.importance.rows]
        found.append(Plot("Importance of parameters in a random forest", None, said, tuple(table_rows)))
    return found


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _estimate(value: tuple[float, float, float] | None) -> str:
    return "not told by the data" if value is None else "{1} ({0} to {2})".format(*(four_figures(one) for one in value))
