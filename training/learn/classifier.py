"""A data set whose fields of view have severities in, a calibrated severity classifier with its scores out."""

# torch is Any where it is not installed
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edge.errors import ConfigError, ModelError
from edge.inspection.classify import crop_region, field_of_view
from edge.models.card import Training
from edge.records import SEVERITIES, Grey, Mask
from export.to_onnx import Checkpoint, ClassifierGraph, classification_network
from training.data.dataset import DataSet, Images, open_data_set
from training.labels.yolo import read_yolo
from training.learn.calibration import (
    Fields,
    Labels,
    calibrate,
    conformal_coverage,
    domain_statistics,
    expected_calibration_error,
    outputs,
    recalibrated,
    score,
    softmax,
    wilson_interval,
)
from training.score.score_views import CROP_MARGIN, SIDE_PX, Surface, magnification_agreement, score_region_verdicts

__all__ = [
    "PRESETS",
    "Beginning",
    "Recipe",
    "calibrate",
    "conformal_coverage",
    "domain_statistics",
    "expected_calibration_error",
    "initial_network",
    "load_crops",
    "load_fields",
    "magnification_agreement",
    "outputs",
    "recalibrated",
    "score",
    "score_region_verdicts",
    "softmax",
    "train",
    "wilson_interval",
]

