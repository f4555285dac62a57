"""A table of inspections in, pits in the words of ASTM G46-21 and ISO 11463:2020 out.

What an image from above does not show is not guessed: depth and pitting factor are "not measured".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edge.report.coupons import Reals
from edge.report.table import finite

NOT_MEASURED = "not measured"
MOST_OF_CHARTS_PER_M2 = 5e5  # A-5, the densest of the standard charts of G46
PERCENTILES = (10, 50, 90, 100)
BINS = 10


@dataclass(frozen=True, slots=True)
class PitRow:
    """One condition.  density: None without scale.  diameters_um: percentile → µm, empty without sizes.

    histogram: (edges in µm, counts), logarithmic; aspect_median None where shapes tell circularity alone.
    """

    annealing_min: float | None
    exposure_h: float | None
    fields: int
    pits: int
    density_per_mm2: float | None
    density_per_m2: float | None
    diameters_um: dict[int, float]
    circularity_median: float | None
    aspect_median: float | None
    histogram: tuple[tuple[float, ...], tuple[int, ...]]
    depth: str = NOT_MEASURED
    pitting_factor: str = NOT_MEASURED


@dataclass(frozen=True, slots=True)
class Pits:
    """rows: a condition each; notes: what is not rated, and why."""

    rows: tuple[PitRow, ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]


def describe_pits(table: pd.DataFrame) -> Pits:
    """Describe the regions of each condition as pits seen from above."""
    if not len(table):
        return Pits((), (), ("There are no images.",))
    groups: dict[tuple[float | None, float | None], list[int]] = {}
    for place, key in enumerate(zip(_numbers(table["annealing_min"]), _numbers(table["exposure_h"]), strict=True)):
        groups.setdefault((finite(key[0]), finite(key[1])), []).append(place)
    order = sorted(groups, key=lambda key: (key[0] is None, key[0] or 0, key[1] is None, key[1] or 0))
    rows = tuple(_row(*key, table.iloc[groups[key]]) for key in order)
    unscaled = int(sum(not value > 0 for value in _numbers(table["field_um2"])))
    missing = (f"{unscaled} images have no scale: they count in no density and no size.",) if unscaled else ()
    return Pits(
        rows,
        (_charts(_numbers(table["field_um2"])), "Depth and pitting factor: not measured; they need a section or a profile."),
        missing,
    )


def _charts(fields_um2: list[float]) -> str:
    """Why there is no chart rating."""
    known = [value for value in fields_um2 if value > 0]
    field = float(np.median(known)) if known else 1e4
    single = 1e12 / field
    said = f"a single pit in a field of {field**0.5:.0f} µm is {single:.1e} a m²"
    if single > MOST_OF_CHARTS_PER_M2:
        return f"No chart rating: {said}, which already exceeds the charts (to {MOST_OF_CHARTS_PER_M2:.0e} a m²)."
    return f"No chart rating: the charts are for surfaces seen by eye, to {MOST_OF_CHARTS_PER_M2:.0e} a m²; {said}."


def _row(annealing: float | None, exposure: float | None, rows: pd.DataFrame) -> PitRow:
    diameters = _flat(rows["region_diameters_um"])
    shapes = _flat_pairs(rows["shapes"])
    circularity = [pair[0] for pair in shapes if np.isfinite(pair[0])]
    aspect = [pair[1] for pair in shapes if np.isfinite(pair[1])]
    weights = np.array(_numbers(rows["field_um2"]))
    densities = np.array(_numbers(rows["density_per_mm2"]))
    known = np.isfinite(densities) & (weights > 0)
    density = float(np.average(densities[known], weights=weights[known])) if known.any() else None
    counts = np.array(_numbers(rows["count"]))
    return PitRow(
        annealing,
        exposure,
        len(rows),
        int(counts[np.isfinite(counts)].sum()),
        density,
        None if density is None else density * 1e6,
        {at: float(np.percentile(diameters, at)) for at in PERCENTILES} if len(diameters) else {},
        float(np.median(circularity)) if circularity else None,
        float(np.median(aspect)) if aspect else None,
        _histogram(diameters),
    )


def _histogram(diameters: Reals) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if not len(diameters):
        return (), ()
    low, high = float(diameters.min()), float(diameters.max())
    edges = np.geomspace(low, high if high > low else low * 1.1, BINS + 1)
    edges[0], edges[-1] = low, max(high, edges[-1])  # rounding must not drop the ends
    return tuple(edges.tolist()), tuple(np.histogram(diameters, edges)[0].tolist())


def _flat(lists: Iterable[object]) -> Reals:
    values = [np.asarray(of, dtype=float).ravel() for of in lists if of is not None and not isinstance(of, float)]
    joined = np.concatenate(values) if values else np.zeros(0)
    return joined[np.isfinite(joined) & (joined > 0)]


def _flat_pairs(lists: Iterable[object]) -> list[tuple[float, float]]:
    """Circularity and aspect of every region; a single number is circularity."""
    found = []
    for of in lists:
        if not isinstance(of, Iterable):  # None, or nan
            continue
        for value in of:
            pair = tuple(np.atleast_1d(np.asarray(value, dtype=float)).tolist())
            found.append((pair[0], pair[1] if len(pair) > 1 else float("nan")))
    return found


def _numbers(values: Iterable[object]) -> list[float]:
    return list(pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").astype(float))
