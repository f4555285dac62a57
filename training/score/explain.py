"""A trained network and an image in, where the network looked and how well that agrees with the labels out (Grad-CAM).

Stage 1, by pytorch-grad-cam (Selvaraju et al. 2017): the target is the sum of the class logits of all candidates whose
score reaches the confidence, or of the single best candidate where none does. Candidates are those before suppression of
duplicates, which has no gradient and only takes away more of the same regions. The layers are all that the head reads, 8,
16 and 32 network pixels a position, because regions of different sizes are found on different ones; pytorch-grad-cam scales
each layer's map to 0…1 and takes their mean.

Stage 2 needs no gradients: for a head of global average pooling and one linear layer the graph's output `cam` is
Grad-CAM at the last convolution. The class is the one that the network decided on.

A heat map is 0…1, its maximum 1. It is compared with the union of the labelled regions after thresholding at 15 % of its
maximum, with which Selvaraju et al. localise (section 4.1). The paper (section 3.4.5) gives no threshold.
"""

# torch is Any where it is not installed
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any, Final, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.inspection.classify import field_of_view
from export.graphs import ClassifierGraph

Heat = NDArray[np.float32]
Mask = NDArray[np.bool_]

THRESHOLD: Final = 0.15
THRESHOLDS: Final = (0.15, 0.3, 0.5)  # also reported, since the choice decides much


def segmenter_heat(network: nn.Module, canvas: NDArray[np.uint8], confidence: float) -> Heat:
    """float32 [H, W] in 0…1: what made the segmenter find regions in `canvas`, uint8 [H, W], sides multiples of 32.

    network: unfused, as `Checkpoint.network` makes it, and never run in torch's inference mode.
    """
    from pytorch_grad_cam import GradCAM

    model = cast(Any, network).model
    layers = [model[index] for index in model[-1].f]
    pixels = torch.from_numpy(canvas).float().div(255)[None, None].repeat(1, 3, 1, 1)
    least = float(np.log(confidence / (1 - confidence)))

    def kept(logits: Tensor) -> Tensor:
        best = logits.amax(dim=0)
        chosen = best >= least
        return best[chosen].sum() if bool(chosen.any()) else best.max()

    with GradCAM(model=_ClassLogits(network), target_layers=layers) as cam:
        return np.asarray(cam(input_tensor=pixels, targets=[kept])[0], np.float32)


class _ClassLogits(nn.Module):
    """The segmenter reduced to the class logits of all candidates, [N, classes, candidates]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        raw = self.network(pixels)[1]
        return cast(Tensor, raw.get("one2one", raw)["scores"])


@torch.no_grad()
def classifier_heat(graph: ClassifierGraph, field: NDArray[np.uint8]) -> Heat:
    """float32 [side, side] in 0…1: what made the classifier decide on its class for `field`, uint8 [side, side]."""
    logits, cam, _ = graph.eval()(torch.from_numpy(field)[None, None])
    scores = cam[0, int(logits[0].argmax())].numpy()
    heat = cv2.resize(np.maximum(scores, 0), field.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(heat / max(float(heat.max()), 1e-9), np.float32)


def field_truth(truth: Mask, side_px: int) -> Mask:
    """bool [side, side]: labelled pixels bool [h, w] where `edge.inspection.classify.field_of_view` puts them."""
    return field_of_view(truth.astype(np.uint8) * 255, side_px) > 127


def heat_iou(heat: Heat, truth: Mask, threshold: float = THRESHOLD) -> float:
    """IoU of a thresholded heat map and labelled pixels, both [h, w]; NaN where nothing is labelled."""
    if not truth.any():
        return float("nan")
    hot = heat >= threshold
    return float(np.count_nonzero(hot & truth) / np.count_nonzero(hot | truth))
