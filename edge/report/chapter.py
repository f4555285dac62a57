"""Rows in; for each series that may be pooled, its analysis as drawings, tables and sentences out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from edge.inspection.overlay import four_figures
from edge.report import extremes, fields, growth, pits, plots, series, table
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


def of_series(documents: tuple[Document, ...], listed: list[Row], *, surface_mm2: float | None) -> tuple[Chapter, ...]:
    """A chapter a series. surface_mm2: see `extremes.largest`."""
    return tuple(
        Chapter(one.name, one.why, tuple(_growths(one.table)), tuple(_standards(one.table, surface_mm2)))
        for one in series.split(table.frame(documents, listed))
    )


def _growths(rows: pd.DataFrame) -> Sequence[Plot]:
    found = []
    for measure, (title, label) in MEASURES.items():
        result = growth.fit_growth(rows, measure)
        said = [("annealing, min", "plateau (95 %)", "time constant, h (95 %)", "offset (95 %)")]
        said += [
            (f"{at:g}", _estimate(result.plateau.get(at)), _estimate(result.time_constant_h.get(at)), _offset(result, at))
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


def _standards(rows: pd.DataFrame, surface_mm2: float | None) -> Sequence[Plot]:
    return [*_fields(rows), _pits(rows), _extremes(rows, surface_mm2)]


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
        found.append(Plot(f"Area fraction over fields: {heading}", None, notes, (head, *lines)))
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


def _estimate(value: tuple[float, float, float] | None) -> str:
    return "not told by the data" if value is None else "{1} ({0} to {2})".format(*(four_figures(one) for one in value))


def _offset(result: growth.Growth, annealing: float) -> str:
    return _estimate(result.offset.get(annealing))
