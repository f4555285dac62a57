"""An engine and micrographs in, how far its answers are from those of float32 out, and whether it may speak for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, CroppingNetwork
from edge.backends.masks import MaskingNetwork, PendingMasks
from edge.backends.network import Arrays, Network
from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt.passport import (
    EngineParity,
)
from edge.config import InspectionSettings
from edge.errors import ModelError
from edge.inspection.parity import DOMAIN_MARGIN, FLIP_MARGIN, LEAST_MASK_IOU, compare
from edge.inspection.pipeline import Pipeline
from edge.inspection.segment import VIEWS_A_BATCH, views
from edge.models.card import ModelCard
from edge.records import Grey, Micrograph

MOST_BOX_ERROR_PX = 1.0
"""Of candidates that float32 reports, in network pixels."""


def measure_parity(
    model: Path, card: ModelCard, network: Network, settings: InspectionSettings, micrographs: Iterable[Micrograph]
) -> EngineParity:
    """Compare one stage on this network with the same stage in float32 on ONNX Runtime.

    settings: of the inspection; its models and backend are not used. The network is not closed.
    Raises ModelError when the network does not even give numbers, and BackendError.
    """
    images = list(micrographs)
    stage = _only(settings, model, card)
    tried = cast(Network, _tried(network))
    with Pipeline(stage) as reference, Pipeline(stage, open_network=lambda *_: tried) as candidate:
        found = compare(reference, candidate, images)
    if card.task == "classify":
        return EngineParity(
            images=found.images,
            flips=found.flips,
            flip_margin=FLIP_MARGIN,
            domain_flips=found.domain_flips,
            domain_margin=DOMAIN_MARGIN,
            largest_probability_difference=found.largest_probability_difference,
        )
    with OnnxSession(model) as float32:
        error_px = max(box_error_px(float32, tried, card, one, settings.inspect.confidence) for one in images)
    return EngineParity(
        images=found.images,
        mean_mask_iou=found.mean_mask_iou,
        worst_mask_iou=found.worst_mask_iou,
        box_error_px=error_px,
    )


def refusal(parity: EngineParity) -> str | None:
    """Why an engine with these figures may not speak for float32; None when it may."""
    if parity.mean_mask_iou is not None and not parity.mean_mask_iou >= LEAST_MASK_IOU:
        return f"mean mask IoU {parity.mean_mask_iou:.4f}, at least {LEAST_MASK_IOU} is asked for"
    if parity.box_error_px is not None and not parity.box_error_px <= MOST_BOX_ERROR_PX:
        return f"a box is off by {parity.box_error_px:.2f} px, {MOST_BOX_ERROR_PX} px are allowed"
    if parity.flips:
        return f"{parity.flips} of {parity.images} severities changed, where float32 was surer than {parity.flip_margin}"
    if parity.domain_flips:
        off = f"more than {parity.domain_margin} of the limit off it"
        return f"{parity.domain_flips} of {parity.images} images entered or left the domain, which float32 saw {off}"
    difference = parity.largest_probability_difference
    if difference is not None and not np.isfinite(difference):
        return "its probabilities are not numbers"
    return None


def box_error_px(reference: Network, candidate: Network, card: ModelCard, micrograph: Micrograph, confidence: float) -> float:
    """The largest difference of a box's side, over the candidates of at least this score in float32, in network pixels.

    A TopK may order two nearly equal candidates differently, so each is compared with the one most like it in box and
    mask coefficients together.
    """
    worst = 0.0
    every_view = views(micrograph.grey, card)
    while batch := list(islice(every_view, VIEWS_A_BATCH)):
        canvases = np.stack([view.canvas for view in batch])[:, None]
        ours, theirs = reference.run(canvases), candidate.run(canvases)
        for row in range(len(batch)):
            chosen = ours["scores"][row] >= confidence
            if not chosen.any():
                continue
            left, right = (_likeness(side, row) for side in (ours, theirs))
            match = np.array([np.abs(right - one).sum(axis=1).argmin() for one in left[chosen]])
            difference = np.abs(ours["boxes"][row][chosen] - theirs["boxes"][row][match])
            worst = max(worst, float(difference.max()))
    return worst


def _likeness(outputs: Arrays, row: int) -> NDArray[np.float32]:
    return np.hstack((outputs["boxes"][row], outputs["coefficients"][row]))


def _only(settings: InspectionSettings, model: Path, card: ModelCard) -> InspectionSettings:
    """The settings with this model's stage alone, in float32 on ONNX Runtime."""
    role = "segmenter" if card.task == "segment" else "classifier"
    models = settings.models.model_copy(update={role: str(model), "backend": "onnxruntime"})
    return settings.model_copy(
        update={"models": models, "inspect": settings.inspect.model_copy(update={"stages": card.task, "region_crops": 0})}
    )


class _Tried:
    """A network whose pipeline may close it without closing it, and whose answers must be numbers.

    Where FP16 overflows, infinities and what comes of them run through all layers after it.
    """

    def __init__(self, tried: Network) -> None:
        self._tried = tried
        self.name, self.precision = tried.name, tried.precision

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        return self._checked(self._tried.run(image))

    def close(self) -> None:
        """Leave it open."""

    def __enter__(self) -> _Tried:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it open."""

    @staticmethod
    def _checked(outputs: Arrays) -> Arrays:
        broken = [name for name, values in outputs.items() if not np.isfinite(values).all()]
        if broken:
            raise ModelError(f"the engine gives values that are not numbers in {', '.join(broken)}, so it is not used")
        return outputs


class _TriedCroppingNetwork(_Tried):
    """One that draws its own input: the kernels are tried with it."""

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        return self._checked(cast(CroppingNetwork, self._tried).run_on_crops(grey, crops, rows, columns))


class _TriedMaskingNetwork(_TriedCroppingNetwork):
    """One that makes the masks, too: its own are compared. That its outputs are numbers, `box_error_px` sees."""

    def submit_masks(
        self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int, confidence: float, iou: float
    ) -> PendingMasks | None:
        return cast(MaskingNetwork, self._tried).submit_masks(grey, crops, rows, columns, confidence, iou)


def _tried(network: Network) -> _Tried:
    if isinstance(network, MaskingNetwork):
        return _TriedMaskingNetwork(network)
    return _TriedCroppingNetwork(network) if isinstance(network, CroppingNetwork) else _Tried(network)
