"""The rows of kills in short; `make faults ROW=…` counts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.brokers import needs_mosquitto
from tests.faults.points import BY_NAME
from tests.faults.row import Row
from tests.faults.rows.kills import ROWS, SCENES

SEED = 7
TRIALS = [(row, number) for row in ROWS for number in range(row.in_ci)]


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("row", "number"), TRIALS, ids=[f"{row.name}-{number}" for row, number in TRIALS])
def test_nothing_is_lost_or_decided_twice_whatever_is_killed(row: Row, number: int, tmp_path: Path) -> None:
    found = row.one(row.trial(SEED, number, tmp_path))
    print(*(log.read_text() for log in tmp_path.glob("*.log")))
    assert found.problems == []
    assert found.counts["images"] == found.counts["verdicts"] > 0


def test_every_scene_is_of_a_point() -> None:
    assert SCENES.keys() <= BY_NAME.keys()
