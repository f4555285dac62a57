"""An exported ONNX file with its card in, a checkpoint of the network that it came from out.

What was folded cannot be told apart again. So each BatchNorm changes nothing but adds the bias of its convolution, and each
of the stem's three channels gets a third of the folded one. That the network says what the file says is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import ModelError
from edge.models.card import ModelCard, load_card
from export.checkpoint import Checkpoint, classification_network, segmentation_network
from export.drift import largest_drift
from export.to_onnx import PARITY_TOLERANCE, folded_weights, run_onnx, stored_weights
from export.trained import TrainedNetwork

_HEAD = "position_scores.weight"
"""The classifier's last layer in the exported graph; its bias is called `bias`."""


def recovered(model: Path, task: Literal["segment", "classify"]) -> Checkpoint:
    """The checkpoint of `model`, which `edge-export onnx` wrote. Raises ModelError where the file does not hold all of it."""
    card = load_card(model, task)
    checkpoint = (_segmenter if task == "segment" else _classifier)(model, card)
    rows, columns = (160, 224) if task == "segment" else (card.input_px, card.input_px)
    image = np.random.default_rng(0).integers(0, 256, (1, 1, rows, columns), dtype=np.uint8)
    with TrainedNetwork(checkpoint) as network:
        said = network.run(image)
    drift = largest_drift(said, run_onnx(model, image))
    if drift > PARITY_TOLERANCE:
        raise ModelError(f"the weights read from {model} do not say what it says (off by {drift:.2g}): name its checkpoint")
    return checkpoint


def _segmenter(model: Path, card: ModelCard) -> Checkpoint:
    network = segmentation_network(card.classes, card.architecture)
    found = folded_weights(model)
    for name, module in network.named_modules():
        convolution = f"{name.removesuffix('bn')}conv"
        if isinstance(module, nn.BatchNorm2d) and f"{convolution}.bias" in found:
            found |= _that_adds(name, module, found.pop(f"{convolution}.bias"))
    return _checkpoint(model, card, network, found)


def _classifier(model: Path, card: ModelCard) -> Checkpoint:
    import onnx

    graph = onnx.load(model).graph
    stored = stored_weights(graph)
    network = classification_network(card.architecture, len(card.classes))
    head = _name_of(network, cast(Any, network).get_classifier())
    if _HEAD not in stored or "bias" not in stored:
        raise ModelError(f"{model} was not written by edge-export onnx: name the classifier's checkpoint")
    found = {f"{head}.weight": stored[_HEAD].flatten(1), f"{head}.bias": stored["bias"]}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.input[1] != _HEAD]
    layers = list(_layers_as_they_run(network, card.input_px))
    if len(convolutions) != len(layers):
        raise ModelError(f"{model} is no {card.architecture} as this version of timm builds it: name its checkpoint")
    for node, (name, layer, norm) in zip(convolutions, layers, strict=True):
        weight, *bias = (stored[one] for one in node.input[1:])
        if name == layers[0][0]:
            weight = weight.expand(-1, layer.in_channels, -1, -1) / layer.in_channels
        found[f"{name}.weight"] = weight
        if layer.bias is not None:
            found[f"{name}.bias"] = bias[0]
        elif norm is not None:
            found |= _that_adds(norm, cast(nn.BatchNorm2d, network.get_submodule(norm)), bias[0])
    mean, std = _normalisation(graph, convolutions[0].input[0])
    return _checkpoint(model, card, network, found, grey_mean=mean, grey_std=std)


def _checkpoint(
    model: Path,
    card: ModelCard,
    network: nn.Module,
    found: Mapping[str, Tensor],
    grey_mean: float = 0.0,
    grey_std: float = 1.0,
) -> Checkpoint:
    """Of a network whose every weight that is learnt was found. Raises ModelError."""
    state = network.state_dict()
    fitting = {name: tensor for name, tensor in found.items() if name in state and state[name].shape == tensor.shape}
    learnt = {name for name, weight in network.named_parameters() if weight.requires_grad}
    if missing := sorted(learnt - set(fitting)):
        raise ModelError(
            f"{model} does not hold {len(missing)} of the weights of a {card.architecture}, {missing[-1]} among them: "
            "name its checkpoint"
        )
    return Checkpoint(
        card.task,
        card.architecture,
        card.classes,
        {**state, **fitting},
        card.training,
        grey_mean=grey_mean,
        grey_std=grey_std,
    )


def _that_adds(name: str, norm: nn.BatchNorm2d, bias: Tensor) -> dict[str, Tensor]:
    """The state of a BatchNorm that adds `bias` and does nothing else."""
    ones, nothing = torch.ones_like(bias), torch.zeros_like(bias)
    return {
        f"{name}.weight": ones,
        f"{name}.bias": bias,
        f"{name}.running_mean": nothing,
        f"{name}.running_var": torch.full_like(bias, 1.0 - norm.eps),
    }


def _layers_as_they_run(network: nn.Module, side_px: int) -> Iterator[tuple[str, nn.Conv2d, str | None]]:
    """Each convolution in the order in which they run, and the name of the BatchNorm that runs next."""
    ran: list[tuple[str, nn.Module]] = []
    hooks = [
        module.register_forward_hook(lambda module, _inputs, _output, name=name: ran.append((name, module)))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, side_px, side_px))
    for hook in hooks:
        hook.remove()
    for (name, module), (after, following) in zip(ran, [*ran[1:], ("", nn.Identity())], strict=True):
        if isinstance(module, nn.Conv2d):
            yield name, module, after if isinstance(following, nn.BatchNorm2d) else None


def _normalisation(graph: Any, value: str) -> tuple[float, float]:
    """Mean and standard deviation that grey levels in 0…1 are normalised by, on the way from the input to `value`."""
    from onnx import numpy_helper

    made_by = {output: node for node in graph.node for output in node.output}
    numbers: list[tuple[str, float]] = []
    while value in made_by and made_by[value].op_type in ("Div", "Sub"):
        node = made_by[value]
        (constant,) = (one for one in made_by[node.input[1]].attribute if one.name == "value")
        numbers.append((node.op_type, float(numpy_helper.to_array(constant.t))))
        value = node.input[0]
    kinds = [kind for kind, _ in numbers]
    if kinds != ["Div", "Sub", "Div"]:
        raise ModelError("the classifier's graph does not begin with its normalisation: name its checkpoint")
    return numbers[1][1], numbers[0][1]


def _name_of(network: nn.Module, wanted: nn.Module) -> str:
    named: dict[str, nn.Module] = dict(network.named_modules())
    return next(name for name, module in named.items() if module is wanted)
