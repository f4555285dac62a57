"""McNemar's test counts the images that one of two has right."""

from __future__ import annotations

import pytest

from tests.training.score.conftest import NOWHERE, of_stage_1, of_stage_2
from training.score.evaluation import ClassifierResult, Judge, Verdict


def classifier_of(name: str, right: list[bool]) -> ClassifierResult:
    predicted = ["low" if is_right else "severe" for is_right in right]
    images = tuple(Verdict(f"{i}.png", f"coupon {i // 2}", 0, "low", one, 0.9) for i, one in enumerate(predicted))
    judge = Judge("fold0/classifier.pt", 0, len(right), "imagenet", 1, "ready", "")
    return ClassifierResult(name, name, (judge,), {}, ((0,),), NOWHERE, images)


def test_mcnemar_counts_the_images_that_one_of_two_has_right() -> None:
    of_stage_1()
    of_stage_2()
    from training.score.compare_runs import compare_classifiers

    comparison = compare_classifiers(classifier_of("a", [True] * 8), classifier_of("b", [False] * 5 + [True] * 3))
    assert comparison is not None
    assert (comparison.only_one, comparison.only_other) == (5, 0)
    assert comparison.mcnemar_p == pytest.approx(2 * 0.5**5)
    assert comparison.difference.value == pytest.approx(5 / 8)
