"""This run's document and an earlier one in, how much slower or faster each scenario has become out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.commands.bench.statistics import Ratio, mean_of, median_of, ratio_of_runs
from edge.errors import ConfigError

SCHEMA = "edge.bench/1"
MUST_AGREE = {
    "models": "models",
    "images": "images",
    "settings": "settings",
    "environment.cpu.model": "processor",
    "environment.cpu.cores_usable": "number of cores",
    "environment.gpu.name": "GPU",
    "environment.power_mode": "power mode",
}
"""What makes two runs incomparable, by its place in the document."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One scenario then and now; above 1 is slower now.

    time: of the mean time for an image, which is the throughput's inverse.  p50: of the median latency.
    """

    scenario: str
    backend: str
    time: Ratio
    p50: Ratio

    def worse_than(self, limit: float) -> bool:
        """Whether either is above the limit, and surely not just by chance."""
        return any(ratio.value > limit and (ratio.low is None or ratio.low > 1.0) for ratio in (self.time, self.p50))

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document."""
        return {
            "scenario": self.scenario,
            "backend": self.backend,
            "time_ratio": self.time.document(),
            "p50_ratio": self.p50.document(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes. versions: what else differs, and may.  missing: scenarios that only one of the two has."""

    changes: tuple[Change, ...]
    versions: tuple[str, ...]
    missing: tuple[str, ...]

    def document(self, limit: float) -> dict[str, Any]:
        """In the form of the JSON document."""
        return {
            "changes": [change.document() for change in self.changes],
            "versions": list(self.versions),
            "not_compared": list(self.missing),
            "fail_above": limit,
            "failed": any(change.worse_than(limit) for change in self.changes),
        }


def load(path: Path) -> Document:
    """An earlier run. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--compare {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ConfigError(f"--compare {path} is no {SCHEMA}: write one with edge-bench --json")
    return document


def require_same(then: Document, now: Document) -> None:
    """Raises ConfigError naming everything of `MUST_AGREE` that differs."""
    differing = [
        f"{name} ({_shown(_at(then, place), _at(now, place))})"
        for place, name in MUST_AGREE.items()
        if _at(then, place) != _at(now, place)
    ]
    if differing:
        raise ConfigError(f"these two runs cannot be compared, they differ in {'; '.join(differing)}")


def compare(then: Document, now: Document) -> Comparison:
    """Raises ConfigError naming what differs and must not."""
    require_same(then, now)
    before, after = (
        {(run["scenario"], run["backend"], run["precision"]): run for run in document["scenarios"]} for document in (then, now)
    )
    common = [key for key in after if key in before]
    if not common:
        raise ConfigError(f"these two runs have no backend and scenario in common: {_names(before)} then, {_names(after)} now")
    old, new = then["environment"]["versions"], now["environment"]["versions"]
    versions = [f"{name} {old.get(name)} → {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    missing = [_names([key]) for key in [*before, *after] if key not in common]
    changes = tuple(_change(before[key], after[key]) for key in common)
    return Comparison(changes, tuple(versions), tuple(missing))


def _change(then: Document, now: Document) -> Change:
    samples = now["queries_ms"], then["queries_ms"], now["period"]
    return Change(
        now["scenario"],
        f"{now['backend']} {now['precision']}",
        ratio_of_runs(*samples, mean_of),
        ratio_of_runs(*samples, median_of),
    )


def _at(document: Document, place: str) -> Any:
    value: Any = document
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _shown(then: Any, now: Any) -> str:
    """The two values, or where two tables or lists differ."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = [key for key in sorted({*then, *now}) if then.get(key) != now.get(key)]
        return ", ".join(f"{key}: {_shown(then.get(key), now.get(key))}" for key in keys)
    if isinstance(then, list) and isinstance(now, list):
        return f"{len(then)} then, {len(now)} now" if len(then) != len(now) else "not the same ones"
    return f"{_short(then)} then, {_short(now)} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 48 else f"{text[:45]}…"


def _names(keys: Any) -> str:
    return ", ".join(f"{scenario} on {backend} {precision}" for scenario, backend, precision in keys) or "none"
