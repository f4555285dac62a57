"""Measured regions and their image in, each region's own severity out, by a few weights that learnt from single regions.

No network looks at the regions. Most of what can be known of a region's age is how its field was judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ModelError
from edge.inspection.classify import softmax
from edge.models.card import BUILTIN_FOLDER, GREY_WINDOW_RULE, Training
from edge.models.signature import require_signed
from edge.records import SEVERITIES, Grey, Measures, ModelIdentity, Regions, RegionSeverity, SeverityLabel
from edge.wording import sentences

MEASURES: Final = (
    "log_field_fraction",
    "log_count",
    "log_area",
    "log_area_to_median",
    "mean_contrast",
    "dark_contrast",
    "bright_contrast",
    "roughness",
    "field_moderate",
    "field_severe",
)
"""The columns of `region_measures`, which says what they are; the last two are `field_columns`."""
GREYS: Final = 256
_LEAST_FRACTION = 1e-3
_LEAST_DEVIATION = 1.0
_LEAST_PROBABILITY = 0.01


class RegionWeights(BaseModel):
    """The file that `[models] regions` names: a multinomial logistic regression on `MEASURES`, with its card.

    means, deviations: of the measures, [M].  weights: [C, M], of the standardised measures.  biases: [C].
    scores: by name, each with value, n and how.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    schema_: Literal["edge.regions/1"] = Field("edge.regions/1", alias="schema")
    name: str
    version: str
    classes: tuple[SeverityLabel, ...] = Field(min_length=2)
    grey_window: str = GREY_WINDOW_RULE
    measures: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]
    training: Training
    scores: dict[str, dict[str, Any]]
    licence: str

    @model_validator(mode="after")
    def _fits(self) -> RegionWeights:
        if self.measures != MEASURES:
            raise ValueError(f"it asks for {', '.join(self.measures)}; this version measures {', '.join(MEASURES)}")
        if self.grey_window != GREY_WINDOW_RULE:
            raise ValueError(f"it learnt with the grey window {self.grey_window!r}; this version has {GREY_WINDOW_RULE!r}")
        columns = {len(self.means), len(self.deviations), *map(len, self.weights)}
        if columns != {len(MEASURES)} or {len(self.biases), len(self.weights)} != {len(self.classes)}:
            raise ValueError("its weights do not fit its measures and classes")
        numbers = np.array([*self.means, *self.deviations, *self.biases, *(value for row in self.weights for value in row)])
        if not np.isfinite(numbers).all() or min(self.deviations) <= 0:
            raise ValueError("its weights must be finite, and its deviations above 0")
        return self

    def probabilities(self, measured: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [N, C] of measures [N, M]."""
        standardised = (measured - np.array(self.means)) / np.array(self.deviations)
        return softmax(standardised @ np.array(self.weights).T + np.array(self.biases))


class RegionJudge:
    """The weights, checked, with the identity that an inspection tells."""

    def __init__(self, name: str, public_key: str = "") -> None:
        """name: "builtin" or a path.  public_key: minisign's, whose owner must have signed the file. Raises ModelError."""
        path = BUILTIN_FOLDER / "regions.json" if name == "builtin" else Path(name)
        try:
            text = path.read_bytes()
        except OSError as error:
            cure = 'name a file of region weights in [models] regions, or "builtin"'
            raise ModelError(f"no weights for regions at {path} ({error.strerror or error}): {cure}") from error
        if public_key:
            require_signed(path, text, public_key)
        try:
            self.weights = RegionWeights.model_validate_json(text)
        except ValidationError as error:
            problems = "; ".join(sentences(error, "the file", RegionWeights))
            raise ModelError(f"the weights for regions {path} are not valid: {problems}") from error
        self.identity = ModelIdentity(self.weights.name, self.weights.version, hashlib.sha256(text).hexdigest())

    def judge(
        self, grey: Grey, regions: Regions, measures: Measures, field: Mapping[str, float], most: int
    ) -> tuple[RegionSeverity | None, ...]:
        """The severities of the first `most` regions, the largest; None for the others.

        grey: uint8 [H, W].  field: probabilities of the field's severities, by label.
        """
        measured = region_measures(grey, regions, measures.area_px, measures.area_fraction, most)
        of_field = field_columns([field[label] for label in SEVERITIES])
        rows = self.weights.probabilities(np.hstack([measured, np.tile(of_field, (len(measured), 1))]))
        best = rows.argmax(axis=1)
        judged = [
            RegionSeverity(cast(SeverityLabel, self.weights.classes[column]), float(row[column]), "degree")
            for row, column in zip(rows, best, strict=True)
        ]
        return tuple(judged) + (None,) * (len(regions) - len(judged))


def field_columns(probabilities: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [2]: log odds of moderate and of severe against low, bounded. probabilities: [3], of the field's severities."""
    low, moderate, severe = np.maximum(np.asarray(probabilities, np.float64), _LEAST_PROBABILITY)
    odds: NDArray[np.float64] = np.log([moderate / low, severe / low])
    return odds


def region_measures(
    grey: Grey,
    regions: Regions,
    area_px: NDArray[np.int64],
    area_fraction: float,
    most: int,
) -> NDArray[np.float64]:
    """What is measured of the first `most` regions: float64 [min(N, most), M - 2], columns as the first in `MEASURES`.

    grey: uint8 [H, W].  area_px: int64 [N], of all regions.  area_fraction: of the field, 0…1.
    Areas are parts of the image, or of the median region. Contrasts (mean, 10th and 90th percentile) and roughness (the
    deviation inside) are in deviations of the metal that no region covers.
    """
    most = min(most, len(regions))
    if not most:
        return np.empty((0, len(MEASURES) - 2))
    metal = np.ones(grey.shape, np.uint8)
    counts = np.zeros((most, GREYS), np.int64)
    for index, ((x, y, w, h), mask) in enumerate(zip(regions.boxes_px.tolist(), regions.masks, strict=True)):
        metal[y : y + h, x : x + w][mask] = 0
        if index < most:
            counts[index] = np.bincount(grey[y : y + h, x : x + w][mask], minlength=GREYS)
    of_metal = cv2.meanStdDev(grey, mask=metal if metal.any() else None)
    middle, deviation = float(of_metal[0][0, 0]), max(float(of_metal[1][0, 0]), _LEAST_DEVIATION)
    mean, rough, dark, bright = _of_greys(counts)
    columns = (
        np.log(area_fraction + _LEAST_FRACTION),
        np.log(len(regions)),
        np.log(np.maximum(area_px[:most], 1) / grey.size),
        np.log(np.maximum(area_px[:most], 1) / max(float(np.median(area_px)), 1.0)),
        (mean - middle) / deviation,
        (dark - middle) / deviation,
        (bright - middle) / deviation,
        rough / deviation,
    )
    return np.stack([np.broadcast_to(np.asarray(column, np.float64), (most,)) for column in columns], axis=1)


def _of_greys(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Mean, deviation, 10th and 90th percentile of each histogram [N, 256] of a region, which has a pixel at least."""
    levels = np.arange(GREYS)
    pixels = np.maximum(counts.sum(axis=1), 1)
    mean = counts @ levels / pixels
    deviation = np.sqrt(np.maximum(counts @ levels**2 / pixels - mean**2, 0.0))
    upto = counts.cumsum(axis=1)

    def percentile(part: float) -> NDArray[np.float64]:
        rank = part * (pixels - 1)
        below, above = ((upto <= whole[:, None]).sum(axis=1) for whole in (np.floor(rank), np.ceil(rank)))
        return np.asarray(below + (rank - np.floor(rank)) * (above - below))

    return mean, deviation, percentile(0.1), percentile(0.9)
