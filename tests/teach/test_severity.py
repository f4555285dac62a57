"""What reviewers said of fields: which words count, what is too little, how good it is, and when nothing is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import ConfigError, ReviewError
from edge.inspection.taught_severity import TaughtClass, by_taught
from edge.records import SEVERITIES
from edge.teach.reviews import FieldVerdict, Review, ReviewedImage
from edge.teach.severity import LabelledField, Learnt, fit_severity, parse_classes, verdicts_of
from tests.teach.fields_said import WITH, said, seen, spread, untaught

LIMITS = (1 / 3, 2 / 3)


def word(image: int, verdict: str | None, reviewer: str = "anna", number: int = 0) -> Review:
    severity = None if verdict is None else FieldVerdict(verdict)
    about = ReviewedImage(f"{image:064x}", f"{image}.tif")
    return Review(review_id=f"{image} {reviewer} {number}", ts_ms=number, reviewer=reviewer, image=about, severity=severity)


def learnt(fields: Sequence[LabelledField], classes: Sequence[TaughtClass] = ()) -> Learnt:
    found = fit_severity(fields, WITH, classes)
    assert found is not None
    return found


def told(found: Learnt) -> str:
    return " ".join(found.told)


def test_each_field_has_the_class_that_was_said_and_cannot_tell_says_nothing() -> None:
    words = [word(1, "low"), word(2, "cannot_tell"), word(3, None), word(4, "Too coarse"), word(5, "too coarse")]
    assert {about[0][-1]: name for about, name in verdicts_of(words).items()} == {
        "1": "low",
        "4": "Too coarse",
        "5": "Too coarse",
    }


def test_reviewers_who_disagree_are_a_contradiction_but_for_one_who_cannot_tell() -> None:
    assert len(verdicts_of([word(1, "low"), word(1, "cannot_tell", "ben")])) == 1
    assert len(verdicts_of([word(1, "low"), word(1, "Low", "ben")])) == 1
    with pytest.raises(ReviewError, match=r"1\.tif.*anna says low and ben says severe"):
        verdicts_of([word(1, "low"), word(1, "severe", "ben")])


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["low"] * 12, "every field is said to be low"),
        (["low", "severe"] * 2, "4 images have a severity"),
        (["low"] * 8 + ["severe"], "two classes with 2 images each"),
        ([f"class {index // 2}" for index in range(50)], "25 classes"),
    ],
)
def test_too_little_or_of_one_kind_is_told_in_a_sentence_and_teaches_nothing(names: list[str], why: str) -> None:
    found = learnt([LabelledField(f"{index:064x}", name, seen(0.1, index)) for index, name in enumerate(names)])
    assert found.taught is None
    assert why in told(found)
    assert not found.after


def test_pages_of_one_file_are_one_image() -> None:
    pages = [replace(one, image="0" * 64) for one in said(spread(12), SEVERITIES, LIMITS)]
    assert "1 images have a severity" in told(learnt(pages))


@pytest.mark.parametrize("count", [8, 30])
def test_a_rule_of_the_plants_own_is_learnt_and_fields_not_learnt_from_are_judged_by_it(count: int) -> None:
    found = learnt(said(spread(count, 3), SEVERITIES, LIMITS))
    assert found.taught is not None
    assert found.after["accuracy"] > found.before["accuracy"]  # type: ignore[operator]  # not None: fields were judged
    assert found.after["mean_ordinal_error"] < found.before["mean_ordinal_error"]  # type: ignore[operator]  # not None: fields were judged
    others = said(spread(60, 4), SEVERITIES, LIMITS, seed=5)
    answers = [by_taught(found.taught, one.seen.numbers, one.seen.embedding, one.seen.untaught) for one in others]
    right = np.mean([(one.guess or one).label == other.verdict for one, other in zip(answers, others, strict=True)])
    assert right > (0.6 if count == 8 else 0.8)
    assert np.mean([one.abstained for one in answers]) < 0.35


def test_what_the_network_knows_already_is_not_taught() -> None:
    fields = [
        replace(one, seen=replace(one.seen, untaught=untaught(one.verdict))) for one in said(spread(18), SEVERITIES, LIMITS)
    ]
    found = learnt(fields)
    assert found.before["accuracy"] == 1
    assert found.taught is None
    assert "no better than before" in told(found)


def test_noise_is_not_taught() -> None:
    random = np.random.default_rng(0)
    fields = said(spread(30), SEVERITIES, LIMITS)
    found = learnt([replace(one, verdict=SEVERITIES[random.integers(2)]) for one in fields])
    assert found.taught is None


def test_own_classes_are_compared_with_the_commonest_and_ordered_by_their_area_unless_it_is_said() -> None:
    fields = said(spread(24), ("fine", "mixed", "coarse"), LIMITS)
    found = learnt(fields)
    assert found.taught is not None
    assert [one.name for one in found.taught.classes] == ["fine", "mixed", "coarse"]
    assert {one.label for one in found.taught.classes} == {None}
    assert "ordered by their mean area fraction, rising: fine, mixed, coarse" in told(found)
    assert "macro_f1" in found.after
    assert found.before["accuracy"] < 0.5  # type: ignore[operator]  # not None: fields were judged
    ordered = learnt(fields, parse_classes("coarse=severe,mixed,fine=low")).taught
    assert ordered is not None
    assert [(one.name, one.label) for one in ordered.classes] == [("coarse", "severe"), ("mixed", None), ("fine", "low")]
    with pytest.raises(ReviewError, match="'mixed'"):
        learnt(fields, parse_classes("fine,coarse"))


def test_uncorroded_is_a_class_below_low_that_stands_for_low() -> None:
    found = learnt(said(spread(24), ("uncorroded", "low", "severe"), LIMITS))
    assert found.taught is not None
    assert [(one.name, one.label) for one in found.taught.classes][:2] == [("uncorroded", "low"), ("low", "low")]
    assert found.taught.own


def test_a_class_with_one_image_is_learnt_and_told() -> None:
    fields = said([*spread(16), 0.99], ("low", "moderate", "severe"), (0.5, 0.98))
    fields = [one for one in fields if one.verdict != "severe"] + [one for one in fields if one.verdict == "severe"][:1]
    found = learnt(fields)
    assert found.taught is not None
    assert "only one image is said to be severe" in told(found)


@pytest.mark.parametrize(("count", "sets"), [(24, False), (30, True)])
def test_prediction_sets_need_nine_fields_of_each_class(count: int, sets: bool) -> None:
    found = learnt(said(spread(count), SEVERITIES, LIMITS))
    assert found.taught is not None
    assert (found.taught.conformal is not None) == sets
    assert ("prediction sets need 9" in told(found)) != sets


def test_the_same_reviews_teach_the_same() -> None:
    fields = said(spread(12), SEVERITIES, LIMITS)
    assert learnt(fields).taught == learnt(fields).taught


def test_without_fields_there_is_nothing() -> None:
    assert fit_severity([], WITH) is None


@pytest.mark.parametrize("text", ["", "a,,b", "a=worse", "a,A", "cannot_tell,a"])
def test_classes_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--classes"):
        parse_classes(text)
