"""Paths in, the fingerprints under which the ledger has them out: a few at a time, so that millions of files cost no memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from edge.journal.admission import Admission
from edge.records import Fingerprint


class Known:
    """What the ledger knows of the paths at hand. It belongs to one thread.

    For a few paths something else counts, see `hold`.
    """

    def __init__(self, ledger: Admission) -> None:
        """Reads nothing yet."""
        self._ledger = ledger
        self._at_hand: dict[str, Fingerprint] = {}
        self._held: dict[str, Fingerprint] = {}

    def look_up(self, paths: Collection[str]) -> None:
        """Have these at hand, in place of those before. Raises StateError."""
        self._at_hand = self._ledger.fingerprints(paths)
        for path in self._held.keys() & self._at_hand.keys():
            held, has = self._held[path], self._at_hand[path]
            if (held, held.marks) == (has, has.marks):
                del self._held[path]

    def get(self, path: str) -> Fingerprint | None:
        """Of a path at hand; None if it is not known."""
        return self._held.get(path) or self._at_hand.get(path)

    def hold(self, path: str, fingerprint: Fingerprint) -> None:
        """`path` counts as known so, until the ledger has it so too."""
        self._held[path] = fingerprint

    def let_go(self, path: str) -> None:
        """What the ledger says of `path` counts again."""
        self._held.pop(path, None)

    def hold_as_readable(self, path: str) -> None:
        """`path` counts as known as it is, although it could not be read. Raises StateError."""
        for fingerprint in self._ledger.fingerprints([path]).values():
            self._held[path] = replace(fingerprint, readable=True)
