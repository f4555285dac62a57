"""This run's document and an earlier one in, how much slower or faster each scenario has become out.

Milliseconds are compared on one machine alone. Two machines have in common what they say of a rival, which ran on each of them
in turns with ours: so the ratios to it are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.commands.bench.statistics import Ratio, mean_of, median_of, ratio_of_ratios, ratio_of_runs
from edge.errors import ConfigError

SCHEMA = "edge.bench/1"
COMPARED = "edge.bench-comparison/1"
MUST_AGREE = {"models": "models", "images": "images", "settings": "settings"}
"""What makes two runs incomparable, by its place in the document."""
MACHINE = {
    "environment.cpu.model": "processor",
    "environment.cpu.cores_usable": "number of cores",
    "environment.gpu.name": "GPU",
    "environment.power_mode": "power mode",
}
"""What makes it another machine."""
WHY_NO_MILLISECONDS = (
    "milliseconds of two machines say which machine is faster, not which version: ratios to the rival are compared"
)
RATIOS = {"same_networks": "rival", "as_shipped": "rival_as_shipped"}
"""The two ratios to a rival, and what the rival's blocks are called in `blocks_ms`."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One scenario then and now; above 1 is slower now.

    time: of the mean time for an image, which is the throughput's inverse.  p50: of the median latency of a query.
    time_ms, p50_ms: then and now.
    """

    scenario: str
    backend: str
    time: Ratio
    p50: Ratio
    time_ms: tuple[float, float]
    p50_ms: tuple[float, float]

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
            "time_ms": _then_and_now(self.time_ms),
            "p50_ms": _then_and_now(self.p50_ms),
        }


@dataclass(frozen=True, slots=True)
class RivalChange:
    """What one ratio to a rival was and is. change: then over now; above 1 is slower now, as with times."""

    name: str
    scope: str
    then: float
    now: float
    change: Ratio

    def worse_than(self, limit: float) -> bool:
        """Whether it fell by more than the limit, and surely not just by chance."""
        return self.change.value > limit and (self.change.low is None or self.change.low > 1.0)

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document."""
        return {
            "rival": self.name,
            "scope": self.scope,
            "throughput_ratio": {"then": self.then, "now": self.now},
            "change": self.change.document(),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes. versions: what else differs, and may.  missing: scenarios that only one of the two has.

    other_machine: what differs of the machine, in words; then `changes` is empty.
    """

    changes: tuple[Change, ...]
    rivals: tuple[RivalChange, ...]
    versions: tuple[str, ...]
    missing: tuple[str, ...]
    other_machine: tuple[str, ...]

    def document(self, limit: float) -> dict[str, Any]:
        """In the form of the JSON document."""
        worse = [change.worse_than(limit) for change in self.changes] + [change.worse_than(limit) for change in self.rivals]
        return {
            "other_machine": list(self.other_machine),
            "why_no_milliseconds": WHY_NO_MILLISECONDS if self.other_machine else None,
            "changes": [change.document() for change in self.changes],
            "rivals": [change.document() for change in self.rivals],
            "versions": list(self.versions),
            "not_compared": list(self.missing),
            "fail_above": limit,
            "failed": any(worse),
        }


def load(path: Path) -> Document:
    """An earlier run. Raises ConfigError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--compare {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ConfigError(f"--compare {path} is no {SCHEMA}: write one with edge-bench --json")
    if missing := [name for name in ("environment", "scenarios", *MUST_AGREE) if not document.get(name)]:
        raise ConfigError(f"--compare {path} is cut short or changed: {', '.join(missing)} missing; write it again")
    return document


def require_same(then: Document, now: Document, rival: str | None = None) -> None:
    """Raises ConfigError naming everything of `MUST_AGREE` that differs; and on another machine where no rival is shared.

    rival: of the run that is going to be, whose document has none yet.
    """
    differing = _differing(then, now, MUST_AGREE)
    if differing:
        raise ConfigError(f"these two runs cannot be compared, they differ in {'; '.join(differing)}")
    names = [_at(then, "rival.name"), _at(now, "rival.name") or rival]
    if (other := _differing(then, now, MACHINE)) and (names[0] != names[1] or names[0] is None):
        had = " and ".join(f"--rival {name}" if name else "no --rival" for name in names)
        raise ConfigError(
            f"two machines ({'; '.join(other)}) are compared by their ratios to one rival, never by milliseconds: "
            f"these two runs had {had}; measure both with the same --rival"
        )


def compare(then: Document, now: Document) -> Comparison:
    """Raises ConfigError naming what differs and must not, or what a document that somebody changed lacks."""
    try:
        return _compare(then, now)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConfigError(f"one of the two results was changed by hand or cut short ({error!r}): measure again") from error


def _compare(then: Document, now: Document) -> Comparison:
    require_same(then, now)
    other = tuple(_differing(then, now, MACHINE))
    before, after = (
        {(run["scenario"], run["backend"], run["precision"]): run for run in document["scenarios"]} for document in (then, now)
    )
    common = [key for key in after if key in before] if not other else []
    if not common and not other:
        raise ConfigError(f"these two runs have no backend and scenario in common: {_names(before)} then, {_names(after)} now")
    old, new = ({**document["environment"]["versions"], **_of_rival(document)} for document in (then, now))
    versions = [f"{name} {old.get(name)} → {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    missing = [_names([key]) for key in [*before, *after] if key not in common] if not other else []
    changes = tuple(_change(before[key], after[key]) for key in common)
    return Comparison(changes, _rival_changes(then, now), tuple(versions), tuple(missing), other)


def _rival_changes(then: Document, now: Document) -> tuple[RivalChange, ...]:
    """Of each ratio that both have, where the rival is the same."""
    if not then.get("rival") or not now.get("rival") or then["rival"]["name"] != now["rival"]["name"]:
        return ()
    found = []
    for scope, theirs in RATIOS.items():
        blocks = [document["rival"]["blocks_ms"] for document in (then, now)]
        if all(theirs in one for one in blocks):
            contests = [(np.asarray(one[theirs], np.float64), np.asarray(one["ours"], np.float64)) for one in blocks]
            ratios = [round(float(theirs_ms.sum() / ours_ms.sum()), 4) for theirs_ms, ours_ms in contests]
            change = ratio_of_ratios(contests[0], contests[1])
            found.append(RivalChange(now["rival"]["name"], scope, ratios[0], ratios[1], change))
    return tuple(found)


def _of_rival(document: Document) -> dict[str, str]:
    """What the ratios rest on, beside the versions that the edge itself has."""
    rival = document.get("rival")
    if not rival:
        return {}
    ready = {name: str(value) for name, value in rival["rival"].items() if name not in ("threads", "device", "precision")}
    regions = {"regions an image": str(rival["regions_an_image"])} if "regions_an_image" in rival else {}
    return {f"{name} of the rival": version for name, version in ready.items()} | regions


def _differing(then: Document, now: Document, places: Mapping[str, str]) -> list[str]:
    """In words, what differs at these places."""
    return [
        f"{name} ({_shown(_at(then, place), _at(now, place))})"
        for place, name in places.items()
        if _at(then, place) != _at(now, place)
    ]


def _change(then: Document, now: Document) -> Change:
    samples = now["queries_ms"], then["queries_ms"], now["period"]
    mean_ms, p50_ms = (
        (float(of(np.asarray(then["queries_ms"]))), float(of(np.asarray(now["queries_ms"])))) for of in (mean_of, median_of)
    )
    a_query = now["images_a_query"]
    return Change(
        now["scenario"],
        f"{now['backend']} {now['precision']}",
        ratio_of_runs(*samples, mean_of),
        ratio_of_runs(*samples, median_of),
        (mean_ms[0] / a_query, mean_ms[1] / a_query),
        p50_ms,
    )


def _then_and_now(pair: tuple[float, float]) -> dict[str, float]:
    return {"then": round(pair[0], 4), "now": round(pair[1], 4)}


def _at(document: Document, place: str) -> Any:
    value: Any = document
    for name in place.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if place == "images":  # how many regions are found may change with version and precision
        return [(image["name"], image["sha256"]) for image in value]
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
