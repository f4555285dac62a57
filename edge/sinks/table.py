"""Settings in, opened sinks out: the one table of where verdicts go beside a broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import Settings
from edge.sinks.csv_folder import CsvFolder
from edge.sinks.sink import Sink
from edge.sinks.webhook import Webhook


@dataclass(frozen=True, slots=True)
class SinkRow:
    """One sink. wanted: whether the settings ask for it.  open: it, for one life of the daemon; touches nothing."""

    name: str
    wanted: Callable[[Settings], bool]
    open: Callable[[Settings], Sink]


SINKS: Final[tuple[SinkRow, ...]] = (
    SinkRow("csv", wanted=lambda settings: bool(settings.csv.folder), open=CsvFolder),
    SinkRow("webhook", wanted=lambda settings: bool(settings.webhook.url), open=Webhook),
)
"""The name is the sink's. It stands in the journal beside each row: never change it, nor take one of `edge.wire.table`."""
