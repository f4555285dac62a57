"""Layers of several runs become one table, and the libraries that tell of their layers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.backends import table
from edge.backends.layers import Layer, averaged
from edge.models.card import BUILTIN_FOLDER


def test_the_mean_of_a_layer_is_over_runs_and_the_slowest_comes_first() -> None:
    once = [Layer("a", "Conv", 1.0), Layer("b", "Add", 4.0), Layer("a", "Conv", 2.0)]
    assert averaged([once, [Layer("a", "Conv", 5.0), Layer("b", "Add", 6.0)]]) == [
        Layer("b", "Add", 5.0),
        Layer("a", "Conv", 4.0),
    ]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_librarys_layers_are_those_of_the_network(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not table.BACKENDS[backend].is_installed:
        pytest.skip(f"{backend} is not installed")
    monkeypatch.chdir(tmp_path)
    model, image = BUILTIN_FOLDER / "classifier.onnx", np.zeros((1, 1, 224, 224), np.uint8)
    layers = table.BACKENDS[backend].layers(model, "float32", image, 2)
    assert layers is not None
    assert any("conv" in layer.kind.lower() for layer in layers)
    assert sum(layer.ms for layer in layers) > 0
    assert not list(tmp_path.iterdir())  # ONNX Runtime writes its trace to the working folder unless it is told


def test_a_backend_that_tells_no_layers_gives_none() -> None:
    image = np.zeros((1, 1, 224, 224), np.uint8)
    silent = replace(table.BACKENDS["onnxruntime"], module="edge.backends.crop")
    assert silent.layers(Path("no-such-model.onnx"), "float32", image, 1) is None
