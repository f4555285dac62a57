"""The index of verdicts and their reviews in, today's counts out; counted anew when something came or the day is another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from edge.journal.history import History
from edge.teach.reviews import Review
from edge.web.reviewing import reviewed
from edge.web.source import Facts

COUNTED = ("inspections", "failures", "low", "moderate", "severe", "abstained", "to_review")


class Today:
    """The counts of one index."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._known: tuple[object, Facts] = (None, {})

    def counts(self, version: int, reviews: Callable[[], Mapping[str, Iterable[Review]]]) -> Facts:
        """Verdicts since the machine's local midnight by what they say; `classes`: by a name that stands for no label.

        `to_review` counts images whose newest inspection is doubtful and that nobody has reviewed.
        version: another one when verdicts or reviews came.  reviews: by inspection.  Raises StateError.
        """
        year, month, day, *_ = time.localtime()
        midnight = time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))
        if self._known[0] != (version, midnight):
            self._known = ((version, midnight), self._counted(midnight, reviews()))
        return self._known[1]

    def _counted(self, midnight: float, reviews: Mapping[str, Iterable[Review]]) -> Facts:
        counts = dict.fromkeys(COUNTED, 0)
        classes: dict[str, int] = {}
        for one in self._history.counts_since(midnight):
            counts["failures" if one.kind == "failure" else "inspections"] += one.verdicts
            for name in (one.label, one.state):
                if name in counts:
                    counts[name] += one.verdicts
            if one.own_class is not None and one.label is None:
                classes[one.own_class] = classes.get(one.own_class, 0) + one.verdicts
        doubtful = self._history.doubtful_since(midnight)
        counts["to_review"] = sum(reviewed(reviews.get(name, ())) is None for name in doubtful)
        return {**counts, "classes": classes}
