"""What reviewers said of whole fields and what speaks for it in, what was learnt and how good that is out.

It is judged by leaving images out. What is no better than the untaught verdict, or for a plant's own classes than always
saying the commonest one, is left out of the adaptation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError, ReviewError
from edge.inspection.pipeline import FieldSeen
from edge.inspection.taught_severity import (
    COVERAGE,
    MOST_CLASSES,
    NETWORK,
    Floats,
    MeasuredWith,
    TaughtClass,
    TaughtDomain,
    TaughtSeverity,
    foreign,
    nearest,
    probabilities,
    standardised,
)
from edge.records import SEVERITIES, SeverityLabel
from edge.teach.heads import Fields, Indices, committee
from edge.teach.reviews import CANNOT_TELL, UNCORRODED, Review, disagreements, plain

SEVERITY_NAMES: Final[tuple[str, ...]] = SEVERITIES
STANDS_FOR: Final[Mapping[str, SeverityLabel | None]] = {**{name: name for name in SEVERITIES}, UNCORRODED: "low"}
"""What a class stands for where nobody said: of uncorroded metal an alarm should hear no more than low."""

LEAST_IMAGES: Final = 6
LEAST_OF_CLASS: Final = 2
"""Images of each of two classes at least, so that a class is known when one of its images is left out."""
LEAST_FOR_SETS: Final = 9
"""Fields of a class from which on there are prediction sets; of fewer no quantile of 90 % exists: ⌈(9 + 1) · 0.9⌉ = 9."""
MOST_FOLDS: Final = 12
MOST_KEPT: Final = 200
"""Reviewed fields that the domain remembers."""
USUAL_PART: Final = 0.9
DOMAIN_FACTOR: Final = 1.3
"""A field is foreign from this times the distance on that 90 % of the reviewed fields have their nearest other one."""
LEAST_DISTANCE: Final = 0.1
RATIO_FACTOR: Final = 1.1
SPREAD_FLOOR: Final = 0.3
_LEAST_DEVIATION: Final = 1e-3
_AREA: Final = "log_area"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledField:
    """One field with its class. image: sha256; pages of one file are fields of one image."""

    image: str
    verdict: str
    seen: FieldSeen


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What severities came to. taught: None where they do not help; told: sentences."""

    taught: TaughtSeverity | None
    before: dict[str, float | None]
    after: dict[str, float | None]
    told: tuple[str, ...]


def verdicts_of(reviews: Sequence[Review]) -> dict[tuple[str, int], str]:
    """The class of each field, by `Review.about`, of reviews that count; "cannot_tell" says nothing.

    Raises ReviewError where reviewers disagree.
    """
    apart = [one for one in disagreements(reviews) if one.what == "severity"]
    if apart:
        said = " and ".join(f"{who} says {what}" for who, what in apart[0].said)
        more = f"; so with {len(apart) - 1} more" if len(apart) > 1 else ""
        image = apart[0].image.name or apart[0].image.sha256[:12]
        raise ReviewError(
            f"contradictory: of the severity of {image}, {said}{more}: agree, and let the other withdraw or review again"
        )
    found: dict[tuple[str, int], str] = {}
    spelled: dict[str, str] = {}
    for one in reviews:
        if one.severity is not None:
            name = spelled.setdefault(plain(one.severity.verdict), one.severity.verdict)
            if name != CANNOT_TELL:
                found[one.about] = name
    return found


def parse_classes(text: str) -> tuple[TaughtClass, ...]:
    """Of "NAME=LABEL,…" in rising order; LABEL may be missing. Raises ConfigError."""
    classes = []
    for part in text.split(","):
        name, _, label = (" ".join(one.split()) for one in part.partition("="))
        if not name or name == CANNOT_TELL:
            raise ConfigError(f"--classes {text!r}: {part!r} names no class: write fine=low,coarse=severe, lowest first")
        if label and label not in SEVERITIES:
            raise ConfigError(f"--classes {text!r}: {label!r} is none of {', '.join(SEVERITIES)}")
        classes.append(TaughtClass(name=name, label=label or STANDS_FOR.get(name)))
    if len({plain(one.name) for one in classes}) < len(classes):
        raise ConfigError(f"--classes {text!r}: a class is named twice")
    return tuple(classes)


