"""A table of inspections in, the series that may be analysed as one out, each with the reasons in sentences.

Pooled is only what was measured alike: pixel sizes within 10 %, fields of view within 10 %, regions counted from the same
size, the same models, adaptation and settings. An image without a scale stands apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edge.inspection.overlay import four_figures

CLOSE = 1.1
WITHIN = {"pixel_size_nm": "pixel size is {} nm", "field_um2": "field of view is {} µm²"}
EQUAL = {
    "counted_from_px": "regions are counted from {} px",
    "counted_from_um": "regions are counted from {} µm",
    "segmenter": "segmenter {}",
    "taught": "adaptation {}",
    "settings_sha256": "settings {}",
}


@dataclass(frozen=True, slots=True)
class Series:
    """table: the rows of one series, in the order of the input.  why: what sets it apart, empty when it is the only one."""

    name: str
    table: pd.DataFrame
    why: tuple[str, ...]


def split(table: pd.DataFrame) -> tuple[Series, ...]:
    """The series, the largest first. An empty table gives none."""
    if not len(table):
        return ()
    keys = {column: _bins(table[column]) for column in WITHIN if column in table}
    keys |= {column: [_text(value) for value in table[column]] for column in EQUAL if column in table}
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(zip(*keys.values(), strict=True) if keys else [()] * len(table)):
        groups.setdefault(tuple(map(str, key)), []).append(place)
    varied = [at for at, column in enumerate(keys) if len(set(map(str, keys[column]))) > 1]
    found = sorted(groups.items(), key=lambda group: -len(group[1]))
    series = []
    for number, (key, rows) in enumerate(found, start=1):
        own = table.iloc[rows]
        why = [_sentence(column, key[at], own) for at, column in enumerate(keys) if at in varied]
        series.append(Series(f"series {number}" if len(found) > 1 else "all images", own.reset_index(drop=True), tuple(why)))
    return tuple(series)


def _bins(values: pd.Series[float]) -> list[str]:
    """A number for each group whose largest is within 10 % of its smallest; "" where the value is unknown."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
    known = np.sort(np.unique(numbers[np.isfinite(numbers) & (numbers > 0)]))
    starts: list[float] = []
    for value in known.tolist():
        if not starts or value > starts[-1] * CLOSE:
            starts.append(value)
    return [
        str(int(np.searchsorted(starts, value, side="right"))) if np.isfinite(value) and value > 0 else ""
        for value in numbers.tolist()
    ]


def _text(value: object) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _sentence(column: str, key: str, rows: pd.DataFrame) -> str:
    """What these images have, where others have something else."""
    if column in WITHIN:
        label = WITHIN[column].split(" is {")[0]
        if not key:
            return f"Here the {label} is unknown: without a scale, sizes and densities cannot be pooled."
        middle = float(np.median(pd.to_numeric(rows[column]).to_numpy(dtype=float)))
        return f"Here the {WITHIN[column].format(four_figures(middle))}; that of others differs by more than 10 %."
    shown = key[:12] if len(key) > 40 else key.removesuffix(".0")
    said = EQUAL[column].format(shown or "none" if column == "taught" else shown or "unknown")
    if column in ("segmenter", "taught", "settings_sha256"):
        return f"Here {said}; another one measures otherwise, so nothing is joined across the change."
    return f"Here {said}; in others they are from another size."
