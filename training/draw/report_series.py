"""A seed in; micrographs of a factorial series with coupons, and the CSV file of what is known of them, out.

They are for trying `edge-report`: every file tells its scale, and its name annealing time and exposure.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H
from training.draw.samples import write_scaled
from training.draw.synthetic import PAPER_SEED, render_coupon

SIZE_PX = (640, 480)
FIELD_UM = 129.4


def write_series(folder: Path, coupons: int, fields: int, seed: int) -> Path:
    """Write `fields` images of `coupons` coupons of every condition; the path of the CSV file for `--samples`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for annealing in ANNEALING_MIN:
        for exposure in EXPOSURES_H:
            for coupon in range(1, coupons + 1):
                for field in range(1, fields + 1):
                    scene = render_coupon(annealing, exposure, coupon, field, SIZE_PX, seed)
                    name = f"AN_{annealing:g}_{exposure:g}h_{(coupon - 1) * fields + field:03d}.tif"
                    write_scaled(folder / name, scene.grey, FIELD_UM)
                    rows.append((name, scene.coupon, field, "random"))
    path = folder / "samples.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "coupon", "field", "field_selection"))
        writer.writerows(rows)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a series and print the path of its CSV file."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m training.draw.report_series")
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--coupons", type=int, default=3, help="of each condition (default 3)")
    parser.add_argument("--fields", type=int, default=1, help="of each coupon (default 1)")
    parser.add_argument("--seed", type=int, default=PAPER_SEED)
    options = parser.parse_args(arguments)
    print(write_series(options.out, options.coupons, options.fields, options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
