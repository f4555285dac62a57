"""The shipped ONNX models in, checkpoints that ultralytics and timm load out, so that a rival can do the same work.

The checkpoints themselves are not shipped. The segmenter's weights stand in its graph, with their modules' names: each
BatchNorm is folded into its convolution and becomes one that changes nothing but adds the bias, and the stem's one channel
becomes three of a third. What the classifier is asked for does not depend on its weights, so they stay random.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.models.card import load_card


def write_checkpoints(segmenter: Path, classifier: Path, folder: Path) -> tuple[Path, Path]:
    """Files in `folder` for `edge-bench --checkpoint` and `--classifier-checkpoint`. Needs the extra `training`."""
    from export.checkpoint import Checkpoint, classification_network

    def write(model: Path, task: Any, state: Any) -> Path:
        card = load_card(model, task)
        kept = Checkpoint(
            task, card.architecture, card.classes, state, card.training, grey_std=0.25 if task == "classify" else 1
        )
        kept.save(folder / f"{model.stem}.pt")
        return folder / f"{model.stem}.pt"

    card = load_card(classifier, "classify")
    random = classification_network(card.architecture, len(card.classes)).state_dict()
    return write(segmenter, "segment", segmenter_state(segmenter)), write(classifier, "classify", random)


def segmenter_state(model: Path) -> dict[str, Any]:
    """The unfolded network's weights, by their names in ultralytics."""
    import torch

    from export.checkpoint import segmentation_network
    from export.to_onnx import folded_weights

    card = load_card(model, "segment")
    network = segmentation_network(card.classes, card.architecture)
    state, stored = dict(network.state_dict()), folded_weights(model)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            state[f"{name}.weight"] = torch.ones(module.num_features)
            state[f"{name}.running_mean"] = torch.zeros(module.num_features)
            state[f"{name}.running_var"] = torch.full((module.num_features,), 1 - module.eps)
            state[f"{name}.bias"] = stored.pop(f"{name.removesuffix('bn')}conv.bias")
    return {**state, **{name: values for name, values in stored.items() if name in state}}
