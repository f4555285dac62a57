"""Rows in, the columns of a plot out: as a browser takes them, without a copy of each name in each point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edge.web.rows import Row
from edge.web.source import Facts

_COLUMNS = {
    "ids": "id",
    "ts_ms": "ts_ms",
    "label": "label",
    "own_class": "own_class",
    "state": "state",
    "area": "area_fraction",
    "lo": "area_lo",
    "hi": "area_hi",
    "density": "density_per_mm2",
    "density_lo": "density_lo",
    "density_hi": "density_hi",
    "largest_um": "largest_um",
    "annealing_min": "annealing_min",
    "exposure_h": "exposure_h",
    "path": "path",
}


def columns(rows: Iterable[Row], reviewed: Mapping[str, Any], switches: Sequence[Mapping[str, Any]] = ()) -> Facts:
    """One list a column, the oldest first, of the newest inspection of each image and page; and where what judged changed.

    `names` holds what `taught`, `models` and `settings` number; `switches` are the changes; `forgotten` counts inspections
    whose measures are no longer kept.

    reviewed: ids that have a review.  switches: the audit's commands `taught`, to say who made one.
    """
    newest: dict[str, Row] = {}
    for row in rows:  # the oldest first, so that a later one takes the place of an earlier one
        if row["kind"] == "inspection":
            newest.pop(row["place"], None)
            newest[row["place"]] = row
    facts: Facts = {name: [] for name in (*_COLUMNS, *_JUDGED_BY, "sample", "needs_review", "reviewed")}
    names: dict[str, list[Any]] = {kind: [] for kind in _JUDGED_BY}
    places: dict[str, dict[Any, int]] = {kind: {} for kind in _JUDGED_BY}
    changes: list[Facts] = []
    before: dict[str, Any] = {}
    for row in newest.values():
        for name, key in _COLUMNS.items():
            facts[name].append(row[key])
        facts["sample"].append(sample_of(row))
        facts["needs_review"].append(int(row["needs_review"]))
        facts["reviewed"].append(int(row["id"] in reviewed))
        for kind, judged_by in _JUDGED_BY.items():
            value = judged_by(row)
            if value not in places[kind]:
                places[kind][value] = len(names[kind])
                names[kind].append(value)
            facts[kind].append(places[kind][value])
            if row["forgotten"]:
                continue
            if kind in before and before[kind] != value:
                change = {"ts_ms": row["ts_ms"], "kind": kind, "from": before[kind], "to": value}
                changes.append({**change, "who": _who(value, row["ts_ms"], switches) if kind == "taught" else None})
            before[kind] = value
    forgotten = sum(row["forgotten"] for row in newest.values())
    return {**facts, "names": names, "switches": changes, "forgotten": forgotten}


def sample_of(row: Row) -> str:
    """What is said of a sample, in a few words."""
    parts = [] if row["annealing_min"] is None else [f"AN {row['annealing_min']:g} min"]
    parts += [f"{name} {value}" for name, value in sorted(row["sample"].items())]
    return ", ".join(parts)


def _models(row: Row) -> str:
    return " ".join((row[name] or "-")[:12] for name in ("segmenter", "classifier"))


_JUDGED_BY: Mapping[str, Callable[[Row], str | None]] = {
    "taught": lambda row: row["taught"],
    "models": _models,
    "settings": lambda row: row["settings_sha256"],
}
"""Where one of these changed, measures before and after are not comparable."""


def _who(sha256: str | None, ts_ms: int, switches: Sequence[Mapping[str, Any]]) -> str | None:
    """Who asked last for this adaptation before that time."""
    for entry in reversed(switches):
        fields = entry.get("fields")
        if isinstance(fields, dict) and fields.get("sha256") == sha256 and entry.get("at", 0) * 1000 <= ts_ms + 1000:
            return None if entry.get("who") is None else str(entry["who"])
    return None
