"""An engine whose answers differ from float32 is refused, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt.passport import EngineParity
from edge.config import Settings
from edge.errors import ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.records import Micrograph
from export import engine_parity, fp16
from tests.export.engines import MODELS


class Spoilt:
    """A model on ONNX Runtime whose outputs are changed."""

    name, precision = "tensorrt", "float16"

    def __init__(self, model: Path, output: str, change: Any) -> None:
        self._inner, self._output, self._change = OnnxSession(model), output, change

    def run(self, image: Any) -> Any:
        outputs = dict(self._inner.run(image))
        outputs[self._output] = self._change(outputs[self._output])
        return outputs

    def close(self) -> None: ...


def parity_of(name: str, task: Any, settings: Settings, images: list[Micrograph], network: Any) -> EngineParity:
    path = BUILTIN_FOLDER / f"{name}.onnx"
    return engine_parity.measure_parity(path, load_card(path, task), network, settings, images)


@pytest.mark.parametrize(("name", "task"), MODELS)
def test_the_fp16_graph_agrees_with_float32(
    halves: dict[str, fp16.HalfGraph], settings: Settings, images: list[Micrograph], tmp_path: Path, name: str, task: Any
) -> None:
    onnx.save(halves[name].model, tmp_path / "half.onnx")
    with OnnxSession(tmp_path / "half.onnx") as network:
        parity = parity_of(name, task, settings, images, network)
        assert network.run(np.zeros((1, 1, 224, 224), np.uint8))  # still open
    assert engine_parity.refusal(parity) is None
    assert (parity.box_error_px is None) == (task == "classify")
    assert (parity.flips is None) == (task == "segment")


def test_an_engine_whose_masks_differ_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", "coefficients", lambda values: -values)
    refused = engine_parity.refusal(parity_of("segmenter", "segment", settings, images, network))
    assert refused is not None
    assert refused.startswith("mean mask IoU")


def test_an_engine_whose_boxes_differ_is_refused_even_where_masks_are_like_each_other(
    settings: Settings, images: list[Micrograph]
) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", "boxes", lambda values: values + np.float32(1.5))
    parity = parity_of("segmenter", "segment", settings, images, network).model_copy(update={"mean_mask_iou": 1.0})
    refused = engine_parity.refusal(parity)
    assert refused is not None
    assert refused.startswith("a box is off by")


@pytest.mark.parametrize(("output", "value"), [("boxes", "nan"), ("scores", "nan"), ("prototypes", "inf")])
def test_an_engine_that_overflows_is_refused_by_the_output_where_it_shows(
    settings: Settings, images: list[Micrograph], output: str, value: str
) -> None:
    network = Spoilt(BUILTIN_FOLDER / "segmenter.onnx", output, lambda values: values + np.float32(value))
    with pytest.raises(ModelError, match=f"not numbers in {output}"):
        parity_of("segmenter", "segment", settings, images, network)


def test_an_engine_whose_severity_differs_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "classifier.onnx", "logits", lambda values: values[:, ::-1] * np.float32(3))
    refused = engine_parity.refusal(parity_of("classifier", "classify", settings, images, network))
    assert refused is not None
    assert "surer than 0.05" in refused


def test_an_engine_that_takes_images_out_of_the_domain_is_refused(settings: Settings, images: list[Micrograph]) -> None:
    network = Spoilt(BUILTIN_FOLDER / "classifier.onnx", "embedding", lambda values: values * np.float32(20))
    refused = engine_parity.refusal(parity_of("classifier", "classify", settings, images, network))
    assert refused is not None
    assert refused.startswith("1 of 1 images entered or left the domain")


@pytest.mark.parametrize("parity", [EngineParity(images=1, mean_mask_iou=float("nan")), EngineParity(images=1, flips=0)])
def test_figures_that_are_no_numbers_do_not_pass(parity: EngineParity) -> None:
    parity = parity.model_copy(update={"largest_probability_difference": float("nan")})
    assert engine_parity.refusal(parity) is not None
