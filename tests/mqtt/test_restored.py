"""A state that was put back from a copy, against a real broker that remembers more: no number means two contents."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edge.config import MqttSettings
from edge.journal import Journal, Message, Verdict
from edge.mqtt.publisher import Publisher, StatusText
from edge.mqtt.restored import look_back
from edge.records import Fingerprint
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.mqtt.making import DEVICE, PREFIX, conclude, drained

EPOCH = "99999999-8888-7777-6666-555555555555"


def publisher_of(journal: Journal, port: int, protocol: int) -> Publisher:
    return Publisher(
        MqttSettings(host="127.0.0.1", port=port, protocol=protocol),
        PREFIX,
        journal,
        device=DEVICE,
        status=lambda: StatusText("online", (), journal.info()["last_seq"], 0),
        health=lambda: b"{}",
        on_command=lambda name, body: None,
        shortest_wait_s=0.05,
        longest_wait_s=0.2,
    )


def sent(journal: Journal, port: int, protocol: int, *names: str) -> None:
    """Verdicts are concluded and sent, and the publisher says goodbye."""
    publisher = publisher_of(journal, port, protocol)
    publisher.start()
    for name in names:
        conclude(journal, name)
        publisher.wake()
    eventually(drained(journal))
    eventually(lambda: (newest := journal.outbox.summary()) is None or newest.sent)
    assert publisher.stop(30.0)


def told(journal: Journal, name: str = "v") -> None:
    """An inspection that was made at 50 ms."""

    def make(seq: int) -> list[Verdict]:
        body = json.dumps({"epoch": journal.epoch, "seq": seq, "ts_ms": 50}).encode()
        return [Verdict(name, "inspection", (Message("verdict", "inspection", body), Message("summary", "summary", body)))]

    journal.ledger.admit(name, Fingerprint(1, 1))
    journal.ledger.conclude(name, make)


def contents(listener: Listener) -> dict[tuple[str, int], set[bytes]]:
    """Of each number, what was said under it."""
    found: dict[tuple[str, int], set[bytes]] = {}
    for message in list(listener.heard):
        if message.topic.endswith(("/inspection", "/failure")):
            found.setdefault((message.body["epoch"], message.body["seq"]), set()).add(message.payload)
    return found


def offline_copy(state: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back so that nothing on the disk shows it, as a virtual machine's snapshot is."""
    shutil.rmtree(state)
    shutil.copytree(backup, state)
    monkeypatch.setattr("edge.journal.witness.Witness.agrees", lambda *_: True)


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.parametrize("protocol", [5, 311])
@pytest.mark.parametrize("ended", ["with a goodbye", "with a kill"])
@pytest.mark.parametrize("offline", [0, 2])
def test_a_snapshot_that_comes_back_is_noticed_at_the_connect(
    protocol: int, ended: str, offline: int, tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup"
    with Listener(broker.port) as dashboard:
        with Journal.open(state) as journal:
            sent(journal, broker.port, protocol, "a.tif", "b.tif")
        shutil.copytree(state, backup)
        with Journal.open(state) as journal:
            epoch = journal.epoch
            sent(journal, broker.port, protocol, "c.tif", "d.tif")
        if ended == "with a kill":
            will = {"epoch": epoch, "last_seq": None, "state": "offline", "connected_at": "2100-01-01T00:00:00.000Z"}
            dashboard.say(f"{PREFIX}/status", json.dumps(will), retain=True)
        offline_copy(state, backup, monkeypatch)
        with Journal.open(state) as journal:
            for number in range(offline):  # concluded before there is a connection, under numbers that were given away
                conclude(journal, f"offline-{number}.tif")
            sent(journal, broker.port, protocol, "other.tif")
            assert journal.epoch != epoch
            renewed = journal.epoch
        eventually(lambda: (renewed, offline + 1) in contents(dashboard))
        said = contents(dashboard)
        assert all(len(payloads) == 1 for payloads in said.values())
        assert {number for number in said if number[0] == epoch} == {(epoch, seq) for seq in (1, 2, 3, 4)}
        assert {number for number in said if number[0] == renewed} == {(renewed, seq + 1) for seq in range(offline + 1)}
        with Journal.open(state) as journal:
            sent(journal, broker.port, protocol, "last.tif")
            assert journal.epoch == renewed, "it is noticed once"


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.parametrize("protocol", [5, 311])
def test_restarts_and_a_broker_that_forgot_everything_begin_no_new_epoch(
    protocol: int, tmp_path: Path, broker: Mosquitto
) -> None:
    epochs = set()
    for life in range(4):
        with Journal.open(tmp_path / "state") as journal:
            sent(journal, broker.port, protocol, f"{life}.tif")
            epochs.add(journal.epoch)
        if life == 1:  # as the last will says it
            with Listener(broker.port, client_id="will") as dashboard:
                status = eventually(lambda dashboard=dashboard: dashboard.on("/status"))[-1].body  # type: ignore[misc]
                will = {**status, "last_seq": None, "dead_letters": None, "reasons": ["connection lost"]}
                dashboard.say(f"{PREFIX}/status", json.dumps(will), retain=True)
        if life == 2:
            broker.stop()
            shutil.rmtree(broker.folder / "data")
            (broker.folder / "data").mkdir()
            broker.start()
    assert len(epochs) == 1


@needs_mosquitto
@pytest.mark.broker
def test_a_snapshot_that_comes_back_a_second_time_is_noticed_again(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, backup, epochs = tmp_path / "state", tmp_path / "backup", []
    with Listener(broker.port) as dashboard:
        with Journal.open(state) as journal:
            sent(journal, broker.port, 5, "a.tif")
        shutil.copytree(state, backup)
        for life in range(3):
            with Journal.open(state) as journal:
                sent(journal, broker.port, 5, f"life-{life}.tif")
                epochs.append(journal.epoch)
            offline_copy(state, backup, monkeypatch)
        assert len(set(epochs)) == 3
        assert all(len(payloads) == 1 for payloads in contents(dashboard).values())


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"null",
        b"[]",
        b"no json",
        b"[" * 50_000,
        b'{"epoch": 7, "last_seq": 9}',
        b'{"epoch": "x", "last_seq": 9}',
        b'{"epoch": "%s", "last_seq": "9", "seq": null}',
        b'{"epoch": "%s", "last_seq": true, "seq": true, "connected_at": "now"}',
        b'{"epoch": "%s", "last_seq": 9, "seq": 9, "filler": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_what_makes_no_sense_says_nothing(kept: bytes, journal: Journal) -> None:
    kept = kept.replace(b"%s", journal.epoch.encode())
    assert look_back(journal, status=kept, summary=kept) is None


def test_a_forged_number_costs_an_epoch_and_nothing_else(journal: Journal) -> None:
    conclude(journal, "a.tif")
    forged = json.dumps({"epoch": journal.epoch, "last_seq": 2**70}).encode()
    assert "restored" in (look_back(journal, status=forged, summary=None) or "")
    assert [(row.epoch, row.seq) for row in journal.outbox.unsent()] == [(journal.epoch, 1)]
    assert look_back(journal, status=forged, summary=None) is None


@pytest.mark.parametrize(
    ("inspection_id", "ts_ms", "other"), [("v", 50, False), ("w", 50, True), ("v", 51, True), ("v", None, False)]
)
def test_another_inspection_under_a_number_of_ours_is_noticed(
    inspection_id: str, ts_ms: int | None, other: bool, journal: Journal
) -> None:
    told(journal)
    told(journal, "later")  # so that the broker's number is not ahead
    summary = {"epoch": journal.epoch, "seq": 1, "inspection_id": inspection_id, "ts_ms": ts_ms}
    kept = json.dumps({name: value for name, value in summary.items() if value is not None}).encode()
    assert (look_back(journal, status=None, summary=kept) is not None) is other


@pytest.mark.parametrize(("kept_ms", "dropped"), [(5, False), (99, True)])
def test_a_summary_older_than_the_one_that_the_broker_keeps_is_not_sent(kept_ms: int, dropped: bool, journal: Journal) -> None:
    told(journal)
    kept = json.dumps({"epoch": EPOCH, "seq": 3, "ts_ms": kept_ms}).encode()
    assert look_back(journal, status=None, summary=kept) is None
    newest = journal.outbox.summary()
    assert newest is not None
    assert newest.sent is dropped
