"""A journal, a broker and publishers, each for one test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import MqttSettings
from edge.journal import Journal
from edge.mqtt.channel_publisher import ChannelPublisher
from edge.mqtt.publisher import Publisher, StatusText
from tests.fakes.brokers import Mosquitto
from tests.mqtt.channels import EPOCH, Open, RowsInMemory
from tests.mqtt.making import DEVICE, PREFIX, Publish


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def publish(journal: Journal) -> Iterator[Publish]:
    """Starts publishers that end with the test."""
    started: list[Publisher] = []

    def start(port: int, on_command: Any = lambda name, body: {}, status: Any = None, **settings: Any) -> Publisher:
        being_drawn = settings.pop("being_drawn", lambda _: False)
        on_trouble = settings.pop("on_trouble", lambda name, problem: None)
        publisher = Publisher(
            MqttSettings(host=settings.pop("host", "127.0.0.1"), port=port, **settings),
            PREFIX,
            journal,
            device=DEVICE,
            status=status or (lambda: StatusText("online", (), 7, len(journal.outbox.dead_letters()))),
            health=lambda: b'{"schema":"edge.health/1"}',
            on_command=on_command,
            being_drawn=being_drawn,
            on_trouble=on_trouble,
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        publisher.stop(5.0)


@pytest.fixture
def open_channel() -> Iterator[Open]:
    """Starts publishers of channels that end with the test."""
    started: list[ChannelPublisher] = []

    def start(port: int, channel: Any, outbox: Any = None, on_trouble: Any = None, protocol: int = 5) -> ChannelPublisher:
        publisher = ChannelPublisher(
            MqttSettings(host="127.0.0.1", port=port, protocol=protocol),
            channel,
            outbox or RowsInMemory(channel.name),
            epoch=EPOCH,
            on_trouble=on_trouble or (lambda _: None),
            shortest_wait_s=0.05,
            longest_wait_s=0.2,
        )
        publisher.start()
        started.append(publisher)
        return publisher

    yield start
    for publisher in started:
        publisher.stop(5.0)


@pytest.fixture
def quick_holding(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the broker denies is tried again after a tenth of a second, and then after half of one."""
    monkeypatch.setattr("edge.mqtt.holding.FIRST_S", 0.1)
    monkeypatch.setattr("edge.mqtt.holding.SHORTEST_S", 0.5)
    monkeypatch.setattr("edge.mqtt.holding.BY_LOSS_S", 0.5)
    monkeypatch.setattr("edge.mqtt.holding.LONGEST_S", 0.5)
