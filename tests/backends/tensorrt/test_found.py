"""The kernels' suppression and masks, built for this processor: OpenCV's kept set and order, NumPy's bits, the host's masks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.crop import Crop
from edge.backends.masks import Masks
from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt.found import FOUND, KEPT, VIEW
from edge.inspection.segment import View as SegmentView
from edge.inspection.segment import decode, letterbox
from edge.models.card import BUILTIN_FOLDER
from edge.samples import sample_micrographs
from tests.backends.tensorrt import found_reference as reference
from tests.backends.tensorrt.found_reference import View
from tests.backends.tensorrt.test_kernels import host_library

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """What the kernels' lines gave for one view."""

    found: Any
    kept: Any
    logits: Floats
    bits: NDArray[np.uint32]
    full: bool

    @property
    def masks(self) -> Masks:
        rows = self.kept
        return Masks(np.zeros(len(rows), np.float32), np.zeros(len(rows), np.int64), rows["place"], self.bits, rows["word"])


Find = Callable[..., Outcome]


@pytest.fixture(scope="module")
def find(tmp_path_factory: pytest.TempPathFactory) -> Find:
    return finder(tmp_path_factory.mktemp("found"))


def finder(folder: Path) -> Find:
    """The kernels' lines as a function of the host."""
    function = host_library(folder).find_masks
    pointer, integer, number = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
    function.argtypes = (
        *(pointer, pointer, pointer, integer, pointer, integer, integer, pointer, number, number),
        *(pointer, pointer, pointer, pointer, integer, integer),
    )

    def run(
        scores: Floats,
        boxes: Floats,
        coefficients: Floats,
        prototypes: Floats,
        view: View,
        confidence: float = 0.25,
        iou: float = 0.7,
        most_words: int = 1 << 20,
    ) -> Outcome:
        given = [np.ascontiguousarray(array, np.float32) for array in (scores, boxes, coefficients, prototypes)]
        there = np.array([(view.scale_x, view.scale_y, view.width, view.height)], VIEW)
        found, kept = np.zeros(1, FOUND), np.zeros(1024, KEPT)
        logits, bits = np.zeros(1 << 21, np.float32), np.zeros(1 << 20, np.uint32)
        at = [array.ctypes.data for array in (*given, there, found, kept, logits, bits)]
        rows, columns = prototypes.shape[1:]
        full = function(
            *(*at[:3], len(scores), at[3], rows, columns, at[4], confidence, iou),
            *(at[5], at[6], at[7], at[8], most_words, len(logits)),
        )
        one = found[0]
        return Outcome(one, kept[: one["kept"]], logits[: one["cells"]], bits[: one["words"]], bool(full))

    return run