SMALL_SIDE_PX = 160
CROP_WEIGHT = 0.3  # a region's label is its field's, so it says little
BATCH = 16
HEAD_VERSIONS = 2  # of each image, for the head alone
HEAD_RATE = 1e-3
LEAST_AREA = 0.003  # fractions well below this one count as the same
SET_ASIDE = 5  # one part in so many groups of what a fold learns from is for calibration


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, beside the data, how a classifier is trained (section 3.3).

    weights: where training begins, see `initial_network`.
    head_epochs: of the first phase, the new head alone; left out where the head is not new.  epochs: of the second, all
    layers.  small_part: part of these epochs at `SMALL_SIDE_PX`, at half the cost (Tan and Le 2021 let images grow too).
    mixup: α of the Beta distribution that mixes pairs (Zhang et al. 2018), 0 for none.  dropout: before the head.
    crops_part: part of the images that also give one region.  zoom: the least part of a field's sides that is taken for
    the whole, 1 for the field alone: 0.5 teaches that severity does not change up to twice the magnification.
    area_weight: of a second task, the logarithm of the corroded fraction of what the network is shown, which labelled
    regions tell without the scatter that a severity has; its layer is thrown away. 0 for the paper's method.
    averaged: part of the steps over which the weights are averaged, later ones more, which steadies what few images
    teach; 0 for the last step's weights.  prior: for which mix of severities the network answers, "data" for that of the
    data set, "balanced" as if all were as frequent, which the class weights alone would give.
    """

    architecture: str = "efficientnet_b0"
    weights: str = "imagenet"
    head_epochs: int = 20
    epochs: int = 20
    small_part: float = 0.0
    seed: int = 0
    mixup: float = 0.2
    dropout: float = 0.2
    label_smoothing: float = 0.0
    crops_part: float = 0.35
    zoom: float = 0.5
    area_weight: float = 0.0
    averaged: float = 0.1
    prior: Literal["data", "balanced"] = "data"


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"head_epochs": 30, "epochs": 60},  # for a GPU; the paper does not say how many
    "short": {"head_epochs": 20, "epochs": 8, "small_part": 0.75},  # for a core: five minutes for a fold of 117 images
}


def train(data: Path, out: Path, recipe: Recipe, command: str, fold: int | None = None) -> Checkpoint:
    """Train on the fields in `data`, and on a region of some of them; write `out/classifier.pt`.

    command: what the card will say.  Groups are split into fields to learn from, to calibrate on and to score on: as
    prepared, else 70/15/15.  fold: score on this fold of a prepared data set, learn from the others, but for a part of
    their groups that calibrates.  Raises ConfigError and ModelError.
    """
    data_set = open_data_set(data)
    if fold is None:
        kept, aside, test = data_set.parts()
        what = f"held-out fields of {data.name}"
    else:
        others, test = data_set.fold(fold)
        kept, aside = _set_aside(others, recipe.seed)
        what = f"fold {fold} of {data.name}"
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)

    pictures, labels = _load_pictures(kept)
    crops, crop_labels = load_crops(data_set, kept, rng, recipe.crops_part)
    fields = np.stack([field_of_view(picture, SIDE_PX) for picture in pictures])
    mean, std = float(fields.mean()) / 255, float(fields.std()) / 255 or 1.0
    beginning = initial_network(recipe.architecture, recipe.weights, recipe.dropout)
    corroded = _load_corroded(data_set, kept, pictures) if recipe.area_weight else (None,) * len(pictures)
    _fit(beginning, _Examples(pictures, labels, corroded, crops, crop_labels, mean, std, recipe.zoom, rng), recipe)

    graph = ClassifierGraph(beginning.network, mean, std)
    held_out, held_out_labels = load_fields(aside)
    # the distances of images that the network learnt are too small: statistics come from these, the threshold does not
    domain = domain_statistics(
        outputs(graph, np.concatenate([fields, _zoomed(pictures, recipe.zoom, rng)]))[1],
        outputs(graph, np.concatenate([held_out, _zoomed(_load_pictures(aside)[0], recipe.zoom, rng)]))[1],
    )
    calibration = calibrate(graph, held_out, held_out_labels).model_copy(update={"domain": domain})
    scores = score(graph, calibration, *load_fields(test), measured_on=what)
    surfaces = _surfaces(data_set, test)
    if surfaces:
        scores |= magnification_agreement(graph, calibration, surfaces, what)
    checkpoint = Checkpoint(
        task="classify",
        architecture=recipe.architecture,
        classes=SEVERITIES,
        state=beginning.network.state_dict(),
        training=Training(
            data=f"{data.name}: {len(pictures)} fields and {len(crops)} regions, grey mean {mean:.4f}, deviation {std:.4f}",
            data_sha256=data_set.sha256,
            initialised_from=beginning.name,
            epochs=recipe.epochs,
            images=len(pictures),
            seed=recipe.seed,
            command=command,
        ),
        scores=scores,
        calibration=calibration,
        grey_mean=mean,
        grey_std=std,
        card={"input_px": SIDE_PX, "crop_margin": CROP_MARGIN},
    )
    checkpoint.save(out / "classifier.pt")
    return checkpoint


# --- data ------------------------------------------------------------------------------------------------------------


def _set_aside(images: Images, seed: int) -> tuple[Images, Images]:
    """Images to learn from, and to calibrate on: whole groups, severities as even as groups allow, no varied copies."""
    from sklearn.model_selection import StratifiedGroupKFold

    known = [image for image in images if image.severity is not None]
    originals = [image for image in known if image.origin is None]
    groups = [image.group for image in originals]
    severities = [image.severity for image in originals]
    parts = min(SET_ASIDE, len(set(groups)), max(severities.count(severity) for severity in SEVERITIES))
    if parts < 2:
        raise ConfigError("too few groups of images with a severity to learn from some and calibrate on others")
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of a severity with fewer images than parts; it is then learnt from or calibrated on
        warnings.simplefilter("ignore", UserWarning)
        _, chosen = next(splitter.split(originals, severities, groups))
    aside = {groups[index] for index in chosen}
    return (
        tuple(image for image in known if image.group not in aside),
        tuple(image for image in originals if image.group in aside),
    )


def load_fields(images: Images) -> tuple[Fields, Labels]:
    """uint8 [N, 224, 224] and class numbers [N] of the images whose severity is known. Raises ConfigError without any."""
    pictures, labels = _load_pictures(images)
    return np.stack([field_of_view(picture, SIDE_PX) for picture in pictures]), labels


def _load_pictures(images: Images) -> tuple[tuple[Grey, ...], Labels]:
    """Images whose severity is known, shrunk no further than half a side needs to fill the network's input."""
    known = [image for image in images if image.severity is not None]
    if not known:
        raise ConfigError("no image with a severity: give samples.csv a column `severity` or `exposure_h`")
    labels = np.array([SEVERITIES.index(image.severity) for image in known if image.severity is not None])
    return tuple(_shrunk(_read(image.path)) for image in known), labels


def _load_corroded(data_set: DataSet, images: Images, pictures: tuple[Grey, ...]) -> tuple[Mask | None, ...]:
    """The labelled pixels of each picture; None for an image without a label file."""
    known = (image for image in images if image.severity is not None)
    masks: list[Mask | None] = []
    for image, picture in zip(known, pictures, strict=True):
        label = data_set.folder / "labels" / f"{image.path.stem}.txt"
        height, width = picture.shape
        text = label.read_text(encoding="ascii") if label.is_file() else None
        masks.append(None if text is None else read_yolo(text, label.name, width, height).covered(width, height))
    return tuple(masks)


def _shrunk(grey: Grey) -> Grey:
    height, width = grey.shape
    scale = 2 * SIDE_PX / min(height, width)
    if scale >= 1:
        return grey
    return cast(Grey, cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA))


