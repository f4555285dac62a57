"""A micrograph in, the same field as an operator's other settings would have shown it out; and how much the verdict moves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import Grey, Micrograph, SeverityLabel

LEAST_AREA: Final = 0.005
"""Mean area fraction from which on a relative spread is worth stating."""
MOST_SPREAD: Final = 0.10
MOST_FLIPS: Final = 0.05
CENTRE: Final = 127.5


@dataclass(frozen=True, slots=True)
class Seen:
    """What was said of one view of a field. label: None where no severity was given.  answer: the network's, given or not."""

    area_fraction: float
    label: SeverityLabel | None
    answer: SeverityLabel | None
    found: int


Fields = Sequence[tuple[Seen, Mapping[str, Seen]]]
"""Each field as it is, and by the name of each view."""


def brighter(grey: Grey, levels: float) -> Grey:
    """By so many grey levels; what leaves 0…255 is cut off, as the detector's amplifier does."""
    return _grey(grey.astype(np.float32) + levels)


def contrasted(grey: Grey, factor: float) -> Grey:
    """Distances from the image's own mean times `factor`."""
    mean = float(grey.mean())
    return _grey((grey.astype(np.float32) - mean) * factor + mean)


def defocused(grey: Grey, sigma_px: float) -> Grey:
    """Blurred by a Gauss of `sigma_px`."""
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma_px), np.uint8)


def noisy(grey: Grey, levels: float) -> Grey:
    """With noise of a shorter dwell: standard deviation `levels` at middle grey, its square proportional to the grey value.

    The same image gets the same noise in every run.
    """
    rng = np.random.default_rng(zlib.crc32(grey.tobytes()))
    scale = np.float32(levels) * np.sqrt(np.maximum(grey.astype(np.float32), 1) / np.float32(CENTRE))
    return _grey(grey.astype(np.float32) + scale * rng.standard_normal(grey.shape, dtype=np.float32))


def resampled(grey: Grey, factor: float) -> Grey:
    """The same field with `factor` times the pixels across, as at another magnification."""
    size = tuple(max(32, round(side * factor)) for side in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8)


VIEWS: Final[Mapping[str, tuple[str, Callable[[Grey], Grey]]]] = {
    "darker_25": ("brightness", lambda grey: brighter(grey, -25)),
    "brighter_25": ("brightness", lambda grey: brighter(grey, 25)),
    "contrast_0.75": ("contrast", lambda grey: contrasted(grey, 0.75)),
    "contrast_1.3": ("contrast", lambda grey: contrasted(grey, 1.3)),
    "defocus_1px": ("focus", lambda grey: defocused(grey, 1.0)),
    "defocus_2px": ("focus", lambda grey: defocused(grey, 2.0)),
    "noise_6": ("noise", lambda grey: noisy(grey, 6)),
    "noise_12": ("noise", lambda grey: noisy(grey, 12)),
    "magnification_0.8": ("magnification", lambda grey: resampled(grey, 0.8)),
    "magnification_1.25": ("magnification", lambda grey: resampled(grey, 1.25)),
}
"""Name: the knob that was turned, and how. Grey levels are of 255."""


def view(micrograph: Micrograph, name: str) -> Micrograph:
    """The micrograph as `VIEWS[name]` shows it, data bar left out; its scale follows the number of pixels."""
    grey = VIEWS[name][1](micrograph.grey)
    height, width = grey.shape
    drawn = micrograph.drawn_px
    if drawn is not None and drawn.shape != grey.shape:
        drawn = cv2.resize(drawn.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    nm = micrograph.pixel_size_nm
    return replace(
        micrograph,
        grey=np.ascontiguousarray(grey),
        stored_width_px=width,
        stored_height_px=height,
        databar_px=0,
        pixel_size_nm=None if nm is None else nm * micrograph.width_px / width,
        saturated_fraction=float(((grey == 0) | (grey == 255)).mean()),
        drawn_px=drawn,
    )


def steadiness(fields: Fields) -> dict[str, Any]:
    """How much fields move under all views: `(as it is, by the name of each view)` for each field.

    area_spread: standard deviation of the area fraction over the image as it is and its views, in parts of their mean, of
    fields whose mean reaches `LEAST_AREA`. flips: views with another label than the image as it is, of those where both have
    one. withheld: views where only one of both has a label.
    """
    spreads = _spreads(fields, tuple(VIEWS))
    flips = _flips(fields, tuple(VIEWS))
    return {
        "views": list(VIEWS),
        "images": len(fields),
        "area_spread": {
            "mean": _rounded(np.mean(spreads)) if len(spreads) else None,
            "median": _rounded(np.median(spreads)) if len(spreads) else None,
            "worst": _rounded(np.max(spreads)) if len(spreads) else None,
            "within_limit": _rounded(np.mean(spreads <= MOST_SPREAD)) if len(spreads) else None,
            "images": len(spreads),
            "limit": MOST_SPREAD,
            "how": f"SD over the views relative to their mean, images of at least {LEAST_AREA:.1%} found area",
        },
        "severity_flips": {
            "part": flips.part(flips.flipped, flips.judged),
            "flips": flips.flipped,
            "pairs": flips.judged,
            "limit": MOST_FLIPS,
            "withheld_part": flips.part(flips.withheld, flips.pairs),
            "answer_flips_part": flips.part(flips.answers, flips.pairs),
            "how": "another label than the image as it is, where both have one; withheld: only one of both has one; "
            "answer: what the network said, given or only guessed",
        },
        "by_knob": {knob: _of_knob(fields, knob) for knob in dict.fromkeys(knob for knob, _ in VIEWS.values())},
    }


def _of_knob(fields: Fields, knob: str) -> dict[str, Any]:
    names = tuple(name for name, (turned, _) in VIEWS.items() if turned == knob)
    spreads = _spreads(fields, names)
    flips = _flips(fields, names)
    return {
        "area_spread_mean": _rounded(np.mean(spreads)) if len(spreads) else None,
        "severity_flips": flips.part(flips.flipped, flips.judged),
        "withheld_part": flips.part(flips.withheld, flips.pairs),
    }


def _spreads(fields: Fields, names: Sequence[str]) -> NDArray[np.float64]:
    spreads = []
    for as_it_is, views in fields:
        areas = np.array([as_it_is.area_fraction, *(views[name].area_fraction for name in names)])
        if areas.mean() >= LEAST_AREA:
            spreads.append(float(areas.std(ddof=1) / areas.mean()))
    return np.array(spreads, np.float64)


@dataclass(frozen=True, slots=True)
class _Flips:
    """Counts of pairs of an image as it is and a view. judged: both have a label.  answers: other answers of the network."""

    pairs: int
    judged: int
    flipped: int
    withheld: int
    answers: int

    @staticmethod
    def part(some: int, of: int) -> float | None:
        return _rounded(some / of) if of else None


def _flips(fields: Fields, names: Sequence[str]) -> _Flips:
    pairs = [(as_it_is, views[name]) for as_it_is, views in fields for name in names if as_it_is.answer is not None]
    both = [(one, two) for one, two in pairs if one.label is not None and two.label is not None]
    return _Flips(
        pairs=len(pairs),
        judged=len(both),
        flipped=sum(one.label != two.label for one, two in both),
        withheld=sum((one.label is None) != (two.label is None) for one, two in pairs),
        answers=sum(one.answer != two.answer for one, two in pairs),
    )


def _grey(values: NDArray[np.float32]) -> Grey:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
