"""Rows in; for each series that may be pooled, its analysis as drawings, tables and sentences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from edge.inspection.overlay import four_figures
from edge.report import anova, findings, growth, parameters, plots, ranking, series, standards, table
from edge.report.page import Chapter, Plot
from edge.report.reading import Document
from edge.report.table import Row

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
    return tuple(_chapter(one, names, exposure_h, surface_mm2) for one in series.split(table.frame(documents, listed)))


def _chapter(one: series.Series, names: Sequence[str], exposure_h: float | None, surface_mm2: float | None) -> Chapter:
    """Each result is computed once, for its table and for its sentence at the head of the page."""
    grown = {measure: growth.fit_growth(one.table, measure) for measure in MEASURES}
    variance = anova.two_way(one.table)
    ranked = None if exposure_h is None else ranking.rank(one.table, exposure_h, grown["area_fraction"])
    correlated = parameters.correlate(one.table, names) if names else None
    told = standards.in_standards(one.table, surface_mm2)
    said = (
        *findings.of_growth(grown),
        *findings.of_variance(variance),
        *findings.of_ranking(ranked),
        *findings.of_parameters(correlated),
        *told.findings,
    )
    plots = (*_growths(grown), _anova(variance), _ranking(ranked), *_parameters(correlated))
    return Chapter(one.name, one.why, plots, told.plots, said)


def _growths(results: Mapping[str, growth.Growth]) -> Sequence[Plot]:
    found = []
    for measure, result in results.items():
        title, label = MEASURES[measure]
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
        if result.law == "growth" and result.power is not None:
            law.append(f"Dotted: the early power law, exponent {four_figures(float(np.exp(result.power.parameters[0])))}.")
        if result.aicc_growth is not None and result.aicc_power is not None:
            law.append(f"AICc: growth law {result.aicc_growth:.1f}, power law {result.aicc_power:.1f}; lower is better.")
        notes = (*law, *result.missing, *result.notes)
        table_rows = tuple(said) if len(said) > 1 else ()
        found.append(Plot(title, plots.growth(result, label), notes, table_rows))
    return found


def _anova(result: anova.Anova) -> Plot:
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


def _ranking(result: ranking.Ranking | None) -> Plot:
    title = "Annealing times, ranked by area fraction"
    if result is None:
        return Plot(title, None, ("No exposure was named to rank them at: --at HOURS.",))
    head = ("annealing, min", "median area fraction", "95 %", "probability of being the smallest", "coupons")
    lines = [
        (
            *(f"{one.annealing_min:g}", f"{one.median:.2%}", f"{one.lo:.2%} to {one.hi:.2%}"),
            *(f"{one.probability_best:.0%}", str(one.coupons)),
        )
        for one in result.rows
    ]
    return Plot(
        f"{title} after {result.exposure_h:g} h", None, (*result.missing, *result.notes), (head, *lines) if lines else ()
    )


def _parameters(result: parameters.Correlations | None) -> Sequence[Plot]:
    """Nothing without process parameters."""
    if result is None:
        return ()
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
