"""An image's inspections or its failure in, verdicts with all their messages out, as the journal stores them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from edge.config import Settings
from edge.errors import ImageError
from edge.journal import Entry, Message, Verdict
from edge.records import Failure, Inspection, Source
from edge.sinks.sink import Sink
from edge.wire.channel import Channel, Numbered
from edge.wire.encode import verdict_id
from edge.wire.failure import encode_failure
from edge.wire.inspection import encode_inspection
from edge.wire.summary import encode_summary

log = logging.getLogger(__name__)


class VerdictEncoder:
    """Makes the messages of verdicts: those of the contract, then those of every further channel.

    epoch: of the journal that numbers them.
    """

    def __init__(self, settings: Settings, epoch: str, channels: Sequence[Channel | Sink] = ()) -> None:
        self._settings = settings
        self._epoch = epoch
        self._channels = tuple(channels)
        self._kept = not settings.mqtt.host

    def picture_name(self, entry: Entry, inspection: Inspection) -> str:
        """The name of the file in the pictures folder that will hold the overlay."""
        return f"{self._id(entry, 'inspection', inspection.micrograph.page)}.webp"

    def verdicts(
        self, entry: Entry, source: Source, outcome: list[Inspection] | ImageError
    ) -> Callable[[int], Sequence[Verdict]]:
        """What the journal calls with the first free seq: a verdict for each page, or one failure."""
        if isinstance(outcome, ImageError):
            failure = Failure(source, outcome.code, outcome.message, datetime.now(timezone.utc))
            return lambda seq: [self._failure_verdict(failure, entry, seq)]
        return lambda first: [self._inspection_verdict(inspection, entry, seq) for seq, inspection in enumerate(outcome, first)]

    def _id(self, entry: Entry, kind: Literal["inspection", "failure"], page: int = 0) -> str:
        return verdict_id(self._epoch, entry.path, entry.revision, entry.run, page=page, kind=kind)

    def _inspection_verdict(self, inspection: Inspection, entry: Entry, seq: int) -> Verdict:
        identity = self._id(entry, "inspection", inspection.micrograph.page)
        about: dict[str, Any] = {
            "inspection_id": identity,
            "epoch": self._epoch,
            "seq": seq,
            "device": self._settings.device,
        }
        messages = [
            Message("verdict", "inspection", encode_inspection(inspection, **about), kept=self._kept),
            Message("summary", "summary", encode_summary(inspection, **about)),
        ]
        if self._settings.mqtt.overlay:
            picture = self.picture_name(entry, inspection)
            messages.append(Message("overlay", f"overlay/{identity}", None, picture, kept=self._kept))
        numbered = Numbered(inspection, identity, self._epoch, seq)
        return Verdict(identity, "inspection", (*messages, *channel_messages(self._channels, numbered)))

    def _failure_verdict(self, failure: Failure, entry: Entry, seq: int) -> Verdict:
        identity = self._id(entry, "failure")
        payload = encode_failure(failure, failure_id=identity, epoch=self._epoch, seq=seq, device=self._settings.device)
        numbered = Numbered(failure, identity, self._epoch, seq)
        messages = (Message("verdict", "failure", payload, kept=self._kept), *channel_messages(self._channels, numbered))
        return Verdict(identity, "failure", messages, failure.code, failure.message)


def channel_messages(channels: Sequence[Channel | Sink], numbered: Numbered) -> tuple[Message, ...]:
    """What further channels say of one verdict, channel by channel. A channel that fails costs its own messages alone."""
    messages: list[Message] = []
    for channel in channels:
        try:
            messages += [
                Message("channel", publication.topic, publication.payload, channel=channel.name, retain=publication.retain)
                for publication in channel.on_verdict(numbered)
            ]
        except Exception:  # a defect in one wire format must not cost the verdict, nor the others
            log.exception("channel %s: the verdict %s is not sent there", channel.name, numbered.verdict_id)
    return tuple(messages)
