"""A network and batches in, the network with what it learnt from them out: its head first, then all layers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edge.errors import ModelError
from edge.records import SEVERITIES
from export.checkpoint import Checkpoint, classification_network
from training.learn.classifier_data import BATCH, Examples, Truth
from training.learn.classifier_recipe import Recipe
from training.score.score_views import SIDE_PX

SMALL_SIDE_PX = 160
HEAD_VERSIONS = 2  # of each image, for the head alone
HEAD_RATE = 1e-3
LEAST_AREA = 0.003  # fractions well below this one count as the same


@dataclass(frozen=True)
class Beginning:
    """A network that has not yet learnt from this data set.

    name: of its weights, for the card.  head_first: the head is new, the rest is not.  rate: learning rate of all layers
    in the second phase.
    """

    network: nn.Module
    name: str
    head_first: bool
    rate: float


def initial_network(architecture: str, weights: str, dropout: float = 0.2) -> Beginning:
    """A network for the three severities: random, timm's ImageNet weights, or a file's. Raises ModelError.

    A checkpoint of edge-train is continued. Another file's tensors are matched in order, squeeze-and-excitation left
    out: so the weights of EfficientNet-Lite0, which is B0 without it, begin a B0. Its gates then start open.
    """
    classes = len(SEVERITIES)
    if weights in ("none", "imagenet"):
        known = weights == "imagenet"
        network = classification_network(architecture, classes, pretrained=known, drop_rate=dropout)
        return Beginning(network, weights, head_first=known, rate=5e-4 if known else 1.5e-3)
    network = classification_network(architecture, classes, drop_rate=dropout)
    try:
        tensors = _tensors(Path(weights))
    except Exception as error:  # torch and safetensors each raise several kinds
        raise ModelError(f"cannot read the weights {weights}: {error}") from error
    if "schema" in tensors:
        earlier = Checkpoint.load(Path(weights))
        network.load_state_dict(earlier.network().state_dict())
        name = f"{Path(weights).name}, itself from {earlier.training.initialised_from}"
        return Beginning(network, name, head_first=False, rate=3e-4)
    stored = list(tensors.values())
    state = network.state_dict()
    names = [name for name in state if ".se." not in name]
    if len(names) != len(stored):
        raise ModelError(f"{weights} holds {len(stored)} tensors, {architecture} has {len(names)}: not the same layout")
    fitting = {name: tensor for name, tensor in zip(names, stored, strict=True) if tensor.shape == state[name].shape}
    gates = {
        name: torch.full_like(state[name], 4.0) if name.endswith("bias") else state[name] * 0.1
        for name in state
        if ".se.conv_expand." in name
    }
    network.load_state_dict({**state, **fitting, **gates})
    return Beginning(network, Path(weights).name, head_first=True, rate=5e-4)


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return stored


def fit(beginning: Beginning, examples: Examples, recipe: Recipe) -> None:
    """Two phases (section 3.3): the new head on a frozen backbone, then all layers at a smaller learning rate."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = beginning.network.to(device, memory_format=torch.channels_last)  # twice as fast on CPUs
    if beginning.head_first and recipe.head_epochs:
        _fit_head(network, examples, recipe)
    _fit_all(network, examples, recipe, beginning.rate)
    if recipe.prior == "data":  # weights w make the network answer for p(class)·w(class): log w is what they added
        with torch.no_grad():
            network.get_classifier().bias.sub_(examples.class_weights().to(device).log())
    network.to("cpu", memory_format=torch.contiguous_format).eval()


