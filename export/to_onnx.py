"""A trained checkpoint in, an ONNX file that takes grey 8-bit images, with its card, out.

A file that onnxruntime computes differently from torch is not written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.errors import ModelError
from edge.models.card import GREY_WINDOW_RULE, ModelCard, card_path, load_card
from export.checkpoint import Checkpoint, licence_of, segmentation_network
from export.drift import largest_drift
from export.graphs import CLASSIFIER_OUTPUTS, SEGMENTER_OUTPUTS, ClassifierGraph, SegmenterGraph

OPSET = 17


PARITY_TOLERANCE = 1e-3


def export_segmenter(checkpoint: Checkpoint, folder: Path, name: str = "segmenter", version: str = "0.1.0") -> Path:
    """Write `folder/name.onnx` and its card; returns the model's path. Raises ModelError, also when onnxruntime disagrees."""
    graph = SegmenterGraph(checkpoint.network())
    # 96 × 160 has 315 candidates, fewer than K: the branch of the minimum that a constant would get wrong
    examples = [_noise(1, 96, 160), _noise(2, 416, 352)]
    axes = {
        "image": {0: "N", 2: "H", 3: "W"},
        "prototypes": {0: "N", 2: "H4", 3: "W4"},
        **{output: {0: "N", 1: "K"} for output in SEGMENTER_OUTPUTS[:4]},
    }
    path = folder / f"{name}.onnx"
    _write(graph, examples[1], path, SEGMENTER_OUTPUTS, axes)
    _require_parity(graph, path, examples, SEGMENTER_OUTPUTS)
    defaults = {"input_px": 640, "tile_above_px": 1024, "tile_overlap_px": 96, "edges_followed": True}
    _write_card(checkpoint, path, name, version, defaults)
    return path


def export_classifier(checkpoint: Checkpoint, folder: Path, name: str = "classifier", version: str = "0.1.0") -> Path:
    """Write `folder/name.onnx` and its card; returns the model's path. Raises ModelError, also when onnxruntime disagrees."""
    graph = ClassifierGraph(checkpoint.network(), checkpoint.grey_mean, checkpoint.grey_std)
    examples = [_noise(1, 224, 224), _noise(3, 224, 224)]
    axes = {"image": {0: "N"}, **{output: {0: "N"} for output in CLASSIFIER_OUTPUTS}}
    path = folder / f"{name}.onnx"
    _write(graph, examples[0], path, CLASSIFIER_OUTPUTS, axes)
    _require_parity(graph, path, examples, CLASSIFIER_OUTPUTS)
    _write_card(checkpoint, path, name, version, {"input_px": 224, "crop_margin": 0.25})
    return path


def folded_weights(model: Path) -> dict[str, Tensor]:
    """The weights of an exported segmenter by their names in ultralytics; each BatchNorm is folded into its convolution.

    The stem's one channel becomes three of a third. Raises ModelError.
    """
    import onnx

    card = load_card(model, "segment")
    head = len(cast(Any, segmentation_network(card.classes, card.architecture)).model) - 1
    weights: dict[str, Tensor] = {}
    for called, tensor in stored_weights(onnx.load(model).graph).items():
        part, dot, rest = called.partition(".")
        name = {"body": f"model.{rest}", "head": f"model.{head}.{rest}"}.get(part, called) if dot else called
        weights[name] = tensor
    stem = "model.0.conv.weight"
    weights[stem] = weights[stem].expand(-1, 3, -1, -1) / 3
    return weights


def stored_weights(graph: Any) -> dict[str, Tensor]:
    """The weights of an ONNX graph by name. The exporter stores equal ones once and gives them out under further names."""
    from onnx import numpy_helper

    stored = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    return stored


def _noise(n: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 1, height, width), dtype=np.uint8))


def _write(graph: nn.Module, example: Tensor, path: Path, outputs: tuple[str, ...], axes: dict[str, dict[int, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            graph.eval(),
            (example,),
            str(path),
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the tracing exporter needs no further package and writes IR 8, which onnxruntime 1.18 reads
        )


def _require_parity(graph: nn.Module, path: Path, examples: list[Tensor], outputs: tuple[str, ...]) -> None:
    """Refuse a file that does not say what torch says."""
    for example in examples:
        with torch.no_grad():
            expected = dict(zip(outputs, (tensor.numpy() for tensor in graph(example)), strict=True))
        drift = largest_drift(expected, run_onnx(path, example.numpy()))
        if drift > PARITY_TOLERANCE:
            path.unlink()
            raise ModelError(f"{path.name} drifted by {drift:.2g} from the torch network: not written")


def run_onnx(path: Path, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """All outputs of an ONNX model by name, on onnxruntime's CPU provider."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def _write_card(checkpoint: Checkpoint, path: Path, name: str, version: str, defaults: Mapping[str, Any]) -> None:
    card = ModelCard(
        schema="edge.model/1",
        task=checkpoint.task,
        name=name,
        version=version,
        architecture=checkpoint.architecture,
        classes=checkpoint.classes,
        grey_window=GREY_WINDOW_RULE,
        calibration=checkpoint.calibration,
        training=checkpoint.training,
        scores=dict(checkpoint.scores),
        licence=licence_of(checkpoint.architecture),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        **{**defaults, **checkpoint.card},
    )
    text = card.model_dump_json(by_alias=True, indent=1)
    # a row of numbers stays on one line: the domain statistics have tens of thousands of them
    text = re.sub(r"\[[\d\s.,eE+-]+\]", lambda row: "[" + " ".join(row[0][1:-1].split()) + "]", text)
    card_path(path).write_text(text + "\n", encoding="utf-8")