def load_crops(data_set: DataSet, images: Images, rng: np.random.Generator, part: float) -> tuple[Fields, Labels]:
    """One labelled region each of about `part` of the images, cut out as the edge does; labels are the fields' own."""
    crops, labels = [], []
    for image in images:
        if image.severity is None or rng.random() >= part:
            continue
        boxes = _label_boxes(data_set.folder / "labels" / f"{image.path.stem}.txt")
        if not len(boxes):
            continue
        grey = _read(image.path)
        scale = np.array([grey.shape[1], grey.shape[0]] * 2)
        box = np.round(boxes[int(rng.integers(min(32, len(boxes))))] * scale).astype(np.int32)
        crops.append(crop_region(grey, box, CROP_MARGIN, SIDE_PX))
        labels.append(SEVERITIES.index(image.severity))
    return np.array(crops, np.uint8).reshape(-1, SIDE_PX, SIDE_PX), np.array(labels, np.int64)


def _label_boxes(path: Path) -> NDArray[np.float64]:
    """x, y, width, height of each line of a YOLO-seg file, as parts of the image's size."""
    if not path.is_file():
        return np.empty((0, 4))
    boxes = []
    for line in path.read_text(encoding="ascii").splitlines():
        points = np.array(line.split()[1:], np.float64).reshape(-1, 2)
        boxes.append((*points.min(axis=0), *(points.max(axis=0) - points.min(axis=0))))
    return np.array(boxes).reshape(-1, 4)


def _surfaces(data_set: DataSet, images: Images) -> list[Surface]:
    """The images that have a severity and a label file, with their corroded pixels."""
    surfaces = []
    for image in images:
        label = data_set.folder / "labels" / f"{image.path.stem}.txt"
        if image.severity is None or not label.is_file():
            continue
        grey = _read(image.path)
        height, width = grey.shape
        corroded = read_yolo(label.read_text(encoding="ascii"), label.name, width, height).covered(width, height)
        surfaces.append(Surface(grey, corroded, SEVERITIES.index(image.severity)))
    return surfaces


def _read(path: Path) -> Grey:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ConfigError(f"cannot decode {path}: use PNG, TIFF or JPEG")
    return grey.astype(np.uint8, copy=False)


def _window(shape: tuple[int, ...], least: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A part of the field with its aspect ratio and sides between `least` and 1 of its own: a higher magnification."""
    part = rng.uniform(least, 1.0)
    rows, columns = (max(1, round(side * part)) for side in shape)
    top, left = int(rng.integers(shape[0] - rows + 1)), int(rng.integers(shape[1] - columns + 1))
    return slice(top, top + rows), slice(left, left + columns)


def _zoomed(pictures: tuple[Grey, ...], least: float, rng: np.random.Generator) -> Fields:
    return np.stack([field_of_view(picture[_window(picture.shape, least, rng)], SIDE_PX) for picture in pictures])


@dataclass(frozen=True)
class _Truth:
    """Of N images: labels [N], what each counts [N], corroded fraction [N], NaN where nobody knows it."""

    labels: Tensor
    weights: Tensor
    areas: Tensor

    def at(self, chosen: Tensor) -> _Truth:
        """Of some of the images, or of all in another order."""
        return _Truth(self.labels[chosen], self.weights[chosen], self.areas[chosen])

    def to(self, device: torch.device) -> _Truth:
        """The same on `device`."""
        return _Truth(self.labels.to(device), self.weights.to(device), self.areas.to(device))


@dataclass(frozen=True)
class _Examples:
    """Fields and regions, and how they are shuffled and varied."""

    pictures: tuple[Grey, ...]
    labels: Labels
    corroded: tuple[Mask | None, ...]
    crops: Fields
    crop_labels: Labels
    mean: float
    std: float
    zoom: float
    rng: np.random.Generator

    def __len__(self) -> int:
        return len(self.pictures) + len(self.crops)

    def class_weights(self) -> Tensor:
        """float32 [C], inverse frequencies of the fields' classes; 1 for a class that does not occur."""
        from sklearn.utils.class_weight import compute_class_weight

        present = np.unique(self.labels)
        weights = np.ones(len(SEVERITIES), np.float32)
        weights[present] = compute_class_weight("balanced", classes=present, y=self.labels)
        return torch.from_numpy(weights)

    def batches(self, side_px: int = SIDE_PX) -> Iterator[tuple[Tensor, _Truth]]:
        """One epoch: images [N, 3, side, side] normalised, and what is true of them."""
        order = self.rng.permutation(len(self))
        for start in range(0, len(self), BATCH):
            chosen = order[start : start + BATCH]
            if len(chosen) < 2:  # BatchNorm needs two
                continue
            varied, labels, weights, areas = [], [], [], []
            for index in chosen:
                is_field = index < len(self.pictures)
                at = index if is_field else index - len(self.pictures)
                grey = self.pictures[at] if is_field else self.crops[at]
                corroded = self.corroded[at] if is_field else None
                if is_field and self.rng.random() < 0.6:
                    window = _window(grey.shape, self.zoom, self.rng)
                    grey, corroded = grey[window], None if corroded is None else corroded[window]
                areas.append(np.nan if corroded is None else corroded.mean())
                varied.append(self._vary(field_of_view(grey, side_px)))
                labels.append((self.labels if is_field else self.crop_labels)[at])
                weights.append(1.0 if is_field else CROP_WEIGHT)
            pixels = torch.from_numpy(np.stack(varied)).float().div(255).sub(self.mean).div(self.std)
            images = pixels[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            yield images, _Truth(torch.tensor(np.array(labels)), torch.tensor(weights), torch.tensor(areas).float())

    def _vary(self, grey: Grey) -> Grey:
        """Flips, quarter turns, small turns, shears and shifts, brightness and contrast: none of them changes the severity."""
        rng, side = self.rng, len(grey)
        if rng.random() < 0.5:
            grey = grey[:, ::-1]
        grey = np.ascontiguousarray(np.rot90(grey, int(rng.integers(4))))
        if rng.random() < 0.5:
            middle = (side / 2, side / 2)
            turn = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(-12, 12), rng.uniform(0.95, 1.1)), np.float64)
            turn[:, :2] += rng.uniform(-0.04, 0.04, (2, 2))
            turn[:, 2] += rng.uniform(-0.035, 0.035, 2) * side
            grey = np.asarray(cv2.warpAffine(grey, turn, (side, side), borderMode=cv2.BORDER_REFLECT), np.uint8)
        gain, shift = rng.uniform(0.75, 1.3), rng.uniform(-25, 25)
        return np.asarray(np.clip((grey.astype(np.float32) - 128) * gain + 128 + shift, 0, 255), np.uint8)


