"""A segmenter on a played GPU that makes masks there: the host's regions, in one graph; the host where room ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.masks import MaskingNetwork
from edge.backends.tensorrt import found
from edge.backends.tensorrt.engine import TensorRtEngine
from edge.errors import BackendError
from edge.inspection.segment import Segmenter, letterbox
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.samples import sample_micrographs
from tests.backends.tensorrt.toy_engine import installed, opened, read_only
from tests.conftest import pitted
from tests.fakes.gpu import Machine, OnnxNetwork, onnx_network

CARD = load_card(BUILTIN_FOLDER / "segmenter.onnx", "segment")
PROFILE = [(1, 1, 32, 32), (1, 1, 480, 640), (2, 1, 640, 640)]


@pytest.fixture(params=[False, True], ids=["own memory", "integrated"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    gpu = installed(monkeypatch, Machine(network=onnx_network, integrated=request.param))
    yield gpu
    assert gpu.is_empty


def engine(gpu: Machine, kernels: Path | None) -> TensorRtEngine:
    data = json.dumps(PROFILE).encode() + b"\n" + (BUILTIN_FOLDER / "segmenter.onnx").read_bytes()
    return TensorRtEngine(data, gpu.tensorrt, kernels=kernels)


def look(network: Any, grey: Any, **options: Any) -> Any:
    return Segmenter(network, CARD, confidence=0.3, iou=0.7, tile="off").look(grey, **options)


def test_the_gpus_masks_are_the_hosts_regions(gpu: Machine, kernels: Path) -> None:
    grey = read_only(sample_micrographs()[0].grey.copy())
    with engine(gpu, kernels) as there, engine(gpu, None) as plain:
        assert isinstance(there, MaskingNetwork)
        wanted = look(plain, grey).regions
        assert len(wanted) > 5
        for _ in range(3):  # plainly, then as a graph
            gpu.events.clear()
            regions = look(there, grey).regions
            assert np.array_equal(regions.boxes_px, wanted.boxes_px)
            assert np.array_equal(regions.scores, wanted.scores)
            assert np.array_equal(regions.class_ids, wanted.class_ids)
            assert all(np.array_equal(one, other) for one, other in zip(regions.masks, wanted.masks, strict=True))
        assert gpu.events.count("launch") == gpu.events.count("event synchronize") == 1
        assert not {"enqueue", "synchronize", "htod"} & {*gpu.events}, "more than one graph"


def test_the_prototypes_stay_on_the_gpu(gpu: Machine, kernels: Path) -> None:
    grey = read_only(pitted(640, 480))
    with engine(gpu, kernels) as there:
        look(there, grey)
        before = gpu.downloaded
        look(there, grey)
        assert gpu.downloaded - before < 32 * 120 * 160 * 4 / 3
        assert gpu.integrated == (gpu.downloaded == 0)


def test_where_the_boxes_hold_too_many_pixels_the_host_makes_the_masks(
    gpu: Machine, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = read_only(sample_micrographs()[0].grey.copy())
    with engine(gpu, kernels) as there:
        wanted = look(there, grey).regions
        monkeypatch.setattr(found, "MOST_WORDS", 100)
        gpu.events.clear()
        again = look(there, read_only(grey.copy())).regions
        assert np.array_equal(again.boxes_px, wanted.boxes_px)
        assert gpu.events.count("draw") + gpu.events.count("launch") >= 1


def test_what_the_teacher_wants_to_see_comes_back_whole(gpu: Machine, kernels: Path) -> None:
    with engine(gpu, kernels) as there:
        assert look(there, read_only(pitted(640, 480)), with_features=True).features is not None
        assert "rank_candidates" not in gpu.events


def test_without_kernels_the_host_makes_the_masks(gpu: Machine) -> None:
    grey = pitted(320, 256)
    with engine(gpu, None) as plain:
        assert plain.submit_masks(grey, [letterbox(grey.shape, 640)], 256, 320, 0.3, 0.7) is None


def test_outputs_that_are_not_numbers_end_the_run_as_on_the_host(
    gpu: Machine, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = read_only(pitted(320, 256))
    with engine(gpu, kernels) as there:
        compute = OnnxNetwork.compute

        def broken(self: Any, image: Any) -> dict[str, Any]:
            outputs = {name: array.copy() for name, array in compute(self, image).items()}
            outputs["scores"][:, 0] = np.nan
            return outputs

        monkeypatch.setattr(OnnxNetwork, "compute", broken)
        run = there.submit_masks(grey, [letterbox(grey.shape, 640)], 256, 320, 0.3, 0.7)
        assert run is not None
        with pytest.raises(BackendError, match="not numbers"):
            run.collect()


def test_a_classifier_has_no_masks(monkeypatch: pytest.MonkeyPatch, kernels: Path) -> None:
    toy = installed(monkeypatch, Machine())
    with opened(toy, kernels=kernels) as classifier:
        assert classifier.submit_masks(pitted(64, 64), [letterbox((64, 64), 64)], 64, 64, 0.3, 0.7) is None


# Two images under way


def alike(found: Any, wanted: Any) -> bool:
    return np.array_equal(found.boxes_px, wanted.boxes_px) and all(map(np.array_equal, found.masks, wanted.masks))


def greys_of(count: int) -> list[Any]:
    return [read_only(np.ascontiguousarray(sample_micrographs()[0].grey[:256, 32 * n : 32 * n + 320])) for n in range(count)]


def test_the_next_images_stage_1_is_launched_before_this_ones_answer_is_waited_for(gpu: Machine, kernels: Path) -> None:
    greys = greys_of(5)
    with engine(gpu, kernels) as there:
        segmenter = Segmenter(there, CARD, confidence=0.3, iou=0.7, tile="off")
        wanted = [segmenter.look(grey).regions for grey in greys]
        coarse = CARD.coarse_from_px is not None
        for round_ in range(3):  # each slot plainly, then as a graph
            for number, grey in enumerate(greys):
                gpu.events.clear()
                following = greys[number + 1] if number + 1 < len(greys) else None
                found = segmenter.look(grey, ahead=lambda one=following: None if one is None else segmenter.prepare(one))
                assert alike(found.regions, wanted[number])
                if round_ == 2 and 0 < number < len(greys) - 1:
                    waits = [index for index, event in enumerate(gpu.events) if event == "event synchronize"]
                    launches = [index for index, event in enumerate(gpu.events) if event == "launch"]
                    assert len(launches) == 1 + coarse
                    assert launches[-1] < waits[-1], "the next image waited for this one's answer"
        assert there._slots[0].outputs[0].shared.address != there._slots[1].outputs[0].shared.address


def test_what_is_wrong_with_the_next_image_does_not_touch_this_one(gpu: Machine, kernels: Path) -> None:
    grey, other = greys_of(2)
    with engine(gpu, kernels) as there:
        segmenter = Segmenter(there, CARD, confidence=0.3, iou=0.7, tile="off")
        wanted = segmenter.look(grey).regions

        def fail() -> None:
            gpu.fail["enqueue while captured"] = gpu.fail["enqueue"] = False
            segmenter.prepare(read_only(np.ascontiguousarray(other[:, :64])))
            gpu.fail.clear()

        assert alike(segmenter.look(grey, ahead=fail).regions, wanted)
        assert alike(segmenter.look(grey).regions, wanted)


def test_an_image_that_was_prepared_and_never_looked_at_costs_nothing_but_its_run(gpu: Machine, kernels: Path) -> None:
    grey, other = greys_of(2)
    with engine(gpu, kernels) as there:
        segmenter = Segmenter(there, CARD, confidence=0.3, iou=0.7, tile="off")
        wanted = segmenter.look(grey).regions
        for _ in range(4):
            segmenter.prepare(other)
            assert alike(segmenter.look(grey).regions, wanted)
        segmenter.prepare(other)  # and the engine closes


def test_an_image_that_may_be_written_to_is_not_prepared(gpu: Machine, kernels: Path) -> None:
    with engine(gpu, kernels) as there:
        segmenter = Segmenter(there, CARD, confidence=0.3, iou=0.7, tile="off")
        gpu.events.clear()
        segmenter.prepare(pitted(320, 256))
        assert not gpu.events