def scene(random: np.random.Generator, count: int) -> tuple[Floats, Floats, Floats, Floats, View]:
    """Candidates that crowd each other, some of one score, some beyond the image, some without a pixel."""
    width, height = (int(side) for side in random.integers(40, 1500, 2))
    scale = min(1.0, 320 / max(width, height))
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    view = View(columns / width, rows / height, width, height)
    shape = (-(-rows // 32) * 8, -(-columns // 32) * 8)
    centres = random.uniform(-20, 1.1 * max(columns, rows), (count, 2))
    centres[count // 2 :] = centres[: count - count // 2] + random.normal(0, 2, (count - count // 2, 2))
    sizes = np.exp(random.uniform(-2, 4, (count, 2)))
    sizes[count // 2 :] = sizes[: count - count // 2] * random.uniform(0.9, 1.1, (count - count // 2, 2))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)
    scores = random.choice(np.linspace(0, 1, 21), count).astype(np.float32)
    coefficients, prototypes = random.normal(size=(count, 32)), random.normal(size=(32, *shape))
    return scores, boxes, coefficients.astype(np.float32), prototypes.astype(np.float32), view


def test_what_is_kept_and_its_order_are_opencvs(find: Find) -> None:
    random = np.random.default_rng(0)
    suppressed = 0
    for number in range(150):
        scores, boxes, coefficients, prototypes, view = scene(random, int(random.integers(1, 1025 if number < 10 else 200)))
        confidence, iou = float(random.choice([0.0, 0.25, 0.5])), float(random.choice([0.3, 0.5, 0.7]))
        outcome = find(scores, boxes, coefficients, prototypes, view, confidence, iou)
        wanted = reference.kept(scores, boxes, confidence, iou)
        assert outcome.kept["candidate"].tolist() == wanted
        suppressed += int(outcome.found["candidates"]) - len(wanted)
    assert suppressed > 500


@pytest.mark.parametrize("iou", [0.0, 0.5, 1.0])
def test_ties_stay_in_the_order_of_their_rows(find: Find, iou: float) -> None:
    boxes = np.array([[10, 10, 50, 50], [10, 10, 50, 50], [30, 10, 70, 50], [10, 10, 10, 10], [10, 10, 10, 10]], np.float32)
    scores = np.full(5, 0.5, np.float32)
    empty = np.zeros((5, 32), np.float32), np.zeros((32, 40, 40), np.float32)
    outcome = find(scores, boxes, *empty, View(1.0, 1.0, 160, 160), 0.25, iou)
    assert outcome.kept["candidate"].tolist() == reference.kept(scores, boxes, 0.25, iou)


def test_masks_are_numpys_bit_for_bit(find: Find) -> None:
    random = np.random.default_rng(1)
    pixels = 0
    for _ in range(40):
        scores, boxes, coefficients, prototypes, view = scene(random, 60)
        outcome = find(scores, boxes, coefficients, prototypes, view)
        for index, one in enumerate(outcome.kept):
            place, under = reference.placed(boxes[one["candidate"]], view, *prototypes.shape[1:])
            assert one["place"].tolist() == place
            if place[2] <= place[0] or place[3] <= place[1]:
                continue
            assert one["under"].tolist() == under
            cells = reference.logits(coefficients[one["candidate"]], prototypes, under)
            assert np.array_equal(outcome.logits[one["cell"] : one["cell"] + cells.size], cells.reshape(-1))
            wanted = reference.enlarged(cells, place, under, view) > 0
            assert np.array_equal(outcome.masks.mask(index), wanted)
            pixels += wanted.size
    assert pixels > 300_000


def test_masks_are_the_hosts_on_the_shipped_images(find: Find) -> None:
    """The host's product of 32 terms adds up in an order of its library's, so a logit of almost 0 may fall on either side."""
    differing = pixels = 0
    with OnnxSession(BUILTIN_FOLDER / "segmenter.onnx") as network:
        for micrograph in sample_micrographs()[:2]:
            grey = micrograph.grey
            crop = letterbox(grey.shape, 640)
            seen = SegmentView(grey, crop, (-(-crop.rows // 32) * 32, -(-crop.columns // 32) * 32), whole=True)
            outputs = {name: array[0] for name, array in network.run(seen.canvas[None, None]).items()}
            view = View(seen.scale_x, seen.scale_y, seen.width_px, seen.height_px)
            given = [outputs[name] for name in ("scores", "boxes", "coefficients", "prototypes")]
            outcome = find(*given, view, 0.3)
            assert outcome.kept["candidate"].tolist() == reference.kept(outputs["scores"], outputs["boxes"], 0.3, 0.7)
            assert len(outcome.kept) > 5
            made = [outcome.masks.mask(index) for index in range(len(outcome.kept))]
            wanted = hosts_masks(outputs, seen)
            for one, other in zip([mask for mask in made if mask.size], wanted, strict=True):
                differing += int(np.count_nonzero(one != other))
                pixels += other.size
    print(f"{differing} of {pixels} pixels of masks differ")
    assert differing <= 1e-5 * pixels


def hosts_masks(outputs: dict[str, Any], view: SegmentView) -> list[NDArray[np.bool_]]:
    """The host's own masks in their boxes, before the largest piece of each is taken."""
    made: list[NDArray[np.bool_]] = []

    def remember(mask: NDArray[np.uint8]) -> None:
        made.append(mask > 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.inspection.segment.largest_piece", remember)
        decode(outputs, view, 0, view.grey.shape, 0.3, 0.7)
    return made


@pytest.mark.parametrize("where", ["scores", "boxes", "coefficients", "prototypes"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_used_and_is_not_a_number_is_told(find: Find, where: str, value: float) -> None:
    names = ("scores", "boxes", "coefficients", "prototypes")
    arrays = dict(zip(names, scene(np.random.default_rng(2), 50)[:4], strict=True))
    view = View(1.0, 1.0, 320, 320)
    arrays["scores"][0], arrays["boxes"][0] = 0.9, (5, 5, 60, 60)
    assert not find(*arrays.values(), view).found["broken"]
    arrays[where][(0,) if where == "scores" else (0, 0) if where != "prototypes" else (3, 4, 4)] = value
    assert find(*arrays.values(), view).found["broken"]


def test_more_masks_than_there_is_room_for_are_told_and_nothing_is_written(find: Find) -> None:
    scores, boxes, coefficients, prototypes, view = scene(np.random.default_rng(3), 60)
    wanted = find(scores, boxes, coefficients, prototypes, view)
    full = find(scores, boxes, coefficients, prototypes, view, most_words=int(wanted.found["words"]) - 1)
    assert full.full
    assert full.found["words"] == wanted.found["words"]
    assert not full.bits.any()
    assert not find(scores, boxes, coefficients, prototypes, view, most_words=int(wanted.found["words"])).full


def test_no_candidate_gives_no_mask(find: Find) -> None:
    scores, boxes, coefficients, prototypes, view = scene(np.random.default_rng(4), 60)
    outcome = find(scores * 0, boxes, coefficients, prototypes, view)
    assert (outcome.found["candidates"], outcome.found["kept"], outcome.found["words"], outcome.full) == (0, 0, 0, False)


def test_the_crops_scale_is_the_one_that_the_host_uses() -> None:
    crop = Crop(0, 0, 1000, 700, 640, 448)
    view = SegmentView(np.zeros((700, 1000), np.uint8), crop, (448, 640), whole=True)
    assert (view.scale_x, view.scale_y) == (crop.columns / crop.width_px, crop.rows / crop.height_px)
