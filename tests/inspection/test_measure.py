"""Areas, diameters and outlines of shapes whose measures are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import sem
from edge.errors import ImageError
from edge.inspection.measure import counted_regions, measure, quality
from edge.records import Grey, Mask, Regions, code_of
from edge.samples import sample_micrographs
from tests.conftest import pitted

REAL_FOLDERS = ("microscopes", "ebc_oxide/images", "real_masks/superalloy", "real_masks/nanocomposite", "real_masks/clean")

ZEROED = ("dataZeroed", "scios_xml_metadata", "scios_multiple_gis")
"""Parts of the names of real files whose pixels were made empty, or nearly, before they were published."""


def regions(*placed: tuple[int, int, Mask]) -> Regions:
    boxes = np.array([[x, y, mask.shape[1], mask.shape[0]] for x, y, mask in placed], np.int32).reshape(-1, 4)
    n = len(placed)
    return Regions(boxes, np.ones(n, np.float32), np.zeros(n, np.int32), tuple(mask for _, _, mask in placed), ("pit",))


def disc(radius: int) -> Mask:
    canvas = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    cv2.circle(canvas, (radius, radius), radius, 1, -1)
    return canvas.astype(bool)


def test_a_disc_has_its_own_diameter_and_is_round() -> None:
    found = measure(regions((10, 10, disc(40))), (200, 200))
    assert found.equivalent_diameter_px[0] == pytest.approx(80, rel=0.01)
    assert found.circularity[0] == pytest.approx(1, abs=0.03)


def test_a_long_bar_is_not_round() -> None:
    found = measure(regions((5, 5, np.ones((4, 120), bool))), (200, 200))
    assert found.circularity[0] < 0.2


def test_a_single_pixel_is_measured() -> None:
    found = measure(regions((7, 9, np.ones((1, 1), bool))), (20, 20))
    assert found.area_px[0] == 1
    assert found.outlines_px[0].tolist() == [[7, 9]]
    assert 0 < found.circularity[0] <= 1


def test_the_area_fraction_counts_shared_pixels_once() -> None:
    square = np.ones((10, 10), bool)
    found = measure(regions((0, 0, square), (5, 0, square)), (20, 20))
    assert found.union_px == 150
    assert found.area_fraction == 150 / 400


def test_a_hole_is_told_and_not_counted() -> None:
    ring = np.ones((30, 30), bool)
    ring[10:20, 10:20] = False
    found = measure(regions((3, 4, ring)), (50, 50))
    assert found.area_px[0] == 800
    assert len(found.holes_px[0]) == 1
    assert found.holes_px[0][0].min(axis=0).tolist() >= [12, 13]


def test_the_outline_drawn_again_is_the_mask() -> None:
    random = np.random.default_rng(3)
    blob = cv2.GaussianBlur(random.random((80, 80)), (0, 0), 6) > 0.5
    _, labels, stats, _ = cv2.connectedComponentsWithStats(blob.astype(np.uint8))
    label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, w, h = stats[label, :4]
    mask = labels[y : y + h, x : x + w] == label
    found = measure(regions((int(x), int(y), mask)), (80, 80))
    drawn = np.zeros((80, 80), np.uint8)
    cv2.fillPoly(drawn, [found.outlines_px[0], *found.holes_px[0]], 1)
    full = np.zeros((80, 80), bool)
    full[y : y + h, x : x + w] = mask
    either = np.count_nonzero(full | (drawn > 0))
    assert np.count_nonzero(full & (drawn > 0)) / either > 0.97


@pytest.mark.parametrize("angle", [0, 15, 30, 45, 60])
def test_a_square_is_as_round_as_a_square_at_any_angle(angle: float) -> None:
    canvas = np.zeros((301, 301), np.uint8)
    corners = cv2.boxPoints(((150, 150), (180, 180), angle))
    cv2.fillPoly(canvas, [np.rint(corners * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    x, y, w, h = cv2.boundingRect(canvas)
    found = measure(regions((x, y, canvas[y : y + h, x : x + w] > 0)), (301, 301))
    assert found.circularity[0] == pytest.approx(np.pi / 4, rel=0.05)


def walked(steps: list[tuple[int, int]]) -> Mask:
    """A connected mask: the pixels on a walk of king's moves."""
    points = np.cumsum([(0, 0), *steps], axis=0)
    points -= points.min(axis=0)
    mask = np.zeros(points.max(axis=0) + 1, np.bool_)
    mask[tuple(points.T)] = True
    return mask


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), max_size=60))
def test_any_connected_mask_has_measures_in_range_and_an_outline_inside_its_box(steps: list[tuple[int, int]]) -> None:
    mask = walked(steps)
    found = measure(regions((3, 5, mask)), (100, 100))
    assert found.area_px[0] == np.count_nonzero(mask)
    assert 0 < found.circularity[0] <= 1
    rings = np.vstack([found.outlines_px[0], *found.holes_px[0]])
    assert (rings >= [3, 5]).all()
    assert (rings < [3 + mask.shape[1], 5 + mask.shape[0]]).all()
    drawn = np.zeros((100, 100), np.uint8)
    cv2.fillPoly(drawn, [found.outlines_px[0]], 1)
    thick = cv2.dilate(drawn, np.ones((3, 3), np.uint8))[5 : 5 + mask.shape[0], 3 : 3 + mask.shape[1]]
    assert thick[mask].all()


