"""The gate before a lower precision: what it compares, and what it remembers."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.backends import openvino_model, table
from edge.config import Settings
from edge.errors import BackendError
from edge.inspection import parity
from edge.inspection.parity import Parity, compare, gated_precision
from edge.inspection.pipeline import Pipeline
from edge.models.card import BUILTIN_FOLDER, Calibration
from edge.records import Inspection, Regions, RegionSeverity, Severity
from tests.conftest import SOURCE, micrograph, pitted, settings_for

AGREES = Parity(
    images=8, mean_mask_iou=0.998, worst_mask_iou=0.991, flips=0, domain_flips=0, largest_probability_difference=0.01
)
FLIPS = replace(AGREES, flips=1)
OTHER_CARD = SimpleNamespace(sha256="f" * 64, calibration=Calibration())


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Parity]:
    """A machine with bfloat16 where each comparison takes the next outcome of this list."""
    pytest.importorskip("openvino")
    outcomes: list[Parity] = []
    monkeypatch.setattr(openvino_model, "has_bfloat16", lambda: True)
    monkeypatch.setattr(table, "resolve", lambda name: "openvino")
    monkeypatch.setattr(parity, "Pipeline", NoPipeline)
    monkeypatch.setattr(parity, "sample_micrographs", list)
    monkeypatch.setattr(parity, "compare", lambda *_: outcomes.pop(0))
    return outcomes


class NoPipeline:
    """Opens nothing."""

    def __init__(self, settings: Settings, precision: str = "float32") -> None: ...

    def __enter__(self) -> NoPipeline:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_bfloat16_is_taken_where_it_agrees(tmp_path: Path, runs: list[Parity]) -> None:
    runs.append(AGREES)
    precision, why = gated_precision(settings_for(tmp_path), tmp_path)
    assert precision == "bfloat16"
    assert "0.9980" in why


@pytest.mark.parametrize(
    "outcome",
    [
        FLIPS,
        replace(AGREES, domain_flips=1),
        replace(AGREES, mean_mask_iou=0.98),
        replace(AGREES, images=0),
        replace(AGREES, region_changes=0.21),
    ],
)
def test_float32_stays_where_bfloat16_disagrees_or_nothing_was_compared(
    tmp_path: Path, runs: list[Parity], outcome: Parity
) -> None:
    runs.append(outcome)
    assert gated_precision(settings_for(tmp_path), tmp_path)[0] == "float32"


def test_an_outcome_is_remembered_also_when_it_was_no(tmp_path: Path, runs: list[Parity]) -> None:
    runs.append(FLIPS)
    first = gated_precision(settings_for(tmp_path), tmp_path)
    assert gated_precision(settings_for(tmp_path), tmp_path) == first


@pytest.mark.parametrize(
    ("what", "other"),
    [("processor", lambda: "another processor"), ("load_card", lambda *_: OTHER_CARD)],
)
def test_another_processor_or_model_is_compared_afresh(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch, what: str, other: Any
) -> None:
    runs.extend([AGREES, FLIPS])
    gated_precision(settings_for(tmp_path), tmp_path)
    monkeypatch.setattr(parity, what, other)
    assert gated_precision(settings_for(tmp_path), tmp_path)[0] == "float32"
    assert not runs


def test_other_thresholds_are_compared_afresh(tmp_path: Path, runs: list[Parity]) -> None:
    runs.extend([AGREES, FLIPS])
    gated_precision(settings_for(tmp_path), tmp_path)
    assert gated_precision(settings_for(tmp_path, inspect={"confidence": 0.5}), tmp_path)[0] == "float32"


def test_a_stage_that_does_not_run_needs_no_model(tmp_path: Path, runs: list[Parity]) -> None:
    runs.append(AGREES)
    settings = settings_for(tmp_path, inspect={"stages": "segment"}, models={"classifier": str(tmp_path / "none.onnx")})
    assert gated_precision(settings, tmp_path)[0] == "bfloat16"


@pytest.mark.parametrize("damage", ["", "[]", "null", "{", '{"key": 1}', "\xff", "parity without numbers"])
def test_a_damaged_memory_is_replaced(tmp_path: Path, runs: list[Parity], damage: str) -> None:
    runs.extend([AGREES, FLIPS])
    gated_precision(settings_for(tmp_path), tmp_path)
    memory = tmp_path / "parity-bfloat16.json"
    if damage == "parity without numbers":
        damage = json.dumps({**json.loads(memory.read_text()), "parity": {"images": "many"}})
    memory.write_bytes(damage.encode("latin-1"))
    assert gated_precision(settings_for(tmp_path), tmp_path)[0] == "float32"
    assert json.loads(memory.read_text())["parity"]["flips"] == 1


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, runs: list[Parity]) -> None:
    runs.append(AGREES)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert gated_precision(settings_for(tmp_path), blocked / "memory")[0] == "bfloat16"


def test_a_bfloat16_that_does_not_run_leaves_float32(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Parity:
        raise BackendError("no such instruction")

    monkeypatch.setattr(parity, "compare", refuse)
    precision, why = gated_precision(settings_for(tmp_path), tmp_path)
    assert precision == "float32"
    assert "no such instruction" in why


def test_without_permission_to_run_only_memory_counts(tmp_path: Path, runs: list[Parity]) -> None:
    assert gated_precision(settings_for(tmp_path), tmp_path, may_run=False)[0] == "float32"
    runs.append(AGREES)
    gated_precision(settings_for(tmp_path), tmp_path)
    assert gated_precision(settings_for(tmp_path), tmp_path, may_run=False)[0] == "bfloat16"


def test_the_gate_is_undecided_until_an_outcome_is_remembered(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parity.is_undecided(settings_for(tmp_path), tmp_path)
    assert not parity.is_undecided(settings_for(tmp_path, models={"backend": "openvino"}), tmp_path)
    for outcome in (AGREES, FLIPS):
        runs.append(outcome)
        gated_precision(settings_for(tmp_path), tmp_path)
        assert not parity.is_undecided(settings_for(tmp_path), tmp_path)
        (tmp_path / "parity-bfloat16.json").write_text("damaged")
        assert parity.is_undecided(settings_for(tmp_path), tmp_path)
    runs.append(AGREES)
    gated_precision(settings_for(tmp_path), tmp_path)
    monkeypatch.setattr(parity, "processor", lambda: "another processor")
    assert parity.is_undecided(settings_for(tmp_path), tmp_path)


def test_a_named_backend_runs_in_float32(tmp_path: Path, runs: list[Parity]) -> None:
    assert gated_precision(settings_for(tmp_path, models={"backend": "openvino"}), tmp_path)[0] == "float32"


def test_a_processor_without_bfloat16_runs_in_float32(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_model, "has_bfloat16", lambda: False)
    assert gated_precision(settings_for(tmp_path), tmp_path)[0] == "float32"


def test_the_processor_has_a_name_even_without_cpuinfo(tmp_path: Path) -> None:
    assert parity.processor()
    assert parity.processor(tmp_path / "none")


def test_two_processors_of_one_name_are_told_apart_by_their_model(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    names = set()
    for model in (143, 207):
        cpuinfo.write_text(f"processor\t: 0\nmodel\t\t: {model}\nmodel name\t: Xeon\nflags\t: fpu\n\nprocessor\t: 1\n")
        names.add(parity.processor(cpuinfo))
    assert len(names) == 2


class Answers:
    """A pipeline that repeats one inspection."""

    least_score = 0.05

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection

    def inspect(self, *_: object) -> Inspection:
        return self._inspection


def compared(reference: Inspection, candidate: Inspection) -> Parity:
    images = [reference.micrograph]
    return compare(Answers(reference), Answers(candidate), images)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    folder = tmp_path_factory.mktemp("parity")
    with Pipeline(settings_for(folder / "export", inspect={"confidence": 0.05})) as pipeline:
        return pipeline.inspect(micrograph(pitted()), SOURCE)


def rated(inspection: Inspection, **probabilities: float) -> Inspection:
    assert inspection.severity is not None
    label: Any = max(probabilities, key=lambda name: probabilities[name])
    severity: Severity = replace(inspection.severity, label=label, probabilities=probabilities)
    return replace(inspection, severity=severity)


def test_an_inspection_agrees_with_itself(inspection: Inspection) -> None:
    outcome = compared(inspection, inspection)
    assert outcome.passed
    assert outcome.worst_mask_iou == 1
    assert outcome.largest_probability_difference == 0


def test_missing_regions_lower_the_mask_iou(inspection: Inspection) -> None:
    regions = inspection.regions
    if not len(regions):
        pytest.skip("the shipped model finds nothing in the drawn image")
    empty = replace(
        regions, boxes_px=regions.boxes_px[:0], scores=regions.scores[:0], class_ids=regions.class_ids[:0], masks=()
    )
    outcome = compared(inspection, replace(inspection, regions=empty, region_severities=()))
    assert outcome.mean_mask_iou == 0
    assert not outcome.passed


def test_regions_of_another_severity_are_counted_as_a_part(inspection: Inspection) -> None:
    boxes = np.array([[10, 10, 5, 5], [30, 30, 5, 5], [50, 50, 5, 5]], np.int32)
    masks = tuple(np.ones((5, 5), bool) for _ in boxes)
    three = replace(
        inspection.regions, boxes_px=boxes, scores=np.ones(3, np.float32), class_ids=np.zeros(3, np.int32), masks=masks
    )
    low, severe = RegionSeverity("low", 0.6), RegionSeverity("severe", 0.6)
    ours = replace(inspection, regions=three, region_severities=(low, low, None))
    assert compared(ours, replace(ours, region_severities=(low, severe, severe))).region_changes == 0.5
    elsewhere = replace(three, boxes_px=boxes + np.array([1, 1, 0, 0], np.int32))
    assert compared(ours, replace(ours, regions=elsewhere, region_severities=(severe,) * 3)).region_changes == 0


def test_a_label_that_changes_counts_only_where_the_reference_was_sure(inspection: Inspection) -> None:
    other = rated(inspection, low=0.1, moderate=0.2, severe=0.7)
    assert compared(rated(inspection, low=0.6, moderate=0.3, severe=0.1), other).flips == 1
    assert compared(rated(inspection, low=0.06, moderate=0.48, severe=0.46), other).flips == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "flips"),
    [
        (1.2, 0.9, 1),
        (0.8, 1.01, 1),
        (0.8, 0.99, 0),
        (1.2, 3.0, 0),
        (1.02, 0.9, 0),
        (0.97, 1.4, 0),
        (None, None, 0),
        (0.5, None, 1),
    ],
)
def test_an_image_that_enters_or_leaves_the_domain_counts_unless_it_lay_at_the_limit(
    inspection: Inspection, ours: float | None, theirs: float | None, flips: int
) -> None:
    assert inspection.severity is not None
    first, second = (replace(inspection, severity=replace(inspection.severity, domain_ratio=ratio)) for ratio in (ours, theirs))
    outcome = compared(first, second)
    assert outcome.domain_flips == flips
    assert outcome.passed == (not flips)


def test_the_largest_difference_of_a_probability_is_told(inspection: Inspection) -> None:
    first = rated(inspection, low=0.6, moderate=0.3, severe=0.1)
    second = rated(inspection, low=0.5, moderate=0.3, severe=0.2)
    assert np.isclose(compared(first, second).largest_probability_difference, 0.1)


def test_what_is_remembered_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        parity._remember(tmp_path / "cache" / "parity-bfloat16.json", ["key"], parity.Parity(1, 1.0, 1.0, 0, 0, 0.0))
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "cache", *(tmp_path / "cache").iterdir())] == [0o700, 0o600]


def test_the_gate_compares_networks_and_not_what_limits_make_of_them(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits that cannot judge the shipped images would leave no region's severity to compare."""
    rules = []

    class Listening(NoPipeline):
        def __init__(self, settings: Settings, precision: str = "float32") -> None:
            rules.append(settings.severity.rule)

    monkeypatch.setattr(parity, "Pipeline", Listening)
    runs.append(AGREES)
    limits = {"rule": "limits", "severe": {"largest_um": 20}}
    assert gated_precision(settings_for(tmp_path / "x", severity=limits), tmp_path)[0] == "bfloat16"
    assert rules == ["model", "model"]
    assert gated_precision(settings_for(tmp_path / "x"), tmp_path, may_run=False)[0] == "bfloat16"


