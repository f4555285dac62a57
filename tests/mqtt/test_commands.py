"""Commands against a real mosquitto: checked, carried out, answered, and answered where it is allowed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from edge.journal import Journal
from edge.mqtt.bucket import Bucket
from edge.mqtt.commands import AT_ONCE, PER_S, REFUSALS_AT_ONCE, REFUSALS_PER_S, TOLD_EACH_S, Commands, Silent, may_answer_to
from edge.mqtt.connection import LARGEST_COMMAND, Received
from edge.mqtt.replays import MOST_WAITING
from edge.wire.schema import TOPICS
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.mqtt.channels import EPOCH
from tests.mqtt.making import DEVICE, PREFIX, Publish, conclude, drained, seqs

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
    publisher = publish(broker.port, response_topics=("answers/+",))
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status") and publisher.connected)
        dashboard.say(f"{PREFIX}/command/pause", b"{}", ResponseTopic="answers/me", CorrelationData=b"\x00\xff")
        answer = eventually(lambda: dashboard.on("answers/me"))[0]
        assert answer.correlation == b"\x00\xff"
        assert answer.body["ok"] is True


@pytest.mark.parametrize("wanted", ["answers/me", f"{PREFIX}/inspection", f"{PREFIX}/command/pause"])
def test_an_answer_goes_to_our_own_topic_where_the_wanted_one_is_not_allowed(
    wanted: str, broker: Mosquitto, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        dashboard.say(f"{PREFIX}/command/info", b"{}", ResponseTopic=wanted, CorrelationData=b"7")
        answer = eventually(lambda: dashboard.on("/command/info/response"))[0]
        assert answer.correlation == b"7"
        assert not [message for message in dashboard.heard if message.topic == wanted]
        assert f"response topic '{wanted}' is not used" in caplog.text


OWN = [topic.address.replace("{inspection_id}", "x").replace("/{name}/response", "/x") for topic in TOPICS]


@pytest.mark.parametrize(
    "topic", [*(f"{PREFIX}/{own}" for own in OWN), PREFIX, f"{PREFIX}/", "a/#", "", "a\0", "a\n", "x" * 65_536]
)
def test_an_answer_never_goes_to_one_of_our_own_topics_whatever_is_allowed(topic: str) -> None:
    assert not may_answer_to(topic, PREFIX, ("#",))


@pytest.mark.parametrize("topic", ["command/info/response", "command/info/response/me", "answers/me"])
def test_an_answer_may_go_below_the_prefix_to_a_topic_that_we_do_not_use(topic: str) -> None:
    assert may_answer_to(f"{PREFIX}/{topic}", PREFIX)


@pytest.mark.parametrize(("topic", "allowed"), [("a/b", True), ("a/b/c", False), ("b", False), ("$SYS/a", False)])
def test_outside_the_prefix_an_answer_goes_only_where_the_settings_allow(topic: str, allowed: bool) -> None:
    assert may_answer_to(topic, PREFIX, ("a/+", "+/a")) is allowed


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


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_command_that_was_retained_before_is_ignored(protocol: int, broker: Mosquitto, publish: Publish) -> None:
    asked: list[str] = []
    with Listener(broker.port) as dashboard:
        dashboard.say(f"{PREFIX}/command/pause", b"{}", retain=True)
        publish(broker.port, lambda name, body: asked.append(name), protocol=protocol)
        eventually(lambda: dashboard.on("/health"))
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]


def test_a_command_that_is_retained_while_we_listen_is_ignored_and_so_is_its_clearing(
    broker: Mosquitto, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    publish(broker.port, lambda name, body: asked.append(name))
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        dashboard.say(f"{PREFIX}/command/pause", b"{}", retain=True)
        dashboard.say(f"{PREFIX}/command/pause", b"", retain=True)
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]
        assert not dashboard.on("/command/pause/response")
        assert [record.message.partition(":")[0] for record in caplog.records if "'pause'" in record.message] == [
            "command 'pause' refused without an answer"
        ] * 2


@pytest.mark.parametrize("protocol", [5, 311])
@pytest.mark.parametrize("retain", [False, True])
def test_an_empty_payload_is_no_command_and_gets_no_answer(
    protocol: int, retain: bool, broker: Mosquitto, publish: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    publish(broker.port, lambda name, body: asked.append(name), protocol=protocol)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        for name in ("pause", "resume", "rescan", "nonsense"):
            dashboard.say(f"{PREFIX}/command/{name}", b"", retain=retain)
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]
        assert len(dashboard.on("/response")) == 1
        assert caplog.text.count("an empty payload is no command") == 4


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_payload_beyond_the_limit_is_not_read(protocol: int, broker: Mosquitto, publish: Publish) -> None:
    asked: list[str] = []
    publish(broker.port, lambda name, body: asked.append(name), protocol=protocol)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        dashboard.say(f"{PREFIX}/command/pause", b" " * LARGEST_COMMAND + b"{}")
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"))
        assert asked == ["info"]
        told = [message.body["error"] for message in dashboard.on("/command/pause/response")]  # a broker of 5 keeps it
        assert told == ([] if protocol == 5 else [f"{LARGEST_COMMAND + 2} bytes are no command: at most 65536 are read"])


@pytest.mark.parametrize("protocol", [5, 311])
def test_a_command_with_an_endless_name_neither_is_answered_nor_costs_the_connection(
    protocol: int, broker: Mosquitto, publish: Publish
) -> None:
    publisher = publish(broker.port, protocol=protocol)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        since = publisher.since
        for length in (65, 65_000, 65_535 - len(f"{PREFIX}/command/")):
            dashboard.say(f"{PREFIX}/command/{'n' * length}", b"{}")
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/response"))
        assert [message.topic for message in dashboard.on("/response")] == [f"{PREFIX}/command/info/response"]
        assert publisher.since == since


def test_an_answer_repeats_no_more_than_a_part_of_what_was_sent(broker: Mosquitto, publish: Publish) -> None:
    publish(broker.port)
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        dashboard.say(f"{PREFIX}/command/pause", json.dumps({"k" * 60_000: 1}))
        answer = eventually(lambda: dashboard.on("/command/pause/response"))[0]
        assert len(answer.payload) < 2_000


def test_each_command_leaves_one_line_in_the_log(broker: Mosquitto, publish: Publish, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "edge.mqtt.commands")
    publish(broker.port, lambda name, body: {"paused": True})
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        dashboard.say(f"{PREFIX}/command/pause", b'{"request_id": "a\\nb"}', ResponseTopic=f"{PREFIX}/answers/me")
        dashboard.say(f"{PREFIX}/command/replay", b"{}")
        eventually(lambda: dashboard.on("/command/replay/response"))
        taken, refused = (record.message for record in caplog.records if record.name == "edge.mqtt.commands")
        answered = f"answered on '{PREFIX}/answers/me'"
        assert taken == f"command 'pause' taken (request_id 'a\\nb', {answered}): {{'paused': True}}"
        assert refused.startswith("command 'replay' refused (request_id None, answered on ")


def test_replays_that_come_fast_are_carried_out_together_and_each_is_answered(broker: Mosquitto, publish: Publish) -> None:
    carried_out: list[tuple[int, int]] = []
    publish(broker.port, lambda name, body: carried_out.append((body["first"], body["last"])))
    with Listener(broker.port) as dashboard:
        eventually(lambda: dashboard.on("/status"))
        began = time.monotonic()
        for n in range(60):
            replay = json.dumps({"epoch": EPOCH, "first": 1 + n, "last": 2 + n, "request_id": str(n)})
            dashboard.say(f"{PREFIX}/command/replay", replay)
        answers = eventually(lambda: len(heard := dashboard.on("/command/replay/response")) == 60 and heard)
        assert all(answer.body["ok"] for answer in answers)
        assert {answer.body["request_id"] for answer in answers} == {str(n) for n in range(60)}
        assert len(carried_out) <= 2 + time.monotonic() - began, "one a second, however slowly they come"
        assert (carried_out[0], carried_out[-1][1]) == ((1, 2), 61)


def test_too_many_replays_that_wait_are_refused_in_words() -> None:
    commands = Commands(PREFIX, DEVICE, lambda name, body: {})
    replay = json.dumps({"epoch": EPOCH, "first": 1, "last": 2}).encode()
    asked = Received(f"{PREFIX}/command/replay", replay, False, None, None)
    answers = [answer for _ in range(MOST_WAITING + 2) for answer in commands.answers(asked)]
    assert [json.loads(answer.message.payload)["ok"] for answer in answers] == [True, False]


@pytest.mark.parametrize("payload", [b"{}", b"not json"])
def test_commands_that_come_too_fast_are_refused_in_words_and_those_refusals_are_bounded(payload: bytes) -> None:
    now, taken = [0.0], []
    commands = Commands(PREFIX, DEVICE, lambda name, body: taken.append(name))
    commands = replace(
        commands,
        rate=Bucket(AT_ONCE, PER_S, lambda: now[0]),
        refusals=Bucket(REFUSALS_AT_ONCE, REFUSALS_PER_S, lambda: now[0]),
    )
    asked = Received(f"{PREFIX}/command/pause", payload, False, None, None)
    answers = [json.loads(answer.message.payload) for _ in range(1000) for answer in commands.answers(asked)]
    assert len(taken) <= AT_ONCE
    refused = [answer for answer in answers if "too fast" in (answer["error"] or "")]
    assert (len(answers), len(refused)) == (AT_ONCE + REFUSALS_AT_ONCE, REFUSALS_AT_ONCE)
    now[0] += 1.0
    assert len([answer for _ in range(1000) for answer in commands.answers(asked)]) == PER_S + REFUSALS_PER_S


def test_a_flood_of_replays_is_refused_in_words_as_often_as_any_other() -> None:
    commands = Commands(PREFIX, DEVICE, lambda name, body: {})
    replay = json.dumps({"epoch": EPOCH, "first": 1, "last": 2}).encode()
    asked = Received(f"{PREFIX}/command/replay", replay, False, None, None)
    assert len([answer for _ in range(5_000) for answer in commands.answers(asked)]) < 1 + REFUSALS_AT_ONCE + 60


def test_what_is_refused_without_a_line_of_its_own_is_counted_and_told_together(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    silent = Silent(clock=lambda: now[0])
    for _ in range(500):
        silent.add()
    assert [record.getMessage() for record in caplog.records] == ["1 commands refused without an answer: they came too fast"]
    now[0] = TOLD_EACH_S
    silent.tell()
    silent.tell()
    assert caplog.records[-1].getMessage() == "499 commands refused without an answer: they came too fast"
    assert len(caplog.records) == 2
