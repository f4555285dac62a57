"""Stage 1 with a network that is told what to see, so that every number after it is exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.model_card import ModelCard, Training
from edge.segment import Detection, Segmenter, letterbox, merge, views

CARD = ModelCard(
    schema="edge.model/1",
    task="segment",
    name="told",
    version="1",
    architecture="none",
    classes=("pit", "product"),
    input_px=640,
    grey_window="",
    smallest_region_px=6,
    tile_above_px=1280,
    tile_overlap_px=96,
    training=Training(data="", data_sha256="", initialised_from="", epochs=0, images=0, seed=0, command=""),
    scores={},
    licence="",
    sha256="0" * 64,
)


class BrightBlobs:
    """Sees each bright blob of the canvas: prototype 0 is the brightness, so the mask is the blob itself."""

    name, precision = "told", "float32"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        import cv2

        self.shapes.append(image.shape)
        n, _, height, width = image.shape
        boxes, scores = np.zeros((n, 64, 4), np.float32), np.zeros((n, 64), np.float32)
        coefficients = np.zeros((n, 64, 32), np.float32)
        coefficients[:, :, 0] = 1
        prototypes = np.zeros((n, 32, height // 4, width // 4), np.float32)
        for row in range(n):
            canvas = image[row, 0]
            small = canvas.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
            prototypes[row, 0] = small - 150
            found, _, stats, _ = cv2.connectedComponentsWithStats((canvas > 150).astype(np.uint8))
            for index in range(1, min(found, 65)):
                x, y, w, h, _ = stats[index]
                boxes[row, index - 1] = (x - 1, y - 1, x + w + 1, y + h + 1)
                scores[row, index - 1] = 0.9
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": np.zeros((n, 64), np.int64),
            "coefficients": coefficients,
            "prototypes": prototypes,
        }

    def close(self) -> None: ...

    def __enter__(self) -> BrightBlobs:
        return self

    def __exit__(self, *_: object) -> None: ...


def segmenter(network: BrightBlobs, **changed: Any) -> Segmenter:
    return Segmenter(network, CARD, **{"confidence": 0.25, "iou": 0.7, **changed})


def blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width), 60, np.uint8)


def test_a_small_image_is_seen_once_at_its_own_size() -> None:
    network = BrightBlobs()
    segmenter(network).find(blank(300, 500))
    assert network.shapes == [(1, 1, 320, 512)]


def test_the_letterbox_is_padded_to_multiples_of_32_and_never_to_a_square() -> None:
    canvas, scale = letterbox(blank(768, 1024), 640)
    assert canvas.shape == (480, 640)
    assert scale == 0.625


def test_a_mask_covers_the_pixels_that_the_network_meant() -> None:
    grey = blank(480, 640)
    grey[100:180, 200:320] = 250
    regions, _ = segmenter(BrightBlobs()).find(grey)
    x, y, w, h = regions.boxes_px[0]
    assert abs(x - 200) <= 2
    assert abs(y - 100) <= 2
    assert abs(w - 120) <= 4
    assert abs(h - 80) <= 4
    assert regions.masks[0].mean() > 0.95


def test_a_mask_of_a_shrunk_image_lies_in_stored_pixels() -> None:
    grey = blank(960, 1280)
    grey[200:360, 400:640] = 250
    regions, _ = segmenter(BrightBlobs()).find(grey)
    x, y, w, h = regions.boxes_px[0]
    assert np.allclose([x, y, w, h], [400, 200, 240, 160], atol=6)


def test_a_large_image_is_also_seen_in_native_tiles_of_one_shape() -> None:
    network = BrightBlobs()
    segmenter(network).find(blank(1500, 2000))
    assert {shape[1:] for shape in network.shapes} == {(1, 640, 640)}
    assert sum(shape[0] for shape in network.shapes) == 1 + 4 * 3


def test_tiles_cover_every_pixel() -> None:
    grey = blank(1400, 2100)
    seen = np.zeros(grey.shape, bool)
    for view in views(grey, CARD):
        if not view.whole:
            seen[view.y_px : view.y_px + view.height_px, view.x_px : view.x_px + view.width_px] = True
    assert seen.all()


def test_tiling_can_be_switched_off() -> None:
    network = BrightBlobs()
    segmenter(network, tile="off").find(blank(1500, 2000))
    assert network.shapes == [(1, 1, 480, 640)]


@pytest.mark.parametrize(
    ("x", "y", "width", "height"),
    [(30, 40, 12, 12), (538, 500, 20, 20), (560, 300, 60, 40), (300, 300, 900, 500), (10, 620, 1900, 40)],
)
def test_a_region_of_a_tiled_image_is_found_once_wherever_it_lies(x: int, y: int, width: int, height: int) -> None:
    grey = blank(1500, 2000)
    grey[y : y + height, x : x + width] = 250
    regions, _ = segmenter(BrightBlobs()).find(grey)
    assert len(regions) == 1
    assert np.allclose(regions.boxes_px[0], [x, y, width, height], atol=8)


def test_regions_come_largest_first_and_the_smallest_are_dropped_beyond_the_maximum() -> None:
    grey = blank(480, 640)
    for number, side in enumerate([20, 60, 40]):
        grey[100 : 100 + side, 50 + 150 * number : 50 + 150 * number + side] = 250
    regions, _ = segmenter(BrightBlobs(), max_regions=2).find(grey)
    assert regions.boxes_px[:, 2].tolist() == sorted(regions.boxes_px[:, 2].tolist(), reverse=True)
    assert len(regions) == 2
    assert regions.truncated


def piece(
    x: int, y: int, w: int, h: int, *, view: int, whole: bool = False, cut: bool = False, score: float = 0.9
) -> Detection:
    mask = np.ones((h, w), bool)
    return Detection(x, y, mask, score, 0, view, whole, cut, w * h)


def boxes(detections: Sequence[Detection]) -> list[tuple[int, int, int, int]]:
    return sorted(detection.box for detection in detections)


def test_a_large_region_of_the_whole_beats_a_fragment_seen_by_a_tile() -> None:
    large, fragment = piece(0, 0, 900, 500, view=0, whole=True), piece(100, 100, 30, 30, view=1)
    assert boxes(merge([large, fragment], 0.7)) == [large.box]


def test_a_blob_that_tiles_resolve_into_pits_gives_way_to_them() -> None:
    blob = piece(0, 0, 100, 60, view=0, whole=True)
    pits = [piece(0, 0, 48, 60, view=1), piece(52, 0, 48, 60, view=1)]
    assert boxes(merge([blob, *pits], 0.7)) == boxes(pits)


def test_pieces_that_a_tile_border_cut_are_joined() -> None:
    left = piece(500, 100, 140, 50, view=1, cut=True)
    right = piece(560, 100, 200, 50, view=2, cut=True)
    assert boxes(merge([left, right], 0.7)) == [(500, 100, 760, 150)]


def test_neighbours_in_one_view_stay_two_regions() -> None:
    first, second = piece(0, 0, 40, 40, view=1), piece(30, 0, 40, 40, view=1)
    assert len(merge([first, second], 0.7)) == 2
