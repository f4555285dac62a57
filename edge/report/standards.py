"""Rows of one series in; what standards ask for, as tables and sentences, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.inspection.overlay import four_figures
from edge.report import extremes, fields, pits, plots
from edge.report.page import Plot

if TYPE_CHECKING:
    import pandas as pd


def in_standards(rows: pd.DataFrame, surface_mm2: float | None) -> Sequence[Plot]:
    """Fields in the manner of E1245, pits in words of G46 and ISO 11463, extremes as G16. surface_mm2: see `extremes`."""
    return [*_fields(rows), _pits(rows), *_extremes_by_condition(rows, surface_mm2)]


def _fields(rows: pd.DataFrame) -> Sequence[Plot]:
    by_heading: dict[str, list[fields.FieldStatistics]] = {}
    for one in fields.over_fields(rows):
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
        found.append(Plot(heading[:1].upper() + heading[1:], None, notes, (head, *lines)))
    return found


def _pits(rows: pd.DataFrame) -> Plot:
    result = pits.describe_pits(rows)
    head = ("annealing, min", "exposure, h", "fields", "pits", "a mm²", "diameter, µm: 10, 50, 90, 100 %", "circularity")
    lines = [
        (
            *(_number(one.annealing_min), _number(one.exposure_h), str(one.fields), str(one.pits)),
            _number(one.density_per_mm2),
            ", ".join(four_figures(value) for value in one.diameters_um.values()) or "–",
            _number(one.circularity_median),
        )
        for one in result.rows
    ]
    notes = ("Depth and pitting factor: not measured.", *result.missing, *result.notes)
    return Plot("Pits, in the words of ASTM G46 and ISO 11463", None, notes, (head, *lines) if lines else ())


def _extremes_by_condition(rows: pd.DataFrame, surface_mm2: float | None) -> list[Plot]:
    """One for each annealing time and exposure that has enough maxima; where none has, why, for the first of them."""
    shown, lacking = list[Plot](), list[Plot]()
    conditions = rows.groupby(["annealing_min", "exposure_h"], dropna=False)
    for (annealing, exposure), those in conditions:
        plot = _extremes(those, surface_mm2)
        title = f"{plot.title}; annealed {_number(annealing)} min, exposed {_number(exposure)} h"
        (lacking if extremes.largest(those, surface_mm2).missing else shown).append(replace(plot, title=title))
    if not lacking:
        return shown
    if not shown:
        return lacking[:1] if conditions.ngroups > 1 else [_extremes(rows, surface_mm2)]
    return [*shown[:-1], replace(shown[-1], notes=(*shown[-1].notes, f"{len(lacking)} other conditions have too few fields."))]


def _extremes(rows: pd.DataFrame, surface_mm2: float | None) -> Plot:
    result = extremes.largest(rows, surface_mm2)
    said = []
    if result.largest_um is not None:
        low, high = _number(result.lo_um), _number(result.hi_um)
        said.append(
            f"Largest diameter expected on {surface_mm2:g} mm²: {four_figures(result.largest_um)} µm, 95 % {low} to {high} µm."
        )
    return Plot(
        f"Largest diameter, extreme values: {result.heading}", plots.extremes(result), (*said, *result.missing, *result.notes)
    )


def _number(value: float | None) -> str:
    return "–" if value is None else four_figures(value)
