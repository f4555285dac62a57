"""Stage 2: a grey image in, the severity of its field of view out.

The class-activation map is exact. For a network that ends in global average pooling and a linear layer, Grad-CAM at
the last convolution equals the class-weighted sum of its feature maps (Selvaraju et al. 2017, section 3.1). The model
gives that sum out as `cam`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.backends.crop import Crop, canvas, submit_on_crops
from edge.backends.network import Network, Pending, require_numbers
from edge.errors import ModelError
from edge.inspection.describe import Described
from edge.inspection.judge import evidence, foreign_ratio, foreignness, severity_probabilities
from edge.models.card import DomainStatistics, ModelCard
from edge.records import SEVERITIES, Grey, Severity, SeverityLabel

SMALLEST_CROP_PX = 32


def field_crop(image_shape: tuple[int, ...], side_px: int) -> Crop:
    """The whole image on a square; the aspect ratio is not kept, as in the paper's section 3.3."""
    height, width = image_shape
    return Crop(0, 0, width, height, side_px, side_px)


def field_of_view(grey: Grey, side_px: int) -> Grey:
    """`field_crop` as pixels: uint8 [side_px, side_px]."""
    return canvas(grey, field_crop(grey.shape, side_px), side_px, side_px)


def crop_region(grey: Grey, box_px: Sequence[int] | NDArray[np.int32], margin: float, side_px: int) -> Grey:
    """A square around one region, which training looks at beside whole fields: uint8 [side_px, side_px].

    box_px: x, y, width, height.  The square's side is the box's longer side times (1 + 2 margin), at least
    `SMALLEST_CROP_PX`. It is shifted into the image where it fits and edge-replicated where it does not.
    """
    height, width = grey.shape
    x, y, box_width, box_height = (int(value) for value in box_px)
    side = max(SMALLEST_CROP_PX, round(max(box_width, box_height) * (1 + 2 * margin)))
    left = _shift_inside(x + box_width / 2 - side / 2, side, width)
    top = _shift_inside(y + box_height / 2 - side / 2, side, height)
    return canvas(grey, Crop(left, top, side, side, side_px, side_px), side_px, side_px)


def domain_distance(embedding: NDArray[np.float32], domain: DomainStatistics) -> NDArray[np.float64]:
    """How far embeddings [N, D] lie from the training images, in standard deviations: float64 [N].

    Principal components of the standardised embedding: root mean square of the coordinates along them, or of what they
    leave, whichever is farther out. What is foreign often lies where training images never vary, so the rest must not
    be outvoted by the components.
    """
    components = np.asarray(domain.components, np.float64)
    offset = (embedding.astype(np.float64) - np.asarray(domain.mean)) / np.asarray(domain.deviations)
    coordinates = offset @ components.T
    rest = offset - coordinates @ components
    spare = max(offset.shape[1] - len(components), 1)
    along = np.square(coordinates / np.asarray(domain.scales)).mean(axis=1)
    beside = np.square(rest).sum(axis=1) / domain.residual_scale**2 / spare
    return np.asarray(np.sqrt(np.maximum(along, beside)))


@dataclass(frozen=True, slots=True, eq=False)
class FieldAnswer:
    """What the network says of one field: probabilities float64 [C], cam float32 [C, h, w], embedding float32 [D]."""

    probabilities: NDArray[np.float64]
    cam: NDArray[np.float32]
    embedding: NDArray[np.float32]


