"""The rows of the world around the daemon in short; `make faults ROW=…` counts them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.brokers import needs_mosquitto
from tests.faults.breaking import Unavailable
from tests.faults.row import Outcome, Row, Trial
from tests.faults.rows import brokers, clocks, folders, long, restored

pytestmark = [needs_mosquitto, pytest.mark.broker, pytest.mark.timeout(600)]

SEED = 7
ROWS = (*restored.ROWS, *clocks.ROWS, folders.ROWS[0])
TRIALS = [(row, 7 * number) for row in ROWS for number in range(row.in_ci)]  # cells that lie apart


def outcome(one: Callable[[Trial], Outcome], trial: Trial) -> Outcome:
    try:
        found = one(trial)
    except Unavailable as absent:
        pytest.skip(str(absent))
    print(*(log.read_text() for log in trial.folder.glob("*.log")))
    return found


@pytest.mark.parametrize(("row", "number"), TRIALS, ids=[f"{row.name}-{number}" for row, number in TRIALS])
def test_nothing_is_lost_or_given_two_meanings_whatever_the_world_does(row: Row, number: int, tmp_path: Path) -> None:
    found = outcome(row.one, row.trial(SEED, number, tmp_path))
    assert found.problems == []
    assert found.counts["verdicts"] > 0


def test_a_frozen_broker_delays_and_loses_nothing(tmp_path: Path) -> None:
    (frozen,) = (row for row in folders.ROWS if row.name == "frozen")
    assert outcome(lambda trial: folders.broker_frozen(trial, longest_s=1.0), frozen.trial(SEED, 0, tmp_path)).problems == []


def test_what_waits_for_a_broker_that_is_away_comes_in_order(tmp_path: Path) -> None:
    away = long.ROWS[0].trial(SEED, 0, tmp_path)
    found = outcome(lambda trial: long.away(trial, 20), away)
    assert found.problems == []
    assert found.counts["verdicts"] >= 20


def test_a_soak_tells_what_grows(tmp_path: Path) -> None:
    found = outcome(lambda trial: long.soak(trial, 0.03), long.ROWS[1].trial(SEED, 0, tmp_path))
    assert found.problems == []
    assert found.worst["MiB of memory"] > 0


def test_growth_is_fitted_with_its_error() -> None:
    slope, error = long.slope_of([0, 1, 2, 3], [5.0, 7.0, 9.0, 11.0])
    assert (slope, error) == (2.0, 0.0)
    assert long.slope_of([1, 1, 1], [1.0, 2.0, 3.0]) == (0.0, math.inf)


@pytest.mark.parametrize("name", ["mosquitto", "amqtt"])  # the others take minutes of a core: make faults ROW=brokers
def test_a_broker_with_rights_is_cut_and_killed(name: str, tmp_path: Path) -> None:
    row = brokers.ROWS[0]
    assert outcome(row.one, row.trial(SEED, row.cases.index(name), tmp_path)).problems == []
