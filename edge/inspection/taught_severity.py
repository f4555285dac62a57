"""What was measured of a field, the network's embedding and what reviewers taught in, the severity that they would say out.

A few heads vote, each a ridge regression on one number, on several, or on the embedding too; which of them count, and how
much, was learnt with them. Fields unlike all reviewed ones get no severity.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge.config import InspectionSettings
from edge.errors import ModelError
from edge.inspection.describe import Described, in_words
from edge.inspection.linear import REACH, Part, probability
from edge.records import SEVERITIES, Measures, Severity, SeverityLabel

NETWORK: Final = "network_odds"
"""Name of the untaught verdict among the numbers: mean log odds that the severity is above each class."""
TYPICAL: Final = "typical_size"
"""Name of the logarithm of the mean region's area over the field, where each region counts by its area."""
MOST_ODDS: Final = 9.0
FOREIGN_REACH: Final = 8.0
"""Standard deviations of the reviewed fields; what lies farther out is as foreign as this."""
CLOSE: Final = 0.6
"""The second class is in doubt with the first from this part of its probability on, where no prediction set says so."""
COVERAGE: Final = 0.9
MOST_CLASSES: Final = 20
_LEAST_FRACTION: Final = 1e-6

Row = tuple[float, ...]
Floats = NDArray[np.float64]


class TaughtClass(Part):
    """One class of the plant's. label: what it stands for in dashboards and alarms; None where nobody said."""

    name: str = Field(min_length=1, max_length=200)
    label: SeverityLabel | None


class Head(Part):
    """One way from numbers to classes, K scores each: one that rises with the class, or one for each class.

    vote: its part of the committee's probabilities.  weights: [K, F], of the standardised `numbers`.  embedding: [K, D],
    of the centred embedding, or empty.  biases: [K].  temperature: of the scores.
    limits: between each class and the next, on one score; empty where each class has a score of its own.
    """

    vote: float = Field(gt=0, le=1)
    numbers: tuple[str, ...]
    weights: tuple[Row, ...]
    embedding: tuple[Row, ...] = ()
    biases: Row = Field(min_length=1)
    temperature: float = Field(gt=0)
    limits: Row = ()

    @model_validator(mode="after")
    def _fits(self) -> Head:
        rows = len(self.biases)
        if len(self.weights) != rows or any(len(row) != len(self.numbers) for row in self.weights):
            raise ValueError("weights must have one row a score and one number for each of numbers")
        if self.embedding and (len(self.embedding) != rows or len({len(row) for row in self.embedding}) != 1):
            raise ValueError("embedding must have one row a score, all equally long")
        if (rows > 1 and self.limits) or list(self.limits) != sorted(self.limits):
            raise ValueError("limits must rise, and belong to one score")
        return self


class TaughtDomain(Part):
    """Where the reviewed fields lie; a field is as foreign as its distance to the nearest of them.

    numbers: [N, F], standardised.  embeddings: [N, D], centred and divided by `spread` [D].
    numbers_limit, embedding_limit: of those distances.  ratio_limit: of the network's own `domain_ratio`, None without one.
    """

    names: tuple[str, ...]
    numbers: tuple[Row, ...]
    numbers_limit: float = Field(gt=0)
    embeddings: tuple[Row, ...]
    embedding_limit: float = Field(gt=0)
    spread: Row
    ratio_limit: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> TaughtDomain:
        widths = {len(row) for row in self.numbers}, {len(row) for row in self.embeddings}
        if not widths[0] <= {len(self.names)} or not widths[1] <= {len(self.spread)}:
            raise ValueError("each field must have one number for every name, and an embedding as long as spread")
        if not self.embeddings or len(self.numbers) not in (0, len(self.embeddings)) or min(self.spread) <= 0:
            raise ValueError("every field has numbers or none has, each an embedding, and spread is above 0")
        return self

    @cached_property
    def rows(self) -> tuple[Floats, Floats]:
        """float64 [N, F] and [N, D]: `numbers` and `embeddings`."""
        return np.asarray(self.numbers), np.asarray(self.embeddings)


class MeasuredWith(Part):
    """The settings that the numbers depend on."""

    confidence: float
    iou: float
    min_diameter_px: float
    min_diameter_um: float


