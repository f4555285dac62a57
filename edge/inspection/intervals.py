"""Measures and the numbers of the field in, the measures with 90 % intervals of this field out.

Conformalised quantile regression (Romano et al. 2019) on square roots, which spread alike for little and for much. The
margins are those of the field's group by measured size, so that the coverage holds for small values and for large ones.
An interval speaks of the measurement in this field alone, not of the specimen. It always holds the measured value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.errors import ModelError
from edge.inspection.describe import Described
from edge.models.card import IntervalFit, SpreadFit
from edge.records import Interval, Measures


def root_interval(fit: SpreadFit, measured: float, described: Described) -> Interval:
    """Both ends of a square root, at least 0. measured: the square root of the value as it was measured."""
    low, high = fit.low_offset, fit.high_offset
    for name, of in fit.numbers.items():
        if name not in described:
            raise ModelError(f"the card weighs {name}, which nobody measures: fit it again with this version")
        offset = float(np.clip((described[name] - of.mean) / of.deviation, -of.reach, of.reach))
        low += of.low * offset
        high += of.high * offset
    margin = fit.margins[int(np.searchsorted(fit.groups, measured))]
    return max(0.0, measured + min(0.0, min(low, 0.0) - margin)), measured + max(0.0, max(high, 0.0) + margin)


def with_intervals(fit: IntervalFit, measures: Measures, described: Described) -> Measures:
    """The measures with the intervals of area fraction, of regions in the frame and of the largest region in pixels."""
    field = measures.field_px
    area = _squared(root_interval(fit.area, described["area"], described))
    counted = _squared(root_interval(fit.counted, described["regions"], described))
    largest = _squared(root_interval(fit.largest, described["largest"], described))
    return replace(
        measures,
        area_fraction_interval=(area[0], min(1.0, max(area[1], measures.area_fraction))),
        counted_interval=counted,
        largest_px_interval=(largest[0] * field, min(1.0, largest[1]) * field),
    )


def _squared(ends: Interval) -> Interval:
    return ends[0] ** 2, ends[1] ** 2
