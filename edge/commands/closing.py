"""Rows of an inspection in, the closing line and table for people out: how many of what, and how long an image took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


class Closing:
    """Counts rows of `edge.wire.flat` as they come."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._counts: Counter[str] = Counter()
        self._areas: list[float] = []
        self._rows = self._to_review = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one inspection or failure."""
        self._rows += 1
        if row["severity_state"] == "failed":
            self._counts["failed"] += 1
            return
        state = row["severity_state"]
        said = row["severity"] or row["severity_class"]
        self._counts[said if state == "judged" and said else "not asked for" if state == "not_run" else "not judged"] += 1
        self._to_review += bool(row["needs_review"])
        if row["area_fraction"] is not None:
            self._areas.append(row["area_fraction"])

    def lines(self, files: int, wanted: int, seconds: float) -> list[str]:
        """A line and the table. files: that were done, of so many wanted; seconds: they took, without loading models."""
        stopped = f", stopped before the other {wanted - files}" if files < wanted else ""
        told = f"{files} file{'s' * (files != 1)} in {seconds:.1f} s{stopped}"
        known = ("low", "moderate", "severe", "not judged", "failed")
        own = sorted(self._counts.keys() - set(known))
        table = {"images": str(self._rows)}
        table |= {name: str(self._counts[name]) for name in (*known[:3], *own, *known[3:])}
        table["to review"] = str(self._to_review)
        table["mean area"] = f"{sum(self._areas) / len(self._areas):.2%}" if self._areas else "-"
        table["an image"] = f"{seconds / self._rows:.2f} s" if self._rows else "-"
        return [told, *(f"  {name:<13} {value:>8}" for name, value in table.items())]
