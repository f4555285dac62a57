"""A checkpoint and its ONNX file in; how far every installed backend is from the trained network on real micrographs out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.backends.network import Arrays
from edge.backends.table import local, open_network
from edge.errors import ConfigError, ModelError
from edge.inspection.classify import domain_distance, field_of_view
from edge.inspection.parity import LEAST_MASK_IOU, is_domain_flip
from edge.inspection.segment import VIEWS_A_BATCH, View, decode, views
from edge.models.card import ModelCard, load_card
from edge.records import Grey, Micrograph
from export.checkpoint import Checkpoint
from export.drift import match_candidates
from export.micrographs import read_micrographs
from export.trained import TrainedNetwork, folding_difference

LEAST_SCORE = 0.05
"""Of the candidates that are compared and drawn; the edge asks for 0.25 unless told otherwise."""
BEST = 100
"""So many candidates of a view are compared whatever their scores: a network that finds nothing proves nothing."""
NMS_IOU = 0.7
TOLERANCES: Mapping[str, float] = {
    "folding": 1e-5,
    "box_px": 0.01,
    "score": 1e-4,
    "class_changes": 0,
    "coefficients": 1e-4,
    "prototypes": 1e-4,
    "logits": 1e-3,
    "cam": 1e-4,
    "embedding": 1e-4,
    "label_changes": 0,
    "domain_changes": 0,
}
"""What each difference may be at most; the mean mask IoU may be `edge.inspection.parity.LEAST_MASK_IOU` at least.

Measured in float32 the differences are smaller by a factor of ten or more: a rounding that adds up differently passes,
a wrong weight does not.
"""


class Runs(Protocol):
    """Outputs by name for uint8 [N, 1, H, W]: a backend's network, or the trained one."""

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """See the class."""
        ...


@dataclass(frozen=True, slots=True)
class SegmenterDifference:
    """Of one micrograph, the largest over its views and over the candidates that either side scores above `LEAST_SCORE`,
    and its `BEST` ones.

    box_px: in pixels of the network.  coefficients, prototypes: relative to the largest magnitude.
    mask_iou: of the union of all masks, 1 where both found nothing.
    """

    image: str
    candidates: int
    box_px: float
    score: float
    class_changes: int
    coefficients: float
    prototypes: float
    mask_iou: float


@dataclass(frozen=True, slots=True)
class ClassifierDifference:
    """Of one micrograph's field of view. cam, embedding: relative to the largest magnitude.  label_changes: 0 or 1.

    domain_changes: 1 where the image enters or leaves the domain, see `edge.inspection.parity.is_domain_flip`.
    """

    image: str
    logits: float
    cam: float
    embedding: float
    label_changes: int
    domain_changes: int


Difference = SegmenterDifference | ClassifierDifference


@dataclass(frozen=True, slots=True)
class BackendParity:
    """How far one backend is from the trained network, image by image."""

    backend: str
    precision: str
    images: tuple[Difference, ...]

    @property
    def worst(self) -> dict[str, float]:
        """The largest of each difference; of the mask IoU the smallest, and its mean."""
        rows = [{name: value for name, value in asdict(image).items() if name != "image"} for image in self.images]
        worst = {name: max(row[name] for row in rows) for name in rows[0]}
        if "mask_iou" in worst:
            ious = [row["mask_iou"] for row in rows]
            worst |= {"mask_iou": min(ious), "mean_mask_iou": float(np.mean(ious))}
        return worst

    @property
    def failures(self) -> tuple[str, ...]:
        """Which of `TOLERANCES` are not kept, in words."""
        worst = self.worst
        broken = [f"{name} {worst[name]:.3g} > {most:g}" for name, most in TOLERANCES.items() if worst.get(name, 0) > most]
        if worst.get("mean_mask_iou", 1) < LEAST_MASK_IOU:
            broken.append(f"mean mask IoU {worst['mean_mask_iou']:.4f} < {LEAST_MASK_IOU}")
        return tuple(broken)


