"""A data set whose fields of view have severities in, a calibrated severity classifier with its scores out."""

# torch is Any where it is not installed
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge import classify
from edge.classify import crop_region, domain_distance, field_of_view
from edge.errors import ConfigError, ModelError
from edge.model_card import Calibration, DomainStatistics, Training
from edge.records import SEVERITIES
from export.to_onnx import Checkpoint, ClassifierGraph, classification_network
from training.dataset import DataSet, LabelledImage, open_data_set

SIDE_PX = 224
CROP_MARGIN = 0.25
CROP_WEIGHT = 0.3  # a region's label is its field's, so it says little
BATCH = 32
COVERAGE = 0.9
DOMAIN_QUANTILE = 0.99
COMPONENTS = 32

Fields = NDArray[np.uint8]
Labels = NDArray[np.int64]


def train(
    data: Path,
    out: Path,
    weights: str,
    epochs: int,
    seed: int,
    command: str,
    architecture: str = "efficientnet_b0",
    crops_part: float = 0.35,
) -> Checkpoint:
    """Train on the fields in `data`, and on a region of `crops_part` of them; write `out/classifier.pt`.

    weights: "none", "imagenet" (timm's own) or a file, see `initial_network`.  Groups are split into fields to learn
    from, to calibrate on and to score on: as prepared, else 70/15/15.  Raises ConfigError and ModelError.
    """
    data_set = open_data_set(data)
    kept, calibration_part, test_part = data_set.parts()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    fields, labels = load_fields(kept)
    crops, crop_labels = load_crops(data_set, kept, rng, crops_part)
    mean, std = float(fields.mean()) / 255, float(fields.std()) / 255
    beginning = initial_network(architecture, weights)
    network = beginning.network
    _fit(beginning, _Examples(fields, labels, crops, crop_labels, mean, std, rng), epochs)

    graph = ClassifierGraph(network, mean, std)
    calibration = calibrate(graph, *load_fields(calibration_part))
    # the residuals of images that the network learnt are too small: statistics come from it, the threshold does not
    domain = domain_statistics(outputs(graph, fields)[1], outputs(graph, load_fields(calibration_part)[0])[1])
    calibration = calibration.model_copy(update={"domain": domain})
    checkpoint = Checkpoint(
        task="classify",
        architecture=architecture,
        classes=SEVERITIES,
        state=network.state_dict(),
        training=Training(
            data=f"{data.name}: {len(kept)} fields and {len(crops)} regions, grey mean {mean:.4f}, deviation {std:.4f}",
            data_sha256=data_set.sha256,
            initialised_from=beginning.name,
            epochs=epochs,
            images=len(kept),
            seed=seed,
            command=command,
        ),
        scores=score(graph, calibration, *load_fields(test_part), measured_on=f"held-out fields of {data.name}"),
        calibration=calibration,
        grey_mean=mean,
        grey_std=std,
        card={"input_px": SIDE_PX, "crop_margin": CROP_MARGIN},
    )
    checkpoint.save(out / "classifier.pt")
    return checkpoint


# --- data ------------------------------------------------------------------------------------------------------------


def load_fields(images: tuple[LabelledImage, ...]) -> tuple[Fields, Labels]:
    """uint8 [N, 224, 224] and class numbers [N] of the images whose severity is known. Raises ConfigError without any."""
    known = [image for image in images if image.severity is not None]
    if not known:
        raise ConfigError("no image with a severity: give samples.csv a column `severity` or `exposure_h`")
    fields = np.stack([field_of_view(_read(image.path), SIDE_PX) for image in known])
    return fields, np.array([SEVERITIES.index(image.severity) for image in known if image.severity is not None])


def load_crops(
    data_set: DataSet, images: tuple[LabelledImage, ...], rng: np.random.Generator, part: float
) -> tuple[Fields, Labels]:
    """One labelled region each of about `part` of the images, cut out as the edge does; labels are the fields' own."""
    crops, labels = [], []
    for image in images:
        if image.severity is None or rng.random() > part:
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


def _read(path: Path) -> NDArray[np.uint8]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ConfigError(f"cannot decode {path}: use PNG, TIFF or JPEG")
    return grey.astype(np.uint8, copy=False)


