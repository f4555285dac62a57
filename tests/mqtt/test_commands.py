"""Commands against a real mosquitto: checked, carried out, answered, and answered where it is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.journal import Journal
from edge.mqtt.commands import may_answer_to
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.mqtt.making import PREFIX, Publish, conclude, drained, seqs

pytestmark = [pytest.mark.broker, needs_mosquitto]


def test_a_command_is_checked_handed_over_and_answered(broker: Mosquitto, journal: Journal, publish: Publish) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def handle(name: str, body: dict[str, Any]) -> dict[str, Any]:
        asked.append((name, body))
        return {"count": journal.outbox.replay(body["epoch"], body["first"], body["last"])}

    conclude(journal, "a.tif")
    publisher = publish(broker.port, handle)
    with Listener(broker.port) as dashboard:
        eventually(lambda: publisher.connected)
        eventually(drained(journal))
        replay = json.dumps({"epoch": journal.epoch, "first": 1, "last": 9, "request_id": "r1"})
        dashboard.say(f"{PREFIX}/command/replay", replay)
        answer = eventually(lambda: dashboard.on("/command/replay/response"))[0].body
        assert (answer["ok"], answer["result"], answer["request_id"]) == (True, {"count": 1}, "r1")
        assert asked == [("replay", {"epoch": journal.epoch, "first": 1, "last": 9})]
        eventually(drained(journal))
        eventually(lambda: seqs(dashboard)[-1:] == [1])


def test_an_answer_goes_to_the_response_topic_with_its_correlation(broker: Mosquitto, publish: Publish) -> None:
    publisher = publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status") and publisher.connected)
        dashboard.say(f"{PREFIX}/command/pause", b"", ResponseTopic="answers/me", CorrelationData=b"\x00\xff")
        answer = eventually(lambda: dashboard.on("answers/me"))[0]
        assert answer.correlation == b"\x00\xff"
        assert answer.body["ok"] is True


@pytest.mark.parametrize("topic", [f"{PREFIX}/status", f"{PREFIX}/command/info", "a/#"])
def test_an_answer_never_goes_to_one_of_our_own_topics(topic: str) -> None:
    assert not may_answer_to(topic, PREFIX)


@pytest.mark.parametrize(
    ("name", "payload", "told"),
    [
        ("replay", b'{"epoch": "x"}', "epoch"),
        ("replay", b"not json", "replay"),
        ("replay", b"\xff\xfe", "replay"),
        ("inspect", b'{"inspection_id": "../../etc"}', "inspection_id"),
        ("rescan", b'{"path": "/etc"}', "path"),
        ("format-disk", b"{}", "unknown command"),
    ],
)
def test_a_malformed_command_is_answered_with_an_error(
    name: str, payload: bytes, told: str, broker: Mosquitto, publish: Publish
) -> None:
    handed_over: list[str] = []
    publish(broker.port, lambda name, body: handed_over.append(name))
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/health"))
        dashboard.say(f"{PREFIX}/command/{name}", payload)
        answer = eventually(lambda: dashboard.on(f"/command/{name}/response"))[0].body
        assert answer["ok"] is False
        assert told in answer["error"]
        assert not handed_over


def test_a_command_that_fails_is_answered_and_the_connection_stands(broker: Mosquitto, publish: Publish) -> None:
    def handle(name: str, body: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("a defect")

    publisher = publish(broker.port, handle)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/health"))
        since = publisher.since
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        answer = eventually(lambda: dashboard.on("/command/info/response"))[0].body
        assert answer["ok"] is False
        assert publisher.since == since


def test_a_retained_command_is_ignored(broker: Mosquitto, publish: Publish) -> None:
    asked: list[str] = []
    with Listener(broker.port) as dashboard:
        dashboard.say(f"{PREFIX}/command/pause", b"{}", retain=True)
        publish(broker.port, lambda name, body: asked.append(name))
        eventually(lambda: dashboard.on("/health"))
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]