@dataclass(frozen=True, slots=True)
class ExportParity:
    """The whole proof. folding: see `export.to_onnx.folding_difference`.  unreadable: images left out, with reasons."""

    architecture: str
    sha256: str
    folding: float
    backends: tuple[BackendParity, ...]
    unreadable: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether the file may stand for the checkpoint."""
        return self.folding <= TOLERANCES["folding"] and not any(backend.failures for backend in self.backends)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "schema": "edge.export-parity/1",
            "passed": self.passed,
            "architecture": self.architecture,
            "sha256": self.sha256,
            "folding": self.folding,
            "tolerances": {**TOLERANCES, "mean_mask_iou": LEAST_MASK_IOU},
            "backends": [
                {
                    "backend": backend.backend,
                    "precision": backend.precision,
                    "failures": list(backend.failures),
                    "worst": backend.worst,
                    "images": [asdict(image) for image in backend.images],
                }
                for backend in self.backends
            ],
            "unreadable": dict(self.unreadable),
        }

    def verdict(self) -> str:
        """A line for people."""
        told = []
        for backend in self.backends:
            worst = backend.worst
            names = ("box_px", "score", "coefficients", "prototypes", "logits", "cam", "embedding")
            figures = [f"{name} {worst[name]:.2g}" for name in names if name in worst]
            if "mean_mask_iou" in worst:
                figures.append(f"mean mask IoU {worst['mean_mask_iou']:.4f}")
            told.append(f"{backend.backend} on {len(backend.images)} images: {'; '.join(backend.failures or figures)}")
        folding = f"folding the stem changes {self.folding:.1g}"
        return f"{'agrees' if self.passed else 'DIFFERS'}: {', '.join([*told, folding])}"


def compare_export(checkpoint: Checkpoint, onnx: Path, images: Path | None = None) -> ExportParity:
    """Run the trained network and `onnx` on every installed backend, in float32, over the same micrographs.

    images: a file or folder, read as the edge reads it; the shipped samples when None.
    Raises ConfigError without images, ModelError when `onnx` is not of this checkpoint, BackendError.
    """
    card = load_card(onnx, checkpoint.task)
    if (card.architecture, card.classes) != (checkpoint.architecture, checkpoint.classes):
        raise ModelError(f"{onnx} is a {card.architecture} for {', '.join(card.classes)}: it was exported from other weights")
    micrographs, unreadable = read_micrographs(images)
    if not micrographs:
        raise ConfigError(
            f"no image could be read below {images}" + "".join(f"; {name}: {why}" for name, why in unreadable.items())
        )
    backends = []
    with TrainedNetwork(checkpoint) as trained:
        for name in local("float32"):
            with open_network(name, onnx) as network:
                differences = tuple(_difference(called, one, card, trained, network) for called, one in micrographs)
                backends.append(BackendParity(network.name, network.precision, differences))
    example = (
        next(views(micrographs[0][1].grey, card)).canvas if card.task == "segment" else _field(micrographs[0][1].grey, card)
    )
    folding = folding_difference(checkpoint, example.reshape(1, 1, *example.shape[-2:]))
    return ExportParity(card.architecture, card.sha256, folding, tuple(backends), unreadable)


def _difference(called: str, micrograph: Micrograph, card: ModelCard, trained: Runs, exported: Runs) -> Difference:
    if card.task == "segment":
        return compare_segmenters(called, micrograph.grey, card, trained, exported)
    return compare_classifiers(called, micrograph.grey, card, trained, exported)


def compare_segmenters(called: str, grey: Grey, card: ModelCard, trained: Runs, exported: Runs) -> SegmenterDifference:
    """Both networks on all views of a uint8 [H, W] image, their masks as `edge.inspection.segment` makes them."""
    candidates, class_changes = 0, 0
    worst = dict.fromkeys(("box_px", "score", "coefficients", "prototypes"), 0.0)
    covered = np.zeros((2, *grey.shape), np.bool_)
    for first, batch in _batches(views(grey, card)):
        canvases = np.stack([view.canvas for view in batch])[:, None]
        sides = (trained.run(canvases), exported.run(canvases))
        for row, view in enumerate(batch):
            ours, theirs = ({name: array[row] for name, array in side.items()} for side in sides)
            worst["prototypes"] = max(worst["prototypes"], _relative(ours["prototypes"], theirs["prototypes"]))
            for one, other in ((ours, theirs), (theirs, ours)):  # either side may have a candidate that the other lacks
                best = np.sort(one["scores"])[-BEST:]
                here, there = match_candidates(one, other, min(LEAST_SCORE, float(best[0])))
                candidates += len(here) if one is ours else 0
                class_changes = max(class_changes, int(np.count_nonzero(one["classes"][here] != other["classes"][there])))
                found = {
                    "box_px": float(np.abs(one["boxes"][here] - other["boxes"][there]).max()),
                    "score": float(np.abs(one["scores"][here] - other["scores"][there]).max()),
                    "coefficients": _relative(one["coefficients"][here], other["coefficients"][there]),
                }
                worst |= {name: max(worst[name], value) for name, value in found.items()}
            for canvas, side in zip(covered, (ours, theirs), strict=True):
                _cover(canvas, side, view, first + row)
    either = np.count_nonzero(covered.any(axis=0))
    iou = np.count_nonzero(covered.all(axis=0)) / either if either else 1.0
    return SegmenterDifference(image=called, candidates=candidates, class_changes=class_changes, mask_iou=iou, **worst)


def compare_classifiers(called: str, grey: Grey, card: ModelCard, trained: Runs, exported: Runs) -> ClassifierDifference:
    """Both networks on the field of view of a uint8 [H, W] image."""
    field = _field(grey, card)
    ours, theirs = trained.run(field), exported.run(field)
    return ClassifierDifference(
        image=called,
        logits=float(np.abs(ours["logits"] - theirs["logits"]).max()),
        cam=_relative(ours["cam"], theirs["cam"]),
        embedding=_relative(ours["embedding"], theirs["embedding"]),
        label_changes=int(ours["logits"].argmax() != theirs["logits"].argmax()),
        domain_changes=int(is_domain_flip(*(_domain_ratio(side["embedding"], card) for side in (ours, theirs)))),
    )


def _domain_ratio(embedding: NDArray[np.float32], card: ModelCard) -> float | None:
    domain = card.calibration.domain
    return None if domain is None else float(domain_distance(embedding, domain)[0]) / domain.threshold


def _field(grey: Grey, card: ModelCard) -> NDArray[np.uint8]:
    return field_of_view(grey, card.input_px)[None, None]


def _batches(all_views: Iterator[View]) -> Iterable[tuple[int, list[View]]]:
    """Views in runs of `VIEWS_A_BATCH`, each with its first one's number."""
    first = 0
    while batch := list(islice(all_views, VIEWS_A_BATCH)):
        yield first, batch
        first += len(batch)


def _cover(canvas: NDArray[np.bool_], outputs: Arrays, view: View, number: int) -> None:
    """Draw every mask of one view onto `canvas`."""
    for found in decode(outputs, view, number, canvas.shape, LEAST_SCORE, NMS_IOU):
        left, top, right, bottom = found.box
        canvas[top:bottom, left:right] |= found.mask


def _relative(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest difference, relative to the largest magnitude."""
    return float(np.abs(one - other).max()) / max(1e-6, float(np.abs(one).max()))
