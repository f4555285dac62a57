"""Reviews and images to an adaptation: where the files are found, and that page and model are those reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import InspectionSettings
from edge.errors import ConfigError, ReviewError
from edge.teach.reviews import read_reviews
from edge.teach.teach import teach
from tests.teach.making import brushed, review, spotted, write_image, write_reviews


def test_an_image_is_found_by_its_hash_wherever_it_lies_and_under_its_hash_as_name(tmp_path: Path) -> None:
    grey, spots = spotted(1)
    sha256 = write_image(tmp_path / "images" / "below", "a.png", grey)
    (tmp_path / "images" / "below" / "a.png").rename(tmp_path / "images" / "below" / f"{sha256}.png")
    file = write_reviews(tmp_path / "r.jsonl", review("a.png", sha256, brushed=brushed(spots)))
    lesson = teach(read_reviews(file), tmp_path / "images", InspectionSettings())
    assert "pixels" in lesson.after


def test_a_changed_a_missing_image_and_a_missing_page_are_told_apart(tmp_path: Path) -> None:
    grey, spots = spotted(1)
    sha256 = write_image(tmp_path / "images", "a.png", grey)
    file = write_reviews(tmp_path / "r.jsonl", review("a.png", sha256, brushed=brushed(spots)))
    reviews = read_reviews(file)
    with pytest.raises(ConfigError, match="no folder"):
        teach(reviews, tmp_path / "none", InspectionSettings())
    write_image(tmp_path / "images", "a.png", grey[::-1].copy())
    with pytest.raises(ReviewError, match="hash differs"):
        teach(reviews, tmp_path / "images", InspectionSettings())
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(ReviewError, match="not in"):
        teach(reviews, tmp_path / "images", InspectionSettings())
