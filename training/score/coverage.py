"""Intervals that the edge gave and the labelled truth in, how often the truth lies inside out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edge.inspection.measure import measure
from edge.records import Inspection, Interval, Regions
from training.learn.calibration import wilson_interval

LEVEL: Final = 0.9
"""What an inspection promises of its intervals."""
MEASURES: Final = {
    "area_fraction": "labelled part of the area",
    "density_per_mm2": "labelled regions that touch neither the left nor the upper edge, in a mm²; images with a scale",
    "largest_px": "area in pixels of the largest labelled region, 0 where none is labelled",
}


@dataclass(frozen=True, slots=True)
class Promised:
    """One measure of one image. interval: as the edge gave it.  true: of the labels, in the same unit."""

    interval: Interval
    true: float

    @property
    def held(self) -> bool:
        """Whether the truth lies inside, ends included."""
        return self.interval[0] <= self.true <= self.interval[1]


def promised(inspection: Inspection, truth: Regions) -> dict[str, Promised]:
    """The intervals of one inspection with the truth of each, by the names of `MEASURES`; {} where it gave none.

    A density needs a scale: without one there is neither its interval nor its truth.
    """
    given, micrograph = inspection.measures, inspection.micrograph
    true = measure(truth, (micrograph.height_px, micrograph.width_px), micrograph.drawn_px)
    found: dict[str, Promised] = {}
    if given.area_fraction_interval is not None:
        found["area_fraction"] = Promised(given.area_fraction_interval, true.area_fraction)
    um = micrograph.pixel_size_um
    if given.counted_interval is not None and um is not None and given.field_px:
        per_mm2 = 1e6 / (given.field_px * um * um)
        low, high = given.counted_interval
        counted = int(np.count_nonzero(true.in_frame))
        found["density_per_mm2"] = Promised((low * per_mm2, high * per_mm2), counted * per_mm2)
    if given.largest_px_interval is not None:
        found["largest_px"] = Promised(given.largest_px_interval, float(true.area_px.max(initial=0)))
    return found


def coverage(images: Sequence[Mapping[str, Promised]]) -> dict[str, Any]:
    """How often the truth lies inside. images: of each labelled image what `promised` gave.

    The interval of a coverage is Wilson's over images, which takes them as independent.
    """
    content: dict[str, Any] = {"images": len(images), "with_intervals": sum(bool(one) for one in images), "level": LEVEL}
    for name, how in MEASURES.items():
        of = [one[name] for one in images if name in one]
        held = sum(one.held for one in of)
        content[name] = {
            "n": len(of),
            "held": held,
            "coverage": round(held / len(of), 4) if of else None,
            "interval_95": [round(end, 4) for end in wilson_interval(held, len(of))] if of else None,
            "true_below": sum(one.true < one.interval[0] for one in of),
            "true_above": sum(one.true > one.interval[1] for one in of),
            "median_width": _short(float(np.median([one.interval[1] - one.interval[0] for one in of]))) if of else None,
            "how": how,
        }
    return content


def row(of: Mapping[str, Promised]) -> dict[str, Any]:
    """One image's intervals in the JSON."""
    return {
        name: {"interval": [_short(end) for end in one.interval], "true": _short(one.true), "held": one.held}
        for name, one in of.items()
    }


def _short(value: float) -> float:
    """Six significant digits: a largest region has thousands of pixels, an area fraction thousandths."""
    return float(f"{value:.6g}")
