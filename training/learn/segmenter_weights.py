"""The name of an architecture and of weights in, a network that begins with them out."""

# torch is Any where it is not installed
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge.errors import ConfigError, ModelError
from edge.models.card import BUILTIN_FOLDER, load_card
from export.checkpoint import Checkpoint, segmentation_network
from export.to_onnx import folded_weights
from training.data.dataset import DataSet


def weights_of_run(run: Path, fold: int | None, data_set: DataSet) -> Path:
    """The weights of an earlier run; of its same fold, which has not seen the images that this one is scored on."""
    weights = run / "segmenter.pt" if fold is None else run / f"fold{fold}" / "segmenter.pt"
    if fold is not None and Checkpoint.load(weights).training.data_sha256 != data_set.sha256:
        raise ConfigError(f"{weights} learnt from another data set than {data_set.folder}, whose folds are others")
    return weights


def describe_weights(weights: str) -> str:
    """What a card says about where training began."""
    if weights in ("none", "coco"):
        return weights
    if weights == "shipped":
        return f"the shipped segmenter {load_card(BUILTIN_FOLDER / 'segmenter.onnx', 'segment').version}"
    path = Path(weights)
    if path.suffix != ".pt":
        return path.name
    earlier = Checkpoint.load(path).training
    return f"{path.name}, {earlier.epochs} epochs from {earlier.initialised_from}"


def initial_network(model: str, weights: str, classes: tuple[str, ...], images: Iterable[Tensor]) -> nn.Module:
    """The architecture `model` for `classes`, initialised from `weights`.

    weights: a .pt file of edge-train or ultralytics, a .safetensors file, an .onnx file of edge-export, or a word. "none":
    at random. "coco": ultralytics' own, downloaded. "shipped": the segmenter of this package, which knows micrographs.
    What depends on the number of classes begins at random where that differs.
    images: float32 [N, 3, H, W] in 0…1, a few batches of what the network will learn from; a file whose BatchNorm is
    folded into its convolutions gets BatchNorm back with statistics measured on them.
    Raises ConfigError for a name that means nothing, ModelError for weights that are missing or of another network.
    """
    if weights == "shipped":
        weights = str(BUILTIN_FOLDER / "segmenter.onnx")
    if weights not in ("none", "coco") and Path(weights).suffix not in (".pt", ".safetensors", ".onnx"):
        raise ConfigError(f"--weights {weights}: allowed are none, coco, shipped, and a .pt, .safetensors or .onnx file")
    network = segmentation_network(classes, model)
    if weights == "none":
        return network
    if weights == "coco":
        from ultralytics import YOLO

        try:
            known = cast(Any, YOLO(f"{model}.pt").model)
        except Exception as error:  # ultralytics raises what its download raises
            raise ModelError(
                f"cannot get the COCO weights {model}.pt ({str(error).splitlines()[0]}): put the file into the working "
                "folder, or name one with --weights"
            ) from error
        cast(Any, network).load(known)
        return network
    if weights.endswith(".pt"):
        checkpoint, fits = Checkpoint.load(Path(weights)), network.state_dict()
        fitting = {
            name: tensor for name, tensor in checkpoint.state.items() if name in fits and fits[name].shape == tensor.shape
        }
        if len(fitting) < len(fits) / 2:
            raise ModelError(f"{weights} is a {checkpoint.architecture}, whose weights do not fit a {model}: see --model")
        network.load_state_dict({**fits, **fitting})
        return network
    from safetensors.torch import load_file

    try:
        folded = folded_weights(Path(weights)) if weights.endswith(".onnx") else load_file(weights)
    except Exception as error:  # safetensors and onnx raise their own and OSError
        raise ModelError(f"cannot read the weights {weights}: {error}") from error
    _restore_batchnorm(network, folded, list(images))
    return network


def averaged(begun: Mapping[str, Tensor], trained: Mapping[str, Tensor], part: float) -> dict[str, Tensor]:
    """`part` of the trained weights and the rest of those that training began from, name by name.

    A network that learnt something new keeps more of what it knew before (Wortsman et al. 2022, doi
    10.1109/CVPR52688.2022.00780). What is no floating-point number is the trained one's. Raises ModelError where names differ.
    """
    if set(begun) != set(trained):
        raise ModelError("weights of two different networks cannot be averaged")
    return {
        name: torch.lerp(begun[name].float(), tensor.float(), part) if torch.is_floating_point(tensor) else tensor
        for name, tensor in trained.items()
    }


@torch.no_grad()
def _restore_batchnorm(network: nn.Module, folded: dict[str, Tensor], images: list[Tensor]) -> None:
    """Put folded weights into an unfused network so that it says the same in eval mode and can be trained.

    A BatchNorm with mean and variance 0 and 1 would say the same too, but would change every activation as soon as it
    normalises by a batch. So each convolution's output is measured, in the order of the network, and its BatchNorm
    gets that mean and variance, and the scale and shift that undo them.
    """
    cast(Any, network).float().eval()
    modules = cast(Iterable[tuple[str, Any]], network.named_modules())
    convolutions = {name: module for name, module in modules if hasattr(module, "conv") and hasattr(module, "bn")}
    for name, parameter in [*network.named_parameters(), *network.named_buffers()]:
        stored = folded.get(name)
        if stored is not None and stored.shape == parameter.shape:
            parameter.copy_(stored)

    def measure(name: str, bn: nn.BatchNorm2d) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            mean, variance = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3), unbiased=False)
            cast(Tensor, bn.running_mean).copy_(mean)
            cast(Tensor, bn.running_var).copy_(variance)
            bn.weight.copy_((variance + bn.eps).sqrt())
            bn.bias.copy_(folded[f"{name}.conv.bias"] + mean)

        return hook

    hooks = [
        module.conv.register_forward_hook(measure(name, module.bn))
        for name, module in convolutions.items()
        if f"{name}.conv.bias" in folded and folded[f"{name}.conv.weight"].shape == module.conv.weight.shape
    ]
    if not hooks:
        raise ModelError("none of the weights fit the network")
    network(torch.cat(images))
    for hook in hooks:
        hook.remove()