class TaughtSeverity(Part):
    """What reviewers say of whole fields.

    classes: in rising order.  mean, deviation: of each number that is looked at.  centre: [D], of the embedding.
    conformal: quantile of 1 - p(true class) on held-out fields; None below 9 fields a class.
    measured_with: None where only the network is looked at.
    """

    classes: tuple[TaughtClass, ...] = Field(min_length=2, max_length=MOST_CLASSES)
    names: tuple[str, ...]
    mean: Row
    deviation: Row
    centre: Row
    heads: tuple[Head, ...] = Field(min_length=1, max_length=50)
    domain: TaughtDomain
    conformal: float | None = Field(ge=0, le=1)
    measured_with: MeasuredWith | None
    reviewed: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> TaughtSeverity:
        count, width = len(self.classes), len(self.centre)
        if len({one.name for one in self.classes}) != count:
            raise ValueError("each class has a name of its own")
        if not len(self.names) == len(self.mean) == len(self.deviation) or min(self.deviation, default=1.0) <= 0:
            raise ValueError("mean, deviation (above 0) and names must be equally long")
        if width != len(self.domain.spread):
            raise ValueError("centre must be as long as an embedding")
        for head in self.heads:
            if len(head.biases) != (1 if head.limits else count) or (head.limits and len(head.limits) != count - 1):
                raise ValueError("a head must have a score or a limit for every class")
            if any(len(row) != width for row in head.embedding):
                raise ValueError("a head must have as many weights as an embedding has numbers")
        if not set(self.domain.names).union(*(head.numbers for head in self.heads)) <= set(self.names):
            raise ValueError("heads and domain must look at named numbers")
        return self

    @property
    def own(self) -> bool:
        """Whether some class is none of `SEVERITIES`, so that verdicts name the class."""
        return any(one.name not in SEVERITIES for one in self.classes)


def numbers_of(described: Described | None, measures: Measures, untaught: Severity) -> dict[str, float]:
    """What can speak for a field: `described`, None without stage 1, the typical size, and the untaught verdict."""
    numbers = {NETWORK: network_odds(untaught)}
    if described is None:
        return numbers
    areas = measures.area_px.astype(np.float64)
    typical = float(np.square(areas).sum() / areas.sum()) / max(measures.field_px, 1) if len(areas) else 0.0
    return {**described, **numbers, TYPICAL: float(np.log(typical + _LEAST_FRACTION))}


def network_odds(untaught: Severity) -> float:
    """Mean log odds that the severity is above each class but the highest, by the untaught verdict, given or guessed."""
    given = untaught.answer.probabilities or {}
    each = np.array([given.get(name, 0.0) for name in SEVERITIES])
    above = np.clip(np.cumsum(each[::-1])[::-1][1:], 1e-9, 1 - 1e-9)
    return float(np.clip(np.log(above / (1 - above)).mean(), -MOST_ODDS, MOST_ODDS))


def standardised(given: Described, names: tuple[str, ...], mean: Row, deviation: Row) -> Floats:
    """float64 [F] in standard deviations of the reviewed fields, within `FOREIGN_REACH`. Raises ModelError."""
    missing = [name for name in names if name not in given]
    if missing:
        raise ModelError(f"the adaptation looks at {', '.join(missing)}, which nobody measures here: teach again")
    values = np.array([given[name] for name in names], np.float64)
    return np.asarray(np.clip((values - np.asarray(mean)) / np.asarray(deviation), -FOREIGN_REACH, FOREIGN_REACH))


def scores_to_probabilities(scores: Floats, limits: Row, temperature: float) -> Floats:
    """float64 [N, C] of scores [N, K]: proportional odds on one score with limits, else the softmax of one a class."""
    if limits:
        beyond = probability((scores - np.asarray(limits)) / temperature)
        edge = np.ones((len(scores), 1))
        return np.asarray(-np.diff(np.hstack([edge, beyond, 0 * edge]), axis=1))
    exponent = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))


def probabilities(part: TaughtSeverity, given: Described, embedding: NDArray[np.float32]) -> Floats:
    """float64 [C], sum 1: the heads' votes. embedding: float32 [D]. Raises ModelError."""
    numbers = np.clip(standardised(given, part.names, part.mean, part.deviation), -REACH, REACH)
    offset = _centred(part, embedding)
    place = {name: index for index, name in enumerate(part.names)}
    total = np.zeros(len(part.classes))
    for head in part.heads:
        own = numbers[[place[name] for name in head.numbers]]
        scores = np.asarray(head.weights).reshape(len(head.biases), -1) @ own + np.asarray(head.biases)
        if head.embedding:
            scores = scores + np.asarray(head.embedding) @ offset
        total += head.vote * scores_to_probabilities(scores[None], head.limits, head.temperature)[0]
    return np.asarray(total / total.sum())


