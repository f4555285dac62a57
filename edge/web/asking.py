"""Inspections that the journal keeps in, those whose review would teach most out, each with why: what `edge-teach next` says.

It looks at what the inspections say and opens no image, so it is quick, and knows nothing of the greys in a region.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

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


class Asking:
    """The questions of one journal, thought of anew when verdicts or reviews came. Thread-safe."""

    def __init__(self, source: JournalSource) -> None:
        self._source = source
        self._mutex = threading.Lock()
        self._known: tuple[object, list[Facts]] = (None, [])

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
                kept = [(row, self._source.document(row["id"])) for row in rows]
                self._known = (key, asked([(row, document) for row, document in kept if document is not None]))
            return self._known[1]


def asked(inspections: Sequence[tuple[Row, Mapping[str, Any]]], clicks: int = CLICKS) -> list[Facts]:
    """Of rows with their `edge.inspection`: what to ask, see `Asking.questions`. Regions that cannot be read are left out."""
    looks: list[NDArray[np.float64]] = []
    scores: list[float] = []
    places: list[tuple[int, int]] = []
    for number, (_, document) in enumerate(inspections):
        for index, score, look in _regions(document):
            looks.append(look)
            scores.append(score)
            places.append((number, index))
    picked = diverse(np.array(looks), np.array(scores), clicks) if looks else []
    regions: dict[int, list[int]] = {}
    for one in picked:
        number, index = places[one]
        regions.setdefault(number, []).append(index)
    unsure = [number for number, (row, _) in enumerate(inspections) if UNSURE in map(code_of, row["reasons"] + row["warnings"])]
    return [
        {"row": inspections[number][0], "regions": regions.get(number, []), "brush": number in unsure}
        for number in dict.fromkeys([*unsure, *regions])
    ]


def _open(row: Row) -> bool:
    """Whether it is an image's newest inspection that nobody has reviewed."""
    return row["kind"] == "inspection" and bool(row["newest"]) and row["reviewed"] is None


def _regions(document: Mapping[str, Any]) -> list[tuple[int, float, NDArray[np.float64]]]:
    """Index, score and look, float64 [5], of the most doubtful regions: size, circularity, score, place."""
    found = []
    try:
        width, height = document["image"]["width_px"], document["image"]["height_px"]
        for region in document["regions"]:
            x, y, *_ = region["box_px"]
            score = float(region["score"])
            look = [np.log(max(region["area_px"], 1)), float(region["circularity"] or 0), score, x / width, y / height]
            found.append((int(region["index"]), score, np.array(look, np.float64)))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # of another version, or damaged
        return []
    return sorted(found, key=lambda one: abs(one[1] - 0.5))[:MOST_REGIONS]
