"""Stage 1 with a network that is told what to see, so that every number after it is exact."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import BackendError
from edge.inspection.segment import Segmenter, View, decode, views
from edge.models.card import ModelCard, Training

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
    candidates = 256

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self.shapes.append(image.shape)
        n, _, height, width = image.shape
        boxes, scores = np.zeros((n, self.candidates, 4), np.float32), np.zeros((n, self.candidates), np.float32)
        coefficients = np.zeros((n, self.candidates, 32), np.float32)
        coefficients[:, :, 0] = 1
        prototypes = np.zeros((n, 32, height // 4, width // 4), np.float32)
        for row in range(n):
            canvas = image[row, 0]
            small = canvas.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
            prototypes[row, 0] = small - 155
            found, _, stats, _ = cv2.connectedComponentsWithStats((canvas > 155).astype(np.uint8))
            for index in range(1, min(found, self.candidates + 1)):
                x, y, w, h, _ = stats[index]
                boxes[row, index - 1] = (x - 1, y - 1, x + w + 1, y + h + 1)
                scores[row, index - 1] = 0.9
        return {
            "boxes": boxes,
            "scores": scores,
            "classes": np.zeros((n, self.candidates), np.int64),
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
    (view,) = views(blank(768, 1024), CARD, tile="off")
    assert view.shape == view.canvas.shape == (480, 640)
    assert view.scale_x == view.scale_y == 0.625


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


class Broken(BrightBlobs):
    """Overflows in one of its outputs."""

    def __init__(self, output: str, value: float) -> None:
        super().__init__()
        self._output, self._value = output, value

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        outputs = super().run(image)
        outputs[self._output][:] = self._value
        return outputs


@pytest.mark.parametrize(
    ("output", "told"), [("scores", "scores"), ("boxes", "boxes"), ("coefficients", "masks"), ("prototypes", "masks")]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_whose_answers_are_not_numbers_is_to_blame_and_not_the_image(output: str, told: str, value: float) -> None:
    grey = blank(480, 640)
    grey[100:180, 200:320] = 250
    with pytest.raises(BackendError, match=f"the network's {told} are not numbers"), np.errstate(invalid="ignore"):
        segmenter(Broken(output, value)).find(grey)


def test_candidates_that_are_not_used_may_be_anything() -> None:
    class Unsure(BrightBlobs):
        def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
            outputs = super().run(image)
            outputs["boxes"][outputs["scores"] < 0.25] = np.nan
            return outputs

    grey = blank(480, 640)
    grey[100:180, 200:320] = 250
    regions, _ = segmenter(Unsure()).find(grey)
    assert len(regions) == 1


class SeenTwice(BrightBlobs):
    """Finds each blob again in a box so wide that boxes alone do not tell that it is the same region."""

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        outputs = super().run(image)
        half = self.candidates // 2
        for name in ("boxes", "scores"):
            outputs[name][:, half:] = outputs[name][:, :half]
        outputs["boxes"][:, half:, 2] += 60 * (outputs["scores"][:, half:] > 0)
        outputs["scores"][:, half:] -= 0.1 * (outputs["scores"][:, half:] > 0)
        return outputs


def test_one_region_in_two_boxes_is_found_once() -> None:
    grey = blank(480, 640)
    grey[100:140, 200:240] = 250
    grey[100:140, 260:300] = 250
    regions, _ = segmenter(SeenTwice()).find(grey)
    assert len(regions) == 2
    assert regions.scores.tolist() == pytest.approx([0.9, 0.9])


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


COARSE = CARD.model_copy(update={"coarse_from_px": 32})


class LargeOnlyCoarse(BrightBlobs):
    """Cannot tell a region that is longer than a third of the canvas."""

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        outputs = super().run(image)
        sides = outputs["boxes"][..., 2:] - outputs["boxes"][..., :2]
        outputs["scores"][sides.max(axis=-1) > 200] = 0
        return outputs


def test_a_coarse_view_of_a_quarter_of_the_pixels_finds_what_is_too_large_for_the_whole() -> None:
    grey = blank(480, 640)
    grey[100:400, 150:500] = 250
    assert not len(Segmenter(LargeOnlyCoarse(), CARD, confidence=0.25, iou=0.7).find(grey)[0])
    network = LargeOnlyCoarse()
    regions, _ = Segmenter(network, COARSE, confidence=0.25, iou=0.7).find(grey)
    assert network.shapes == [(1, 1, 480, 640), (1, 1, 256, 320)]
    assert np.allclose(regions.boxes_px, [[150, 100, 350, 300]], atol=12)


def test_a_coarse_view_says_nothing_of_what_it_is_too_coarse_for() -> None:
    class OnlyCoarse(BrightBlobs):
        def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
            outputs = super().run(image)
            if image.shape[-1] == 640:
                outputs["scores"][:] = 0
            return outputs

    grey = blank(480, 640)
    grey[100:150, 100:150] = grey[200:300, 300:400] = 250
    regions, _ = Segmenter(OnlyCoarse(), COARSE, confidence=0.25, iou=0.7).find(grey)
    assert len(regions) == 1
    assert np.allclose(regions.boxes_px[0], [300, 200, 100, 100], atol=12)


@pytest.mark.parametrize("size", [(480, 640), (1500, 2000)], ids=str)
def test_a_region_that_both_views_see_is_found_once_and_as_the_finer_draws_it(size: tuple[int, int]) -> None:
    grey = blank(*size)
    grey[100:300, 200:420] = 250
    fine, _ = segmenter(BrightBlobs()).find(grey)
    both, _ = Segmenter(BrightBlobs(), COARSE, confidence=0.25, iou=0.7).find(grey)
    assert both.boxes_px.tolist() == fine.boxes_px.tolist()


def test_an_image_with_tiles_has_no_coarse_view_for_its_whole_is_coarse_already() -> None:
    network = BrightBlobs()
    Segmenter(network, COARSE, confidence=0.25, iou=0.7).find(blank(1500, 2000))
    assert {shape[1:] for shape in network.shapes} == {(1, 640, 640)}


def test_outlines_follow_the_image_where_the_card_says_so() -> None:
    grey = blank(480, 640)
    cv2.circle(grey, (303, 201), 13, 250, -1)
    true_px = int((grey > 155).sum())
    rough, exact = (
        Segmenter(BrightBlobs(), CARD.model_copy(update={"edges_followed": followed}), confidence=0.25, iou=0.7).find(grey)[0]
        for followed in (False, True)
    )
    errors = [abs(int(regions.masks[0].sum()) - true_px) for regions in (rough, exact)]
    assert errors[1] < errors[0]


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


def view_of(height: int, width: int, longest_px: int) -> View:
    (view,) = views(blank(height, width), CARD.model_copy(update={"input_px": longest_px}), tile="off")
    return view


def logits_at_pixel_centres(prototype: NDArray[np.float32], view: View) -> NDArray[np.float64]:
    """Bilinear interpolation in float64, written out: the definition that the masks are held against."""
    rows, columns = (
        np.clip((np.arange(length) + 0.5) * scale / 4 - 0.5, 0, limit - 1)
        for length, scale, limit in zip(
            (view.height_px, view.width_px), (view.scale_y, view.scale_x), prototype.shape, strict=True
        )
    )
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    bottom, right = np.minimum(top + 1, prototype.shape[0] - 1), np.minimum(left + 1, prototype.shape[1] - 1)
    down, across = (rows - top)[:, None], columns - left
    values = prototype.astype(np.float64)
    upper = values[np.ix_(top, left)] * (1 - across) + values[np.ix_(top, right)] * across
    lower = values[np.ix_(bottom, left)] * (1 - across) + values[np.ix_(bottom, right)] * across
    return np.asarray(upper * (1 - down) + lower * down)


@pytest.mark.parametrize("size", [(480, 640), (768, 1024), (777, 1000), (1100, 1257)], ids=str)
def test_a_mask_lies_where_float64_arithmetic_puts_it(size: tuple[int, int]) -> None:
    view = view_of(*size, longest_px=640)
    height, width = view.canvas.shape
    y, x = np.mgrid[0 : height // 4, 0 : width // 4]
    # A tilted ellipse, so that its edge crosses the grid at every phase.
    bump = 1 - ((x - 71.3 + 0.3 * (y - 60.7)) / 31.4) ** 2 - ((y - 60.7) / 22.9) ** 2
    prototypes = np.zeros((32, height // 4, width // 4), np.float32)
    prototypes[0] = bump
    outputs = {
        "boxes": np.array([[101.3, 90.7, 420.2, 402.9]], np.float32),
        "scores": np.array([0.9], np.float32),
        "classes": np.array([0]),
        "coefficients": np.eye(1, 32, dtype=np.float32),
        "prototypes": prototypes,
    }
    (found,) = decode(outputs, view, 0, size, 0.25, 0.7)
    full = np.zeros(size, bool)
    left, top, right, bottom = found.box
    full[top:bottom, left:right] = found.mask
    logits = logits_at_pixel_centres(prototypes[0], view)
    rows, columns = (np.arange(size[0])[:, None] + 0.5) * view.scale_y, (np.arange(size[1]) + 0.5) * view.scale_x
    inside = (columns >= 101.3) & (columns < 420.2) & (rows >= 90.7) & (rows < 402.9)
    # OpenCV interpolates at 32nds of a prototype pixel; there the slope at the edge is below 0.1 per prototype pixel.
    sure = np.abs(logits) > 0.1 / 32
    assert np.array_equal(full & sure, (logits > 0) & inside & sure)
    assert sure.mean() > 0.99


def test_a_region_at_the_far_edge_of_a_shrunk_image_is_not_shifted() -> None:
    # 637 rows shrink to 66.36, so to 66: with one scale for both axes the last row would be off by 3 pixels.
    grey = blank(637, 6144)
    grey[560:637, 3000:3200] = 250
    regions, _ = segmenter(BrightBlobs(), tile="off").find(grey)
    x, y, w, h = regions.boxes_px[0]
    assert y + h == 637
    assert abs(y - 560) <= 10
    assert abs(x + w / 2 - 3100) <= 3


SMALL_TILES = CARD.model_copy(update={"input_px": 320, "tile_above_px": 640, "tile_overlap_px": 64})
BORDERS = {
    750: (0, 215, 320, 430, 535, 750),
    1000: (0, 227, 320, 453, 547, 680, 773, 1000),
    1536: (0, 243, 320, 486, 563, 1536),
}


@st.composite
def planted(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """An image and its labels: shapes of any size around tile borders, corners and image edges, never closer than 10 px."""
    height, width = draw(st.sampled_from([(750, 1000), (1000, 1536)]))
    grey, labels = blank(height, width), np.zeros((height, width), np.int32)
    for label in range(1, draw(st.integers(1, 14)) + 1):
        w, h = (draw(st.one_of(st.integers(18, 60), st.integers(18, 900))) for _ in range(2))
        border_x, border_y = (draw(st.sampled_from(BORDERS[side])) for side in (width, height))
        x = min(max(border_x + draw(st.integers(-w - 20, 20)), 0), width - 18)
        y = min(max(border_y + draw(st.integers(-h - 20, 20)), 0), height - 18)
        if labels[max(y - 10, 0) : y + h + 10, max(x - 10, 0) : x + w + 10].any():
            continue
        shape = np.ones((h, w), np.uint8)
        if draw(st.booleans()) and 0.5 < w / h < 2:
            shape[:] = 0
            cv2.ellipse(shape, (w // 2, h // 2), (w // 2 - 1, h // 2 - 1), 0, 0, 360, 1, -1)
        shape = shape[: height - y, : width - x]
        if not shape.any() or min(cv2.boundingRect(shape)[2:]) < 16:
            continue
        region = labels[y : y + h, x : x + w]
        region[shape > 0] = label
    grey[labels > 0] = 250
    return grey, labels


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(planted())
def test_every_planted_shape_of_a_tiled_image_is_found_exactly_once(scene: tuple[NDArray[np.uint8], NDArray[np.int32]]) -> None:
    grey, labels = scene
    regions, _ = Segmenter(BrightBlobs(), SMALL_TILES, confidence=0.25, iou=0.7).find(grey)
    areas = np.bincount(labels.ravel())
    found: list[int] = []
    for (x, y, w, h), mask in zip(regions.boxes_px.tolist(), regions.masks, strict=True):
        shared = np.bincount(labels[y : y + h, x : x + w][mask], minlength=len(areas))
        label = int(shared[1:].argmax()) + 1
        assert shared[label] / (areas[label] + np.count_nonzero(mask) - shared[label]) > 0.8
        found.append(label)
    assert sorted(found) == (np.flatnonzero(areas[1:]) + 1).tolist()
