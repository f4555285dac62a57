"""A taught severity on a field: what it says, when it abstains, when it is in doubt, and with what it must not be used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edge.errors import ModelError
from edge.inspection.pipeline import FieldSeen
from edge.inspection.taught_severity import (
    NETWORK,
    TYPICAL,
    TaughtClass,
    TaughtSeverity,
    by_taught,
    network_odds,
    numbers_of,
    require_same_measures,
)
from edge.records import SEVERITIES, Severity, code_of
from edge.teach.severity import fit_severity
from tests.conftest import micrograph, settings_for
from tests.inspection.conftest import inspected
from tests.teach.fields_said import WITH, said, seen, spread, untaught


def taught(names: tuple[str, ...] = SEVERITIES, count: int = 36, classes: tuple[TaughtClass, ...] = ()) -> TaughtSeverity:
    limits = np.linspace(0, 1, len(names) + 1)[1:-1].tolist()
    learnt = fit_severity(said(spread(count), names, limits), WITH, classes)
    assert learnt is not None
    assert learnt.taught is not None, learnt
    return learnt.taught


@pytest.fixture(scope="module")
def standard() -> TaughtSeverity:
    return taught()


def judged(part: TaughtSeverity, one: FieldSeen) -> Severity:
    return by_taught(part, one.numbers, one.embedding, one.untaught)


def test_a_field_has_the_class_that_reviewers_give_fields_like_it_and_names_its_source(standard: TaughtSeverity) -> None:
    found = judged(standard, seen(0.95, 5))
    assert (found.label, found.source, found.own_class) == ("severe", "taught", None)
    assert sum((found.probabilities or {}).values()) == pytest.approx(1)
    assert found.network == untaught().answer
    assert found.in_domain
    assert found.cam is not None
    assert judged(standard, seen(0.05, 5)).label == "low"


def test_the_same_field_gets_the_same_answer(standard: TaughtSeverity) -> None:
    again = TaughtSeverity.model_validate_json(standard.model_dump_json())
    for level in (0.1, 0.5, 0.9):
        assert judged(again, seen(level, 3)).probabilities == judged(standard, seen(level, 3)).probabilities


def foreign_fields() -> list[tuple[str, FieldSeen]]:
    far = seen(0.5, 4)
    return [
        ("as the network sees it", seen(0.5, 4, shift=9.0)),
        ("contrast", replace(far, numbers={**far.numbers, "contrast": 40.0})),
        ("training images", replace(far, untaught=untaught(ratio=3.0))),
    ]


@pytest.mark.parametrize(("told", "one"), foreign_fields(), ids=lambda one: one if isinstance(one, str) else "")
def test_a_field_unlike_all_reviewed_ones_gets_a_guess_alone(standard: TaughtSeverity, told: str, one: FieldSeen) -> None:
    found = judged(standard, one)
    assert found.abstained
    assert found.needs_review
    assert not found.in_domain
    assert (found.label, found.confidence, found.probabilities, found.prediction_set) == (None,) * 4
    assert found.answer == one.untaught.answer
    assert found.guess is not None
    assert found.guess.label is not None
    assert code_of(found.reasons[0]) == "out_of_domain"
    assert told in found.reasons[0]


def test_a_field_that_the_network_finds_foreign_is_judged_where_reviewed_ones_were_foreign_too() -> None:
    fields = said(spread(30), SEVERITIES, (1 / 3, 2 / 3))
    fields = [replace(one, seen=replace(one.seen, untaught=untaught(ratio=4.0))) for one in fields]
    learnt = fit_severity(fields, WITH)
    assert learnt is not None
    assert learnt.taught is not None
    assert not judged(learnt.taught, replace(seen(0.9, 2), untaught=untaught(ratio=4.1))).abstained


def test_classes_of_a_plants_own_are_named_and_stand_for_a_label_or_for_none() -> None:
    part = taught(("fine", "coarse"), 24, (TaughtClass(name="fine", label=None), TaughtClass(name="coarse", label="severe")))
    fine, coarse = judged(part, seen(0.05, 1)), judged(part, seen(0.95, 1))
    assert (fine.own_class, fine.label, fine.abstained) == ("fine", None, False)
    assert (coarse.own_class, coarse.label) == ("coarse", "severe")
    assert set(fine.probabilities or {}) == {"fine", "coarse"}
    assert fine.said.startswith("fine ")
    assert coarse.said.startswith("coarse (severe) ")
    abstaining = judged(part, seen(0.05, 1, shift=9.0))
    assert abstaining.guess is not None
    assert (abstaining.own_class, abstaining.label, abstaining.guess.own_class) == (None, None, "fine")


def test_a_close_second_class_is_a_doubt_where_there_are_no_prediction_sets() -> None:
    part = taught(count=24)
    assert part.conformal is None
    levels = np.linspace(0.25, 0.45, 21)
    codes = {tuple(map(code_of, judged(part, seen(float(level), 8)).reasons)) for level in levels}
    assert ("taught_unsure",) in codes
    assert () in codes
    assert all(judged(part, seen(float(level), 8)).label is not None for level in levels)


def test_prediction_sets_hold_more_than_one_class_near_a_limit_and_ask_for_review(standard: TaughtSeverity) -> None:
    assert standard.conformal is not None
    assert judged(standard, seen(0.98, 8)).prediction_set == ("severe",)
    found = [judged(standard.model_copy(update={"conformal": 0.9}), seen(0.66, 8))]
    assert len(found[0].prediction_set or ()) > 1
    assert code_of(found[0].reasons[0]) == "ambiguous"


def test_measures_with_other_settings_or_without_stage_1_are_refused(standard: TaughtSeverity, tmp_path: Any) -> None:
    require_same_measures(standard, settings_for(tmp_path))
    for wanted, named in (({"confidence": 0.5}, "confidence"), ({"min_diameter_px": 3.0}, "min_diameter_px")):
        with pytest.raises(ModelError, match=named):
            require_same_measures(standard, settings_for(tmp_path, inspect=wanted))
    with pytest.raises(ModelError, match="stages"):
        require_same_measures(standard, settings_for(tmp_path, inspect={"stages": "classify"}))


def test_numbers_and_embeddings_that_are_not_those_taught_with_are_refused(standard: TaughtSeverity) -> None:
    one = seen(0.5, 1)
    with pytest.raises(ModelError, match="contrast"):
        by_taught(
            standard, {name: value for name, value in one.numbers.items() if name != "contrast"}, one.embedding, one.untaught
        )
    with pytest.raises(ModelError, match="12 numbers"):
        by_taught(standard, one.numbers, one.embedding[:5], one.untaught)


def broken() -> list[dict[str, Any]]:
    head = {"vote": 1.0, "numbers": ["a"], "weights": [[1.0]], "biases": [0.0], "temperature": 1.0, "limits": [0.0]}
    domain = {
        "names": ["a"],
        "numbers": [[0.0]],
        "numbers_limit": 1,
        "embeddings": [[0.0]],
        "embedding_limit": 1,
        "spread": [1.0],
    }
    whole = {
        "classes": [{"name": "x", "label": None}, {"name": "y", "label": "low"}],
        "names": ["a"],
        "mean": [0.0],
        "deviation": [1.0],
        "centre": [0.0],
        "heads": [head],
        "domain": domain,
        "conformal": None,
        "measured_with": None,
        "reviewed": 6,
    }
    TaughtSeverity.model_validate(whole)
    changes: list[dict[str, Any]] = [
        {"classes": [{"name": "x", "label": None}] * 2},
        {"classes": [{"name": "x", "label": "bad"}, {"name": "y", "label": None}]},
        {"deviation": [0.0]},
        {"centre": [0.0, 0.0]},
        {"conformal": 1.5},
        {"heads": []},
        {"heads": [{**head, "numbers": ["b"]}]},
        {"heads": [{**head, "weights": [[1.0, 2.0]]}]},
        {"heads": [{**head, "limits": [0.0, 1.0]}]},
        {"heads": [{**head, "limits": []}]},
        {"heads": [{**head, "temperature": 0.0}]},
        {"heads": [{**head, "embedding": [[1.0, 2.0]]}]},
        {"heads": [{**head, "embedding": [[1.0], [2.0]]}]},
        {"domain": {**domain, "embeddings": []}},
        {"domain": {**domain, "numbers": [[0.0, 1.0]]}},
        {"domain": {**domain, "spread": [0.0]}},
        {"further": 1},
    ]
    return [{**whole, **change} for change in changes]


@pytest.mark.parametrize("content", broken())
def test_a_part_that_does_not_fit_together_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TaughtSeverity.model_validate(content)


def test_the_untaught_verdict_is_a_number_that_rises_with_it_and_stays_finite() -> None:
    rising = [network_odds(untaught(name)) for name in SEVERITIES]
    assert rising == sorted(rising)
    sure = replace(untaught(), probabilities={"low": 0.0, "moderate": 0.0, "severe": 1.0})
    assert np.isfinite(network_odds(sure))


def test_of_a_bare_field_all_numbers_are_finite_and_without_stage_1_the_verdict_alone_speaks(tmp_path: Any) -> None:
    bare = inspected(tmp_path, micrograph(np.full((64, 64), 90, np.uint8)))
    assert bare.severity is not None
    found = numbers_of({"area": 0.0}, bare.measures, bare.severity)
    assert np.isfinite(list(found.values())).all()
    assert TYPICAL in found
    assert set(numbers_of(None, bare.measures, bare.severity)) == {NETWORK}
