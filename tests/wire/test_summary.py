"""The summary: flat, with the same keys always."""

from __future__ import annotations

from tests.wire.examples import classified_only, example, segmented_only, summarised, uncalibrated


def test_the_summary_is_flat_and_has_always_the_same_keys() -> None:
    flat = [summarised(inspection) for inspection in (example(), uncalibrated(), classified_only(), segmented_only())]
    assert len({tuple(message) for message in flat}) == 1
    for message in flat:
        assert all(value is None or isinstance(value, int | float | str) for value in message.values())
        assert not any(isinstance(value, bool) for value in message.values())
