"""The rows of two results in; what one says otherwise than the other, image by image, out: the way to release a model.

Images are the same where their key and their content are. One that changed between the two is counted apart.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.errors import ConfigError
from edge.whole_file import opened_whole
from edge.wire.flat import cell

ANSWERS: Final = ("low", "moderate", "severe")
READ: Final = (
    *("inspection_id", "path", "page", "image_sha256", "severity_state", "severity", "severity_class", "severity_confidence"),
    *("area_fraction", "region_count", "equivalent_diameter_p50_um", "equivalent_diameter_max_um", "error_code"),
)
"""The columns of `edge.wire.flat` that a comparison reads."""
MEASURES: Final = ("area_fraction", "region_count", "equivalent_diameter_p50_um", "equivalent_diameter_max_um")


Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two results.

    title: its name, for a headline.  place: where it lies, in words.  models: hashes by stage, None for one that is not run.
    picture: the picture (WebP) of the inspection with this id, None where none was kept.
    """

    title: str
    place: str
    models: Mapping[str, str | None]
    settings_sha256: str
    picture: Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One image in both. before, after: its rows."""

    before: Row
    after: Row

    @property
    def path(self) -> str:
        """What the image is called."""
        return str(self.after["path"])

    @property
    def answers(self) -> tuple[str, str]:
        """What both said: a severity, `abstained`, `not_run` or `failed`."""
        return _answer(self.before), _answer(self.after)

    @property
    def is_one(self) -> bool:
        """Whether anything is said otherwise."""
        return self.answers[0] != self.answers[1] or any(self.before[name] != self.after[name] for name in MEASURES)

    @property
    def weight(self) -> float:
        """How much changed, for the order: a step of the severity outweighs any measure, then area counts."""
        one, other = self.answers
        step = 0.0
        if one != other:
            step = abs(ANSWERS.index(one) - ANSWERS.index(other)) if one in ANSWERS and other in ANSWERS else 1.0
        area = difference(self, "area_fraction")
        return step + (abs(area) if area is not None else 0.0)


def difference(change: Change, name: str) -> float | None:
    """After less before of a measure; None where one of both has none."""
    before, after = change.before[name], change.after[name]
    return None if before is None or after is None else float(after) - float(before)


@dataclass(frozen=True)
class Changes:
    """What two results say of the images that both have.

    only_before, only_after: images that one of both lacks.  other_files: those of one name whose content differs.
    """

    first: Side
    second: Side
    both: int
    changed: tuple[Change, ...]
    matrix: Counter[tuple[str, str]]
    shifts: dict[str, tuple[int, float, float, float]]
    only_before: int
    only_after: int
    other_files: int

    def text(self) -> str:
        """For people: a few lines and the table of severities."""
        lines = [f"{self.both} images in both; {len(self.changed)} of them are said otherwise"]
        counts = {
            f"in {self.first.place} alone": self.only_before,
            f"in {self.second.place} alone": self.only_after,
            "with another content: not compared": self.other_files,
        }
        lines += [f"{count} {what}" for what, count in counts.items() if count]
        lines += models_said(self.first, self.second)
        rows = [name for name in (*ANSWERS, "abstained", "not_run", "failed") if any(name in pair for pair in self.matrix)]
        width = max([9, *map(len, rows)])
        lines += [
            "",
            "severity, before in rows, after in columns",
            " " * (width + 2) + "".join(f"{name:>{width + 2}}" for name in rows),
        ]
        lines += [f"{one:<{width + 2}}" + "".join(f"{self.matrix[one, other]:>{width + 2}}" for other in rows) for one in rows]
        lines += ["", f"{'after less before':<30}{'images':>8}{'mean':>12}{'5 %':>12}{'95 %':>12}"]
        lines += [
            f"{name:<30}{n:>8}{mean:>12.4g}{low:>12.4g}{high:>12.4g}" for name, (n, mean, low, high) in self.shifts.items()
        ]
        return "\n".join(lines)

    def write_csv(self, path: Path) -> None:
        """Every image that changed, the most first. Raises ConfigError."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = ("severity", *MEASURES)
        writer.writerow(["path", "page", *(f"{name}_{when}" for name in names for when in ("before", "after"))])
        for one in self.changed:
            pairs = [one.answers, *((one.before[name], one.after[name]) for name in MEASURES)]
            writer.writerow([cell(one.path), cell(one.after["page"]), *(cell(value) for pair in pairs for value in pair)])
        try:
            with opened_whole(path, mode=None) as file:
                file.write(text.getvalue().encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def compared(first: Side, second: Side, before: Iterable[Row], after: Iterable[Row], key: Callable[[Row], object]) -> Changes:
    """What `second` says otherwise than `first`. before, after: their rows, with the columns of READ.

    key: what an image is known by.  Raises ConfigError where both have no image in common.
    """
    olds = {key(row): row for row in before}
    both, other_files, only_after = 0, 0, 0
    matrix: Counter[tuple[str, str]] = Counter()
    moved: dict[str, list[float]] = {name: [] for name in MEASURES}
    changed: list[Change] = []
    for row in after:
        old = olds.pop(key(row), None)
        if old is None:
            only_after += 1
            continue
        if old["image_sha256"] != row["image_sha256"]:
            other_files += 1
            continue
        both += 1
        change = Change(old, row)
        matrix[change.answers] += 1
        for name in MEASURES:
            if (found := difference(change, name)) is not None:
                moved[name].append(found)
        if change.is_one:
            changed.append(change)
    if not both:
        raise ConfigError(f"{first.place} and {second.place} have no image in common")
    changed.sort(key=lambda one: (-one.weight, one.path))
    shifts = {name: _spread(values) for name, values in moved.items() if values}
    return Changes(first, second, both, tuple(changed), matrix, shifts, len(olds), only_after, other_files)


def models_said(first: Side, second: Side) -> Iterator[str]:
    """A line for each model that differs, and one for the settings."""
    for stage, before in first.models.items():
        if (after := second.models.get(stage)) != before:
            yield f"{stage}: {_short(before)} → {_short(after)}"
    if first.settings_sha256 != second.settings_sha256:
        yield "the settings differ"


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "none"


def _answer(row: Row) -> str:
    return str(row["severity"]) if row["severity_state"] == "judged" else str(row["severity_state"])


def _spread(values: Sequence[float]) -> tuple[int, float, float, float]:
    """How many, mean, and the 5 % and 95 % points (nearest rank)."""
    ordered = sorted(values)
    return len(ordered), math.fsum(ordered) / len(ordered), _rank(ordered, 0.05), _rank(ordered, 0.95)


def _rank(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
