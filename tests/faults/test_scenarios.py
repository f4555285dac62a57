"""Each scenario of the fault bench for seconds; `python -m tests.faults --minutes 60` does the same for longer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.brokers import needs_mosquitto
from tests.faults.__main__ import main
from tests.faults.breaking import Unavailable
from tests.faults.scenarios import BY_NAME, SCENARIOS, Scenario, run

SEED = 7
AS_ROWS = {"kills", "full-state", "snapshot"}
"""Rows of `tests.faults.rows` play these faults in the tests."""


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.name not in AS_ROWS], ids=lambda scenario: scenario.name)
def test_every_image_has_its_verdict_once_whatever_breaks(scenario: Scenario, tmp_path: Path) -> None:
    try:
        result = run(scenario, tmp_path, SEED)
    except Unavailable as absent:
        pytest.skip(str(absent))
    print(result.pop("log")[-20_000:])
    print(json.dumps(result))
    assert result["problems"] == []
    assert result["verdicts"] >= result["images"] > 0
    assert result["faults"]


@needs_mosquitto
@pytest.mark.broker
def test_a_round_by_hand_writes_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = tmp_path / "counts.json"
    assert main(["--only", "broker", "--rounds", "1", "--seconds", "2", "--seed", "3", "--json", str(counts)]) == 0
    told = json.loads(counts.read_text())
    assert told["schema"] == "edge.faults/1"
    assert told["images"] == told["verdicts"] > 0
    assert told["rounds"][0]["seed"] == 3
    assert "seed 3" in capsys.readouterr().out


def test_the_names_of_scenarios_are_their_own() -> None:
    assert len(BY_NAME) == len(SCENARIOS)