@pytest.mark.parametrize("taught", ["state", "/plant.json"])
def test_the_gate_compares_networks_and_not_what_was_taught(
    tmp_path: Path, runs: list[Parity], monkeypatch: pytest.MonkeyPatch, taught: str
) -> None:
    """Another choice between the two openings would be remembered as a precision that computes wrongly."""
    opened = []

    class Listening(NoPipeline):
        def __init__(self, settings: Settings, precision: str = "float32") -> None:
            opened.append(settings.models.taught)

    monkeypatch.setattr(parity, "Pipeline", Listening)
    runs.append(AGREES)
    assert gated_precision(settings_for(tmp_path / "x", models={"taught": taught}), tmp_path)[0] == "bfloat16"
    assert opened == ["", ""]


def test_other_weights_for_regions_are_another_question(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    other = tmp_path / "regions.json"
    other.write_text((BUILTIN_FOLDER / "regions.json").read_text() + " ")
    settings = [settings_for(tmp_path / "x", models={"regions": name}) for name in ("builtin", str(other))]
    first, second = (parity._key(one, table.BACKENDS["openvino"], "float32") for one in settings)
    assert first != second


def found(*regions: tuple[int, float]) -> Any:
    """An inspection with 10 x 10 regions at these x, with these scores."""
    boxes = np.array([(x, 5, 10, 10) for x, _ in regions], np.int32).reshape(-1, 4)
    scores = np.array([score for _, score in regions], np.float32)
    masks = tuple(np.ones((10, 10), np.bool_) for _ in regions)
    of_regions = Regions(boxes, scores, np.zeros(len(regions), np.int32), masks, ("pit",))
    return SimpleNamespace(micrograph=micrograph(np.zeros((20, 100), np.uint8)), regions=of_regions)


def pixels(one: Any, other: Any) -> tuple[int, int, int]:
    first, second = parity.unions(one, other, 0.3)
    return int(first.sum()), int(second.sum()), int((first & second).sum())


def test_a_region_at_the_least_score_that_one_of_both_lacks_does_not_count() -> None:
    both = found((0, 0.9), (20, 0.301))
    assert pixels(both, found((0, 0.9))) == (100, 100, 100)
    assert pixels(found((0, 0.9)), both) == (100, 100, 100)


def test_a_surer_region_that_one_of_both_lacks_counts_and_so_does_one_that_moved() -> None:
    assert pixels(found((0, 0.9), (20, 0.33)), found((0, 0.9))) == (200, 100, 100)
    assert pixels(found((0, 0.31)), found((4, 0.31))) == (100, 100, 60)
