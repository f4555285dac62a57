"""Pictures of a page show regions and a scale bar at the size that is seen, and a file that is none gives none."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.report.pictures import in_order, pixel_um, shown, width_for
from edge.report.reading import Document, _document
from tests.report.documents import inspection, picture


def pixels(address: str) -> Any:
    return cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)


def large(folder: Path, **image: Any) -> Document:
    """An image of 1000 × 900 px with a data bar of 100, its grey overlay and one square region."""
    said = inspection()
    said["image"] |= {"width_px": 1000, "height_px": 900, "databar_px": 100, "field_um2": 8000.0, **image}
    path = folder / "large.png"
    cv2.imwrite(str(path), np.full((860, 1000, 3), 90, np.uint8))
    corners = np.array([[400, 400], [800, 400], [800, 600], [400, 600]], np.float32)
    return Document(said, path, (), ((corners,),))


def test_an_overlay_and_its_heat_map_are_embedded(tmp_path: Path) -> None:
    drawn = shown(Document(inspection(), picture(tmp_path)), 100)
    assert drawn is not None
    assert all(address.startswith("data:image/webp;base64,") for address in (drawn.picture, drawn.heat or ""))
    assert pixels(drawn.picture).shape == (80, 100, 3)  # neither the strip below nor what widens it
    assert pixels(drawn.heat or "").shape == (40, 50, 3)


def test_regions_are_outlined_where_they_are_in_the_shrunken_picture(tmp_path: Path) -> None:
    drawn = shown(large(tmp_path), 500)
    assert drawn is not None
    coloured = np.ptp(pixels(drawn.picture).astype(int), axis=2) > 25
    assert coloured[198:203, 210:390].any(axis=0).mean() > 0.95  # its upper side
    assert not coloured[215:285, 215:385].any()  # its inside


@pytest.mark.parametrize("width", [300, 500, 1000])
def test_the_scale_bar_is_as_long_as_it_says(tmp_path: Path, width: int) -> None:
    drawn = shown(large(tmp_path), width)  # 0.1 µm a stored pixel: 100 µm wide
    assert drawn is not None
    bar = pixels(drawn.picture)[-8].mean(axis=1)[: width // 2] > 170
    assert "The scale bar is 20 µm long" in drawn.says
    assert np.count_nonzero(bar) == pytest.approx(0.2 * width, abs=3)


def test_what_a_picture_shows_is_said_in_words(tmp_path: Path) -> None:
    drawn = shown(large(tmp_path), 500)
    assert drawn is not None
    assert drawn.says.startswith("Micrograph AN_60_7days_001.tif, 100 × 80 µm: 1 region outlined, 5.00% of the area.")
    assert drawn.heat_says.endswith("bright where the image speaks for moderate, most of all at the middle right.")


def test_without_a_scale_there_is_no_bar(tmp_path: Path) -> None:
    bare = large(tmp_path, field_um2=None)  # a tilted specimen keeps its pixel_size_nm
    drawn = shown(bare, 500)
    assert drawn is not None
    assert "The scale is unknown." in drawn.says
    assert pixels(drawn.picture)[-30:, :200].max() < 120
    assert pixel_um(bare.said["image"]) is None


def test_no_picture_and_no_heat_map(tmp_path: Path) -> None:
    for cam in ([], None, [[0.1], [0.2, 0.3]], [[float("nan")]]):
        said = inspection()
        said["severity"]["cam"] = cam
        drawn = shown(Document(said, picture(tmp_path)), 100)
        assert drawn is not None
        assert drawn.heat is None
    (tmp_path / "garbage").write_bytes(b"garbage")
    assert shown(Document(said, tmp_path / "garbage"), 100) is None
    (tmp_path / "garbage").write_bytes(b"")
    assert shown(Document(said, tmp_path / "garbage"), 100) is None
    assert shown(Document(said, tmp_path / "gone"), 100) is None


def test_many_pictures_come_in_order_and_a_few_at_a_time(tmp_path: Path) -> None:
    path, drawn = picture(tmp_path), 0

    def documents() -> Any:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield Document(inspection(f"{number}.tif", number=number), path)

    for place, (document, found) in enumerate(in_order(documents(), "all", 64)):
        assert document.said["image"]["path"] == f"{place}.tif"
        assert found is not None
        assert drawn - place < 30
    assert all(found is None for _, found in in_order(documents(), "none", 64))


def test_many_pictures_are_narrower() -> None:
    assert [width_for(number) for number in (0, 1, 100, 400, 10_000)] == [900, 900, 900, 450, 400]


def test_outlines_are_kept_apart_and_garbage_is_none() -> None:
    said = inspection()
    said["regions"][0] |= {"outline_px": [[1, 2], [3, 4], [5, 6]], "holes_px": [[[2, 2], [2, 3], [3, 3]]]}
    said["regions"] += [{"box_px": [0, 0, 1, 1], "outline_px": odd, "holes_px": None} for odd in ([[1], [2, 3]], 3, [[1e9, 2]])]
    document = _document(json.dumps(said).encode())
    assert isinstance(document, Document)
    assert [len(rings) for rings in document.outlines] == [2, 0, 0, 0]
    assert "outline_px" not in document.said["regions"][0]
