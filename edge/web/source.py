"""What pages are made of, wherever it comes from: the journal of one microscope, or a broker with many."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

Mode = Literal["journal", "broker"]
Facts = dict[str, Any]
"""An object of JSON, as the browser gets it."""


class Event(NamedTuple):
    """News. number: rises by one.  kind: verdict, status, review, reload."""

    number: int
    kind: str
    said: Facts


class Source(Protocol):
    """Facts for pages. Every method may be called from any thread, blocks shortly, and raises an EdgeError with a sentence.

    device: the topic prefix of a microscope; empty for the only one.
    """

    @property
    def mode(self) -> Mode:
        """What stands behind it."""

    def fleet(self) -> list[Facts]:
        """Every microscope that is known."""

    def now(self, device: str) -> Facts:
        """The newest verdict, how the service does, the counts of today."""

    def rows(self, device: str, *, before: str, limit: int, doubtful: bool, search: str) -> Facts:
        """Verdicts, the newest first, and where to go on: `rows` and `next`."""

    def inspection(self, device: str, verdict_id: str) -> Facts | None:
        """One verdict whole: `row`, `inspection` or `failure`, `reviews`, whether there are pictures."""

    def message(self, device: str, verdict_id: str) -> bytes | None:
        """The JSON of a verdict as it was to be sent, also where the broker never took it; None where it is not kept."""

    def overlay(self, device: str, verdict_id: str) -> tuple[bytes, str] | None:
        """The picture that was drawn, and its media type."""

    def image(self, device: str, verdict_id: str) -> bytes | None:
        """The image itself as PNG, whole, at its own pixels; None where it is no longer there."""

    def timeline(self, device: str) -> Facts:
        """Columns over all verdicts, the oldest first."""

    def problems(self, device: str) -> Facts:
        """Why the service is degraded, what could not be inspected or sent."""

    def news(self, after: int, timeout_s: float) -> list[Event]:
        """Events behind a number, waiting for the first; empty when none came in time."""

    def last_event(self) -> int:
        """The number of the newest event."""
