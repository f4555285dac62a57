from __future__ import annotations

import json
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import ConfigError
from edge.web import broker_source
from edge.web.broker import broker_of
from edge.web.broker_source import BrokerSource
from tests.fakes.brokers import FakeBroker, Mosquitto, acknowledged, eventually, free_port, needs_mosquitto
from tests.web.test_heard import failure, status

ONE, TWO = "plant/lab/sem/one", "plant/lab/sem/two"
GARBAGE = [b"", b"\xff", b"{}", b"null", b"NaN", b"[" * 50_000, b'{"schema": "edge.failure/1"}', b"<script>", b"x" * 2_000_000]


def source() -> BrokerSource:
    return BrokerSource(broker_of("mqtt://localhost"))


def test_garbage_makes_no_microscope_and_harms_none() -> None:
    pages = source()
    pages.take(f"{ONE}/failure", failure(1))
    for payload in GARBAGE:
        for kind in ("status", "health", "summary", "inspection", "failure", "review", "overlay/x", "other", "status/more", ""):
            pages.take(f"{TWO}/{kind}", payload)
            pages.take(f"{ONE}/{kind}", payload)
    assert [tile["device"] for tile in pages.fleet()] == [ONE]
    assert len(pages.rows(ONE, before="", limit=50, doubtful=False, search="")["rows"]) == 1


def test_microscopes_are_bounded_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_source, "MOST_DEVICES", 3)
    pages = source()
    for number in range(10):
        pages.take(f"a/b/sem/{number}/status", status("online"))
    assert len(pages.fleet()) == 3
    assert any("--prefix" in (one["cure"] or "") for one in pages.problems("")["problems"])


def test_whoever_takes_the_most_memory_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_source, "MOST_BYTES", 200_000)
    pages = source()
    pages.take(f"{ONE}/failure", failure(1))
    for seq in range(500):
        pages.take(f"{TWO}/failure", failure(seq))
    assert pages.now(ONE)["row"]["id"] == "f1"
    assert 10 < len(pages.rows(TWO, before="", limit=500, doubtful=False, search="")["rows"]) < 60


def test_pictures_are_paired_by_id_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_source, "MOST_PICTURE_BYTES", 1000)
    pages = source()
    for seq in range(20):
        pages.take(f"{ONE}/failure", failure(seq))
        pages.take(f"{ONE}/overlay/f{seq}", b"RIFF....WEBP" + bytes(100))
    assert pages.overlay(ONE, "f0") is None
    assert pages.overlay(ONE, "f19") is not None
    pages.take(f"{ONE}/overlay/f1", b"<html>")
    assert pages.overlay(ONE, "f1") is None


def test_rows_go_on_where_the_page_before_ended() -> None:
    pages = source()
    for seq in range(1, 26):
        pages.take(f"{ONE}/failure", failure(seq))
    seen, before = [], ""
    while before is not None:
        page = pages.rows(ONE, before=before, limit=10, doubtful=False, search="")
        seen += [row["seq"] for row in page["rows"]]
        before = page["next"]
    assert seen == list(range(25, 0, -1))


def test_an_old_verdict_that_comes_late_does_not_push_the_newest_aside() -> None:
    pages = source()
    pages.take(f"{ONE}/failure", failure(9))
    pages.turn()
    before = pages.last_event()
    pages.take(f"{ONE}/failure", failure(3))
    pages._looked = 0.0
    pages.turn()
    assert next(event.kind for event in pages.news(before, 0.0)) == "reload"
    assert pages.now(ONE)["row"]["id"] == "f9"


def test_what_the_summary_tells_can_be_opened() -> None:
    pages = source()
    said = {"schema": "edge.summary/2", "epoch": "e", "seq": 1, "ts_ms": 7, "inspection_id": "i", "image_name": "a.tif"}
    pages.take(f"{ONE}/summary", json.dumps({**said, "severity_state": "judged", "severity": "low"}).encode())
    found = pages.inspection(ONE, "i")
    assert found is not None
    assert (found["inspection"], found["row"]["label"]) == (None, "low")
    json.dumps([pages.fleet(), pages.now(ONE), pages.now("not/there/sem/x"), pages.problems(ONE), pages.timeline(ONE)])


def test_what_nobody_told_is_not_known() -> None:
    pages = source()
    pages.take(f"{ONE}/status", status("online"))
    now = pages.now(ONE)
    assert {light["state"] for light in now["lights"]} == {"unknown"}
    assert set(now["today"].values()) == {None}
    assert now["running"] is None


@pytest.mark.parametrize("prefix", ["", "#", "a/b/c/d", "a/b/sem/#", "a/b/sem/c/d", "a+/b/sem/c"])
def test_a_wrong_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError):
        BrokerSource(broker_of("mqtt://localhost"), prefix)


@needs_mosquitto
@pytest.mark.parametrize("way", ["mqtt", "mqtt 3.1.1", "ws"])
def test_it_hears_a_broker_that_goes_and_comes_back(tmp_path: Path, way: str) -> None:
    websocket = free_port()
    broker = Mosquitto(tmp_path / "broker", f"listener {websocket} 127.0.0.1", "protocol websockets")
    url = f"ws://127.0.0.1:{websocket}" if way == "ws" else f"mqtt://127.0.0.1:{broker.port}"
    with broker:
        publish(broker, f"{ONE}/status", status("degraded", "the disk is full"), retain=True)
        with BrokerSource(broker_of(url, protocol=4 if "3" in way else 5)) as pages:
            eventually(lambda: [tile["state"] for tile in pages.fleet()] == ["degraded"], what="the retained status")
            publish(broker, f"{ONE}/failure", failure(1))
            eventually(lambda: pages.now(ONE)["row"], what="a verdict")
            broker.kill()
            eventually(lambda: pages.fleet()[0]["state"] == "unknown", what="the broker's end")
            assert "no connection" in pages.fleet()[0]["reasons"][0]["text"]
            assert pages.now(ONE)["row"]["id"] == "f1"
            broker.start()
            eventually(lambda: pages.fleet()[0]["state"] != "unknown", 60.0, what="the broker's return")
            publish(broker, f"{ONE}/failure", failure(3))
            eventually(lambda: pages.now(ONE)["row"]["id"] == "f3", what="a verdict after it")
            assert pages.problems(ONE)["gaps"] == [{"epoch": "e", "first": 2, "last": 2}]