def fit_severity(
    fields: Sequence[LabelledField], settings: MeasuredWith | None, classes: Sequence[TaughtClass] = ()
) -> Learnt | None:
    """What the fields teach; None without any. classes: in rising order, where somebody said. Raises ReviewError.

    settings: that the numbers were measured with; None where stage 1 was not run.
    """
    if not fields:
        return None
    if refusal := _too_few(fields):
        return Learnt(None, {}, {}, (refusal,))
    ordered, told = _ordered(fields, classes)
    own = any(one.name not in SEVERITY_NAMES for one in ordered)
    place = {one.name: index for index, one in enumerate(ordered)}
    truth = np.array([place[one.verdict] for one in fields], np.intp)
    numbers = np.zeros((len(fields), len(ordered)))
    judged = np.zeros(len(fields), np.bool_)
    for left_out in _folds(fields, truth):
        part = _fitted([one for one, out in zip(fields, left_out, strict=True) if not out], ordered, settings)
        for index in np.flatnonzero(left_out).tolist():
            seen = fields[index].seen
            numbers[index] = probabilities(part, seen.numbers, seen.embedding)
            judged[index] = foreign(part, seen.numbers, seen.embedding, seen.untaught.domain_ratio)[0] <= 1
    levels = None if own else np.array([SEVERITY_NAMES.index(one.name) for one in ordered], np.intp)
    said, right = (numbers.argmax(axis=1), truth) if levels is None else (levels[numbers.argmax(axis=1)], levels[truth])
    after = _figures(said, right, judged, own=own)
    untaught, given = _untaught(fields, levels, right)
    before = _figures(untaught, right, given, own=own)
    told += (f"severity: before is {'always saying the commonest class' if own else 'the untaught verdict'}",)
    rivals = [(untaught, given), (_commonest(right), np.ones(len(fields), np.bool_))]
    if not all(_better((said, judged), rival, right) for rival in rivals):
        return Learnt(None, before, after, (*told, "severity: what was said of fields judges others no better than before"))
    part = _fitted(fields, ordered, settings)
    counts = np.bincount(truth, minlength=len(ordered))
    rare = [f"{one.name} has {count}" for one, count in zip(ordered, counts.tolist(), strict=True) if count < LEAST_FOR_SETS]
    if rare:
        told += (f"severity: prediction sets need {LEAST_FOR_SETS} fields of each class; {', '.join(rare)}",)
    else:
        part = part.model_copy(update={"conformal": _quantile(numbers, truth)})
    return Learnt(part, before, after, told)


def _too_few(fields: Sequence[LabelledField]) -> str | None:
    """Why so few fields teach nothing, or None."""
    images = {one.image for one in fields}
    of_class = Counter(verdict for verdict, _ in {(one.verdict, one.image) for one in fields})
    if len(of_class) == 1:
        only = next(iter(of_class))
        return f"severity: every field is said to be {only}: say of some what is not, and their class"
    if len(images) < LEAST_IMAGES:
        return f"severity: {len(images)} images have a severity: at least {LEAST_IMAGES} are needed"
    if sum(count >= LEAST_OF_CLASS for count in of_class.values()) < 2:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(of_class.items()))
        return f"severity: two classes with {LEAST_OF_CLASS} images each are needed at least ({counts})"
    if len(of_class) > MOST_CLASSES:
        return f"severity: the reviews name {len(of_class)} classes, and at most {MOST_CLASSES} are learnt"
    return None


