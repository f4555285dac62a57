"""The ready-made flow in a real Node-RED at a real broker, fed with what a daemon said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.fakes.brokers import Heard, Listener, Mosquitto, eventually, needs_mosquitto
from tests.fakes.node import NODE, package
from tests.plant.conftest import PREFIX
from tests.wire.examples import classified_only, example, limited, messages, segmented_only, summarised

FLOW = ROOT / "docs" / "plant" / "node-red.json"
RED = package("node-red")
ALARM = "plant-1/lab/alarm/sem-01"

SETTINGS = """
module.exports = { httpAdminRoot: false, httpNodeRoot: false, uiHost: "127.0.0.1", credentialSecret: false,
                   telemetry: { enabled: false }, logging: { console: { level: "info" } } };
"""

pytestmark = [
    pytest.mark.broker,
    needs_mosquitto,
    pytest.mark.skipif(RED is None, reason="Node-RED is not installed by npm (make .venv/.node)"),
]


class NodeRed:
    """Node-RED with the flow, its broker's port in place of 1883."""

    def __init__(self, folder: Path, port: int) -> None:
        self.log = folder / "log"
        folder.mkdir()
        (folder / "settings.js").write_text(SETTINGS)
        flow = json.loads(FLOW.read_text(encoding="utf-8"))
        for node in flow:
            if node["type"] == "mqtt-broker":
                assert (node["broker"], node["port"]) == ("localhost", "1883")
                node.update(broker="127.0.0.1", port=str(port))
        (folder / "flow.json").write_text(json.dumps(flow))
        assert NODE is not None
        assert RED is not None
        command = [NODE, str(RED / "red.js"), "--userDir", str(folder), "--settings", str(folder / "settings.js")]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([*command, str(folder / "flow.json")], stdout=log, stderr=log, cwd=folder)

    def said(self) -> str:
        """Its log so far."""
        assert self._process.poll() is None, self.log.read_text()
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def running(folder: Path) -> Iterator[tuple[NodeRed, Listener]]:
    """Node-RED, connected, and who hears the alarms and plays the microscope."""
    with Mosquitto(folder / "broker") as broker, Listener(broker.port, "+/+/alarm/+") as listener:
        red = NodeRed(folder / "node-red", broker.port)
        try:
            eventually(lambda: listens(red, listener), 120, "Node-RED at the broker")
            listener.heard.clear()
            yield red, listener
        finally:
            red.stop()


def listens(red: NodeRed, listener: Listener) -> bool:
    """Whether each of its subscriptions is there: it says "connected" before."""
    probe = {"site": "probe", "area": "lab", "id": "x"}
    summary, failure, status = (json.loads(messages()[name]) for name in ("summary", "failure", "status"))
    for topic, body in ("failure", failure | {"device": probe}), ("status", status | {"device": probe}):
        listener.say(f"probe/lab/sem/x/{topic}", json.dumps(body))
    listener.say("probe/lab/sem/x/summary", json.dumps(summary | {"site": "probe", "device_id": "x"}))
    told = red.said()
    return all(words in told for words in ("probe/lab/x: a.tif", "probe/lab/x is degraded")) and bool(listener.on("alarm/x"))


def alarms(listener: Listener) -> list[dict[str, Any]]:
    return [message.body for message in listener.on(ALARM)]


def test_an_abstained_image_does_not_leave_severe_standing_and_failures_are_said(said: list[Heard], tmp_path: Path) -> None:
    with running(tmp_path) as (red, listener):
        for message in said:
            if message.topic.rpartition("/")[2] in ("summary", "failure", "status"):
                listener.say(message.topic, message.payload)
        eventually(lambda: len(alarms(listener)) == 2, 60)
        severe, blank = alarms(listener)
        assert (severe["alarm"], severe["why"], severe["image"]) == (True, "severity severe", "AN_120_21days_007.tif")
        assert (blank["alarm"], blank["why"], blank["image"]) == (True, "no severity: no_contrast", "blank.png")
        eventually(lambda: "broken.tif was not inspected" in red.said())
        eventually(lambda: "plant-1/lab/sem-01 is offline" in red.said())
        assert "is online" not in red.said()
        assert "[error]" not in red.said()


def test_what_is_judged_mildly_or_not_judged_at_all_is_no_alarm(tmp_path: Path) -> None:
    cases = {"moderate": example(), "severe": limited(), "none": segmented_only(), "alone": classified_only()}
    with running(tmp_path) as (red, listener):
        for inspection in cases.values():
            listener.say(f"{PREFIX}/summary", json.dumps(summarised(inspection)))
        listener.say(f"{PREFIX}/failure", messages()["tombstone"])
        eventually(lambda: len(alarms(listener)) == len(cases), 60)
        assert [one["alarm"] for one in alarms(listener)] == [False, True, False, False]
        assert alarms(listener)[2]["why"] == "severity not asked"
        eventually(lambda: "the broker does not take inspection 42: Not authorized" in red.said())


def test_a_flow_that_starts_late_alarms_on_the_newest_inspection(said: list[Heard], tmp_path: Path) -> None:
    summary = next(one for one in said if one.topic.endswith("/summary"))
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker.port, "+/+/alarm/+") as listener:
        listener.say(summary.topic, summary.payload, retain=True)
        red = NodeRed(tmp_path / "node-red", broker.port)
        try:
            eventually(lambda: alarms(listener), 120)
        finally:
            red.stop()
    assert alarms(listener)[0]["alarm"]
