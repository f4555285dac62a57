"""Networks that run apart from the host: what is launched when, and that the verdict is the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import table
from edge.backends.crop import Crop, run_on_crops
from edge.backends.network import Later
from edge.inspection.pipeline import Pipeline
from edge.records import Inspection
from tests.conftest import SOURCE, micrograph, pitted, settings_for


class Apart:
    """A network of the processor, launched and collected as one of a GPU is; `seen` says in which order."""

    precision = "float32"

    def __init__(self, model: Path, seen: list[str]) -> None:
        self._network = table.open_network("onnxruntime", model, "float32")
        self.name = self._network.name
        self._model = model.stem
        self._seen = seen

    def submit_on_crops(self, grey: Any, crops: Sequence[Crop], rows: int, columns: int) -> Later:
        self._seen.append(f"launch {self._model} {len(crops)}")
        outputs = run_on_crops(self._network, grey.copy(), crops, rows, columns)

        def collect() -> Any:
            self._seen.append(f"collect {self._model}")
            return outputs

        return Later(collect)

    def close(self) -> None:
        self._network.close()

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def seen_and_verdict(tmp_path: Path, grey: Any, **inspect: Any) -> tuple[list[str], Inspection, Inspection]:
    seen: list[str] = []
    settings = settings_for(tmp_path / "export", inspect=inspect, models={"backend": "onnxruntime"})
    with Pipeline(settings, open_network=lambda _, model, __: Apart(model, seen)) as apart, Pipeline(settings) as plain:
        image = micrograph(grey)
        return seen, apart.inspect(image, SOURCE), plain.inspect(image, SOURCE)


def same(one: Inspection, other: Inspection) -> bool:
    assert one.severity is not None
    assert other.severity is not None
    masks = all(np.array_equal(a, b) for a, b in zip(one.regions.masks, other.regions.masks, strict=True))
    return (
        masks
        and one.severity.probabilities == other.severity.probabilities
        and one.measures.area_px.tolist() == (other.measures.area_px.tolist())
    )


def test_stage_2_runs_while_the_host_makes_masks_and_measures(tmp_path: Path) -> None:
    seen, apart, plain = seen_and_verdict(tmp_path, pitted(640, 480))
    launches = [event for event in seen if event.startswith("launch")]
    assert launches[0] == "launch segmenter 1"
    assert seen.index("launch classifier 1") < seen.index("collect segmenter")
    assert seen[-1] == "collect classifier"
    assert same(apart, plain)


def test_the_next_views_run_while_the_masks_of_these_are_made(tmp_path: Path) -> None:
    seen, apart, plain = seen_and_verdict(tmp_path, pitted(2600, 1900), tile="auto")
    segmenter = [event.split()[0] for event in seen if "segmenter" in event]
    assert segmenter[:3] == ["launch", "launch", "collect"]
    assert segmenter.count("launch") == segmenter.count("collect") >= 3
    assert seen.count("launch classifier 1") == 1
    assert same(apart, plain)


@pytest.mark.parametrize("stages", ["segment", "classify"])
def test_one_stage_alone_is_launched_once(tmp_path: Path, stages: str) -> None:
    seen: list[str] = []
    settings = settings_for(tmp_path / "export", inspect={"stages": stages}, models={"backend": "onnxruntime"})
    with Pipeline(settings, open_network=lambda _, model, __: Apart(model, seen)) as apart:
        verdict = apart.inspect(micrograph(pitted(320, 256)), SOURCE)
    assert (verdict.severity is None) == (stages == "segment")
    assert {event.split()[1] for event in seen} == {"segmenter" if stages == "segment" else "classifier"}