@dataclass(frozen=True)
class _Examples:
    """Fields and regions, and how they are shuffled and varied."""

    fields: Fields
    labels: Labels
    crops: Fields
    crop_labels: Labels
    mean: float
    std: float
    rng: np.random.Generator

    def class_weights(self) -> Tensor:
        """Inverse frequencies with mean 1, as scikit-learn's "balanced"."""
        counts = np.bincount(self.labels, minlength=len(SEVERITIES))
        return torch.tensor(len(self.labels) / (len(SEVERITIES) * np.maximum(counts, 1)), dtype=torch.float32)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """One epoch: images [N, 3, 224, 224] normalised, labels [N], weights [N]."""
        count = len(self.fields) + len(self.crops)
        order = self.rng.permutation(count)
        for start in range(0, count, BATCH):
            chosen = order[start : start + BATCH]
            if len(chosen) < 2:
                continue
            varied, labels, weights = [], [], []
            for index in chosen:
                is_field = index < len(self.fields)
                at = index if is_field else index - len(self.fields)
                varied.append(self._vary((self.fields if is_field else self.crops)[at]))
                labels.append((self.labels if is_field else self.crop_labels)[at])
                weights.append(1.0 if is_field else CROP_WEIGHT)
            pixels = torch.from_numpy(np.stack(varied)).float().div(255).sub(self.mean).div(self.std)
            images = pixels[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            yield images, torch.tensor(np.array(labels)), torch.tensor(weights)

    def _vary(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Flips, quarter turns, small turns and shifts, brightness and contrast: none of them changes the severity."""
        rng = self.rng
        if rng.random() < 0.5:
            grey = grey[:, ::-1]
        grey = np.ascontiguousarray(np.rot90(grey, int(rng.integers(4))))
        if rng.random() < 0.5:
            middle = (SIDE_PX / 2, SIDE_PX / 2)
            turn = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(-12, 12), rng.uniform(0.95, 1.1)), np.float64)
            turn[:, 2] += rng.uniform(-8, 8, 2)
            turned = cv2.warpAffine(grey, turn, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT)
            grey = np.asarray(turned, np.uint8)
        gain, shift = rng.uniform(0.75, 1.3), rng.uniform(-25, 25)
        return np.asarray(np.clip((grey.astype(np.float32) - 128) * gain + 128 + shift, 0, 255), np.uint8)


# --- learning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beginning:
    """A network that has not yet learnt from this data set.

    name: of its weights, for the card.  head_first: the head is new, the rest is not.  rate: learning rate of the rest.
    """

    network: nn.Module
    name: str
    head_first: bool
    rate: float


def initial_network(architecture: str, weights: str) -> Beginning:
    """A network for the three severities: random, timm's ImageNet weights, or a file's. Raises ModelError.

    A checkpoint of edge-train is continued. Another file's tensors are matched in order, squeeze-and-excitation left
    out: so the weights of EfficientNet-Lite0, which is B0 without it, begin a B0. Its gates then start open.
    """
    if weights in ("none", "imagenet"):
        known = weights == "imagenet"
        network = classification_network(architecture, len(SEVERITIES), pretrained=known, drop_rate=0.2)
        return Beginning(network, weights, head_first=known, rate=8e-4 if known else 2e-3)
    network = classification_network(architecture, len(SEVERITIES), drop_rate=0.2)
    try:
        tensors = _tensors(Path(weights))
    except Exception as error:  # torch and safetensors each raise several kinds
        raise ModelError(f"cannot read the weights {weights}: {error}") from error
    if "schema" in tensors:
        earlier = Checkpoint.load(Path(weights))
        network.load_state_dict(earlier.network().state_dict())
        name = f"{Path(weights).name}, itself from {earlier.training.initialised_from}"
        return Beginning(network, name, head_first=False, rate=4e-4)
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
    return Beginning(network, Path(weights).name, head_first=True, rate=8e-4)


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return stored


def _fit(beginning: Beginning, examples: _Examples, epochs: int) -> None:
    """Two phases (section 3.3): the new head alone for an epoch, then all layers at a smaller learning rate."""
    from tqdm import tqdm

    network = beginning.network
    head_names = {"classifier.weight", "classifier.bias", "fc.weight", "fc.bias"}
    head = [parameter for name, parameter in network.named_parameters() if name in head_names]
    body = [parameter for name, parameter in network.named_parameters() if name not in head_names]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device, memory_format=torch.channels_last)  # twice as fast on CPUs
    weights = examples.class_weights().to(device)
    steps_an_epoch = -(-(len(examples.fields) + len(examples.crops)) // BATCH)
    optimiser = torch.optim.AdamW(
        [{"params": body, "lr": beginning.rate}, {"params": head, "lr": 2e-3 if beginning.head_first else beginning.rate}],
        weight_decay=0.01,
    )
    steps = epochs * steps_an_epoch
    warm = max(1, steps // 8)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, step / steps))))
    )
    for epoch in range(epochs):
        network.train()
        alone = beginning.head_first and epoch == 0 and epochs > 1
        for parameter in body:
            parameter.requires_grad_(not alone)
        total = 0.0
        bar = tqdm(examples.batches(), total=steps_an_epoch, desc=f"epoch {epoch + 1}/{epochs}", disable=None)
        for pixels, labels, importance in bar:
            logits = network(pixels.to(device))
            loss = nn.functional.cross_entropy(
                logits, labels.to(device), weight=weights, label_smoothing=0.03, reduction="none"
            )
            loss = (loss * importance.to(device)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}")
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps_an_epoch:.4f}", file=sys.stderr, flush=True)
    network.to("cpu", memory_format=torch.contiguous_format).eval()


# --- calibration -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def outputs(graph: ClassifierGraph, fields: Fields) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Logits float64 [N, C] and embeddings float32 [N, D], by the very graph that is exported."""
    graph.eval()
    parts = [graph(torch.from_numpy(fields[start : start + BATCH, None])) for start in range(0, len(fields), BATCH)]
    logits = np.concatenate([part[0].numpy() for part in parts]).astype(np.float64)
    return logits, np.concatenate([part[2].numpy() for part in parts])


def softmax(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities [N, C], as the edge makes them."""
    return classify.softmax(logits / temperature)


def calibrate(graph: ClassifierGraph, fields: Fields, labels: Labels) -> Calibration:
    """Temperature (Guo et al. 2017) and split-conformal quantile of 1 - p(true) (Vovk; Angelopoulos and Bates 2021)."""
    logits, _ = outputs(graph, fields)
    rows = np.arange(len(labels))
    temperatures = np.geomspace(0.2, 8.0, 400)
    losses = [-np.log(softmax(logits, t)[rows, labels] + 1e-12).mean() for t in temperatures]
    temperature = float(temperatures[int(np.argmin(losses))])
    nonconformity = 1 - softmax(logits, temperature)[rows, labels]
    level = min(1.0, np.ceil((len(labels) + 1) * COVERAGE) / len(labels))
    quantile = float(np.quantile(nonconformity, level, method="higher"))
    return Calibration(temperature=temperature, conformal_quantile=quantile, conformal_coverage=COVERAGE)


def domain_statistics(learnt: NDArray[np.float32], held_out: NDArray[np.float32]) -> DomainStatistics:
    """Principal components of the training images' embeddings [N, D]; the threshold is a quantile over held-out ones."""
    values = learnt.astype(np.float64)
    mean, deviations = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    values = (values - mean) / deviations
    _, singular, rows = np.linalg.svd(values, full_matrices=False)
    count = min(COMPONENTS, len(singular) - 1)
    components, scales = rows[:count], singular[:count] / np.sqrt(len(values))
    rest = values - values @ components.T @ components
    spare = max(values.shape[1] - count, 1)
    statistics = DomainStatistics(
        mean=_short(mean),
        deviations=_short(deviations),
        components=tuple(_short(row) for row in components),
        scales=_short(np.maximum(scales, 1e-6)),
        residual_scale=float(np.sqrt(np.square(rest).sum(axis=1).mean() / spare)) or 1e-6,
        threshold=1.0,
        quantile=DOMAIN_QUANTILE,
    )
    threshold = float(np.quantile(domain_distance(held_out, statistics), DOMAIN_QUANTILE, method="higher"))
    return statistics.model_copy(update={"threshold": threshold})


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Five significant digits: the card is text, and the components are most of it."""
    return tuple(float(f"{value:.5g}") for value in values)


def score(graph: ClassifierGraph, calibration: Calibration, fields: Fields, labels: Labels, measured_on: str) -> dict[str, Any]:
    """Accuracy with its 95 % interval, F1, calibration error and conformal coverage, in the form of a card's scores."""
    from sklearn.metrics import f1_score

    logits, embeddings = outputs(graph, fields)
    probabilities = softmax(logits, calibration.temperature)
    right = probabilities.argmax(axis=1) == labels
    n, accuracy = len(labels), float(right.mean())
    low, high = wilson_interval(int(right.sum()), n)
    kept = 1 - probabilities <= (calibration.conformal_quantile or 1.0)
    kept[np.arange(n), probabilities.argmax(axis=1)] = True
    values = {
        "accuracy": accuracy,
        "accuracy_low_95": low,
        "accuracy_high_95": high,
        "macro_f1": float(f1_score(labels, probabilities.argmax(axis=1), average="macro")),
        "expected_calibration_error": expected_calibration_error(probabilities.max(axis=1), right),
        "conformal_coverage": float(kept[np.arange(n), labels].mean()),
        "conformal_set_size": float(kept.sum(axis=1).mean()),
    }
    if calibration.domain is not None:
        inside = domain_distance(embeddings, calibration.domain) <= calibration.domain.threshold
        values["in_domain"] = float(inside.mean())
    return {name: {"value": round(value, 4), "n": n, "how": measured_on} for name, value in values.items()}


def wilson_interval(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    part = right / n
    centre = part + z * z / (2 * n)
    reach = z * np.sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    return float((centre - reach) / (1 + z * z / n)), float((centre + reach) / (1 + z * z / n))


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by size (Naeini et al. 2015)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (bin_of == index).mean() * abs(confidence[bin_of == index].mean() - right[bin_of == index].mean())
        for index in range(bins)
        if (bin_of == index).any()
    ]
    return float(sum(gaps))
