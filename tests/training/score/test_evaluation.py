"""The JSON holds every number, and no NaN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.training.score.conftest import NOWHERE
from training.score.evaluation import Curve, Evaluation, describe


def test_the_json_holds_every_number_and_no_nan(evaluation: Evaluation) -> None:
    stored = json.loads(evaluation.as_json(), parse_constant=lambda name: pytest.fail(name))
    assert stored["schema"] == "training.evaluation/1"
    number = stored["segmenters"][0]["any_class"]["mean_iou"]
    assert number["value"] == evaluation.segmenters[0].any_class["mean_iou"].value
    assert len(number["folds"]) == 2


def test_an_undefined_number_is_null_and_a_dash(evaluation: Evaluation) -> None:
    (segmenter,) = evaluation.segmenters
    numbers = {name: replace(number, value=None, low_95=None) for name, number in segmenter.any_class.items()}
    bare = replace(segmenter, any_class=numbers, by_class=None, curve=Curve((), (), ()), heat=NOWHERE)
    nothing = replace(evaluation, segmenters=(bare,))
    assert json.loads(nothing.as_json())["segmenters"][0]["any_class"]["mean_iou"]["value"] is None
    assert " -" in describe(nothing)