def test_touching_the_edge_is_told_for_all_four_edges() -> None:
    square = np.ones((5, 5), bool)
    found = measure(regions((0, 8, square), (8, 0, square), (15, 8, square), (8, 15, square), (8, 8, square)), (20, 20))
    assert found.touches_edge.tolist() == [True, True, True, True, False]


def test_no_region_gives_empty_measures() -> None:
    found = measure(regions(), (20, 20))
    assert found.area_fraction == 0
    assert len(found.area_px) == 0


def test_a_flat_image_is_called_flat_and_a_pitted_one_is_not() -> None:
    assert any(warning.startswith("flat:") for warning in quality(np.full((50, 50), 90, np.uint8), 0, None, ()).warnings)
    assert quality(pitted(), 0.0, None, ()).warnings == ()


def test_a_blurred_image_is_called_blurred() -> None:
    rows, columns = np.mgrid[0:480, 0:640]
    blurred = (128 + 80 * np.sin(rows / 60) * np.cos(columns / 75)).astype(np.uint8)
    assert any(warning.startswith("blurred:") for warning in quality(blurred, 0, None, ()).warnings)


def test_each_region_of_a_plane_is_counted_in_one_field_alone() -> None:
    """Fields that cover a plane, each sharing one row and one column of pixels with the next, count every disc once."""
    random = np.random.default_rng(5)
    plane = np.zeros((601, 601), np.uint8)
    discs = 0
    while discs < 60:
        x, y, radius = (int(value) for value in (random.integers(40, 560), random.integers(40, 560), random.integers(4, 22)))
        if not plane[y - radius - 2 : y + radius + 3, x - radius - 2 : x + radius + 3].any():
            cv2.circle(plane, (x, y), radius, 1, -1)
            discs += 1
    counted = found = 0
    for top in range(0, 600, 100):
        for left in range(0, 600, 100):
            field = plane[top : top + 101, left : left + 101]
            measures = measure(regions(*pieces(field)), field.shape)
            counted += int(np.count_nonzero(measures.in_frame))
            found += len(measures.in_frame)
    assert counted == discs
    assert found > discs


def pieces(field: Grey) -> Iterator[tuple[int, int, Mask]]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(field)
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label, :4])
        yield x, y, labels[y : y + height, x : x + width] == label


def test_classes_are_measured_apart_and_one_that_was_not_found_is_zero() -> None:
    square = np.ones((10, 10), bool)
    two = regions((0, 0, square), (5, 5, square), (20, 20, square[:5]))
    one = Regions(two.boxes_px, two.scores, np.array([0, 0, 1], np.int32), two.masks, ("pit", "product", "attack"))
    found = measure(one, (50, 50)).by_class
    assert [(name, one.count, one.counted, one.largest_px) for name, one in found.items()] == [
        ("pit", 2, 1, 100),
        ("product", 1, 1, 50),
        ("attack", 0, 0, None),
    ]
    assert [one.area_fraction for one in found.values()] == [175 / 2500, 50 / 2500, 0]


def test_regions_too_small_to_count_are_left_out_and_counted() -> None:
    whole = regions((10, 10, disc(20)), (80, 80, disc(3)), (120, 90, disc(2)))
    kept = counted_regions(whole, 6.0)
    assert (len(kept), kept.below) == (2, 1)
    assert kept.boxes_px.tolist() == whole.boxes_px[:2].tolist()
    assert counted_regions(whole, 0.0) is whole
    assert (len(counted_regions(whole, 1e4)), counted_regions(whole, 1e4).below) == (0, 3)


ROWS, COLUMNS = np.mgrid[0:480, 0:640].astype(float)

SPARSE = np.random.default_rng(0).random((480, 640))

