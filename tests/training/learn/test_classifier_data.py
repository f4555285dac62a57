"""Batches show every field, varied, with its own severity and area."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import SIDE, Modules
from tests.training.learn.fields import examples
from training.data.dataset import open_data_set
from training.draw.synthetic import write_data_set


def test_a_magnified_window_keeps_the_aspect_ratio_and_its_range(training: Modules) -> None:
    rng = np.random.default_rng(0)
    field = np.zeros((300, 400), np.uint8)
    shapes = np.array([field[training.data._window(field.shape, 0.5, rng)].shape for _ in range(200)])
    assert shapes[:, 0].min() >= 150
    assert shapes[:, 0].max() <= 300
    assert np.abs(shapes[:, 1] / shapes[:, 0] - 4 / 3).max() < 0.02


def test_an_epoch_shows_every_field_once_at_the_asked_size(training: Modules) -> None:
    batches = list(examples(training, 20).batches(32))
    assert [len(truth.labels) for _, truth in batches] == [16, 4]
    assert batches[0][0].shape == (16, 3, 32, 32)


def test_rare_classes_weigh_more_and_absent_ones_do_no_harm(training: Modules) -> None:
    some = replace(examples(training, 4), labels=np.array([0, 0, 0, 2]))
    assert some.class_weights().tolist() == pytest.approx([4 / 6, 1, 2])


def test_the_area_of_a_window_is_its_own(training: Modules) -> None:
    """The left half is corroded, and dark."""
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 80), bool)
    mask[:, :40] = True
    picture = np.where(mask, 40, 200).astype(np.uint8)
    crops = np.full((1, SIDE, SIDE), 90, np.uint8)
    some = training.data.Examples(
        (picture,) * 40, np.zeros(40, np.int64), (mask,) * 40, crops, np.zeros(1, np.int64), 0, 1, 0.5, rng
    )
    seen = np.concatenate([truth.areas.numpy() for _, truth in some.batches(32)])
    assert np.isnan(seen).sum() == 1
    assert np.nanmin(seen) < 0.4
    assert np.nanmax(seen) > 0.6


def test_corroded_pixels_are_those_of_the_label_files(training: Modules, tmp_path: Path) -> None:
    write_data_set(tmp_path, images=6, seed=5, size_px=(96, 96))
    images = [one for one in open_data_set(tmp_path).images if one.severity is not None]
    pictures, _ = training.data.load_pictures(images)
    truth = {one["image"]: one["drawn_fraction"] for one in json.loads((tmp_path / "truth.json").read_bytes())["images"]}
    for image_, mask in zip(images, training.data.load_corroded(open_data_set(tmp_path), images, pictures), strict=True):
        assert mask is not None
        assert mask.mean() == pytest.approx(truth[image_.path.name], abs=0.03)
