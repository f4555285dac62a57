"""Runs that may be compared, and what became worse."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.commands.bench.comparison import compare, load, require_same
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


def on_another_machine(document: dict[str, Any]) -> dict[str, Any]:
    other = copy.deepcopy(document)
    other["environment"]["cpu"]["model"] = "Another Processor"
    return other


def with_rival(document: dict[str, Any], same: float, shipped: float, name: str = "ultralytics") -> dict[str, Any]:
    """The document with a contest of twelve pairs of blocks, a little noise in them."""
    rng = np.random.default_rng(5)
    ours = [float(100 * rng.uniform(0.98, 1.02)) for _ in range(12)]
    blocks = {"ours": ours, "rival": [same * one for one in ours], "rival_as_shipped": [shipped * one for one in ours]}
    rival = {"name": name, "blocks_ms": blocks, "rival": {"torch": "2", "device": "cpu"}, "regions_an_image": 4.0}
    return {**copy.deepcopy(document), "rival": rival}


def test_two_machines_are_compared_by_their_ratios_to_the_rival_alone(document: dict[str, Any]) -> None:
    found = compare(with_rival(document, 5.0, 9.0), on_another_machine(with_rival(document, 4.0, 9.0))).document(1.10)
    assert found["changes"] == []
    assert "milliseconds of two machines" in found["why_no_milliseconds"]
    same, shipped = found["rivals"]
    assert same["throughput_ratio"] == {"then": 5.0, "now": 4.0}
    assert same["change"]["value"] == pytest.approx(1.25)
    assert shipped["change"]["value"] == pytest.approx(1.0)
    assert found["failed"]


def test_one_machine_has_both_milliseconds_and_ratios(document: dict[str, Any]) -> None:
    found = compare(with_rival(document, 5.0, 9.0), with_rival(document, 5.5, 9.0)).document(1.10)
    assert found["why_no_milliseconds"] is None
    assert found["changes"][0]["time_ms"]["then"] == found["changes"][0]["time_ms"]["now"] > 0
    assert [change["scope"] for change in found["rivals"]] == ["same_networks", "as_shipped"]
    assert not found["failed"]


def test_two_machines_without_a_common_rival_are_refused_before_anything_is_measured(document: dict[str, Any]) -> None:
    other = on_another_machine(with_rival(document, 5.0, 9.0))
    with pytest.raises(ConfigError, match=r"processor .*--rival ultralytics and no --rival; measure both"):
        require_same(other, document)
    with pytest.raises(ConfigError, match="--rival ultralytics and --rival ultralytics-onnx"):
        require_same(other, document, "ultralytics-onnx")
    require_same(other, document, "ultralytics")


def test_another_number_of_regions_is_named_and_no_hindrance(document: dict[str, Any]) -> None:
    other = with_rival(document, 5.0, 9.0)
    other["images"][0]["regions"] += 1
    other["rival"]["regions_an_image"] = 5.0
    versions = compare(with_rival(document, 5.0, 9.0), other).versions
    assert versions == ("regions an image 4.0 → 5.0",)


def test_two_results_are_compared_without_measuring(
    document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(tmp_path / name) for name in ("a.json", "b.json", "compared.json")]
    Path(names[0]).write_text(json.dumps(with_rival(document, 5.0, 9.0)))
    Path(names[1]).write_text(json.dumps(on_another_machine(with_rival(document, 5.0, 9.0))))
    assert command(["--compare", names[0], names[1], "--json", names[2]]) == 0
    table = capsys.readouterr().out
    assert "ultralytics, as shipped: 9.00 times its throughput then, 9.00 now" in table
    assert " ms now" not in table
    assert "Another Processor" in table
    assert json.loads(Path(names[2]).read_text())["schema"] == "edge.bench-comparison/1"
    for also in (["--mqtt"], ["--backend", "onnxruntime"], [names[1]]):
        with pytest.raises(SystemExit, match="2"):
            command(["--compare", names[0], names[1], *also])
    with pytest.raises(SystemExit, match="2"):
        command([names[0]])


def test_a_result_that_was_cut_short_is_refused_in_words(document: dict[str, Any], tmp_path: Path) -> None:
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps({key: value for key, value in document.items() if key != "scenarios"}))
    with pytest.raises(ConfigError, match="cut short or changed: scenarios missing"):
        load(cut)
    for run in (broken := copy.deepcopy(document))["scenarios"]:
        del run["queries_ms"]
    with pytest.raises(ConfigError, match="measure again"):
        compare(broken, document)
