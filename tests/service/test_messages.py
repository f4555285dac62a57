"""The messages of a verdict: the contract's, and those of further channels."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone

import pytest

from edge.config import Settings
from edge.errors import ImageError
from edge.journal import Journal, Message
from edge.records import Failure, Source
from edge.service.messages import VerdictEncoder, channel_messages
from edge.service.recorder import Recorder
from edge.service.shared import Shared
from edge.wire.channel import Channel, Numbered, Publication
from tests.service.echo import Echo
from tests.service.one_image import begun

SOURCE = Source("a.png", "a.png", None)
BROKEN_IMAGE = ImageError("empty", "it has no bytes")
NUMBERED = Numbered(Failure(SOURCE, "empty", "it has no bytes", datetime(2026, 1, 1, tzinfo=timezone.utc)), "id-1", "e", 7)


class Broken(Echo):
    """A channel with a defect that shows after its first message."""

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        return [Publication(f"{self.name}/now", b"half"), None]  # type: ignore[list-item]


def test_without_channels_nothing_is_added() -> None:
    assert channel_messages((), NUMBERED) == ()


def test_each_channel_says_its_part_of_a_verdict_on_whole_topics() -> None:
    assert channel_messages([Echo("a"), Echo("b")], NUMBERED) == (
        Message("channel", "a/now", b"id-1 e 7", channel="a"),
        Message("channel", "a/last", b"id-1 e 7", channel="a", retain=True),
        Message("channel", "b/now", b"id-1 e 7", channel="b"),
        Message("channel", "b/last", b"id-1 e 7", channel="b", retain=True),
    )


def test_a_channel_that_fails_costs_its_own_messages_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    found = channel_messages([Broken("broken"), Echo()], NUMBERED)
    assert [message.topic for message in found] == ["echo/now", "echo/last"]
    assert "channel broken" in caplog.text


def test_a_verdict_has_the_contracts_messages_first(settings: Settings, journal: Journal) -> None:
    channels: list[Channel] = [Echo()]
    make = VerdictEncoder(settings, journal.epoch, channels).verdicts(begun(journal, "a.png"), SOURCE, BROKEN_IMAGE)
    (verdict,) = make(3)
    assert [(message.role, message.topic) for message in verdict.messages] == [
        ("verdict", "failure"),
        ("channel", "echo/now"),
        ("channel", "echo/last"),
    ]
    assert verdict.messages[1].payload == f"{verdict.verdict_id} {journal.epoch} 3".encode()
    assert json.loads(verdict.messages[0].payload or b"")["seq"] == 3


def test_a_channel_that_fails_does_not_cost_the_verdict(settings: Settings, journal: Journal, shared: Shared) -> None:
    recorder = Recorder(settings, journal, shared, [Broken()])
    recorder._record(begun(journal, "a.png"), SOURCE, BROKEN_IMAGE)
    (stored,) = journal.outbox.unsent()
    assert json.loads(stored.payload or b"")["error"]["code"] == "empty"
