"""Labelled images of several specimens, and how they are prepared."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.training.labelled_images import HEIGHT, WIDTH
from training.data.options import Options
from training.data.prepare import Prepared, prepare
from training.labels.image_labels import LabelledRegion
from training.labels.regions import make_regions
from training.labels.yolo import yolo_text


def make_images(folder: Path, coupons: int = 9, each: int = 2, labels: bool = True) -> None:
    """Textured images of so many coupons, three severities in turn, with YOLO labels of one disc each."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rows = ["image,severity,group"]
    for number in range(coupons * each):
        coupon = number // each
        rng = np.random.default_rng(number)
        grey = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8), (0, 0), 1.5)
        centre = (int(rng.integers(30, 90)), int(rng.integers(30, 60)))
        cv2.circle(grey, centre, 12, (20,), -1)
        cv2.imwrite(str(folder / "images" / f"c{coupon}_{number}.png"), grey)
        mask = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), centre, 12, (1,), -1) > 0
        regions, _ = make_regions([LabelledRegion(0, 0, 0, mask)], ("pit",), WIDTH, HEIGHT, "")
        if labels:
            (folder / "labels" / f"c{coupon}_{number}.txt").write_text(yolo_text(regions, WIDTH, HEIGHT), encoding="ascii")
        rows.append(f"c{coupon}_{number}.png,{('low', 'moderate', 'severe')[coupon % 3]},c{coupon}")
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="ascii")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pytest.importorskip("sklearn")
    make_images(tmp_path / "data")
    return tmp_path / "data"


def run(data: Path, **options: Any) -> Prepared:
    return prepare(
        data,
        data.parent / "out",
        Options(**{"folds": 3, "test": 0.2, "val": 0.2, "augment": 2, **options}),
        "edge-train prepare",
    )


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "samples.csv").open(newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}
