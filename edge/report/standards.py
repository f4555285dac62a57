"""Rows of one series in; what standards ask for, as tables and sentences, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.inspection.overlay import four_figures
from edge.report import extremes, fields, findings, pits, plots
from edge.report.page import Plot
from edge.report.table import finite

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Standards:
    """findings: sentences for the head of the page."""

    plots: tuple[Plot, ...]
    findings: tuple[str, ...]


def in_standards(rows: pd.DataFrame, surface_mm2: float | None) -> Standards:
    """Fields in the manner of E1245, pits in words of G46 and ISO 11463, extremes as G16. surface_mm2: see `extremes`."""
    specimens = fields.over_fields(rows)
    largest = [
        (finite(annealing), finite(exposure), extremes.largest(those, surface_mm2))
        for (annealing, exposure), those in rows.groupby(["annealing_min", "exposure_h"], dropna=False)
    ]
    return Standards(
        (*_fields(specimens), _pits(rows), *_extremes_by_condition(largest, surface_mm2)),
        (*findings.of_fields(specimens), *findings.of_extremes(largest, surface_mm2)),
    )


def _fields(specimens: Sequence[fields.FieldStatistics]) -> Sequence[Plot]:
    by_heading: dict[str, list[fields.FieldStatistics]] = {}
    for one in specimens:
        by_heading.setdefault(one.heading, []).append(one)
    head = ("annealing, min", "exposure, h", "coupon", "fields", "mean", "standard deviation", "95 %", "relative accuracy")
    found = []
    for heading, some in by_heading.items():
        lines = [
            (
                *(_number(one.annealing_min), _number(one.exposure_h), one.coupon or "–", str(one.fields)),
                *(f"{one.mean:.2%}", "–" if one.sd is None else f"{one.sd:.2%}"),
                "–" if one.lo is None or one.hi is None else f"{one.lo:.2%} to {one.hi:.2%}",
                "–" if one.relative_accuracy_percent is None else f"{one.relative_accuracy_percent:.1f} %",
            )
            for one in some
        ]
        notes = tuple(dict.fromkeys(note for one in some for note in one.notes))
        title = heading[:1].upper() + heading[1:] if heading == fields.SAMPLED else f"Area fraction over fields; {heading}"
        found.append(Plot(title, None, notes, (head, *lines)))
    return found


def _pits(rows: pd.DataFrame) -> Plot:
    result = pits.describe_pits(rows)
    head = (
        *("annealing, min", "exposure, h", "fields", "pits", "density, a m²", "a mm²"),
        *("diameter, µm: 10, 50, 90, 100 %", "circularity", "aspect"),
    )
    lines = [
        (
            *(_number(one.annealing_min), _number(one.exposure_h), str(one.fields), str(one.pits)),
            *("–" if one.density_per_m2 is None else f"{one.density_per_m2:.3g}", _number(one.density_per_mm2)),
            ", ".join(four_figures(value) for value in one.diameters_um.values()) or "–",
            *(_number(one.circularity_median), _number(one.aspect_median)),
        )
        for one in result.rows
    ]
    notes = (*result.missing, *result.notes)
    title = "Pits, in the words of ASTM G46-21 and ISO 11463:2020"
    return Plot(title, plots.sizes(result), notes, (head, *lines) if lines else ())


def _extremes_by_condition(
    results: Sequence[tuple[float | None, float | None, extremes.Extremes]], surface_mm2: float | None
) -> list[Plot]:
    """One for each annealing time and exposure that has enough maxima; where none has, why, for the first of them."""
    shown = [
        replace(plot := _extremes(one, surface_mm2), title=f"{plot.title}; {_condition(annealing, exposure)}")
        for annealing, exposure, one in results
        if not one.missing
    ]
    lacking = [one for _, _, one in results if one.missing]
    if not lacking:
        return shown
    if shown:
        few = f"{len(lacking)} other conditions have too few fields."
        return [*shown[:-1], replace(shown[-1], notes=(*shown[-1].notes, few))]
    fewer = f"None of {len(lacking)} conditions has enough; of the first of them:"
    first = _extremes(lacking[0], surface_mm2)
    return [first if len(lacking) == 1 else replace(first, notes=(fewer, *first.notes))]


def _condition(annealing: float | None, exposure: float | None) -> str:
    return f"annealed {_number(annealing)} min, exposed {_number(exposure)} h"


def _extremes(result: extremes.Extremes, surface_mm2: float | None) -> Plot:
    said = []
    if result.largest_um is not None:
        low, high = _number(result.lo_um), _number(result.hi_um)
        said.append(
            f"Largest diameter expected on {surface_mm2:g} mm²: {four_figures(result.largest_um)} µm, 95 % {low} to {high} µm."
        )
    if result.location_um is not None and result.scale_um is not None and result.block_um2 is not None:
        cut = f", {result.censored} of them cut by an edge and taken as at least this large" if result.censored else ""
        said.append(
            f"Gumbel's law by maximum likelihood from {result.maxima} maxima{cut}, "
            f"one for each {four_figures(result.block_um2)} µm²: location {four_figures(result.location_um)} µm, "
            f"scale {four_figures(result.scale_um)} µm."
        )
    if result.return_period is not None:
        said.append(f"Return period: {four_figures(result.return_period)} such surfaces.")
    return Plot(
        f"Largest diameter, extreme values: {result.heading}", plots.extremes(result), (*said, *result.missing, *result.notes)
    )


def _number(value: float | None) -> str:
    return "–" if value is None else four_figures(value)
