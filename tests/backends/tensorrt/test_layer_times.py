"""The layers of an engine, as TensorRT's profiler and inspector tell them."""

from __future__ import annotations

import json

import pytest

from edge.backends.layers import Layer
from edge.backends.tensorrt.engine import layers_of
from edge.backends.tensorrt.layer_times import kinds
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import agrees, images, opened
from tests.fakes.gpu import Machine

CONV = {"Name": "/conv/Conv", "LayerType": "CaskConvolution", "TacticName": "sm86_xmma_fprop"}


def test_layers_have_their_times_and_what_the_inspector_knows_of_them(gpu: Machine) -> None:
    gpu.report = json.dumps({"Layers": [CONV, "only a name"]})
    with opened(gpu) as engine:
        for _ in range(3):
            engine.run(images(2))
        told = layers_of(engine, images(2), 4)
        assert told == [Layer("/pool/Pool", "", 2.0), Layer("/conv/Conv", "CaskConvolution", 1.0, "sm86_xmma_fprop")]
        assert agrees(engine.run(images(2)), images(2))  # on a context that nobody profiles
    assert gpu.is_empty


def test_a_run_that_fails_while_it_is_timed_leaves_the_engine_usable(gpu: Machine) -> None:
    with opened(gpu) as engine:
        gpu.fail["enqueue"] = False
        with pytest.raises(BackendError, match="layers are timed") as raised:
            layers_of(engine, images(1), 4)
        gpu.fail.clear()
        assert agrees(engine.run(images(1)), images(1))
    assert gpu.is_empty, f"{raised.value} holds what lay on the GPU"


@pytest.mark.parametrize("report", ["", "no JSON", "[]", "{}", '{"Layers": 3}', '{"Layers": ["a", {"Name": 1}, null]}'])
def test_a_report_of_another_form_tells_no_kinds(report: str) -> None:
    assert kinds(report) == {}
