"""The summary: flat, with the same keys always."""

from __future__ import annotations

import dataclasses
from typing import Any

from edge.records import Inspection
from tests.wire.examples import (
    abstained,
    classified_only,
    example,
    limited,
    limited_alone,
    segmented_only,
    summarised,
    tilted,
    uncalibrated,
    unmeasured,
)

WHOLE = (
    example(),
    uncalibrated(),
    classified_only(),
    segmented_only(),
    abstained(),
    tilted(),
    limited(),
    limited_alone(),
    unmeasured(),
)


def test_the_summary_is_flat_and_has_always_the_same_keys() -> None:
    flat = [summarised(inspection) for inspection in WHOLE]
    assert len({tuple(message) for message in flat}) == 1
    for message in flat:
        assert all(value is None or isinstance(value, int | float | str) for value in message.values())
        assert not any(isinstance(value, bool) for value in message.values())


def state(inspection: Inspection) -> tuple[Any, ...]:
    message = summarised(inspection)
    names = ("severity_state", "abstained", "severity", "severity_index", "severity_reason", "severity_source", "needs_review")
    return tuple(message[name] for name in names)


def test_a_judged_severity_an_abstained_one_and_none_asked_for_can_be_told_apart() -> None:
    assert state(example()) == ("judged", 0, "moderate", 1, "ambiguous", "model", 1)
    assert state(abstained()) == ("abstained", 1, None, None, "no_contrast", "model", 1)
    assert state(limited()) == state(limited_alone()) == ("judged", 0, "severe", 2, "", "limits", 0)
    assert state(unmeasured()) == ("abstained", 1, None, None, "limit_unmeasured", "limits", 1)
    assert state(segmented_only()) == ("not_run", 0, None, None, "", None, None)


def alarms(message: dict[str, Any]) -> bool:
    """As the documentation has it, in a dashboard that takes null for "nothing new" and keeps what stood there."""
    return (message["severity_index"] or 0) >= 2 or message["abstained"] == 1


def test_the_documented_alarm_goes_off_for_severe_and_for_abstained_and_for_nothing_else() -> None:
    whole = example()
    assert whole.severity is not None
    severe = dataclasses.replace(whole, severity=dataclasses.replace(whole.severity, label="severe"))
    assert [alarms(summarised(one)) for one in (severe, abstained(), whole, segmented_only())] == [True, True, False, False]


def test_what_alarms_are_made_of_is_never_null() -> None:
    for inspection in WHOLE:
        message = summarised(inspection)
        assert None not in (message["abstained"], message["severity_state"], message["severity_reason"])
