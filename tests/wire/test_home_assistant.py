"""Home Assistant's announcement: keys that its documentation knows, templates that say the contract's own numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings, parse
from edge.records import SEVERITIES, Inspection, SeverityLabel
from edge.wire.home_assistant import BIRTH, HomeAssistant, device_document, object_id
from edge.wire.summary import encode_summary
from edge.wire.table import CHANNELS
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.service.running_daemon import PREFIX, Service, png
from tests.wire.examples import DEVICE, EPOCH, ID, abstained, classified_only, example, messages, segmented_only

COMMON = {
    *("platform", "unique_id", "name", "availability", "entity_category", "json_attributes_topic", "value_template"),
    *("state_topic", "device_class", "expire_after", "qos"),
}
KEYS = {
    "sensor": COMMON | {"options", "state_class", "suggested_display_precision", "unit_of_measurement"},
    "binary_sensor": COMMON,
    "event": COMMON | {"event_types"},
    "image": COMMON - {"state_topic", "value_template"} | {"image_topic", "content_type"},
}
"""What the documentation of each platform knows, as far as it is used here."""


def settings(**device: Any) -> Settings:
    return parse({"watch": {"folder": "/images"}, "mqtt": {"home_assistant": True}, "device": device}, {})


def components() -> dict[str, Any]:
    found: dict[str, Any] = device_document(settings())["components"]
    return found


def rendered(component: dict[str, Any], payload: bytes) -> str:
    """What Home Assistant makes of a message: Jinja, with the message as `value_json`."""
    jinja2 = pytest.importorskip("jinja2")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    text: str = environment.from_string(component["value_template"]).render(value_json=json.loads(payload))
    return text


def summary(inspection: Inspection) -> bytes:
    return encode_summary(inspection, inspection_id=ID, epoch=EPOCH, seq=1, device=DEVICE)


def judged(label: SeverityLabel) -> Inspection:
    severity = example().severity
    assert severity is not None
    return replace(example(), severity=replace(severity, label=label))


def test_it_is_opened_where_it_is_wanted() -> None:
    (row,) = (row for row in CHANNELS if row.name == "homeassistant")
    assert row.wanted(settings())
    assert not row.wanted(parse({"watch": {"folder": "/images"}}, {}))
    assert row.open(settings()).name == row.name


def test_it_announces_once_retained_and_again_when_home_assistant_is_back() -> None:
    channel = HomeAssistant(settings(id="sem-01"))
    (announced,) = channel.announce()
    assert re.fullmatch(r"homeassistant/device/corrosion_sem_01_[0-9a-f]{8}/config", announced.topic)
    assert announced.retain
    assert channel.subscriptions() == (BIRTH,)
    assert tuple(channel.on_message(BIRTH, b"online")) == (announced,)
    assert not channel.on_message(BIRTH, b"offline")


def test_ids_are_what_its_topics_allow_and_differ_where_prefixes_do() -> None:
    ids = {object_id(settings(id=name, area=area)) for name in ("REM Süd 1", "sem-01", "電顕") for area in ("a", "b")}
    assert len(ids) == 6
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)


def test_only_keys_that_its_documentation_knows_are_said() -> None:
    document = device_document(settings())
    assert document.keys() == {"device", "origin", "components", "qos"}
    assert document["device"]["identifiers"]
    for name, component in document["components"].items():
        assert component.keys() <= KEYS[component["platform"]], name
    ids = [component["unique_id"] for component in document["components"].values()]
    assert len(set(ids)) == len(ids)
    names = [component["name"] for component in document["components"].values()]
    assert len(set(names)) == len(names)


def test_without_the_overlay_no_picture_is_promised() -> None:
    without = parse({"watch": {"folder": "/images"}, "mqtt": {"overlay": False}}, {})
    assert "overlay" in components()
    assert "overlay" not in device_document(without)["components"]


def test_all_but_the_state_is_unavailable_while_the_service_is_gone() -> None:
    for name, component in components().items():
        assert ("availability" not in component) == (name == "state"), name
    (topic,) = components()["severity"]["availability"]
    template = {"value_template": topic["value_template"]}
    said = {rendered(template, json.dumps({"state": state}).encode()) for state in ("online", "degraded")}
    assert said == {"online"}
    assert rendered(template, b'{"state":"offline"}') == "offline"


def test_every_template_takes_the_message_of_its_topic() -> None:
    told = messages()
    for name, component in components().items():
        if "value_template" in component:
            assert rendered(component, told[component["state_topic"].rpartition("/")[2]]), name


def test_a_failure_is_an_event_with_its_reason() -> None:
    event = json.loads(rendered(components()["failure"], messages()["failure"]))
    assert event.pop("event_type") in components()["failure"]["event_types"]
    assert event.keys() == {"code", "message", "image"}


@pytest.mark.parametrize("inspection", [example(), classified_only(), segmented_only()])
def test_numbers_are_those_of_the_summary_and_null_is_unknown(inspection: Inspection) -> None:
    payload = summary(inspection)
    said = json.loads(payload)
    assert rendered(components()["region_count"], payload) == str(said["region_count"])
    assert rendered(components()["severity"], payload) == str(said["severity"])
    percent = rendered(components()["area_fraction"], payload)
    if said["area_fraction"] is None:
        assert percent == "None"
    else:
        assert float(percent) == pytest.approx(100 * said["area_fraction"], abs=1e-4)


@pytest.mark.parametrize(
    ("inspection", "alarm"),
    [
        *((judged(label), "ON" if label == "severe" else "OFF") for label in SEVERITIES),
        (abstained(), "ON"),
        (segmented_only(), "OFF"),
    ],
)
def test_the_alarm_stands_for_severe_and_for_no_answer(inspection: Inspection, alarm: str) -> None:
    assert rendered(components()["alarm"], summary(inspection)) == alarm


@needs_mosquitto
def test_a_daemon_announces_itself_to_a_real_broker_and_again_on_demand(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        Listener(broker.port) as heard,
        Service(tmp_path / "s", broker.port, mqtt={"home_assistant": True}) as service,
    ):
        service.put("a.png", png(1))
        eventually(lambda: heard.on("/summary"), 90, "a summary")
        eventually(lambda: len([one for one in heard.heard if one.topic.startswith("homeassistant/device/")]) == 1)
        (announced,) = (one for one in heard.heard if one.topic.startswith("homeassistant/device/"))
        assert announced.body["components"]["severity"]["state_topic"] == f"{PREFIX}/summary"
        assert rendered(announced.body["components"]["severity"], heard.on("/summary")[0].payload)
        heard.say(BIRTH, b"online")
        eventually(lambda: len([one for one in heard.heard if one.topic.startswith("homeassistant/device/")]) == 2)
        assert service.stop() == 0
