"""A checkpoint in, its network exactly as it was trained out: what every exported file is measured against."""

from __future__ import annotations

from types import TracebackType
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.checkpoint import Checkpoint
from export.graphs import CANDIDATES, TEXTURE_STAGES, pick, with_every_candidate, with_folded_stem


class TrainedNetwork:
    """A checkpoint's network exactly as it was trained, in the form of `edge.backends.Network`.

    Three equal channels, nothing folded, boxes decoded by ultralytics: what an exported file is measured against.
    """

    name = "torch"
    precision = "float32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._network = cast(Any, checkpoint.network())
        if checkpoint.task == "segment":
            with_every_candidate(self._network)
        self._task = checkpoint.task
        self._mean, self._std = checkpoint.grey_mean, checkpoint.grey_std

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The outputs that the exported file has, by name, for uint8 [N, 1, H, W]."""
        with torch.no_grad():
            grey = (torch.from_numpy(image).float() / 255 - self._mean) / self._std
            found = (self._segment if self._task == "segment" else self._classify)(grey.expand(-1, 3, -1, -1))
        return {name: tensor.numpy() for name, tensor in found.items()}

    def close(self) -> None:
        """Free the network."""
        self._network = None

    def __enter__(self) -> TrainedNetwork:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _segment(self, grey: Tensor) -> dict[str, Tensor]:
        head = self._network.model[-1]
        (rows, prototypes), _ = self._network(grey)
        centre, size, probabilities, coefficients = rows.split((2, 2, head.nc, head.nm), dim=1)
        scores, labels = probabilities.max(dim=1)
        top, index = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
        return {
            "boxes": pick(torch.cat((centre - size / 2, centre + size / 2), dim=1), index).transpose(1, 2),
            "scores": top,
            "classes": labels.gather(1, index),
            "coefficients": pick(coefficients, index).transpose(1, 2),
            "prototypes": prototypes,
        }

    def _classify(self, grey: Tensor) -> dict[str, Tensor]:
        features, stages = self._network.forward_intermediates(grey)
        textures = [
            moment for stage in stages[:TEXTURE_STAGES] for moment in torch.std_mean(stage, dim=(2, 3), correction=0)[::-1]
        ]
        return {
            "logits": self._network(grey),
            "cam": torch.einsum("cd,ndhw->nchw", self._network.get_classifier().weight, features),
            "embedding": torch.cat(textures, dim=1),
        }


def folding_difference(checkpoint: Checkpoint, image: NDArray[np.uint8]) -> float:
    """How far the network with its stem folded to one channel is from the unfolded one on three equal channels.

    The largest difference of any output, relative to that output's largest magnitude, in float64, where rounding hides nothing.
    image: uint8 [N, 1, H, W].
    """
    network = checkpoint.network().double()
    folded = with_folded_stem(network)
    grey = (torch.from_numpy(image).double() / 255 - checkpoint.grey_mean) / checkpoint.grey_std
    with torch.no_grad():
        pairs = zip(_tensors(network(grey.expand(-1, 3, -1, -1))), _tensors(folded(grey)), strict=True)
        return max(float((one - other).abs().max() / one.abs().max().clamp(min=1e-9)) for one, other in pairs)


def _tensors(output: Any) -> list[Tensor]:
    """The tensors among nested outputs, without the raw ones that ultralytics adds for its loss."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for part in output if not isinstance(part, dict) for tensor in _tensors(part)]
