"""Runs that may be compared, and what became worse."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.commands.bench.comparison import compare, load
from edge.commands.cli import bench as command
from edge.errors import ConfigError
from tests.commands.bench.conftest import SAMPLES, TINY


def slowed(document: dict[str, Any], factor: float, rounds: int = 40) -> dict[str, Any]:
    """The same run with more rounds, so many times as slow, a little noise in it."""
    other = copy.deepcopy(document)
    rng = np.random.default_rng(3)
    for one in other["scenarios"]:
        one["queries_ms"] = [
            float(value * factor * rng.uniform(0.98, 1.02))
            for _ in range(rounds)
            for value in one["queries_ms"][: one["period"]]
        ]
    return other


def test_a_run_that_is_slower_beyond_the_limit_fails(document: dict[str, Any]) -> None:
    change = compare(slowed(document, 1.0), slowed(document, 1.25)).changes[0]
    assert change.time.value == pytest.approx(1.25, abs=0.02)
    assert change.time.low is not None
    assert change.time.low > 1.2
    assert change.worse_than(1.10)
    assert not change.worse_than(1.50)


def test_a_faster_run_does_not_fail(document: dict[str, Any]) -> None:
    found = compare(slowed(document, 1.0), slowed(document, 0.8))
    assert not found.document(1.10)["failed"]
    assert [change.scenario for change in found.changes] == ["single-stream", "multi-stream", "offline"]


def test_runs_on_other_images_models_or_settings_are_not_compared(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["images"] = other["images"][:1]
    other["models"]["segment"]["version"] = "9.9.9"
    other["settings"]["confidence"] = 0.5
    with pytest.raises(ConfigError) as refused:
        compare(other, document)
    for difference in ("images (1 then, 2 now)", "segment: version: 9.9.9 then", "settings (confidence: 0.5 then, 0.3 now)"):
        assert difference in str(refused.value)


def test_runs_without_a_common_backend_are_not_compared(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    for one in other["scenarios"]:
        one["backend"] = "tensorrt"
    with pytest.raises(ConfigError, match="no backend and scenario in common: single-stream on tensorrt"):
        compare(other, document)


def test_other_versions_of_libraries_are_compared_and_named(document: dict[str, Any]) -> None:
    other = copy.deepcopy(document)
    other["environment"]["versions"]["numpy"] = "0.1"
    assert any(version.startswith("numpy 0.1 → ") for version in compare(other, document).versions)


def test_the_exit_status_tells_whether_it_became_worse(document: dict[str, Any], tmp_path: Path) -> None:
    for factor, status in ((1000.0, 0), (0.001, 1)):
        earlier = tmp_path / "earlier.json"
        earlier.write_text(json.dumps(slowed(document, factor)))
        arguments = [*map(str, SAMPLES), *TINY, "--scenario", "single-stream", "--compare", str(earlier)]
        assert command(arguments) == status


def test_a_file_of_another_kind_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"schema": "edge.demo/1"}')
    with pytest.raises(ConfigError, match="is no edge"):
        load(tmp_path / "other.json")
