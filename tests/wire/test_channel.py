"""The interface of a wire format: two formats that ask much of it fit, and one that asks nothing is three lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge.config import Settings, parse
from edge.wire.channel import Channel, Numbered, Publication
from tests import ROOT
from tests.wire import channel_sketches
from tests.wire.channel_sketches import HomeAssistantLike, SparkplugLike
from tests.wire.examples import EPOCH, ID, example, failure

REBIRTH = b"\x12\x16\x0a\x14Node Control/Rebirth"


class Connection:
    """What a publisher does with a channel: the will before a connection, then announcements, answers and verdicts."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.will = channel.will()
        self.sent: list[Publication] = []
        self._waiting: list[Publication] = []
        self._send(channel.announce())

    def conclude(self, seq: int) -> None:
        self._waiting += self._channel.on_verdict(Numbered(example(), ID, EPOCH, seq))
        self._send_waiting()

    def hear(self, topic: str, payload: bytes) -> None:
        self._send(self._channel.on_message(topic, payload))
        self._send_waiting()

    def _send(self, publications: Sequence[Publication]) -> None:
        self.sent += [self._channel.on_send(publication) for publication in publications]

    def _send_waiting(self) -> None:
        while self._waiting and not self._channel.waits():
            self._send((self._waiting.pop(0),))

    def kinds(self) -> list[str]:
        return [publication.topic.split("/")[2] for publication in self.sent]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return parse({"watch": {"folder": str(tmp_path / "images")}, "state": {"folder": str(tmp_path / "state")}}, {})


def seqs(sent: Sequence[Publication]) -> list[int]:
    """Sparkplug's own number of each message: the payload's last field, 3, a varint of one or two bytes."""
    numbers = []
    for *_, key, low, high in (publication.payload for publication in sent):
        assert 3 << 3 in (key, low)
        numbers.append(high if low == 3 << 3 else low & 0x7F | high << 7)
    return numbers


def test_a_format_writes_only_what_differs() -> None:
    class Ids(Channel):
        name = "ids"

        def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
            return (Publication("ids", numbered.verdict_id.encode()),)

    connection = Connection(Ids())
    connection.conclude(1)
    assert connection.will is None
    assert connection.sent == [Publication("ids", ID.encode(), qos=1, retain=False)]


def test_discovery_is_retained_outside_the_prefix_and_said_at_each_connection(settings: Settings) -> None:
    channel = HomeAssistantLike(settings)
    for connection in (Connection(channel), Connection(channel)):
        (discovery,) = connection.sent
        assert discovery.retain
        assert discovery.topic == "homeassistant/device/sem-sem-01/config"
        assert json.loads(discovery.payload)["state_topic"] == f"{settings.topic_prefix}/summary"


def test_discovery_is_said_again_when_its_reader_comes_back(settings: Settings) -> None:
    connection = Connection(HomeAssistantLike(settings))
    connection.hear("homeassistant/status", b"offline")
    assert len(connection.sent) == 1
    connection.hear("homeassistant/status", b"online")
    assert connection.sent[0] == connection.sent[1]


def test_messages_are_numbered_as_they_are_sent_and_a_birth_begins_anew() -> None:
    channel = SparkplugLike("plant", "sem")
    first = Connection(channel)
    first.conclude(1)
    first.conclude(2)
    first.hear("spBv1.0/plant/NCMD/sem", REBIRTH)
    first.conclude(3)
    assert first.kinds() == ["NBIRTH", "NDATA", "NDATA", "NBIRTH", "NDATA"]
    assert seqs(first.sent) == [0, 1, 2, 0, 1]
    second = Connection(channel)
    second.conclude(4)
    assert seqs(second.sent) == [0, 1]


def test_the_numbers_begin_again_after_255() -> None:
    connection = Connection(SparkplugLike("plant", "sem"))
    for seq in range(1, 258):
        connection.conclude(seq)
    assert seqs(connection.sent)[254:] == [254, 255, 0, 1]


def test_births_and_data_are_sent_once_and_the_death_for_sure() -> None:
    connection = Connection(SparkplugLike("plant", "sem"))
    connection.conclude(1)
    assert [publication.qos for publication in connection.sent] == [0, 0]
    assert connection.will is not None
    assert connection.will.qos == 1


def test_a_death_belongs_to_the_birth_of_its_own_connection() -> None:
    channel = SparkplugLike("plant", "sem")
    wills = []
    for connection in (Connection(channel), Connection(channel)):
        assert connection.will is not None
        assert connection.sent[0].payload.startswith(connection.will.payload)
        wills.append(connection.will.payload)
    assert wills[0] != wills[1]


def test_verdicts_wait_until_the_primary_host_is_there() -> None:
    connection = Connection(SparkplugLike("plant", "sem", primary_host="scada"))
    connection.conclude(1)
    assert connection.sent == []
    connection.hear("spBv1.0/STATE/scada", b'{"online":true,"timestamp":1}')
    assert connection.kinds() == ["NBIRTH", "NDATA"]
    connection.hear("spBv1.0/STATE/scada", b'{"online":false,"timestamp":2}')
    connection.conclude(2)
    assert connection.kinds() == ["NBIRTH", "NDATA", "NDEATH"]
    connection.hear("spBv1.0/STATE/scada", b'{"online":true,"timestamp":3}')
    assert connection.kinds() == ["NBIRTH", "NDATA", "NDEATH", "NBIRTH", "NDATA"]


def test_what_is_stored_of_a_verdict_depends_on_nothing_else(settings: Settings) -> None:
    """It is asked for again when the transaction fails, and sent by another life of the daemon."""
    for channel in (HomeAssistantLike(settings), SparkplugLike("plant", "sem")):
        for verdict in (example(), failure()):
            numbered = Numbered(verdict, ID, EPOCH, 7)
            before = channel.on_verdict(numbered)
            channel.will()
            channel.announce()
            assert channel.on_verdict(numbered) == before


def test_the_formats_are_channels_for_mypy(monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    config, cache = ROOT / "pyproject.toml", ROOT / ".mypy_cache"
    found, trouble, status = api.run(
        ["--config-file", str(config), "--cache-dir", str(cache), str(Path(channel_sketches.__file__))]
    )
    assert status == 0, found + trouble
