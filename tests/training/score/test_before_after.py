"""What two folders of models say of the same images, in one picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.models.card import BUILTIN_FOLDER
from edge.samples import sample_files
from training.score.before_after import main, sheet


def test_every_image_stands_twice(tmp_path: Path) -> None:
    images = [str(path) for path in sample_files()[:3]]
    both = ["--before", str(BUILTIN_FOLDER), "--after", str(BUILTIN_FOLDER)]
    assert main([*both, "--out", str(tmp_path / "both.png"), "--side", "200", *images]) == 0
    picture = cv2.imread(str(tmp_path / "both.png"))
    assert picture is not None
    pair = (picture.shape[1] - 12) // 2  # two pairs a row, a gap behind each
    side = pair // 2
    np.testing.assert_array_equal(picture[:150, : side - 6], picture[:150, side : 2 * side - 6])


def test_models_that_are_not_there_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--before", str(tmp_path), "--after", str(tmp_path)]
    assert main([*both, "--out", str(tmp_path / "both.png"), str(sample_files()[0])]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_row_is_as_high_as_its_highest() -> None:
    tall, small = np.zeros((40, 10, 3), np.uint8), np.zeros((10, 30, 3), np.uint8)
    assert sheet([tall, small, small], 2).shape == (40 + 6 + 10 + 6, 10 + 6 + 30 + 6, 3)