def _ordered(fields: Sequence[LabelledField], given: Sequence[TaughtClass]) -> tuple[tuple[TaughtClass, ...], tuple[str, ...]]:
    """The classes that were reviewed, in rising order, and what a user should know of them."""
    names = list(dict.fromkeys(one.verdict for one in fields))
    known = {plain(one.name): one for one in given}
    told: list[str] = []
    if given:
        if missing := sorted(name for name in names if plain(name) not in known):
            raise ReviewError(f"the reviews name the class {missing[0]!r}, which --classes leaves out: put it in its place")
        order = list(known)
        found = [TaughtClass(name=name, label=known[plain(name)].label) for name in names]
        found.sort(key=lambda one: order.index(plain(one.name)))
    elif set(names) <= set(STANDS_FOR):
        order = [UNCORRODED, *SEVERITIES]
        found = [TaughtClass(name=name, label=STANDS_FOR[name]) for name in sorted(names, key=order.index)]
    else:
        by = _AREA if _AREA in fields[0].seen.numbers else NETWORK
        means = {name: float(np.mean([one.seen.numbers[by] for one in fields if one.verdict == name])) for name in names}
        found = [
            TaughtClass(name=name, label=STANDS_FOR.get(name)) for name in sorted(names, key=lambda name: (means[name], name))
        ]
        rule = "their mean area fraction" if by == _AREA else "the network's verdict"
        listed = ", ".join(one.name for one in found)
        told.append(f"severity: the classes are ordered by {rule}, rising: {listed}; --classes says it otherwise")
    if without := [one.name for one in found if one.label is None]:
        told.append(f"severity: no label is given where the class is {' or '.join(without)}; --classes NAME=LABEL,… gives one")
    once = [name for name in names if len({one.image for one in fields if one.verdict == name}) < LEAST_OF_CLASS]
    told += [f"severity: only one image is said to be {name}: review another" for name in once]
    return tuple(found), tuple(told)


def _folds(fields: Sequence[LabelledField], truth: Indices) -> list[NDArray[np.bool_]]:
    """Masks [N] of what is left out together: an image, or several of them where there are many; classes are spread."""
    images = list(dict.fromkeys(fields[index].image for index in np.argsort(truth, kind="stable").tolist()))
    fold = {image: number % MOST_FOLDS for number, image in enumerate(images)}
    numbers = np.array([fold[one.image] for one in fields])
    return [numbers == number for number in np.unique(numbers)]


def _fitted(fields: Sequence[LabelledField], classes: tuple[TaughtClass, ...], settings: MeasuredWith | None) -> TaughtSeverity:
    """What these fields teach, without prediction sets."""
    names = tuple(fields[0].seen.numbers)
    raw = np.array([[one.seen.numbers[name] for name in names] for one in fields], np.float64)
    embeddings = np.array([one.seen.embedding for one in fields], np.float64)
    mean, deviation = raw.mean(axis=0), np.maximum(raw.std(axis=0), _LEAST_DEVIATION)
    centre = embeddings.mean(axis=0)
    numbers = np.array([standardised(one.seen.numbers, names, _row(mean), _row(deviation)) for one in fields])
    place = {one.name: index for index, one in enumerate(classes)}
    images = {image: index for index, image in enumerate(dict.fromkeys(one.image for one in fields))}
    of = np.array([images[one.image] for one in fields], np.intp)
    learnt = Fields(
        names=names,
        numbers=numbers,
        embeddings=embeddings - centre,
        classes=np.array([place[one.verdict] for one in fields], np.intp),
        images=of,
        count=len(classes),
    )
    ratios = [one.seen.untaught.domain_ratio for one in fields]
    return TaughtSeverity(
        classes=classes,
        names=names,
        mean=_row(mean),
        deviation=_row(deviation),
        centre=_row(centre),
        heads=committee(learnt, rising=all(one.name in STANDS_FOR for one in classes)),
        domain=_domain(learnt, [ratio for ratio in ratios if ratio is not None]),
        conformal=None,
        measured_with=settings,
        reviewed=len(fields),
    )


