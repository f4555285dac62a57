"""A calibrated classifier and surfaces in, what its verdict is worth on parts of a field out: magnified, and region by region.

A crop of a field is the same surface at another magnification, but not all of it: its corroded share is another one, and
some change of verdict is honest. So every figure stands beside what the truth alone would say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection.classify import crop_region, field_of_view
from edge.models.card import Calibration
from edge.records import SEVERITIES, Grey, Mask
from training.learn.calibration import Classifier, Labels, softmax, verdicts, wilson_interval
from training.learn.calibration import outputs as classifier_outputs
from training.score.baselines import covered

if TYPE_CHECKING:
    from training.draw.synthetic import Scene

SIDE_PX = 224
CROP_MARGIN = 0.25
MAGNIFICATIONS = (1.5, 2.0)
"""Against the magnification of the whole field; 1 to the largest of them is the range that is claimed."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """One imaged surface. grey: uint8 [H, W].  corroded: bool [H, W], all regions.  severity: into `SEVERITIES`."""

    grey: Grey
    corroded: Mask
    severity: int

    @classmethod
    def of(cls, scene: Scene) -> Surface:
        """A drawn scene's."""
        return cls(scene.grey, covered(scene.regions, scene.grey.shape), SEVERITIES.index(scene.severity))


@dataclass(frozen=True, slots=True, eq=False)
class MagnifiedVerdicts:
    """Verdicts on S surfaces as a whole (column 0) and on their centres at M − 1 higher magnifications.

    labels: int64 [S, M].  sure: bool [S, M], in domain with a prediction set of one label.
    by_share: int64 [S, M], the severity that follows from the true corroded share of what is seen, by two limits learnt
    from the whole fields: the change that is honest.
    """

    magnifications: tuple[float, ...]
    labels: Labels
    sure: NDArray[np.bool_]
    by_share: Labels

    def card(self, measured_on: str) -> dict[str, Any]:
        """In the form of a card's scores, without those of which there are no pairs.

        A pair is a whole field and one of its magnified centres. Pairs of one surface depend on each other, so
        the interval of `magnification_agreement` is somewhat too narrow.
        """
        unchanged = self.labels[:, 1:] == self.labels[:, :1]
        honest = self.by_share[:, 1:] != self.by_share[:, :1]
        whole = np.broadcast_to(self.sure[:, :1], unchanged.shape)
        both = whole & self.sure[:, 1:]
        alike = both & ~honest
        review, silent = ~self.sure[:, 1:][whole], (both & ~unchanged).ravel()
        span = f"centres at {', '.join(f'{m:g}' for m in self.magnifications)} times the magnification, {measured_on}"
        sure = "same verdict; pairs where both are in domain with a prediction set of one label"
        same_share = "and the true corroded share of both speaks for the same severity"
        rows = (
            ("magnification_agreement", unchanged[alike], f"{sure}, {same_share}; {span}"),
            ("magnification_agreement_any_share", unchanged[both], f"{sure}; {span}"),
            ("magnification_share_changes", honest.ravel(), f"the true share speaks for another severity; all pairs; {span}"),
            ("magnification_review", review, f"the centre is to be reviewed; pairs whose whole field is not; {span}"),
            ("magnification_silent_change", silent, f"another verdict and neither to be reviewed; all pairs; {span}"),
        )
        scores: dict[str, Any] = {
            name: {"value": round(float(values.mean()), 4), "n": len(values), "how": how}
            for name, values, how in rows
            if len(values)
        }
        if alike.any():
            low, high = wilson_interval(int(unchanged[alike].sum()), int(alike.sum()))
            claim = {"range": [1.0, max(self.magnifications)], "low_95": round(low, 4), "high_95": round(high, 4)}
            scores["magnification_agreement"] |= claim
        return scores


def magnified_verdicts(
    graph: Classifier,
    calibration: Calibration,
    surfaces: Iterable[Surface],
    magnifications: Sequence[float] = MAGNIFICATIONS,
) -> MagnifiedVerdicts:
    """Judge each surface as a whole and its centre at each of the magnifications. Raises ValueError without surfaces."""
    fields, shares, severities = [], [], []
    for surface in surfaces:
        for magnification in (1.0, *magnifications):
            fields.append(field_of_view(centre(surface.grey, magnification), SIDE_PX))
            shares.append(float(centre(surface.corroded, magnification).mean()))
        severities.append(surface.severity)
    if not severities:
        raise ValueError("no surfaces to judge")
    judged = verdicts(graph, calibration, np.stack(fields))
    shape = (len(severities), 1 + len(magnifications))
    by_share = _severity_by_share(np.array(shares).reshape(shape), np.array(severities))
    return MagnifiedVerdicts(tuple(magnifications), judged.labels.reshape(shape), judged.sure.reshape(shape), by_share)