# --- learning --------------------------------------------------------------------------------------------------------


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


def _fit(beginning: Beginning, examples: _Examples, recipe: Recipe) -> None:
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


def _fit_head(network: Any, examples: _Examples, recipe: Recipe) -> None:
    """A frozen backbone says the same of the same picture every time, so each picture goes through it only
    `HEAD_VERSIONS` times, each time varied, and the head learns from what came out.

    BatchNorm keeps its statistics. Mixup mixes features instead of images (Verma et al. 2019). Channels differ a
    hundredfold in size, so the head learns on standardised ones, and mean and deviation are folded into it at the end.
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
    truth = _Truth(labels, weights, torch.full_like(weights, torch.nan))
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


def _fit_all(network: Any, examples: _Examples, recipe: Recipe, rate: float) -> None:
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

    def __init__(self, recipe: Recipe, examples: _Examples, device: torch.device) -> None:
        self._class_weights = examples.class_weights().to(device)
        self._recipe, self._rng = recipe, examples.rng

    def mix(self, inputs: Tensor) -> tuple[Tensor, _Mixture]:
        """[N, …] mixed with itself in another order."""
        alpha = self._recipe.mixup
        part = float(self._rng.beta(alpha, alpha)) if alpha > 0 else 1.0
        other = torch.randperm(len(inputs), device=inputs.device)
        return (inputs * part + inputs[other] * (1 - part) if part < 1 else inputs), _Mixture(part, other)

    def __call__(self, logits: Tensor, areas: Tensor | None, truth: _Truth, mixture: _Mixture) -> Tensor:
        """logits [N, C] and areas [N] of mixed inputs, None where they are not learnt; truth of the inputs before."""
        own, others = self._of(logits, areas, truth), self._of(logits, areas, truth.at(mixture.other))
        return (mixture.part * own + (1 - mixture.part) * others).mean()

    def _of(self, logits: Tensor, areas: Tensor | None, truth: _Truth) -> Tensor:
        smoothing = self._recipe.label_smoothing
        losses = nn.functional.cross_entropy(
            logits, truth.labels, weight=self._class_weights, label_smoothing=smoothing, reduction="none"
        )
        if areas is not None and self._recipe.area_weight:
            known = ~truth.areas.isnan()
            wanted = torch.log(truth.areas.nan_to_num() + LEAST_AREA)
            losses = losses + self._recipe.area_weight * known * nn.functional.smooth_l1_loss(areas, wanted, reduction="none")
        return losses * truth.weights
