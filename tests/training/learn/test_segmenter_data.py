"""What ultralytics would learn wrongly from is refused; what it is given is what the edge would see."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.training.learn.conftest import first
from training.draw.synthetic import CLASSES


def test_a_hole_in_a_label_stays_a_hole_in_what_is_learnt(trainer: Any, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from ultralytics.data import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset
    from ultralytics.utils import DEFAULT_CFG_DICT

    from edge.records import Regions
    from training.data.dataset import LabelledImage
    from training.labels.yolo import yolo_text
    from training.learn.segmenter_data import write_for_ultralytics

    ring = np.ones((64, 64), bool)
    ring[16:48, 16:48] = False
    regions = Regions(
        np.array([[16, 16, 64, 64], [0, 0, 8, 8]], np.int32),
        np.ones(2, np.float32),
        np.array([1, 0], np.int32),
        (ring, np.ones((8, 8), bool)),
        CLASSES,
    )
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((96, 96), 128, np.uint8))
    (tmp_path / "labels" / "a.txt").write_text(yolo_text(regions, 96, 96))
    image = LabelledImage(tmp_path / "images" / "a.png", None, "a")
    description = write_for_ultralytics(tmp_path / "seen", CLASSES, 96, train=(image,), val=(image,))

    data = check_det_dataset(str(description))
    settings = SimpleNamespace(**{**DEFAULT_CFG_DICT, "task": "segment", "imgsz": 96, "mask_ratio": 1})
    (seen,) = build_yolo_dataset(settings, data["train"], 1, data, mode="val")
    masks = seen["masks"][0].numpy()
    assert len(np.unique(masks)) == 3  # ground and two regions
    assert masks[48, 48] == 0
    assert masks[20, 20] != 0


def refused(trainer: Any, data: Path, out: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        trainer.train(data, out, trainer.Recipe(weights="none", epochs=1, imgsz=96), "a test")
    return str(raised.value)


def test_two_images_that_would_share_their_labels_are_refused(trainer: Any, copied: Path, tmp_path: Path) -> None:
    image = first(copied, "images")
    cv2.imwrite(str(image.with_suffix(".tif")), cv2.imread(str(image)))
    assert f"would share {image.stem}.txt" in refused(trainer, copied, tmp_path)


def test_sixteen_bits_are_sent_through_prepare(trainer: Any, copied: Path, tmp_path: Path) -> None:
    image = first(copied, "images")
    cv2.imwrite(str(image), np.full((96, 96), 40000, np.uint16))
    message = refused(trainer, copied, tmp_path)
    assert image.name in message
    assert "edge-train prepare" in message


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.2 0.2", "7 0.1 0.1 0.2 0.1 0.2 0.2", "0 10 10 20 10 20 20", "pit 0 0 1 0 1 1"])
def test_a_label_that_would_cost_its_image_is_named(trainer: Any, copied: Path, tmp_path: Path, line: str) -> None:
    label = first(copied, "labels")
    label.write_text(f"0 0.1 0.1 0.2 0.1 0.2 0.2\n{line}\n")
    assert f"{label.name}, line 2" in refused(trainer, copied, tmp_path)


def test_a_set_without_any_region_is_refused(trainer: Any, copied: Path, tmp_path: Path) -> None:
    shutil.rmtree(copied / "labels")
    assert "has a labelled region" in refused(trainer, copied, tmp_path)


def test_images_without_labels_are_ground_and_tiff_is_read(trainer: Any, copied: Path, tmp_path: Path) -> None:
    from training.data.dataset import open_data_set
    from training.learn.segmenter_data import write_for_ultralytics

    image = first(copied, "images")
    cv2.imwrite(str(image.with_suffix(".tif")), cv2.imread(str(image), cv2.IMREAD_GRAYSCALE))
    image.unlink()
    (copied / "labels" / f"{image.stem}.txt").unlink()
    images = open_data_set(copied).images
    write_for_ultralytics(tmp_path / "seen", CLASSES, 96, train=images, val=images)
    assert (tmp_path / "seen" / "labels" / f"{image.stem}.txt").read_text() == ""
    assert cv2.imread(str(tmp_path / "seen" / "images" / f"{image.stem}.png")) is not None


def test_images_are_shrunk_as_the_edge_shrinks_them(trainer: Any, tmp_path: Path) -> None:
    from edge.backends.crop import canvas
    from edge.inspection.segment import letterbox
    from training.data.dataset import LabelledImage
    from training.learn.segmenter_data import write_for_ultralytics

    grey = np.random.default_rng(0).integers(0, 256, (192, 256), dtype=np.uint8)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), grey)
    image = LabelledImage(tmp_path / "images" / "a.png", None, "a")
    write_for_ultralytics(tmp_path / "seen", CLASSES, 128, train=(image,))
    seen = cv2.imread(str(tmp_path / "seen" / "images" / "a.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(seen, canvas(grey, letterbox(grey.shape, 128), 96, 128))