def foreign(part: TaughtSeverity, given: Described, embedding: NDArray[np.float32], ratio: float | None) -> tuple[float, str]:
    """How far the field is from all reviewed ones, in parts of the limit (above 1: foreign), and why.

    ratio: the network's own `domain_ratio`.
    """
    domain = part.domain
    offset = _centred(part, embedding) / np.asarray(domain.spread)
    found = {"as the network sees it": nearest(offset[None], domain.rows[1])[0] / domain.embedding_limit}
    if domain.names:
        place = [part.names.index(name) for name in domain.names]
        own = standardised(given, part.names, part.mean, part.deviation)[place]
        rows = domain.rows[0]
        distances = np.sqrt(np.square(own - rows).mean(axis=1))
        name = domain.names[int(np.abs(own - rows[int(distances.argmin())]).argmax())]
        why = f"most of all by {in_words(name, given[name], part.mean[part.names.index(name)])}"
        found[why] = float(distances.min()) / domain.numbers_limit
    if ratio is not None and domain.ratio_limit is not None:
        found["farther from the network's training images than they are"] = ratio / domain.ratio_limit
    why = max(found, key=lambda one: found[one])
    return float(found[why]), why


def nearest(rows: Floats, reviewed: Floats) -> Floats:
    """float64 [N]: root mean square distance of rows [N, D] to the nearest of reviewed [M, D]."""
    squares = np.square(rows).sum(axis=1)[:, None] + np.square(reviewed).sum(axis=1) - 2 * rows @ reviewed.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0) / max(rows.shape[1], 1)))


def by_taught(part: TaughtSeverity, given: Described, embedding: NDArray[np.float32], untaught: Severity) -> Severity:
    """What reviewers would say of this field; it abstains where it is unlike all reviewed ones. Raises ModelError.

    given: `numbers_of`.  embedding: float32 [D].  untaught: the network's own verdict, which stays visible and decides nothing.
    """
    each = probabilities(part, given, embedding)
    best = int(each.argmax())
    names = [one.name for one in part.classes]
    ratio, why = foreign(part, given, embedding, untaught.domain_ratio)
    reasons: list[str] = []
    kept: tuple[str, ...] | None = None
    if ratio > 1:
        reasons.append(f"out_of_domain: the field is unlike all that were reviewed, {why}")
    elif part.conformal is not None:
        inside = 1 - each <= part.conformal
        inside[best] = True
        kept = tuple(name for name, keep in zip(names, inside, strict=True) if keep)
        if len(kept) > 1:
            reasons.append(f"ambiguous: the {COVERAGE:.0%} prediction set holds {', '.join(kept)}")
    else:
        second = int(np.argsort(-each, kind="stable")[1])
        if each[second] > CLOSE * each[best]:
            said = f"{names[best]} ({each[best]:.0%}) and {names[second]} ({each[second]:.0%})"
            reasons.append(f"taught_unsure: the reviews speak for {said} here: say what this field is")
    judged = Severity(
        label=part.classes[best].label,
        confidence=float(each[best]),
        probabilities={name: float(value) for name, value in zip(names, each, strict=True)},
        prediction_set=kept,
        needs_review=False,
        reasons=(),
        in_domain=ratio <= 1,
        cam=untaught.cam,
        domain_ratio=ratio,
        source="taught",
        own_class=names[best] if part.own else None,
        network=untaught.answer,
    )
    return judged.doubted(reasons)


def measured_with(settings: InspectionSettings) -> MeasuredWith:
    """What of these settings the numbers depend on."""
    wanted = settings.inspect
    return MeasuredWith(
        confidence=wanted.confidence,
        iou=wanted.iou,
        min_diameter_px=wanted.min_diameter_px,
        min_diameter_um=wanted.min_diameter_um,
    )


def require_same_measures(part: TaughtSeverity, settings: InspectionSettings) -> None:
    """Refuse what was measured with other settings, since a count or an area then means something else. Raises ModelError."""
    if part.measured_with is None:
        return
    if settings.inspect.stages != "both":
        raise ModelError(
            f'the adaptation judges severities by what stage 1 measures, and inspect.stages is "{settings.inspect.stages}":'
            ' take "both", or teach again with this setting'
        )
    now = measured_with(settings)
    for name, then in part.measured_with.model_dump().items():
        if getattr(now, name) != then:
            raise ModelError(
                f"the adaptation's severities were taught with inspect.{name} = {then:g}, and now it is {getattr(now, name):g}:"
                " set it back, or teach again from the same reviews"
            )


def _centred(part: TaughtSeverity, embedding: NDArray[np.float32]) -> Floats:
    if len(embedding) != len(part.centre):
        raise ModelError(f"the adaptation looks at {len(part.centre)} numbers of the classifier, which gives {len(embedding)}")
    return np.asarray(embedding.astype(np.float64) - np.asarray(part.centre))
