"""A segmenter is refused for the area that it finds and for severities that change, not for boxes; itself, it passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.backends.network import Network
from edge.backends.onnx_session import OnnxSession
from edge.config import InspectionSettings
from edge.inspection.pipeline import Pipeline
from edge.models.card import BUILTIN_FOLDER
from edge.records import Inspection, Source
from training.score import area_gate

SEGMENTER = BUILTIN_FOLDER / "segmenter.onnx"


def _on_onnxruntime(_backend: str, model: Path, _precision: str) -> Network:
    return OnnxSession(model)


@pytest.fixture(scope="module")
def inspections() -> list[Inspection]:
    with Pipeline(InspectionSettings(), open_network=_on_onnxruntime) as pipeline:
        return [pipeline.inspect(one, Source("a", "a", None)) for one in area_gate.drawn(4, size_px=(320, 256))]


def with_area(inspection: Inspection, points: float) -> Inspection:
    measures = inspection.measures
    return replace(inspection, measures=replace(measures, area_fraction=measures.area_fraction + points / 100))


def with_another_severity(inspection: Inspection) -> Inspection:
    severity = inspection.severity
    assert severity is not None
    if severity.guess:
        return replace(inspection, severity=replace(severity, guess=replace(severity.guess, label="another")))
    return replace(inspection, severity=replace(severity, label="another"))


def test_the_same_inspections_pass_and_all_regions_match(inspections: list[Inspection]) -> None:
    parity = area_gate.area_parity((one, one) for one in inspections)
    regions = sum(len(one.regions) for one in inspections)
    assert regions > 0
    assert parity == area_gate.AreaParity(4, 0.0, 0.0, 0.0, 0, regions, regions, regions)
    assert parity.passed


@pytest.mark.parametrize(
    ("points", "passes"),
    [((0.4, -0.4, 0.4, -0.4), True), ((0.6, -0.6, 0.6, -0.6), False), ((1.9, 0, 0, 0), True), ((2.1, 0.0, 0.0, 0.0), False)],
)
def test_area_decides(inspections: list[Inspection], points: tuple[float, ...], passes: bool) -> None:
    parity = area_gate.area_parity((one, with_area(one, off)) for one, off in zip(inspections, points, strict=True))
    assert parity.mean_points == pytest.approx(sum(map(abs, points)) / 4)
    assert parity.worst_points == pytest.approx(max(map(abs, points)))
    assert parity.shift_points == pytest.approx(sum(points) / 4)
    assert parity.passed is passes


def test_one_changed_severity_refuses(inspections: list[Inspection]) -> None:
    first, *others = inspections
    parity = area_gate.area_parity([(first, with_another_severity(first)), *((one, one) for one in others)])
    assert parity.flips == 1
    assert not parity.passed


def test_nothing_inspected_proves_nothing() -> None:
    assert not area_gate.area_parity([]).passed


def test_the_command_tells_area_regions_and_times(
    inspections: list[Inspection], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    images = area_gate.drawn(1, size_px=(320, 256))
    monkeypatch.setattr(area_gate, "sample_micrographs", lambda: images)
    monkeypatch.setattr(area_gate, "RUNS", 1)
    assert area_gate.main([str(SEGMENTER), "--drawn", "0"]) == 0
    printed = capsys.readouterr().out
    assert "passes: 1 images, 0 severities differ" in printed
    assert "0.000 at worst" in printed
    assert "network alone: processor" in printed


def test_the_command_fails_where_the_gate_refuses(inspections: list[Inspection], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")

    def far_off(*_: object) -> Iterator[tuple[Inspection, Inspection]]:
        return ((one, with_area(one, 3)) for one in inspections)

    monkeypatch.setattr(area_gate, "sample_micrographs", lambda: area_gate.drawn(1, size_px=(320, 256)))
    monkeypatch.setattr(area_gate, "inspect_both", far_off)
    monkeypatch.setattr(area_gate, "RUNS", 1)
    assert area_gate.main([str(SEGMENTER), "--drawn", "0"]) == 1
