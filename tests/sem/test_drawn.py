"""Finding letters, rulers and frames that were drawn over a specimen, and above all not finding any that are not there."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge.sem import drawn, read
from tests.sem.making import SHARED, bar, encoded, specimen
from tests.sem.micrographs import one, warned

Drawing = Callable[[np.ndarray, int], None]


def letters(text: str, size: float = 1.0, thick: int = 2) -> Drawing:
    return lambda image, ink: cv2.putText(image, text, (60, 150), cv2.FONT_HERSHEY_SIMPLEX, size, ink, thick, cv2.LINE_AA)


def outlined(image: np.ndarray, ink: int) -> None:
    letters("Sample 7", 1.0, 6)(image, 255 - ink)
    letters("Sample 7", 1.0, 2)(image, ink)


def boxed(image: np.ndarray, ink: int) -> None:
    cv2.rectangle(image, (50, 110), (260, 165), 255 - ink, -1)
    letters("pit 31")(image, ink)


def shaded(image: np.ndarray, ink: int) -> None:
    image[110:165, 50:260] = image[110:165, 50:260] // 4 * 3 + (255 - ink) // 4
    letters("pit 31")(image, ink)


def ruler(image: np.ndarray, ink: int) -> None:
    cv2.rectangle(image, (60, 140), (220, 145), ink, -1)


def ruler_with_ends(image: np.ndarray, ink: int) -> None:
    ruler(image, ink)
    for x in (60, 218):
        cv2.rectangle(image, (x, 132), (x + 2, 153), ink, -1)


def ticks(image: np.ndarray, ink: int) -> None:
    for number in range(11):
        cv2.rectangle(image, (60 + 16 * number, 140), (61 + 16 * number, 154 if number % 5 == 0 else 148), ink, -1)


def arrow(image: np.ndarray, ink: int) -> None:
    cv2.arrowedLine(image, (60, 60), (200, 140), ink, 3, cv2.LINE_8, tipLength=0.25)


def circle(image: np.ndarray, ink: int) -> None:
    cv2.ellipse(image, (150, 150), (60, 45), 0, 0, 360, ink, 3)


def rectangle(image: np.ndarray, ink: int) -> None:
    cv2.rectangle(image, (60, 60), (260, 200), ink, 2)


def frame(image: np.ndarray, ink: int) -> None:
    cv2.rectangle(image, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), ink, 4)


DRAWINGS: dict[str, Drawing] = {
    "letters": letters("SE 15.0kV"), "small letters": letters("x1,000 10 um", 0.5, 1),
    "large letters": letters("AN120", 2.0, 5),
    "outlined letters": outlined, "a box": boxed, "a shaded box": shaded, "a ruler": ruler,
    "a ruler with ends": ruler_with_ends, "ticks": ticks, "an arrow": arrow, "a circle": circle, "a rectangle": rectangle,
    "a frame": frame,
}  # fmt: skip


def smooth(seed: int = 3) -> np.ndarray:
    """A specimen without letters' contrast: grey waves and noise."""
    rng = np.random.default_rng(seed)
    waves = cv2.resize(rng.normal(120, 14, (12, 16)).astype(np.float32), (512, 384), interpolation=cv2.INTER_CUBIC)
    return np.clip(waves + rng.normal(0, 5, waves.shape), 1, 254).astype(np.uint8)


def covered(image: np.ndarray, clean: np.ndarray) -> float:
    """Part of what was drawn that is found."""
    changed = cv2.absdiff(image, clean) > 56
    found = drawn.find(image)
    return 0.0 if found is None else float((found & changed).sum() / changed.sum())


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("drawing", DRAWINGS.values(), ids=DRAWINGS.keys())
def test_what_is_drawn_is_found(drawing: Drawing, ink: int) -> None:
    image = smooth()
    drawing(image, ink)
    assert covered(image, smooth()) >= 0.7


@pytest.mark.parametrize("quality", [60, 80, 95])
@pytest.mark.parametrize("name", ["letters", "large letters", "outlined letters", "a box", "a ruler", "ticks", "a frame"])
def test_what_is_drawn_is_found_after_jpeg(name: str, quality: int) -> None:
    image = smooth()
    DRAWINGS[name](image, 255)
    after = cv2.imdecode(np.frombuffer(encoded(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality), np.uint8), 0)
    assert covered(after, smooth()) >= 0.7