class Classifier:
    """The severity network with its card."""

    def __init__(self, network: Network, card: ModelCard) -> None:
        unknown = set(card.classes) - set(SEVERITIES)
        if unknown:
            raise ModelError(
                f"the classifier {card.name} has classes {sorted(unknown)}; only {', '.join(SEVERITIES)} are known"
            )
        self._network = network
        self.card = card

    def assess(self, grey: Grey, described: Described | None = None) -> Severity:
        """Severity of the field of view.

        grey: uint8 [H, W].  Raises BackendError.
        described: what stage 1 measured, where the card's fit belongs to it; without it the network judges alone.
        """
        return self.judge(self.ask(grey), described)

    def ask(self, grey: Grey) -> FieldAnswer:
        """What the network alone says of the field of view. grey: uint8 [H, W].  Raises BackendError."""
        return self.answer(self.submit(grey))

    def submit(self, grey: Grey) -> Pending:
        """Launch what `ask` waits for, where the network runs apart from the host. Raises BackendError."""
        side = self.card.input_px
        return submit_on_crops(self._network, grey, [field_crop(grey.shape, side)], side, side)

    def answer(self, pending: Pending) -> FieldAnswer:
        """Wait for what was launched. Raises BackendError."""
        outputs = pending.collect()
        for name in ("logits", "cam", "embedding"):
            require_numbers(outputs[name], f"outputs {name}")
        probabilities = softmax(outputs["logits"].astype(np.float64) / self.card.calibration.temperature)
        return FieldAnswer(probabilities[0], outputs["cam"][0], outputs["embedding"][0])

    def judge(self, answer: FieldAnswer, described: Described | None = None) -> Severity:
        """The severity that follows from an answer. described: as for `assess`."""
        calibration, classes = self.card.calibration, self.card.classes
        probabilities, cam = answer.probabilities, answer.cam
        domain_ratio, reasons = self._foreign(answer.embedding[None], described)
        in_domain = not reasons
        quantile = calibration.conformal_quantile
        if described is not None and calibration.field is not None:
            fit = calibration.field.severity
            probabilities, quantile = severity_probabilities(fit, evidence(probabilities, described)), fit.conformal_quantile
        best = int(probabilities.argmax())
        prediction_set: tuple[str, ...] | None = None
        if in_domain and quantile is not None:
            kept = 1 - probabilities <= quantile
            kept[best] = True
            prediction_set = tuple(name for name, keep in zip(classes, kept, strict=True) if keep)
            if len(prediction_set) > 1:
                coverage = f"{calibration.conformal_coverage:.0%} " if calibration.conformal_coverage else ""
                reasons.append(f"ambiguous: the {coverage}prediction set holds {', '.join(prediction_set)}")
        heat = np.maximum(cam[best].astype(np.float32), 0)
        peak = float(heat.max())
        return Severity(
            label=self._label(best),
            confidence=float(probabilities[best]),
            probabilities={name: float(value) for name, value in zip(classes, probabilities, strict=True)},
            prediction_set=prediction_set,
            needs_review=bool(reasons),
            reasons=tuple(reasons),
            in_domain=in_domain,
            cam=heat / peak if peak > 0 else heat,
            domain_ratio=domain_ratio,
        )

    def _foreign(self, embedding: NDArray[np.float32], described: Described | None) -> tuple[float | None, list[str]]:
        """How far out of the domain, in parts of its limit, and why; no reasons inside it. embedding: [1, D]."""
        calibration = self.card.calibration
        ratio, reasons = None, []
        if calibration.domain is not None:
            distance, limit = float(domain_distance(embedding, calibration.domain)[0]), calibration.domain.threshold
            ratio = distance / limit
            if ratio > 1:
                reasons.append(
                    f"out_of_domain: the image is unlike the training images (distance {distance:.2f}, limit {limit:.2f})"
                )
        if calibration.field is not None and described is not None:
            texture = float(np.log(max(ratio or 1.0, 1e-3)))
            odds, why = foreignness(calibration.field.foreign, {**described, "texture": texture})
            ratio = max(ratio or 0.0, foreign_ratio(odds))
            if odds > 0 and not reasons:
                reasons.append(f"out_of_domain: the field is unlike those learnt from, {why}")
        return ratio, reasons

    def _label(self, index: int) -> SeverityLabel:
        return cast(SeverityLabel, self.card.classes[index])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities [N, C] of logits [N, C]."""
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))


def _shift_inside(start: float, side: int, length: int) -> int:
    if side >= length:
        return -((side - length) // 2)
    return min(max(round(start), 0), length - side)
