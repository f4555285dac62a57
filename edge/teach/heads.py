"""Numbers and embeddings of fields with their classes in, a committee of heads out: ridge regressions that vote.

A plant labels 6 to 60 fields, which is too few to choose one way of looking. So simple ways (one number, with limits between
classes) and richer ones are each judged on the fields that they did not learn from, and vote accordingly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.inspection.linear import REACH, probability
from edge.inspection.taught_severity import NETWORK, TYPICAL, Head

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

SINGLE: Final = ("log_area", "largest", "regions", "median_size", TYPICAL, NETWORK)
"""Numbers that alone can order fields, as a plant's own rule would."""
PENALTIES: Final = (0.03, 0.3, 3.0)
"""On the squares of weights; the numbers of a head together have a variance of about 1."""
BIAS: Final = 10.0
"""Variance that the mean score may have."""
TEMPERATURES: Final = tuple((2.0 / np.geomspace(1.0, 32.0, 8)).tolist())
USUAL_TEMPERATURE: Final = 0.4
COST: Final = 0.3
"""Nats that a head must be better for each step from one number to several, to all, to the embedding."""
LEAST_VOTE: Final = 0.03
ROUNDS: Final = 20
"""Of bisection: limits are exact to a millionth of their range."""
_CLEARLY: Final = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """N labelled fields. numbers: float64 [N, F], by `names`, standardised.  embeddings: float64 [N, D], centred.

    classes: [N], into the C classes in rising order.  images: [N], fields of one image are left out together.
    """

    names: tuple[str, ...]
    numbers: Floats
    embeddings: Floats
    classes: Indices
    images: Indices
    count: int


