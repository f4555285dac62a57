"""`edge-bench` as it is typed: its document, its table, its picture, its exit status."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge.commands.bench.scenarios import STAGES
from edge.commands.cli import bench as command
from tests.commands.bench.conftest import SAMPLES, TINY


def test_the_document_has_what_is_promised(document: dict[str, Any]) -> None:
    assert document["schema"] == "edge.bench/1"
    assert document.keys() >= {"environment", "scenarios", "stages", "models", "images", "settings", "warnings"}
    assert [one["scenario"] for one in document["scenarios"]] == ["single-stream", "multi-stream", "offline"]
    assert [image["sha256"] for image in document["images"]] == [parity_hash(path) for path in SAMPLES]
    assert document["models"]["segment"]["sha256"]
    for one in document["scenarios"]:
        assert one["throughput"] > 0
        assert list(one["stages"]) == list(STAGES)
        assert len(one["samples"]) == one["images"]
        assert len(one["queries_ms"]) * one["images_a_query"] == one["images"]


def parity_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_does_not_exist_on_a_processor_is_null_and_not_zero(document: dict[str, Any]) -> None:
    assert document["stages"]["h2d"] is None
    assert document["stages"]["d2h"] is None
    assert document["scenarios"][2]["latency_ms"] is None
    assert document["rival"] is None
    assert document["mqtt"] is None


def test_the_stages_of_an_image_add_up_to_all_of_it(document: dict[str, Any]) -> None:
    for one in document["scenarios"]:
        for sample in one["samples"]:
            spent = sum(value for name in STAGES if (value := sample[name]) is not None)
            assert spent == pytest.approx(sample["total_ms"], abs=0.01)
            assert sample["rest"] > -0.01
        assert sum(stage["share"] for stage in one["stages"].values() if stage) == pytest.approx(1.0, abs=1e-3)


def test_whole_rounds_are_measured_so_that_every_image_counts_alike(document: dict[str, Any]) -> None:
    for one in document["scenarios"]:
        names = [sample["image"] for sample in one["samples"]]
        assert names.count(SAMPLES[0].name) == names.count(SAMPLES[1].name)


def test_too_few_samples_are_warned_of(document: dict[str, Any]) -> None:
    assert any("too few samples" in warning for warning in document["warnings"])
    assert "p90" in document["scenarios"][0]["latency_ms"]["too_few"]


def test_the_shipped_samples_are_taken_when_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edge.commands.bench.command.sample_files", lambda: SAMPLES[:1])
    assert command([*TINY, "--scenario", "single-stream", "--json", str(tmp_path / "run.json")]) == 0
    assert [image["name"] for image in json.loads((tmp_path / "run.json").read_text())["images"]] == [SAMPLES[0].name]


def test_an_image_that_cannot_be_read_is_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no image")
    assert command([str(broken), str(SAMPLES[0]), *TINY, "--scenario", "offline"]) == 1
    assert "left out" in capsys.readouterr().err
    assert command([str(broken), *TINY]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenario", "server"],
        ["--duration", "0"],
        ["--plot", "picture.png"],
        ["--backend", "no-such-one"],
        ["--rival", "ultralytics", "--checkpoint", "no-such-file.pt"],
        ["--compare", "no-such-file.json"],
        ["--json", "no-such-folder/run.json"],
        ["--json", "."],
    ],
)
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    try:
        status = command([str(SAMPLES[0]), *arguments])
    except SystemExit as ended:
        status = int(str(ended.code))
    assert status == 2
