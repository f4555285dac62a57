"""A data set in YOLO-seg layout in, a YOLOv8n-seg checkpoint with its scores out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from edge.errors import ModelError
from export.to_onnx import segmentation_network


def initial_network(weights: str, classes: tuple[str, ...], images: Iterable[Tensor]) -> nn.Module:
    """YOLOv8n-seg for `classes`, initialised from `weights`: "none", "coco" (ultralytics' own) or a .safetensors file.

    images: float32 [N, 3, H, W] in 0…1, a few batches of what the network will learn from; a file whose BatchNorm is
    folded into its convolutions gets BatchNorm back with statistics measured on them. Raises ModelError.
    """
    network = segmentation_network(classes)
    if weights == "none":
        return network
    if weights == "coco":
        from ultralytics import YOLO

        cast(Any, network).load(cast(Any, YOLO("yolov8n-seg.pt").model))
        return network
    from safetensors.torch import load_file

    try:
        folded = load_file(weights)
    except Exception as error:  # safetensors raises its own and OSError
        raise ModelError(f"cannot read the weights {weights}: {error}") from error
    _restore_batchnorm(network, folded, list(images))
    return network


@torch.no_grad()
def _restore_batchnorm(network: nn.Module, folded: dict[str, Tensor], images: list[Tensor]) -> None:
    """Put folded weights into an unfused network so that it says the same in eval mode and can be trained.

    A BatchNorm with mean and variance 0 and 1 would say the same too, but would change every activation as soon as it
    normalises by a batch. So each convolution's output is measured, in the order of the network, and its BatchNorm
    gets that mean and variance, and the scale and shift that undo them.
    """
    cast(Any, network).float().eval()
    convolutions = {name: module for name, module in network.named_modules() if hasattr(module, "conv") and hasattr(module, "bn")}
    for name, parameter in [*network.named_parameters(), *network.named_buffers()]:
        stored = folded.get(name)
        if stored is not None and stored.shape == parameter.shape:
            parameter.copy_(stored)

    def measure(name: str, bn: nn.BatchNorm2d) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            mean, variance = output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3), unbiased=False)
            assert bn.running_mean is not None and bn.running_var is not None
            bn.running_mean.copy_(mean)
            bn.running_var.copy_(variance)
            bn.weight.copy_((variance + bn.eps).sqrt())
            bn.bias.copy_(folded[f"{name}.conv.bias"] + mean)

        return hook

    hooks = [
        module.conv.register_forward_hook(measure(name, module.bn))
        for name, module in cast(Iterable[tuple[str, Any]], convolutions.items())
        if f"{name}.conv.bias" in folded and folded[f"{name}.conv.weight"].shape == module.conv.weight.shape
    ]
    if not hooks:
        raise ModelError("none of the weights fit YOLOv8n-seg")
    network(torch.cat(images))
    for hook in hooks:
        hook.remove()