def _fit_head(network: Any, examples: Examples, recipe: Recipe) -> None:
    """Train the head on what the frozen backbone makes of each picture, varied `HEAD_VERSIONS` times.

    The backbone makes the same of the same picture every time, so nothing is gained by more passes. BatchNorm keeps its
    statistics. Mixup mixes features instead of images (Verma et al. 2019). Channels differ a hundredfold in size, so the
    head learns on standardised ones, and mean and deviation are folded into it at the end.
    """
    network.eval()
    head = network.get_classifier()
    device = head.weight.device
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.no_grad():
        for _ in range(HEAD_VERSIONS):
            for images, truth in examples.batches():
                seen.append((_pooled(network, images.to(device)), truth.labels.to(device), truth.weights.to(device)))
    features, labels, weights = (torch.cat(parts) for parts in zip(*seen, strict=True))
    truth = Truth(labels, weights, torch.full_like(weights, torch.nan))
    mean, deviation = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    features = (features - mean) / deviation
    linear = nn.Linear(head.in_features, head.out_features, device=device)
    loss_of = _Loss(recipe, examples, device)
    optimiser = torch.optim.AdamW(linear.parameters(), lr=HEAD_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.head_epochs * -(-len(labels) // BATCH))
    last: list[float] = []
    for _ in range(recipe.head_epochs):
        last = []
        for chosen in torch.randperm(len(labels), device=device).split(BATCH):
            mixed, mixture = loss_of.mix(features[chosen])
            logits = linear(nn.functional.dropout(mixed, recipe.dropout))
            loss = loss_of(logits, None, truth.at(chosen), mixture)
            _step(loss, optimiser, schedule)
            last.append(float(loss.detach()))
    with torch.no_grad():
        head.weight.copy_(linear.weight / deviation)
        head.bias.copy_(linear.bias - head.weight @ mean)
    print(f"head alone, {recipe.head_epochs} epochs: loss {np.mean(last):.4f}", file=sys.stderr, flush=True)


def _fit_all(network: Any, examples: Examples, recipe: Recipe, rate: float) -> None:
    from tqdm import tqdm

    device = network.get_classifier().weight.device
    loss_of = _Loss(recipe, examples, device)
    head = network.get_classifier()
    area = nn.Linear(head.in_features, 1, device=device)
    optimiser = torch.optim.AdamW([*network.parameters(), *area.parameters()], lr=rate, weight_decay=0.01)
    steps_an_epoch = -(-len(examples) // BATCH)
    steps = recipe.epochs * steps_an_epoch
    warm = max(1, steps // 8)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, step / steps))))
    )
    decay = 1 - 1 / max(1.0, recipe.averaged * steps)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    network.train()
    for epoch in range(recipe.epochs):
        side = SMALL_SIDE_PX if epoch < round(recipe.epochs * recipe.small_part) else SIDE_PX
        losses = []
        name = f"epoch {epoch + 1}/{recipe.epochs}"
        for images, truth in tqdm(examples.batches(side), total=steps_an_epoch, desc=name, disable=None):
            mixed, mixture = loss_of.mix(images.to(device))
            features = _pooled(network, mixed)
            loss = loss_of(head(features), area(features)[:, 0], truth.to(device), mixture)
            _step(loss, optimiser, schedule)
            average.update_parameters(network)
            losses.append(float(loss.detach()))
        print(f"{name}, {side} px: loss {np.mean(losses):.4f}", file=sys.stderr, flush=True)
    network.load_state_dict(average.module.state_dict())


def _pooled(network: Any, images: Tensor) -> Tensor:
    """What the head is given, [N, features]; with dropout while the network learns."""
    return cast(Tensor, network.forward_head(network.forward_features(images), pre_logits=True))


def _step(loss: Tensor, optimiser: Any, schedule: Any) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    schedule.step()


@dataclass(frozen=True)
class _Mixture:
    """Row i is `part` of itself and 1 − part of row `other[i]`."""

    part: float
    other: Tensor


class _Loss:
    """Cross-entropy with class weights, label smoothing and mixup (Zhang et al. 2018), and the area's error."""

    def __init__(self, recipe: Recipe, examples: Examples, device: torch.device) -> None:
        self._class_weights = examples.class_weights().to(device)
        self._recipe, self._rng = recipe, examples.rng

    def mix(self, inputs: Tensor) -> tuple[Tensor, _Mixture]:
        """[N, …] mixed with itself in another order."""
        alpha = self._recipe.mixup
        part = float(self._rng.beta(alpha, alpha)) if alpha > 0 else 1.0
        other = torch.randperm(len(inputs), device=inputs.device)
        return (inputs * part + inputs[other] * (1 - part) if part < 1 else inputs), _Mixture(part, other)

    def __call__(self, logits: Tensor, areas: Tensor | None, truth: Truth, mixture: _Mixture) -> Tensor:
        """logits [N, C] and areas [N] of mixed inputs, None where they are not learnt; truth of the inputs before."""
        own, others = self._of(logits, areas, truth), self._of(logits, areas, truth.at(mixture.other))
        return (mixture.part * own + (1 - mixture.part) * others).mean()

    def _of(self, logits: Tensor, areas: Tensor | None, truth: Truth) -> Tensor:
        smoothing = self._recipe.label_smoothing
        losses = nn.functional.cross_entropy(
            logits, truth.labels, weight=self._class_weights, label_smoothing=smoothing, reduction="none"
        )
        if areas is not None and self._recipe.area_weight:
            known = ~truth.areas.isnan()
            wanted = torch.log(truth.areas.nan_to_num() + LEAST_AREA)
            losses = losses + self._recipe.area_weight * known * nn.functional.smooth_l1_loss(areas, wanted, reduction="none")
        return losses * truth.weights
