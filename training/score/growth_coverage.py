"""Seeds in, how often the 95 % curves of the report hold the truth out: on drawn factorial series, without images.

The truth is the law of `training.draw.kinetics` with a factor for each coupon and one for each field. Twelve conditions:
60, 90 and 120 min, each after 1 h, 7, 14 and 21 days.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edge.report.growth import at, fit_growth
from training.draw.kinetics import ANNEALING_MIN, COUPON_SCATTER, EXPOSURES_H, IMAGE_SCATTER, corroded_fraction, scatter
from training.learn.calibration import wilson_interval


@dataclass(frozen=True, slots=True)
class Design:
    """How a series is laid out. uneven: 2 to `coupons` coupons and 1 to `fields` fields.  lost: conditions left out."""

    name: str
    coupons: int
    fields: int
    uneven: bool = False
    lost: int = 0


DESIGNS = (
    Design("5 coupons, 3 fields", 5, 3),
    Design("3 coupons, 3 fields", 3, 3),
    Design("2 coupons, 2 fields", 2, 2),
    Design("2 to 6 coupons, 1 to 5 fields", 6, 5, uneven=True),
    Design("4 coupons, 2 fields, one condition lost", 4, 2, lost=1),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of one design: how many bands held the truth, of how many; by_condition: the share at each of the twelve."""

    design: Design
    seeds: int
    held: int
    asked: int
    by_condition: tuple[float, ...]


def factorial_table(seed: int, design: Design) -> pd.DataFrame:
    """A table as the report reads it, drawn from the law."""
    rng = np.random.default_rng([3141, seed])
    conditions = [(annealing, exposure) for annealing in ANNEALING_MIN for exposure in EXPOSURES_H]
    lost = set(rng.choice(len(conditions), design.lost, replace=False).tolist())
    rows = []
    for place, (annealing, exposure) in enumerate(conditions):
        if place in lost:
            continue
        coupons = int(rng.integers(2, design.coupons + 1)) if design.uneven else design.coupons
        for coupon in range(coupons):
            factor = scatter(rng, COUPON_SCATTER)
            for field in range(int(rng.integers(1, design.fields + 1)) if design.uneven else design.fields):
                area = corroded_fraction(exposure, annealing) * factor * scatter(rng, IMAGE_SCATTER)
                rows.append((annealing, exposure, f"{place}-{coupon}", str(field), area))
    return pd.DataFrame(rows, columns=["annealing_min", "exposure_h", "coupon", "field", "area_fraction"])


def measure_coverage(design: Design, seeds: int) -> Coverage:
    """Fit every seed and count where the band holds the law."""
    conditions = [(annealing, exposure) for annealing in ANNEALING_MIN for exposure in EXPOSURES_H]
    held = np.zeros(len(conditions))
    asked = np.zeros(len(conditions))
    for seed in range(seeds):
        growth = fit_growth(factorial_table(seed, design))
        for place, (annealing, exposure) in enumerate(conditions):
            band = at(growth, annealing, exposure)
            if band is not None:
                asked[place] += 1
                held[place] += band[1] <= corroded_fraction(exposure, annealing) <= band[2]
    share = held / np.maximum(asked, 1)
    return Coverage(design, seeds, int(held.sum()), int(asked.sum()), tuple(share.tolist()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; exit status 1 when the first design leaves 92 to 98 %."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m training.score.growth_coverage")
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args(arguments)
    good = True
    print("| design | bands that hold the truth | 95 % interval | lowest and highest condition |\n| --- | --- | --- | --- |")
    for design in DESIGNS:
        found = measure_coverage(design, options.seeds)
        lo, hi = wilson_interval(found.held, found.asked)
        share = found.held / max(1, found.asked)
        print(
            f"| {design.name} | {share:.1%} of {found.asked} | {lo:.1%} to {hi:.1%} "
            f"| {min(found.by_condition):.1%} to {max(found.by_condition):.1%} |",
            flush=True,
        )
        good &= design != DESIGNS[0] or 0.92 <= share <= 0.98
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
