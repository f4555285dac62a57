"""A further wire format from end to end: one row in the table, the real daemon, a real broker, and kills in between."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config import Settings
from edge.records import Inspection
from edge.wire.channel import Channel, Numbered, Publication
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.running_daemon import PREFIX, Service, by_name, png, statuses, valid, verdicts, wait_until_online

SAMPLES = ("AN_120_21days_007.tif", "AN_60_7days_005.png")


class Homes(Channel):
    """One device as home automation wants it: retained, outside the prefix, announced again when the other side is born."""

    name = "homes"

    def __init__(self, settings: Settings) -> None:
        self._device = f"homes/{settings.device.id}"

    def will(self) -> Publication | None:
        return Publication(f"{self._device}/availability", b"offline", retain=True)

    def subscriptions(self) -> Sequence[str]:
        return ("homes/birth",)

    def announce(self) -> Sequence[Publication]:
        discovery = json.dumps({"state_topic": f"{self._device}/state"}).encode()
        config = Publication(f"{self._device}/config", discovery, retain=True)
        return (config, Publication(f"{self._device}/availability", b"online", retain=True))

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        return self.announce() if payload == b"online" else ()

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        verdict = numbered.verdict
        severity = verdict.severity.label if isinstance(verdict, Inspection) and verdict.severity else None
        state = {"seq": numbered.seq, "id": numbered.verdict_id, "file": verdict.source.name, "severity": severity}
        return (Publication(f"{self._device}/state", json.dumps(state).encode(), retain=True),)


def daemon_with(rows: str) -> list[str]:
    """The command that starts `edge-daemon` with these rows of the table, as a source text that may name `ChannelRow`."""
    lines = (
        "import sys",
        f"sys.path.insert(0, {str(ROOT)!r})",
        "from edge.wire import table",
        "from edge.wire.table import ChannelRow",
        "from tests.service.test_channels import Homes",
        f"table.CHANNELS = ({rows},)",
        "from edge.commands.cli import daemon",
        "sys.exit(daemon())",
    )
    return [sys.executable, "-c", "\n".join(lines)]


def states(listener: Listener) -> list[dict[str, Any]]:
    return [message.body for message in listener.on("homes/s1/state")]


def availability(listener: Listener) -> list[bytes]:
    return [message.payload for message in listener.on("homes/s1/availability")]


def test_a_format_is_one_row_and_survives_what_the_contract_survives(tmp_path: Path, broker: Mosquitto) -> None:
    command = daemon_with("ChannelRow('homes', wanted=lambda settings: settings.device.id == 's1', open=Homes)")
    broker.stop()
    with Service(tmp_path, broker.port, command=command) as service:
        for name in SAMPLES:
            service.put(name, (ROOT / "edge" / "samples" / name).read_bytes())
        eventually(lambda: "(seq 2)" in service.log_text(), 60, "two verdicts in the journal")
        service.kill()  # their messages wait in the journal, for the next life
        broker.start()
        with Listener(broker.port) as dashboard:
            service.start()
            wait_until_online(dashboard)
            eventually(lambda: by_name(dashboard).keys() == {*SAMPLES} and len(states(dashboard)) >= 2, 60)
            what_waited_arrives_in_order_behind_the_announcement(dashboard)
            service.put("third.png", png(1))
            eventually(lambda: len(states(dashboard)) == len(verdicts(dashboard)) == 3, 60)  # by two connections
            a_late_subscriber_finds_the_announcement_and_the_last_state(broker.port)
            dashboard.say("homes/birth", b"online")
            eventually(lambda: len(dashboard.on("homes/s1/config")) == 2)
            service.kill()
            eventually(lambda: availability(dashboard)[-1] == b"offline" and statuses(dashboard)[-1] == "offline")
            assert [state["seq"] for state in states(dashboard)] == [1, 2, 3]
            agrees_with_the_contract(dashboard)
        with Listener(broker.port, client_id="mourner") as mourner:
            eventually(lambda: [(m.payload, m.retained) for m in mourner.on("/availability")] == [(b"offline", True)])


def what_waited_arrives_in_order_behind_the_announcement(dashboard: Listener) -> None:
    topics = [message.topic.removeprefix("homes/s1/") for message in dashboard.heard if message.topic.startswith("homes/s1")]
    assert topics == ["config", "availability", "state", "state"]
    assert [state["seq"] for state in states(dashboard)] == [1, 2]


def a_late_subscriber_finds_the_announcement_and_the_last_state(port: int) -> None:
    with Listener(port, "homes/#", client_id="late") as late:
        eventually(lambda: len(late.heard) == 3)
        assert all(message.retained for message in late.heard)
        assert {message.topic.removeprefix("homes/s1/") for message in late.heard} == {"config", "availability", "state"}
        assert availability(late) == [b"online"]
        assert late.on("/config")[0].body == {"state_topic": "homes/s1/state"}
        assert states(late)[0]["file"] == "third.png"


def agrees_with_the_contract(dashboard: Listener) -> None:
    told = [
        {
            "seq": verdict["seq"],
            "id": verdict["inspection_id"],
            "file": verdict["image"]["name"],
            "severity": verdict["severity"]["label"],
        }
        for verdict in verdicts(dashboard)
        if valid(verdict)
    ]
    assert states(dashboard) == sorted(told, key=lambda state: state["seq"])


def test_a_format_that_cannot_be_opened_holds_up_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    command = daemon_with("ChannelRow('unasked', lambda _: 1 / 0, Homes), ChannelRow('unopened', lambda _: True, lambda: None)")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port, command=command) as service:
        service.put("a.png", png(1))
        eventually(lambda: by_name(dashboard).keys() == {"a.png"}, 60)
        eventually(lambda: dashboard.on("/status")[-1].body["reasons"][0].startswith("channel unasked cannot be opened"))
        assert dashboard.on("/status")[-1].body["reasons"][1].startswith("channel unopened cannot be opened")
        assert service.stop() == 0
