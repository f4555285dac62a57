"""The payloads that the page on MQTT shows have the very names that a daemon sends, and its first command is of the summary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.wire import schema
from tests import ROOT
from tests.fakes.brokers import Heard, needs_mosquitto

PAGE = (ROOT / "docs" / "use" / "mqtt.md").read_text(encoding="utf-8")


def shown() -> list[tuple[str, Any]]:
    """(name of its schema, payload) of each block; a heading may name several topics that look alike."""
    section = PAGE.split("## What each message looks like", 1)[1].split("\n## ", 1)[0]
    found = []
    for part in section.split("\n### ")[1:]:
        topics = re.findall(r"`([\w/-]+)`", part.splitlines()[0])
        for block in re.findall(r"```json\n(.*?)```", part, re.DOTALL):
            payload = json.loads(block)
            found += [(schema_of(topic, payload), payload) for topic in topics]
    return found


def schema_of(topic: str, payload: Any) -> str:
    if topic.startswith("command/") and not topic.endswith("/response"):
        return topic.replace("/", "-")
    return str(payload["schema"].removeprefix("edge.").partition("/")[0])


def names(value: Any, where: str = "") -> Iterator[str]:
    """Every name in a payload with those that it lies in: `image.instrument.vendor`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{where}.{name}"
            yield from names(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner, where)


def test_every_message_is_shown() -> None:
    assert {name for name, _ in shown()} == set(schema.MESSAGES)


@pytest.mark.parametrize(("name", "payload"), shown())
def test_what_is_shown_is_what_the_schema_says(name: str, payload: Any) -> None:
    Draft202012Validator(schema.json_schema(name)).validate(payload)


@needs_mosquitto
@pytest.mark.parametrize("name", ["summary", "inspection", "failure", "status", "response"])
def test_the_names_that_are_shown_are_those_that_are_sent(name: str, said: list[Heard]) -> None:
    sent = [one.body for one in said if one.topic.endswith(f"/{name}")]
    assert sent
    for kind, payload in shown():
        if kind == name:
            assert set(names(payload)) == set(names(sent[0]))


def test_the_page_begins_with_a_topic_that_shows_no_picture() -> None:
    first = re.findall(r"mosquitto_sub .*", PAGE)[0]
    assert first.endswith("/summary'")
    assert not [line for line in re.findall(r"mosquitto_sub .*", PAGE) if "#" in line]