def _domain(fields: Fields, ratios: Sequence[float]) -> TaughtDomain:
    """Where the fields lie, and how far from its nearest other one each does. ratios: the network's `domain_ratio`."""
    variance = fields.embeddings.var(axis=0)
    spread = np.sqrt(variance + max(SPREAD_FLOOR * float(variance.mean()), 1e-12))
    looked_at = [index for index, name in enumerate(fields.names) if name not in (NETWORK, _AREA)]
    numbers, embeddings = fields.numbers[:, looked_at], fields.embeddings / spread
    factor = DOMAIN_FACTOR * (1 + 2 / len(fields.numbers))
    kept = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), MOST_KEPT)).round().astype(np.intp))
    highest = float(np.quantile(ratios, 0.97)) if ratios else 0.0
    return TaughtDomain(
        names=tuple(fields.names[index] for index in looked_at),
        numbers=tuple(_short(row) for row in numbers[kept]) if looked_at else (),
        numbers_limit=max(LEAST_DISTANCE, factor * _usual_distance(numbers, fields.images)),
        embeddings=tuple(_short(row) for row in embeddings[kept]),
        embedding_limit=max(LEAST_DISTANCE, factor * _usual_distance(embeddings, fields.images)),
        spread=_row(spread),
        ratio_limit=max(1.0, RATIO_FACTOR * highest) if ratios else None,
    )


def _usual_distance(rows: Floats, images: Indices) -> float:
    """On which `USUAL_PART` of the rows have a row of another image."""
    if not rows.shape[1]:
        return 0.0
    each = [nearest(rows[images == image], rows[images != image]) for image in np.unique(images)]
    return float(np.quantile(np.concatenate(each), USUAL_PART))


def _untaught(fields: Sequence[LabelledField], levels: Indices | None, truth: Indices) -> tuple[Indices, NDArray[np.bool_]]:
    """What is said without teaching, in the numbers of `truth`; and whether it is a verdict or a guess."""
    if levels is None:
        return _commonest(truth), np.ones(len(fields), np.bool_)
    answers = [SEVERITY_NAMES.index(one.seen.untaught.answer.label or "low") for one in fields]
    return np.array(answers, np.intp), np.array([not one.seen.untaught.abstained for one in fields])


def _commonest(truth: Indices) -> Indices:
    """The class that is commonest, for every field."""
    return np.full(len(truth), np.bincount(truth).argmax(), np.intp)


def _figures(said: Indices, truth: Indices, judged: NDArray[np.bool_], *, own: bool) -> dict[str, float | None]:
    """How good answers are, guesses included; and how many of them are verdicts."""
    right = said == truth
    figures: dict[str, float | None] = {"accuracy": round(float(right.mean()), 4)}
    if own:
        each = []
        for index in np.unique(truth):
            both = np.count_nonzero(said == index) + np.count_nonzero(truth == index)
            each.append(2 * np.count_nonzero(right & (truth == index)) / both)
        figures["macro_f1"] = round(float(np.mean(each)), 4)
    else:
        figures["mean_ordinal_error"] = round(float(np.abs(said - truth).mean()), 4)
    return {**figures, "judged": round(float(judged.mean()), 4), "right_and_judged": round(float((right & judged).mean()), 4)}


def _better(ours: tuple[Indices, NDArray[np.bool_]], theirs: tuple[Indices, NDArray[np.bool_]], truth: Indices) -> bool:
    """Whether answers are right more often, by more than chance would; those that are only guessed count half."""
    worth = [(said == truth) * np.where(judged, 1.0, 0.5) for said, judged in (ours, theirs)]
    gains = worth[0] - worth[1]
    return bool(gains.sum() >= max(1.0, float(np.sqrt(np.square(gains).sum()))) - 1e-9)


def _quantile(numbers: Floats, truth: Indices) -> float:
    """1 - p(true class) that `COVERAGE` of new fields stay below, by the finite-sample rule. numbers: held-out, [N, C]."""
    scores = np.sort(1 - numbers[np.arange(len(truth)), truth])
    rank = int(np.ceil((len(scores) + 1) * COVERAGE - 1e-9))
    return float(np.clip(scores[min(rank, len(scores)) - 1], 0, 1))


def _row(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _short(values: Floats) -> tuple[float, ...]:
    """To four significant digits: these are only measured against."""
    return tuple(float(f"{value:.4g}") for value in values.tolist())