@dataclass(frozen=True, slots=True)
class _Way:
    """What a head looks at. part: of its variance, that the embedding has.  cost: see `COST`."""

    numbers: tuple[str, ...]
    part: float
    cost: int


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A head without its vote. loss: mean negative log probability of the fields it did not learn from."""

    head: Head
    loss: float


def committee(fields: Fields, *, rising: bool) -> tuple[Head, ...]:
    """The heads that vote. rising: more corrosion can only be more severe, so a single number must not speak against it."""
    fitted = []
    for way in _ways(fields):
        best = _best(fields, way, rising=rising)
        if best is not None:
            fitted.append((best, way.cost))
    merits = np.array([-len(fields.classes) * one.loss - COST * cost for one, cost in fitted])
    votes = np.exp(merits - merits.max())
    votes /= votes.sum()
    votes[votes < LEAST_VOTE] = 0
    votes /= votes.sum()
    return tuple(
        one.head.model_copy(update={"vote": float(vote)}) for (one, _), vote in zip(fitted, votes, strict=True) if vote
    )


def _ways(fields: Fields) -> list[_Way]:
    single = [name for name in SINGLE if name in fields.names]
    ways = [_Way((name,), 0.0, 0) for name in single]
    if len(single) > 1:
        ways += [_Way(tuple(single), 0.0, 1), _Way(fields.names, 0.0, 2)]
    return [*ways, _Way(fields.names, 0.25, 2), _Way((), 1.0, 2)]


def _best(fields: Fields, way: _Way, *, rising: bool) -> _Fitted | None:
    """The head of this way with the penalty and the kind of scores that do best on fields left out; None where none may be."""
    place = [fields.names.index(name) for name in way.numbers]
    scale = np.sqrt((1 - way.part) / max(len(place), 1))
    of_embedding = np.sqrt(way.part / max(float(np.square(fields.embeddings).sum(axis=1).mean()), 1e-12))
    own = np.clip(fields.numbers[:, place], -REACH, REACH) * scale
    rows = np.hstack([own, fields.embeddings * of_embedding]) if way.part else own
    kernel = rows @ rows.T + BIAS
    best: tuple[float, float, tuple[float, ...], Floats] | None = None
    for penalty in PENALTIES if way.cost else PENALTIES[1:2]:  # on one number it only scales the score
        inverse = np.linalg.inv(kernel + penalty * np.eye(len(rows)))
        for wanted in _wanted(fields, single=way.cost == 0):
            dual = inverse @ wanted
            if rising and way.cost == 0 and (rows.T @ dual)[0, 0] < 0:
                continue
            left_out = wanted - _unlearnt(inverse, dual, fields.images)
            loss, temperature, limits = _calibrated(left_out, fields.classes, fields.count)
            if best is None or loss < best[0] - _CLEARLY:
                best = (loss, temperature, limits, dual)
    if best is None:
        return None
    loss, temperature, limits, dual = best
    weights = (rows.T @ dual).T
    head = Head(
        vote=1.0,
        numbers=way.numbers,
        weights=tuple(tuple((row[: len(place)] * scale).tolist()) for row in weights),
        embedding=tuple(tuple((row[len(place) :] * of_embedding).tolist()) for row in weights) if way.part else (),
        biases=tuple((BIAS * dual.sum(axis=0)).tolist()),
        temperature=temperature,
        limits=limits,
    )
    return _Fitted(head, loss)


def _wanted(fields: Fields, *, single: bool) -> list[Floats]:
    """Scores to be learnt, [N, K]: the number of the class, and where several numbers may tell it one score for each class."""
    ordered = (fields.classes - (fields.count - 1) / 2).astype(np.float64)[:, None]
    if single or fields.count < 3:
        return [ordered]
    return [ordered, np.eye(fields.count)[fields.classes] - 1 / fields.count]


def _unlearnt(inverse: Floats, dual: Floats, images: Indices) -> Floats:
    """How far each wanted score is from that of a regression without the fields of its image: [N, K], in closed form."""
    if len(np.unique(images)) == len(images):
        return np.asarray(dual / np.diag(inverse)[:, None])
    found = np.empty_like(dual)
    for image in np.unique(images):
        own = np.flatnonzero(images == image)
        found[own] = np.linalg.solve(inverse[np.ix_(own, own)], dual[own])
    return found


def _calibrated(scores: Floats, classes: Indices, count: int) -> tuple[float, float, tuple[float, ...]]:
    """Loss, temperature and limits of scores [N, K]; the limits give each class the part of fields that it has."""
    slopes = 1 / np.asarray(TEMPERATURES)
    every = np.arange(len(classes))
    if scores.shape[1] == 1:
        limits = _limits(scores[:, 0], classes, count, slopes)
        beyond = probability(slopes[:, None, None] * (scores[None] - limits[:, None, :]))
        whole = np.ones((*beyond.shape[:2], 1))
        each = -np.diff(np.concatenate([whole, beyond, 0 * whole], axis=2), axis=2)[:, every, classes]
    else:
        limits = np.zeros((len(slopes), 0))
        exponent = np.exp(slopes[:, None, None] * (scores - scores.max(axis=1, keepdims=True)))
        each = exponent[:, every, classes] / exponent.sum(axis=2)
    losses = -np.log(np.maximum(each, 1e-9)).mean(axis=1)
    best = int((losses + np.log(slopes * USUAL_TEMPERATURE) ** 2 / len(classes)).argmin())
    return float(losses[best]), float(TEMPERATURES[best]), tuple(limits[best].tolist())


def _limits(scores: Floats, classes: Indices, count: int, slopes: Floats) -> Floats:
    """Between each class and the next, [slopes, C - 1], by bisection: so many fields lie above as are of higher classes."""
    above = (np.count_nonzero(classes[:, None] > np.arange(count - 1), axis=0) + 0.5) / (len(classes) + 1)
    low = np.repeat((scores.min() - 20 / slopes)[:, None], count - 1, axis=1)
    high = np.repeat((scores.max() + 20 / slopes)[:, None], count - 1, axis=1)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        too_many = probability(slopes[:, None, None] * (scores - middle[:, :, None])).mean(axis=2) > above
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    return np.asarray((low + high) / 2)