def magnification_agreement(
    graph: Classifier, calibration: Calibration, surfaces: Iterable[Surface], measured_on: str = "drawn surfaces"
) -> dict[str, Any]:
    """Scores from 1 to 2 times the magnification, in the form of a card's; see `MagnifiedVerdicts`."""
    return magnified_verdicts(graph, calibration, surfaces).card(measured_on)


def centre(pixels: NDArray[Any], magnification: float) -> NDArray[Any]:
    """The middle of [H, W] that fills the field at `magnification` (at least 1) times the magnification."""
    height, width = pixels.shape
    rows, columns = max(1, round(height / magnification)), max(1, round(width / magnification))
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def _severity_by_share(shares: NDArray[np.float64], severities: NDArray[np.intp]) -> Labels:
    """shares: [S, M], the whole fields first.  A tree with three leaves is two limits."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=len(SEVERITIES), class_weight="balanced", random_state=0)
    tree.fit(shares[:, :1], severities)
    return np.asarray(tree.predict(shares.reshape(-1, 1)), np.int64).reshape(shares.shape)


# --- single regions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RegionVerdicts:
    """Verdicts on R single regions against their own truth.

    labels, of_fields, truth: int64 [R], the verdict on the crop, that on the region's whole field, and what the region is.
    expected: float64 [R], the mean of the severity's number, 0…2.  degrees: float64 [R], how deep it has grown, 0…1.
    """

    labels: Labels
    of_fields: Labels
    truth: Labels
    expected: NDArray[np.float64]
    degrees: NDArray[np.float64]

    def card(self, measured_on: str) -> dict[str, Any]:
        """In the form of a card's scores."""
        from sklearn.metrics import f1_score

        how = f"crops of single regions against the degree that they were drawn with, {measured_on}"
        field = f"the field's verdict said of each region, {measured_on}"
        spread = min(self.expected.std(), self.degrees.std()) if len(self.truth) > 1 else 0.0
        correlation = float(np.corrcoef(self.expected, self.degrees)[0, 1]) if spread > 0 else 0.0
        options = {"average": "macro", "zero_division": 0.0}
        values = (
            ("region_accuracy_weak", (self.labels == self.truth).mean(), how),
            ("region_macro_f1_weak", f1_score(self.truth, self.labels, **options), how),
            ("region_degree_correlation_weak", correlation, f"Pearson, mean severity number and degree; {how}"),
            ("region_accuracy_of_field", (self.of_fields == self.truth).mean(), field),
            ("region_macro_f1_of_field", f1_score(self.truth, self.of_fields, **options), field),
        )
        n = len(self.truth)
        return {name: {"value": round(float(value), 4), "n": n, "how": text} for name, value, text in values}


def region_verdicts(graph: Classifier, calibration: Calibration, scenes: Iterable[Scene], most: int = 32) -> RegionVerdicts:
    """Judge the `most` largest regions of each drawn scene as the edge does. Raises ValueError when there are no regions."""
    rows: list[tuple[int, int, int, float, float]] = []
    for scene in scenes:
        if not len(scene.regions):
            continue
        areas = np.array([mask.sum() for mask in scene.regions.masks])
        chosen = np.argsort(-areas, kind="stable")[:most]
        crops = [crop_region(scene.grey, scene.regions.boxes_px[index], CROP_MARGIN, SIDE_PX) for index in chosen]
        logits, _ = classifier_outputs(graph, np.stack([field_of_view(scene.grey, SIDE_PX), *crops]))
        probabilities = softmax(logits, calibration.temperature)
        labels, expected = probabilities.argmax(axis=1), probabilities @ np.arange(len(SEVERITIES))
        for at, index in enumerate(chosen, start=1):
            truth = SEVERITIES.index(scene.region_severities[index])
            rows.append((int(labels[at]), int(labels[0]), truth, float(expected[at]), float(scene.degrees[index])))
    if not rows:
        raise ValueError("no regions to judge")
    decided, of_fields, truths, means, degrees = (np.array(column) for column in zip(*rows, strict=True))
    return RegionVerdicts(decided, of_fields, truths, means.astype(np.float64), degrees.astype(np.float64))


def score_region_verdicts(
    graph: Classifier, calibration: Calibration, scenes: Iterable[Scene], measured_on: str = "drawn scenes"
) -> dict[str, Any]:
    """Scores of verdicts on single regions, in the form of a card's; see `RegionVerdicts`."""
    return region_verdicts(graph, calibration, scenes).card(measured_on)
