"""Finding a burnt-in data bar, and above all not finding one that is not there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.sem import databar, read
from tests.sem.making import SHARED, bar, encoded, specimen


def burnt(height: int = 480, width: int = 640, rows: int = 36, **options: object) -> np.ndarray:
    image = specimen(height, width)
    image[height - rows :] = bar(rows, width, **options)  # type: ignore[arg-type]
    return image


@pytest.mark.parametrize("rows", [20, 28, 36, 60, 96])
@pytest.mark.parametrize(("background", "ink"), [(0, 255), (255, 0), (48, 230), (128, 255)])
@pytest.mark.parametrize("frame", [False, True])
def test_a_bar_is_found_at_its_row(rows: int, background: int, ink: int, frame: bool) -> None:
    assert databar.find(burnt(rows=rows, background=background, ink=ink, frame=frame)) == rows


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_a_bar_is_found_in_deeper_images(dtype: str) -> None:
    assert databar.find(burnt().astype(dtype) * 3) == 36


def test_a_bar_is_found_in_a_float_image_with_nan() -> None:
    image = burnt().astype(np.float32) / 255
    image[100, 100] = np.nan
    assert databar.find(image) == 36


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_bar_is_found_to_the_row_or_a_little_above_after_jpeg(quality: int) -> None:
    (micrograph,) = read(encoded(burnt(), ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality), "a.jpg")
    assert 35 <= micrograph.databar_px <= 39


@pytest.mark.parametrize("scale", [0.75, 1.5])
def test_a_bar_is_found_to_the_row_or_a_little_above_after_resizing(scale: float) -> None:
    image = cv2.resize(burnt(960, 1280, 72), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    assert 72 * scale - 1 <= databar.find(image) <= 72 * scale + 3


def test_a_black_bar_below_a_dark_image_is_found() -> None:
    image = (specimen(480, 640) // 8).astype(np.uint8)
    image[444:] = bar(36, 640)
    assert databar.find(image) == 36


def test_a_grey_bar_below_vacuum_is_found() -> None:
    image = specimen(480, 640)
    image[300:] = 0
    image[444:] = bar(36, 640, background=48)
    assert databar.find(image) == 36


@pytest.mark.parametrize("background", [0, 255])
def test_a_bar_with_a_scale_and_a_short_word_is_found(background: int) -> None:
    image = specimen(480, 640)
    image[448:] = background
    cv2.putText(image, "10 um", (500, 470), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255 - background, 1, cv2.LINE_AA)
    cv2.line(image, (400, 464), (480, 464), 255 - background, 2)
    assert databar.find(image) == 32


def ticks() -> np.ndarray:
    """A bar whose scale is eleven separate ticks."""
    image = specimen(480, 640)
    image[448:] = bar(32, 640)
    image[448:, 540:] = 0
    image[455:465, 548:640:8] = 255
    return image


def test_a_bar_with_a_scale_of_ticks_is_found() -> None:
    assert databar.find(ticks()) == 32


def hanging(what: str, rows: int = 48, frame: bool = False) -> np.ndarray:
    """A bar of 48 rows with something that touches its upper border."""
    image = burnt(rows=rows, frame=frame)
    drawn = image[480 - rows :]
    if what == "ruler":
        drawn[:9, 400:560:16] = 255
    elif what == "long ruler":
        drawn[:24, 400:601:20] = 255
        drawn[:24, 401:602:20] = 255
    elif what == "logo":
        drawn[: rows - 2, 580:632] = 200
    elif what == "letters":
        drawn[:] = 0
        cv2.putText(drawn, "10 um 15.0kV X1,000 WD 8.2mm SE 12:30", (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    return image


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("what", ["ruler", "long ruler", "logo", "letters"])
@pytest.mark.parametrize("dark_on_bright", [False, True])
def test_a_bar_is_cut_whole_whatever_hangs_from_its_upper_border(what: str, frame: bool, dark_on_bright: bool) -> None:
    image = hanging(what, frame=frame)
    assert databar.find(255 - image if dark_on_bright else image) == 48


@pytest.mark.parametrize("what", ["ruler", "long ruler", "logo"])
def test_what_hangs_from_the_border_is_cut_after_jpeg_and_resizing_too(what: str) -> None:
    image = hanging(what, frame=True)
    (micrograph,) = read(encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 85), "a.jpg")
    assert 48 <= micrograph.databar_px <= 51
    small = cv2.resize(image, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    assert 36 <= databar.find(small) <= 39


def beside_a_logo(part: float, side: str, hangs: bool) -> np.ndarray:
    """A bar of 48 rows that a logo fills to `part` of the width."""
    image, wide = specimen(480, 640), round(part * 640)
    image[432:] = 0
    text = bar(48, 640 - wide)
    text[:, -100:] = 0  # half a letter at the edge
    logo = np.full((48 if hangs else 44, wide), 255, np.uint8)
    cv2.putText(logo, "ZENITH", (12, 34), cv2.FONT_HERSHEY_DUPLEX, 1, 0, 2, cv2.LINE_AA)
    first = 0 if hangs else 2
    image[432:, wide if side == "left" else 0 :][:, : 640 - wide] = text
    image[432 + first : 432 + first + len(logo), 0 if side == "left" else 640 - wide :][:, :wide] = logo
    return image


@pytest.mark.parametrize("part", [0.27, 0.35, 0.5])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("dark_on_bright", [False, True])
def test_a_bar_is_found_beside_a_wide_logo(part: float, side: str, hangs: bool, dark_on_bright: bool) -> None:
    image = beside_a_logo(part, side, hangs)
    assert databar.find(255 - image if dark_on_bright else image) == 48


def test_letters_in_one_half_of_a_specimen_make_no_bar() -> None:
    image = beside_a_logo(0.4, "right", hangs=False)
    image[:, 384:] = specimen(480, 640)[:, 384:]
    assert databar.find(image) == 0


@pytest.mark.parametrize(("background", "ink"), [(0, 255), (255, 0)])
def test_a_bar_full_of_thick_letters_is_found(background: int, ink: int) -> None:
    image = specimen(480, 640)
    image[440:] = background
    cv2.putText(image, "MAGHVWDDETHFWCURRDWELLMODE", (2, 470), cv2.FONT_HERSHEY_SIMPLEX, 1.05, ink, 6, cv2.LINE_8)
    rows = databar.find(image)
    assert rows == 40


def dark_bottom() -> np.ndarray:
    image = specimen(480, 640)
    image[420:] = 0
    return image


def dark_bottom_with_specks() -> np.ndarray:
    image = dark_bottom()
    rng = np.random.default_rng(3)
    image[420:][rng.random((60, 640)) < 0.01] = 255
    return image


def fading_bottom() -> np.ndarray:
    image = specimen(480, 640).astype(float)
    image[300:] *= np.linspace(1, 0, 180)[:, None]
    return image.astype(np.uint8)


def shiny_edge() -> np.ndarray:
    image = specimen(480, 640)
    image[400:404] = 255
    image[404:] = np.random.default_rng(0).integers(0, 6, (76, 640))
    return image


def resin_with_particles() -> np.ndarray:
    image = specimen(480, 640)
    image[400:] = 12
    rng = np.random.default_rng(5)
    for _ in range(25):
        centre = (int(rng.integers(640)), int(rng.integers(408, 474)))
        cv2.ellipse(image, centre, (int(rng.integers(3, 14)), int(rng.integers(3, 9))), 0, 0, 360, 220, -1)
    return image


def dead_rows() -> np.ndarray:
    image = specimen(480, 640)
    image[470:] = 255
    return image


def text_on_the_image() -> np.ndarray:
    image = specimen(480, 640)
    cv2.putText(image, "10 um  15 kV  x1000", (8, 470), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 1, cv2.LINE_AA)
    return image


@pytest.mark.parametrize(
    "make",
    [
        specimen,
        lambda: specimen(1024, 1024, 7),
        dark_bottom,
        dark_bottom_with_specks,
        fading_bottom,
        shiny_edge,
        resin_with_particles,
        dead_rows,
        text_on_the_image,
        lambda: np.zeros((480, 640), np.uint8),
        lambda: np.full((480, 640), 255, np.uint8),
        lambda: np.tile(np.arange(640, dtype=np.uint16) % 256, (480, 1)).astype(np.uint8),
        lambda: (np.indices((480, 640)).sum(axis=0) // 16 % 2 * 255).astype(np.uint8),
        lambda: np.full((3, 5), 7, np.uint8),
    ],
)
def test_a_bar_that_is_not_there_is_not_cut(make: object) -> None:
    assert databar.find(make()) == 0  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(8))
def test_pits_in_a_flat_matrix_are_no_text(seed: int) -> None:
    """Drawn without noise, as an over-processed export looks."""
    rng = np.random.default_rng(seed)
    image = np.full((512, 512), 90, np.uint8)
    image[:380] = specimen(380, 512)
    for _ in range(40):
        cv2.circle(image, (int(rng.integers(512)), int(rng.integers(385, 505))), int(rng.integers(2, 9)), 15, -1)
    assert databar.find(image) == 0


def test_black_rows_are_reported_not_cut() -> None:
    image = specimen(480, 640)
    image[443:] = 0
    (micrograph,) = read(encoded(image, ".png"), "a.png")
    assert micrograph.databar_px == 0
    assert any(warning.startswith("zero_rows: rows 443 to 479 are") for warning in micrograph.warnings)


def test_real_images_without_a_bar_keep_all_their_rows() -> None:
    files = sorted((SHARED / "ebc_oxide" / "images").glob("*")) if SHARED.is_dir() else []
    if not files:
        pytest.skip("the real files are not beside this checkout")
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        views = (
            image,
            image[::-1],
            image.T,
            255 - image,
            image // 16 * 16,
            np.clip(image.astype(int) * 2, 0, 255),
            image[:700],
        )
        for view in views:
            assert databar.find(np.ascontiguousarray(view, np.uint8)) == 0, file.name
