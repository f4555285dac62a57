"""Every message of a real daemon as an MQTT 5 subscriber gets it: content type, payload format, user properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.brokers import Heard, Listener, Mosquitto, eventually
from tests.service.running_daemon import PREFIX, Service, png, wait_until_online


def told(message: Heard) -> dict[str, Any]:
    """The properties that we set, of those that a message came with."""
    properties = message.properties
    found = {name: getattr(properties, name, None) for name in ("ContentType", "PayloadFormatIndicator")}
    return {**found, **dict(getattr(properties, "UserProperty", []))}


@pytest.mark.broker
def test_under_mqtt_5_every_message_says_what_it_is(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        service.put("b.png", b"no image at all")
        eventually(lambda: dashboard.on("/failure") and dashboard.on("/summary") and dashboard.on("/health"), 90)
        eventually(lambda: any("/overlay/" in message.topic for message in dashboard.heard), 90)
        dashboard.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: dashboard.on("/command/info/response"), 30)
        service.kill()
        eventually(lambda: dashboard.on("/status")[-1].body["state"] == "offline")
    ours = [message for message in dashboard.heard if not message.topic.endswith("command/info")]
    for message in ours:
        said = told(message)
        assert said["device_id"] == "s1"
        if "/overlay/" in message.topic:
            assert (said["ContentType"], said["PayloadFormatIndicator"]) == ("image/webp", 0)
            assert said["inspection_id"] == message.topic.rpartition("/")[2]
        else:
            assert (said["ContentType"], said["PayloadFormatIndicator"]) == ("application/json", 1)
            assert said["schema"] == message.body["schema"]
            assert said.get("inspection_id") == message.body.get("inspection_id")
            assert said.get("failure_id") == message.body.get("failure_id")
    kinds = {message.topic.removeprefix(f"{PREFIX}/").partition("/")[0] for message in ours}
    assert kinds == {"status", "inspection", "failure", "summary", "health", "overlay", "command"}


@pytest.mark.broker
def test_under_mqtt_3_nothing_is_said_beside_a_message(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, mqtt={"protocol": 311, "home_assistant": True}) as service,
    ):
        wait_until_online(dashboard)
        service.put("a.png", png(1))
        eventually(lambda: dashboard.on("/inspection"), 90)
        assert service.stop() == 0
    assert [told(message) for message in dashboard.heard] == [
        {"ContentType": None, "PayloadFormatIndicator": None} for _ in dashboard.heard
    ]


@pytest.mark.broker
def test_a_further_formats_json_says_so_too(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, "homeassistant/#") as dashboard:
        service = Service(tmp_path, broker.port, mqtt={"home_assistant": True})
        with service:
            eventually(lambda: dashboard.on("/config"), 90)
        assert told(dashboard.on("/config")[0])["ContentType"] == "application/json"
