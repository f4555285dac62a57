"""A trained classifier and fields that it did not learn from in, how far its words can be trusted out.

Temperature, conformal quantile and domain are what the edge needs to turn logits into probabilities, prediction sets and
`needs_review`. Beside them stand the figures that say how well this works. Torch is needed for `outputs` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from edge.backends.network import Network
from edge.inspection import classify
from edge.inspection.classify import domain_distance, field_of_view
from edge.models.card import Calibration, DomainStatistics
from edge.records import SEVERITIES

if TYPE_CHECKING:
    from export.checkpoint import Checkpoint
    from export.graphs import ClassifierGraph

COVERAGE = 0.9
CONFIDENCE = 0.95
DOMAIN_QUANTILE = 0.99
COMPONENTS = 32
BINS = 10
BATCH = 32

Fields = NDArray[np.uint8]
Labels = NDArray[np.int64]
Classifier: TypeAlias = "ClassifierGraph | Network"


# --- what the edge gets ----------------------------------------------------------------------------------------------


def outputs(graph: Classifier, fields: Fields) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Logits float64 [N, C] and embeddings float32 [N, D] of uint8 [N, 224, 224].

    graph: the very one that is exported, or an exported file that a backend has opened.
    """
    starts = range(0, len(fields), BATCH)
    if not hasattr(graph, "eval"):
        network = cast("Network", graph)
        runs = [network.run(np.ascontiguousarray(fields[start : start + BATCH, None])) for start in starts]
        logits = np.concatenate([run["logits"] for run in runs]).astype(np.float64)
        return logits, np.concatenate([run["embedding"] for run in runs])
    import torch

    module = cast(Any, graph)
    module.eval().to(memory_format=torch.channels_last)  # 1.3 times as fast on CPUs
    with torch.no_grad():
        parts = [module(torch.from_numpy(fields[start : start + BATCH, None])) for start in starts]
    logits = np.concatenate([part[0].numpy() for part in parts]).astype(np.float64)
    return logits, np.concatenate([part[2].numpy() for part in parts])


