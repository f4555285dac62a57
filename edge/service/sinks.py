"""Settings in, sinks with their deliveries out, and what the status tells of one that hangs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from edge.config import Settings
from edge.journal import Journal
from edge.service.shared import Shared, Status
from edge.sinks.delivery import Delivery
from edge.sinks.sink import Sink
from edge.sinks.table import SINKS

HANGS_S: Final = 120.0
"""No delivery takes so long, unless the system behind it does not answer."""


def open_sinks(settings: Settings, journal: Journal, shared: Shared) -> list[tuple[Sink, Delivery]]:
    """The sinks that the settings want, each with what empties its rows. Nothing is touched."""
    opened = []
    for row in SINKS:
        if row.wanted(settings):
            sink = row.open(settings)
            report = partial(shared.status.report, f"sink {row.name}")
            opened.append((sink, Delivery(sink, journal.outbox, on_trouble=report)))
    return opened


def report_hanging(deliveries: Sequence[tuple[Sink, Delivery]], status: Status) -> None:
    """Tell of each whether it hangs; its own thread cannot."""
    for sink, delivery in deliveries:
        hangs = f"{sink.subject}: does not answer; does the share or network behind it hang?"
        status.report(f"hanging {sink.name}", hangs if delivery.busy_s > HANGS_S else None)
