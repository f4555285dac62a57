"""The image of an inspection: the file that was inspected, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.web.pixels import Pixels
from tests.conftest import pitted, settings_for


def put(file: Path, seed: int = 0) -> tuple[str, np.ndarray]:
    grey = pitted(120, 80, seed)
    data = cv2.imencode(".tif", grey)[1].tobytes()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), grey


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


@pytest.fixture
def pixels(watched: Path) -> Pixels:
    return Pixels(settings_for(watched))


def shape(data: bytes | None) -> np.ndarray:
    assert data is not None
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_its_own_pixels_come_and_are_kept(watched: Path, pixels: Pixels) -> None:
    sha256, grey = put(watched / "x" / "a.tif")
    assert pixels.there("x/a.tif", sha256)
    assert np.array_equal(shape(pixels.png("x/a.tif", sha256, 0)), grey)
    (watched / "x" / "a.tif").unlink()
    assert pixels.png("x/a.tif", sha256, 0) is not None
    assert pixels.png("x/a.tif", sha256, 1) is None


def test_another_file_under_its_name_is_not_shown_and_what_was_reviewed_is(watched: Path, pixels: Pixels) -> None:
    sha256, grey = put(watched.parent / "state" / "reviewed" / ("0" * 64) / "a.tif")
    put(watched / "a.tif", seed=1)
    assert pixels.png("a.tif", sha256, 0) is None
    (watched.parent / "state" / "reviewed" / ("0" * 64)).rename(watched.parent / "state" / "reviewed" / sha256)
    assert np.array_equal(shape(pixels.png("a.tif", sha256, 0)), grey)


@pytest.mark.parametrize(
    "path", ["../out.tif", "link.tif", "linked/out.tif", "{out}", "", ".", "a\0b.tif", "x" * 5000, "\ud800.tif"]
)
def test_nothing_outside_the_folder_is_shown(watched: Path, pixels: Pixels, path: str) -> None:
    sha256, _ = put(watched.parent / "out.tif")
    (watched / "link.tif").symlink_to(watched.parent / "out.tif")
    (watched / "linked").symlink_to(watched.parent)
    name = path.replace("{out}", str(watched.parent / "out.tif"))
    assert pixels.png(name, sha256, 0) is None
    pixels.there(name, sha256)


def test_what_is_no_image_or_was_a_failure_is_none(watched: Path, pixels: Pixels) -> None:
    (watched / "a.tif").write_bytes(b"II*\0garbage")
    assert pixels.png("a.tif", hashlib.sha256(b"II*\0garbage").hexdigest(), 0) is None
    assert pixels.png("a.tif", None, 0) is None
    assert not pixels.there("a.tif", None)
