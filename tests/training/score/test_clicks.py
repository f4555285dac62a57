"""The person that clicks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.teach.making import spotted, truth_of
from training.score.clicks import main, precision_at_recall, stroke


def test_a_stroke_stays_inside_and_is_the_same_for_the_same_seed() -> None:
    inside = truth_of([(60, 60, 20), (200, 100, 4)])
    for seed in range(5):
        points, radius = stroke(inside, np.random.default_rng(seed))
        assert (points, radius) == stroke(inside, np.random.default_rng(seed))
        assert all(inside[round(y), round(x)] for x, y in points)
        assert radius >= 1


def test_precision_is_the_best_that_keeps_the_recall() -> None:
    right = np.array([True, False, True, True, False, True, True])
    assert precision_at_recall(np.arange(7, 0, -1).astype(np.float32), right) == 5 / 7
    assert precision_at_recall(np.zeros(0, np.float32), np.zeros(0, np.bool_)) == 0.0


def test_a_folder_is_taught_on_one_specimen_and_scored_on_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("a_0", "b_0", "b_1")):
        grey, spots = spotted(seed, bright=8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), grey)
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), truth_of(spots).astype(np.uint8) * 255)
    rows_file = tmp_path / "rows.json"
    assert main([str(tmp_path), "--seeds", "1", "--every", "3", "--held-out", "b_1", "--json", str(rows_file)]) == 0
    rows = json.loads(rows_file.read_text())
    assert [(row["taught_on"], row["image"]) for row in rows] == [("a_0", "b_0"), ("a_0", "b_1")]
    assert all(0 <= row["after"] <= 1 for row in rows)
    assert all(0 <= row[name] <= 1 for row in rows if row["taught"] for name in ("pixels_iou", "pixels_agreed", "uncertain"))
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["2 pairs", "held out", "the others"]
