"""The page needs nothing beside it and shows the worst images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.training.score.scored import make_folder, scored
from training.score.score_folder import FolderScore
from training.score.score_page import cell, page
from training.score.score_text import describe


@pytest.fixture(scope="module")
def score(tmp_path_factory: pytest.TempPathFactory) -> FolderScore:
    return scored(make_folder(tmp_path_factory.mktemp("page") / "mine & <yours>", 2), views=True)


def test_the_page_is_one_file_with_three_pictures_an_image(score: FolderScore) -> None:
    text = page(score.document, score.worst)
    assert text.count("data:image/jpeg;base64,") == 3 * 2
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "mine &amp; &lt;yours&gt;" in text
    for title in ("Area", "Regions", "Severity", "Under an operator&#x27;s other settings", "The worst images"):
        assert title.replace("&#x27;", "'") in text


def test_a_clean_folder_has_a_page_too(tmp_path: Path) -> None:
    score = scored(make_folder(tmp_path / "mine", 1, masks=False), clean=True, stages="segment")
    assert "false a field" in page(score.document, score.worst)
    assert "false a field" in describe(score.document)


def test_the_lines_for_people_say_what_is_asked_for_first(score: FolderScore) -> None:
    text = describe(score.document)
    for word in ("area IoU", "beside it", "bias", "recall", "severity", "other settings"):
        assert word in text


def test_a_number_that_is_not_defined_is_a_dash() -> None:
    assert cell({"value": None, "interval_95": None}) == "–"
    assert cell({"value": 0.5, "interval_95": [0.25, 0.75]}) == '<b>50.0</b> <span class="small">[25.0, 75.0]</span>'
