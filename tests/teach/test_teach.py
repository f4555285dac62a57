"""Reviews and images to an adaptation: where the files are found, and that page and model are those reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import InspectionSettings, change
from edge.errors import ConfigError, ModelError, ReviewError
from edge.inspection.pipeline import Pipeline
from edge.inspection.taught_file import encode
from edge.teach.reviews import read_reviews
from edge.teach.severity import parse_classes
from edge.teach.teach import teach
from tests.conftest import SOURCE, micrograph
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


def test_severities_that_reviewers_gave_judge_other_fields_and_limits_go_before_them(tmp_path: Path) -> None:
    lines = []
    for seed in range(8):
        dark = 30 if seed % 2 else 2
        name = f"{seed}.png"
        sha256 = write_image(tmp_path / "images", name, spotted(seed, dark)[0])
        lines.append(review(name, sha256, severity={"verdict": "full" if seed % 2 else "bare"}))
    reviews = read_reviews(write_reviews(tmp_path / "r.jsonl", *lines))
    lesson = teach(reviews, tmp_path / "images", InspectionSettings(), parse_classes("bare,full=severe"))
    assert lesson.file is not None, lesson.told
    assert lesson.how == "by leaving images out"
    assert lesson.after["severity"]["accuracy"] > lesson.before["severity"]["accuracy"]
    assert None not in (lesson.file.segmenter, lesson.file.classifier)
    assert not lesson.file.provisional
    path = tmp_path / "plant.json"
    path.write_bytes(encode(lesson.file))
    settings = change(InspectionSettings(), {"models": {"taught": str(path)}})
    other = micrograph(spotted(21, 30)[0])
    with Pipeline(settings) as pipeline:
        first, again = pipeline.inspect(other, SOURCE), pipeline.inspect(other, SOURCE)
    assert first.severity is not None
    assert again.severity is not None
    assert first.severity.source == "taught"
    assert first.severity.network is not None
    assert first.severity.probabilities == again.severity.probabilities
    assert (first.severity.own_class, first.severity.label) == ("full", "severe") or first.severity.abstained
    assert first.models.taught_sha256 is not None
    assert (first.regions.scores >= settings.inspect.confidence).all()
    limits = change(settings, {"severity": {"rule": "limits", "severe": {"area_fraction": 0.9}}})
    with Pipeline(limits) as pipeline:
        severity = pipeline.inspect(other, SOURCE).severity
    assert severity is not None
    assert (severity.source, severity.label, severity.own_class) == ("limits", "low", None)
    with pytest.raises(ModelError, match="confidence"):
        Pipeline(change(settings, {"inspect": {"confidence": 0.6}}))


def test_severities_need_stage_2(tmp_path: Path) -> None:
    sha256 = write_image(tmp_path / "images", "a.png", spotted(1)[0])
    file = write_reviews(tmp_path / "r.jsonl", review("a.png", sha256, severity={"verdict": "low"}))
    lesson = teach(read_reviews(file), tmp_path / "images", change(InspectionSettings(), {"inspect": {"stages": "segment"}}))
    assert lesson.file is None
    assert any("leaves out the network" in one for one in lesson.told)