@pytest.mark.parametrize("ink", [30, 226])
def test_letters_of_any_grey_are_found(ink: int) -> None:
    image = smooth()
    letters("SE 15.0kV")(image, ink)
    assert covered(image, smooth()) >= 0.7


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 200, 0), (255, 255, 0)])
def test_few_coloured_pixels_are_drawn_whatever_they_are(colour: tuple[int, int, int]) -> None:
    image = np.dstack([smooth()] * 3)
    cv2.line(image, (40, 300), (300, 60), colour, 1)
    assert drawn.find(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), image) is not None


def test_a_picture_in_false_colours_is_no_drawing() -> None:
    image = np.dstack([smooth(), smooth() // 3, smooth() // 4])
    assert drawn.find(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), image) is None


def test_of_a_large_image_fewer_pixels_are_looked_at() -> None:
    image = cv2.resize(smooth(), (2560, 1920), interpolation=cv2.INTER_NEAREST)
    cv2.putText(image, "SE 15.0kV", (200, 400), cv2.FONT_HERSHEY_SIMPLEX, 4, 255, 8)
    found = drawn.find(image)
    assert found is not None
    assert found.shape == image.shape
    assert found[image == 255].mean() >= 0.7


@pytest.mark.parametrize("seed", range(6))
def test_a_specimen_with_pits_is_not_drawn(seed: int) -> None:
    assert drawn.find(specimen(seed=seed)) is None
    assert drawn.find(smooth(seed)) is None


def scratch(image: np.ndarray) -> None:
    cv2.line(image, (20, 50), (480, 130), 255, 2, cv2.LINE_AA)


def saturated_rims(image: np.ndarray) -> None:
    for number, x in enumerate(range(60, 460, 70)):
        centre, radius = (x, 200 + (37 * number) % 90), 20 + (5 * number) % 13
        cv2.circle(image, centre, radius, 20, -1)
        cv2.circle(image, centre, radius, 255, 3)


def lost_row(image: np.ndarray) -> None:
    image[200] = 0


def charged_row(image: np.ndarray) -> None:
    fade = np.clip(np.arange(300) * 2, 0, 255)
    image[100:102, 100:400] = np.maximum(image[100:102, 100:400], np.minimum(fade, fade[::-1]))


@pytest.mark.parametrize("feature", [scratch, saturated_rims, lost_row, charged_row])
def test_what_a_specimen_or_a_scan_has_of_itself_is_not_drawn(feature: Callable[[np.ndarray], None]) -> None:
    image = smooth()
    feature(image)
    assert drawn.find(image) is None


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8), np.zeros((1, 1), np.uint8)])
def test_a_blank_image_has_nothing_drawn_on_it(image: np.ndarray) -> None:
    assert drawn.find(image) is None


def test_the_reader_says_where_and_warns() -> None:
    image = smooth()
    letters("SE 15.0kV")(image, 255)
    micrograph = one(encoded(image, ".png"), "a.png")
    assert micrograph.drawn_px is not None
    assert micrograph.drawn_px[120:150, 60:200].mean() > 0.9
    assert not micrograph.drawn_px[250:].any()
    assert not micrograph.drawn_px.flags.writeable
    assert warned(micrograph, "text_on_image")


def test_the_letters_of_a_data_bar_are_none_on_the_specimen() -> None:
    micrograph = one(encoded(np.vstack([smooth(), bar(32)]), ".png"), "a.png")
    assert (micrograph.databar_px, micrograph.drawn_px, micrograph.warnings) == (32, None, ())


@pytest.mark.skipif(not SHARED.is_dir(), reason="further files of real microscopes: they are not part of the project")
def test_nothing_is_drawn_on_real_micrographs() -> None:
    paths = [
        path for folder in ("ebc_oxide", "real_masks") for path in (SHARED / folder).rglob("*.*") if "mask" not in path.name
    ]
    for path in paths:
        if path.suffix in (".png", ".jpg"):
            assert all(page.drawn_px is None for page in read(path.read_bytes(), path.name)), path.name