NOISE = np.random.default_rng(1).integers(0, 256, (480, 640))

EMPTY = {
    "black": np.zeros((480, 640)),
    "white": np.full((480, 640), 255),
    "one grey": np.full((480, 640), 117),
    "two greys": SPARSE > 0.5,
    "two halves": np.where(COLUMNS > 320, 200, 50),
    "two greys far apart": 255 * (SPARSE > 0.7),
    "three greys of noise": 60 + SPARSE * 3,
    "faint noise alone": 120 + np.random.default_rng(2).normal(0, 2.5, (480, 640)),
    "a beam that is off": np.abs(np.random.default_rng(3).normal(0, 3, (480, 640))),
    "specks on black": np.where(SPARSE < 0.01, 255, 3 * (SPARSE > 0.8)),
    "99.9 % saturated": np.where(SPARSE < 0.001, NOISE, 255),
    "97 % black": np.where(SPARSE < 0.03, NOISE, 0),
    "one small square": np.where((abs(COLUMNS - 300) < 15) & (abs(ROWS - 200) < 15), 200, 0),
    "gradient across": COLUMNS / 639 * 255,
    "gradient down": ROWS / 479 * 200,
    "gradient askew": (ROWS + COLUMNS) / 1118 * 255,
    "weak gradient": 100 + COLUMNS / 64,
    "shading": 255 * np.exp(-((COLUMNS - 320) ** 2 + (ROWS - 240) ** 2) / 2 / 200**2),
    "rings of shading": np.hypot(COLUMNS - 320, ROWS - 240) / 400 * 255,
    "a wave": 128 + 100 * np.sin(COLUMNS / 102) * np.cos(ROWS / 76),
}


def codes(grey: Grey) -> set[str]:
    return {code_of(warning) for warning in quality(grey, 0.0, None, ()).warnings}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("enlarged", [1, 3])
def test_an_image_with_nothing_to_see_has_no_contrast(name: str, enlarged: int) -> None:
    grey = np.clip(np.rint(EMPTY[name].astype(float)), 0, 255).astype(np.uint8)
    assert "no_contrast" in codes(np.ascontiguousarray(grey.repeat(enlarged, 0).repeat(enlarged, 1)))


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (40, 30), (2000, 3)])
def test_an_empty_image_of_any_size_has_no_contrast(shape: tuple[int, int]) -> None:
    assert "no_contrast" in codes(np.full(shape, 9, np.uint8))


@pytest.mark.parametrize("kind", ["gradient askew", "shading", "gradient across"])
@pytest.mark.parametrize("quality_percent", [50, 75, 95])
def test_compression_is_no_contrast(kind: str, quality_percent: int) -> None:
    grey = np.clip(np.rint(EMPTY[kind]), 0, 255).astype(np.uint8)
    stored = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality_percent])[1]
    decoded = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None
    assert "no_contrast" in codes(np.asarray(decoded, np.uint8))


def test_a_surface_of_weak_contrast_is_no_empty_image() -> None:
    weak = 100 + (pitted().astype(float) - 100) * 0.25
    assert "no_contrast" not in codes(np.rint(weak).astype(np.uint8))
    resin = np.full((480, 640), 4, np.uint8)
    resin[:, :120] = pitted(120, 480)
    assert "no_contrast" not in codes(resin)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("pits", [2, 12])
def test_few_pits_in_smooth_metal_are_no_empty_image(sigma: float, pits: int) -> None:
    random = np.random.default_rng(4)
    grey = np.full((480, 640), 130.0)
    for _ in range(pits):
        cv2.circle(grey, (int(random.integers(40, 600)), int(random.integers(40, 440))), 14, 60.0, -1)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0) + random.normal(0, sigma, grey.shape)
    assert "no_contrast" not in codes(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def test_no_shipped_micrograph_is_called_empty() -> None:
    assert [one for one in sample_micrographs() if "no_contrast" in codes(one.grey)] == []


def test_no_real_micrograph_but_those_made_empty_is_called_empty(shared_data: Path) -> None:
    empty, seen = [], 0
    for path in sorted(path for folder in REAL_FOLDERS for path in (shared_data / folder).iterdir()):
        if path.suffix not in {".tif", ".png", ".jpg"} or "_mask" in path.name:
            continue
        try:
            pages = sem.read(path.read_bytes(), path.name)
        except ImageError:
            continue
        seen += 1
        empty += [path.name for page in pages if "no_contrast" in codes(page.grey)]
    assert seen > 70
    assert [name for name in empty if not any(part in name for part in ZEROED)] == []
    assert len(empty) == 4