def softmax(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities [N, C], as the edge makes them."""
    return classify.softmax(logits / temperature)


def calibrate(graph: Classifier, fields: Fields, labels: Labels, confidence: float | None = None) -> Calibration:
    """Temperature (Guo et al. 2017) and split-conformal quantile of 1 − p(true) (Sadinle et al. 2019).

    confidence: see `cautious_quantile`.

    The fields must not have been learnt from. Both numbers come from the same fields: the temperature is one number out
    of many fields, and `conformal_coverage` measures on others what that costs.
    """
    logits, _ = outputs(graph, fields)
    rows = np.arange(len(labels))
    temperatures = np.geomspace(0.2, 8.0, 400)
    losses = [-np.log(softmax(logits, t)[rows, labels] + 1e-12).mean() for t in temperatures]
    temperature = float(temperatures[int(np.argmin(losses))])
    nonconformity = 1 - softmax(logits, temperature)[rows, labels]
    quantile = min(1.0, cautious_quantile(nonconformity, COVERAGE, confidence))
    return Calibration(temperature=temperature, conformal_quantile=quantile, conformal_coverage=COVERAGE)


def cautious_quantile(values: NDArray[np.float64], level: float, confidence: float | None = None) -> float:
    """One of n values that a further value of the same kind does not exceed with a probability of at least `level`.

    Without `confidence` it is the ⌈(n + 1) level⌉-th smallest: the probability holds on average over sets of n values (Vovk
    et al. 2005; Lei et al. 2018). With it, it holds for these very values with that confidence (Vovk 2012, proposition 2a).
    Infinite where n is too small: below 9 for a level of 0.9, below 29 with a confidence of 0.95 besides.
    """
    rank = _rank(len(values), level, confidence)
    return float(np.sort(values)[rank - 1]) if rank <= len(values) else float("inf")


def _rank(n: int, level: float, confidence: float | None) -> int:
    if confidence is None:
        return int(np.ceil((n + 1) * level - 1e-9))
    from scipy.stats import binom

    return int(binom.ppf(confidence, n, level)) + 1


def domain_statistics(learnt: NDArray[np.float32], held_out: NDArray[np.float32]) -> DomainStatistics:
    """Principal components of the training images' embeddings [N, D]; the threshold is a quantile over held-out ones.

    The distance is that of SIMCA (Wold 1976): along the components, as Hotelling's T², and beside them. With fewer than
    99 held-out images the threshold is their largest distance.
    """
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
    distances = domain_distance(held_out, statistics)
    threshold = min(float(distances.max()), cautious_quantile(distances, DOMAIN_QUANTILE))
    return statistics.model_copy(update={"threshold": threshold})


def _short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Five significant digits: the card is text, and the components are most of it."""
    return tuple(float(f"{value:.5g}") for value in values)


def recalibrated(checkpoint: Checkpoint, fields: Fields, labels: Labels) -> Checkpoint:
    """The same classifier with temperature and conformal quantile from other fields; its domain stays.

    The sets then cover 90 % with a confidence of 95 %, where `calibrate` alone promises it on average.
    """
    anew = calibrate(graph_of(checkpoint), fields, labels, CONFIDENCE)
    return replace(checkpoint, calibration=anew.model_copy(update={"domain": checkpoint.calibration.domain}))


def graph_of(checkpoint: Checkpoint) -> ClassifierGraph:
    """What `edge-export onnx` would export of a classifier's checkpoint."""
    from export.graphs import ClassifierGraph

    return ClassifierGraph(checkpoint.network(), checkpoint.grey_mean, checkpoint.grey_std)


# --- what the edge would say -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What `edge.inspection.classify` says about N fields.

    probabilities: float64 [N, C].  kept: bool [N, C], the prediction sets, never empty.  in_domain: bool [N].
    """

    probabilities: NDArray[np.float64]
    kept: NDArray[np.bool_]
    in_domain: NDArray[np.bool_]

    @property
    def labels(self) -> Labels:
        """int64 [N], into `SEVERITIES`."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def sure(self) -> NDArray[np.bool_]:
        """bool [N]: not to be reviewed, because the field is in domain and its prediction set holds one label."""
        return np.asarray(self.in_domain & (self.kept.sum(axis=1) == 1))


def verdicts(graph: Classifier, calibration: Calibration, fields: Fields) -> Verdicts:
    """Classifier uint8 [N, 224, 224]."""
    logits, embeddings = outputs(graph, fields)
    probabilities = softmax(logits, calibration.temperature)
    kept = 1 - probabilities <= (1.0 if calibration.conformal_quantile is None else calibration.conformal_quantile)
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    in_domain = np.ones(len(fields), np.bool_)
    if calibration.domain is not None:
        in_domain = np.asarray(domain_distance(embeddings, calibration.domain) <= calibration.domain.threshold)
    return Verdicts(probabilities, kept, in_domain)


# --- figures ---------------------------------------------------------------------------------------------------------


def score(graph: Classifier, calibration: Calibration, fields: Fields, labels: Labels, measured_on: str) -> dict[str, Any]:
    """Accuracy with its 95 % interval, F1, calibration error and conformal coverage, in the form of a card's scores."""
    from sklearn.metrics import f1_score

    judged = verdicts(graph, calibration, fields)
    right = judged.labels == labels
    n = len(labels)
    low, high = wilson_interval(int(right.sum()), n)
    bins = f"{BINS} bins of equal width of the highest probability, {measured_on}"
    values = {
        "accuracy": (right.mean(), measured_on),
        "accuracy_low_95": (low, f"Wilson, two-sided, {measured_on}"),
        "accuracy_high_95": (high, f"Wilson, two-sided, {measured_on}"),
        "macro_f1": (f1_score(labels, judged.labels, average="macro", zero_division=0.0), measured_on),
        "expected_calibration_error": (expected_calibration_error(judged.probabilities.max(axis=1), right), bins),
        "in_domain": (judged.in_domain.mean(), measured_on),
        "needs_review": ((~judged.sure).mean(), f"out of domain or a prediction set of several labels, {measured_on}"),
    }
    scores = {name: {"value": round(float(value), 4), "n": n, "how": how} for name, (value, how) in values.items()}
    return {**scores, **coverage_of(judged, labels).card(measured_on)}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the prediction sets of `n` fields hold the true label. low, high: two-sided 95 % interval (Wilson)."""

    coverage: float
    low_95: float
    high_95: float
    mean_set_size: float
    n: int

    def card(self, measured_on: str) -> dict[str, Any]:
        """In the form of a card's scores."""
        how = f"{100 * COVERAGE:g} % asked, fields in domain alone, {measured_on}"
        interval = f"Wilson, two-sided, so the lower end alone holds with 97.5 %; {how}"
        values = (
            ("conformal_coverage", self.coverage, how),
            ("conformal_coverage_low_95", self.low_95, interval),
            ("conformal_coverage_high_95", self.high_95, interval),
            ("conformal_set_size", self.mean_set_size, how),
        )
        return {name: {"value": round(value, 4), "n": self.n, "how": how} for name, value, how in values}


def conformal_coverage(graph: Classifier, calibration: Calibration, fields: Fields, labels: Labels) -> Coverage:
    """Measured on fields that were neither learnt from nor calibrated on.

    Only fields in domain count, because the edge gives no set for others.
    """
    return coverage_of(verdicts(graph, calibration, fields), labels)


def coverage_of(judged: Verdicts, labels: Labels) -> Coverage:
    """See `conformal_coverage`; all 0 when no field is in domain."""
    inside = judged.in_domain
    n = int(inside.sum())
    if not n:
        return Coverage(0.0, 0.0, 1.0, 0.0, 0)
    hits = int(judged.kept[inside, labels[inside]].sum())
    low, high = wilson_interval(hits, n)
    return Coverage(hits / n, low, high, float(judged.kept[inside].sum(axis=1).mean()), n)


def chance_of_proof(
    calibrated_on: int, measured_on: int, floor: float, confidence: float | None = CONFIDENCE, draws: int = 100_000
) -> float:
    """Probability that the lower end of the measured coverage's interval is at least `floor`.

    Given its calibration fields, the coverage of split-conformal sets is distributed as Beta(k, n + 1 − k), k being the
    rank of the quantile (Vovk 2012). The fields that it is measured on then hit binomially. By simulation with a fixed
    seed; for scores without ties, which is the worst case.
    """
    rank = _rank(calibrated_on, COVERAGE, confidence)
    rng = np.random.default_rng(0)
    hits = rng.binomial(measured_on, rng.beta(rank, calibrated_on + 1 - rank, draws))
    least = next(count for count in range(measured_on + 1) if wilson_interval(count, measured_on)[0] >= floor)
    return float((hits >= least).mean())


def wilson_interval(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Two-sided 95 % interval of a proportion (Wilson 1927)."""
    part = right / n
    centre = part + z * z / (2 * n)
    reach = z * np.sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    return float((centre - reach) / (1 + z * z / n)), float((centre + reach) / (1 + z * z / n))


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by size (Naeini et al. 2015)."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (bin_of == index).mean() * abs(confidence[bin_of == index].mean() - right[bin_of == index].mean())
        for index in range(bins)
        if (bin_of == index).any()
    ]
    return float(sum(gaps))


# --- drawn fields ----------------------------------------------------------------------------------------------------


def drawn_fields(seed: int, count: int, size_px: tuple[int, int], side_px: int = 224) -> tuple[Fields, Labels]:
    """uint8 [count, side, side] and class numbers of drawn scenes with the seeds from `seed`, never written to disk.

    Severities are drawn too, so the fields are independent and alike in distribution, as conformal prediction needs.
    """
    from training.draw.synthetic import render

    scenes = (render(seed + index, size_px) for index in range(count))
    drawn = [(field_of_view(scene.grey, side_px), SEVERITIES.index(scene.severity)) for scene in scenes]
    return np.stack([field for field, _ in drawn]), np.array([label for _, label in drawn], np.int64)