@needs_mosquitto
def test_a_replay_is_asked_for_only_when_told(tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    with Mosquitto(tmp_path / "broker") as broker:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, message: heard.append((message.topic, bytes(message.payload)))
        client.on_connect = lambda client, *_: client.subscribe("+/+/sem/+/command/#")
        listens = threading.Event()
        client.on_subscribe = lambda *_: listens.set()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        assert listens.wait(60)  # each range is asked for once
        with BrokerSource(broker_of(f"mqtt://127.0.0.1:{broker.port}"), replay=True) as pages:
            eventually(lambda: not pages.problems("")["problems"], what="a connection")
            publish(broker, f"{ONE}/failure", failure(1))
            publish(broker, f"{ONE}/failure", failure(5))
            eventually(lambda: heard, what="a request")
        client.disconnect()
        client.loop_stop()
    assert heard[0][0] == f"{ONE}/command/replay"
    assert json.loads(heard[0][1]) == {"epoch": "e", "first": 2, "last": 4}


@needs_mosquitto
def test_a_broker_that_refuses_us_is_told_without_the_password(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not the right one")
    (tmp_path / "passwords").write_text("")
    lines = ("allow_anonymous false", f"password_file {tmp_path / 'passwords'}")
    with Mosquitto(tmp_path / "broker", *lines) as broker:
        url = f"mqtt://ann@127.0.0.1:{broker.port}"
        with BrokerSource(broker_of(url, password_file=str(secret))) as pages:
            told = eventually(
                lambda: [one["text"] for one in pages.problems("")["problems"] if "--password-file" in one["text"]]
            )
    assert "not the right one" not in str(told)


def publish(broker: Mosquitto, topic: str, payload: bytes, *, retain: bool = False) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    acknowledged(client.publish(topic, payload, 1, retain), 60.0)
    client.disconnect()
    client.loop_stop()


def missing(pages: BrokerSource) -> None:
    """Have three verdicts missing."""
    pages.take(f"{ONE}/failure", failure(1))
    pages.take(f"{ONE}/failure", failure(5))


@needs_mosquitto
def test_a_replay_that_the_broker_denies_is_told_and_asked_for_again_once_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_source, "DENIED_S", 0.5)
    monkeypatch.setattr(broker_source, "REPLAY_S", 0.5)
    acl = tmp_path / "acl"
    acl.write_text("topic read #\n")
    with (
        Mosquitto(tmp_path / "broker", f"acl_file {acl}") as broker,
        BrokerSource(broker_of(f"mqtt://127.0.0.1:{broker.port}"), replay=True) as pages,
    ):
        missing(pages)
        eventually(lambda: [one for one in pages.problems("")["problems"] if "does not take it" in one["text"]], what="denied")
        acl.write_text("topic readwrite #\n")
        broker.reload()
        eventually(lambda: pages._subscriber.denied is None, what="taken")


def test_a_broker_that_ends_the_connection_of_who_publishes_is_not_asked_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_source, "REPLAY_S", 0.1)
    with FakeBroker(drops="command/replay") as broker:
        with BrokerSource(broker_of(f"mqtt://127.0.0.1:{broker.port}"), replay=True) as pages:
            missing(pages)
            eventually(lambda: broker.connections == 2 and pages._why is None, 60.0, what="a second connection")
            told = [one["text"] for one in pages.problems("")["problems"] if "when we published" in one["text"]]
            pages.take(f"{ONE}/failure", failure(9))
            for _ in range(20):
                pages.turn()
        assert told
        assert broker.connections == 2


@needs_mosquitto
def test_what_other_products_keep_at_the_broker_is_not_even_asked_for(tmp_path: Path) -> None:
    heard: list[str] = []
    with Mosquitto(tmp_path / "broker") as broker:
        for topic in ("other/thing", "plant/lab/press/one/status", f"{ONE}/state", f"{ONE}/command/replay", f"{ONE}/status"):
            publish(broker, topic, status("online"), retain=True)
        pages = BrokerSource(broker_of(f"mqtt://127.0.0.1:{broker.port}"))
        take = pages._subscriber._on_message
        pages._subscriber._on_message = lambda topic, payload: (heard.append(topic), take(topic, payload))[1]
        with pages:
            eventually(lambda: pages.fleet(), what="the retained status")
            publish(broker, "other/thing", b"again")
            publish(broker, f"{ONE}/failure", failure(1))
            eventually(lambda: pages.now(ONE)["row"], what="a verdict")
    assert heard == [f"{ONE}/status", f"{ONE}/failure"]


def test_a_connection_on_which_nothing_is_heard_is_told_with_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    pages = BrokerSource(broker_of("mqtt://localhost"), clock=lambda: moment[0])
    pages.connection(None)
    assert not pages.problems("")["problems"]
    moment[0] = 20.0
    assert ["--prefix" in one["cure"] for one in pages.problems("")["problems"]] == [True]
    pages.take(f"{ONE}/status", status("online"))
    assert not pages.problems("")["problems"]
