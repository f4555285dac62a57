"""Inspections that the journal keeps in, those whose review would teach most out, each with why: what `edge-teach next` says.

It looks at what the inspections say and opens no image, so it is quick, and knows nothing of the greys in a region.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.records import code_of
from edge.teach.asking import diverse
from edge.web.journal_source import JournalSource
from edge.web.rows import Row
from edge.web.source import Facts

LATEST: Final = 200
"""So many of the newest verdicts are looked at: an older image is seldom still in the folder."""
MOST_REGIONS: Final = 400
"""Of one image, so that no single one takes all the time."""
CLICKS: Final = 30
UNSURE: Final = "taught_unsure"


class Found(NamedTuple):
    """The most doubtful regions of one inspection. indices: [N].  scores: [N], 0…1.  looks: [N, 5], see `found`."""

    indices: NDArray[np.intp]
    scores: NDArray[np.float64]
    looks: NDArray[np.float64]


class Asking:
    """The questions of one journal, thought of anew when verdicts or reviews came. Thread-safe.

    What an inspection says never changes, so each is read once.
    """

    def __init__(self, source: JournalSource) -> None:
        self._source = source
        self._mutex = threading.Lock()
        self._known: tuple[object, list[Facts]] = (None, [])
        self._found: dict[str, Found] = {}

    def questions(self) -> list[Facts]:
        """Images that nobody has reviewed, the most useful first: `row`, `regions` to say right or not of, `brush`.

        brush: whether what was taught does not hold there, so that corroded pixels and background are to be brushed.
        Raises StateError where the journal cannot be read.
        """
        rows = self._source.rows("", before="", limit=LATEST, doubtful=False, search="")["rows"]
        rows = [row for row in rows if _open(row) and self._source.pixels.there(row["path"], row["sha256"])]
        key = tuple(row["id"] for row in rows)
        with self._mutex:
            if self._known[0] != key:
                self._found = {name: self._found.get(name) or found(self._source.document(name) or {}) for name in key}
                self._known = (key, asked([(row, self._found[row["id"]]) for row in rows]))
            return self._known[1]


def asked(inspections: Sequence[tuple[Row, Found]], clicks: int = CLICKS) -> list[Facts]:
    """What to ask of rows with their regions, see `Asking.questions`."""
    regions: dict[int, list[int]] = {}
    if any(len(one.indices) for _, one in inspections):
        numbers = np.concatenate([np.full(len(one.indices), number) for number, (_, one) in enumerate(inspections)])
        looks, scores, indices = (np.concatenate([getattr(one, name) for _, one in inspections]) for name in _COLUMNS)
        for best in diverse(looks, scores, clicks):
            regions.setdefault(int(numbers[best]), []).append(int(indices[best]))
    unsure = [number for number, (row, _) in enumerate(inspections) if UNSURE in map(code_of, row["reasons"] + row["warnings"])]
    return [
        {"row": inspections[number][0], "regions": regions.get(number, []), "brush": number in unsure}
        for number in dict.fromkeys([*unsure, *regions])
    ]


_COLUMNS: Final = ("looks", "scores", "indices")


def found(document: Mapping[str, Any]) -> Found:
    """The regions of an `edge.inspection`: their looks are size, circularity, score, place. None where it cannot be read."""
    try:
        width, height = document["image"]["width_px"], document["image"]["height_px"]
        table = [
            (one["index"], max(one["area_px"], 1), one["circularity"] or 0, one["score"], *one["box_px"][:2])
            for one in document["regions"]
        ]
        columns = np.array(table, np.float64).reshape(-1, 6)
        columns = columns[np.argsort(np.abs(columns[:, 3] - 0.5), kind="stable")[:MOST_REGIONS]]
        columns[:, 1] = np.log(columns[:, 1])
        columns[:, 4:] /= (max(width, 1), max(height, 1))
    except (KeyError, TypeError, ValueError):  # of another version, damaged, or no longer kept
        columns = np.empty((0, 6))
    return Found(columns[:, 0].astype(np.intp), columns[:, 3], columns[:, 1:])


def _open(row: Row) -> bool:
    """Whether it is an image's newest inspection that nobody has reviewed."""
    return row["kind"] == "inspection" and bool(row["newest"]) and row["reviewed"] is None
