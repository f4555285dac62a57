"""Pages in, their part and their fold out: whole groups (specimens), severities as even as groups allow."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES
from training.data.check import IMBALANCE
from training.data.dataset import Part
from training.data.options import Options
from training.data.read_images import Page
from training.labels.image_labels import Finding

SPLIT_TRIES: Final = 10
_Indices = NDArray[np.intp]
_Names = NDArray[np.str_]


def split(pages: Sequence[Page], options: Options, findings: list[Finding]) -> tuple[tuple[Part, ...], tuple[int | None, ...]]:
    """Part of each page, and its fold: the folds are made of all that is not test."""
    groups = np.array([page.group for page in pages])
    strata = np.array([page.severity or "unknown" for page in pages])
    left_for_training = max(options.folds, 1 + (options.val > 0))
    count, needed = len(set(groups)), left_for_training + (options.test > 0)
    if count < needed:
        what = f"{count} groups are too few for {options.folds} folds, --test {options.test:g} and --val {options.val:g}"
        findings.append(Finding(f"{what}: at least {needed} are needed (samples.csv: group)", ""))
        return tuple("train" for _ in pages), tuple(None for _ in pages)
    parts: list[Part] = ["train"] * len(pages)
    folds: list[int | None] = [None] * len(pages)
    everything = np.arange(len(pages))
    for index in _choose(everything, options.test * len(pages), left_for_training, strata, groups, options.seed):
        parts[index] = "test"
    rest = np.array([index for index in everything if parts[index] != "test"])
    for index in _choose(rest, options.val * len(pages), 1, strata, groups, options.seed):
        parts[index] = "val"
    if options.folds:
        for number, members in enumerate(_divide(rest, options.folds, strata, groups, options.seed)):
            for index in members:
                folds[index] = number
    findings += _check_severities(strata, parts, folds)
    return tuple(parts), tuple(folds)


def _check_severities(strata: _Names, parts: Sequence[Part], folds: Sequence[int | None]) -> list[Finding]:
    findings = []
    known = Counter(str(name) for name in strata if name != "unknown")
    if known and max(known.values()) > IMBALANCE * min(known.values()):
        shown = ", ".join(f"{name} {known[name]}" for name in SEVERITIES)
        findings.append(Finding(f"severities differ more than {IMBALANCE:.0f} times in number", shown, fatal=False))
    places = [*parts, *(f"fold {fold}" for fold in folds if fold is not None)]
    names = [*strata, *(name for name, fold in zip(strata, folds, strict=True) if fold is not None)]
    for place in sorted(set(places)):
        absent = set(known) - {name for name, of in zip(names, places, strict=True) if of == place}
        findings += [Finding(f"no image of a severity in {place}", name, fatal=False) for name in SEVERITIES if name in absent]
    return findings


def _choose(indices: _Indices, size: float, leave: int, strata: _Names, groups: _Names, seed: int) -> _Indices:
    """About `size` of `indices`, whole groups, strata mixed as in all of them; at least `leave` groups stay."""
    if not size:
        return indices[:0]
    names = sorted(set(groups[indices]))
    wanted = Counter(strata[indices])

    def distance(members: _Indices) -> float:
        here = Counter(strata[members])
        return sum(abs(here[name] - size * number / len(indices)) for name, number in wanted.items())

    pieces = min(len(names), max(2, round(len(indices) / size)))
    tries = [piece for turn in range(SPLIT_TRIES) for piece in _divide_once(indices, pieces, strata, groups, seed + turn)]
    tries += [indices[groups[indices] == name] for name in names]
    return min((one for one in tries if len(one) and len(names) - len(set(groups[one])) >= leave), key=distance)


def _divide(indices: _Indices, pieces: int, strata: _Names, groups: _Names, seed: int) -> list[_Indices]:
    """`indices` in so many pieces of whole groups, as even in size and strata as the best of some shuffles."""
    wanted = Counter(strata[indices])

    def distance(division: list[_Indices]) -> float:
        here = [Counter(strata[piece]) for piece in division]
        return max(abs(one[name] - number / pieces) for one in here for name, number in wanted.items())

    tries = [_divide_once(indices, pieces, strata, groups, seed + turn) for turn in range(SPLIT_TRIES)]
    return min((one for one in tries if all(len(piece) for piece in one)), key=distance, default=None) or _dealt(
        indices, pieces, groups
    )


def _dealt(indices: _Indices, pieces: int, groups: _Names) -> list[_Indices]:
    """Groups, the largest first, each given to the piece that has least: where stratifying leaves a piece empty."""
    dealt: list[list[int]] = [[] for _ in range(pieces)]
    for name, _ in Counter(groups[indices]).most_common():
        min(dealt, key=len).extend(int(index) for index in indices[groups[indices] == name])
    return [np.array(sorted(piece)) for piece in dealt]


def _divide_once(indices: _Indices, pieces: int, strata: _Names, groups: _Names, seed: int) -> list[_Indices]:
    from sklearn.model_selection import StratifiedGroupKFold

    # It refuses when no stratum has an image for each piece: then nothing can be stratified, only divided.
    several = max(Counter(strata[indices]).values()) >= pieces
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of strata with fewer images than pieces; reported in our own words
        splitter = StratifiedGroupKFold(pieces, shuffle=True, random_state=seed)
        labels = strata[indices] if several else np.zeros(len(indices), np.intp)
        return [indices[held] for _, held in splitter.split(indices, labels, groups[indices])]
