"""What Telegraf's documentation says that its MQTT consumer makes of a message, as far as our configuration uses it.

Telegraf itself is not run: only its maker's index has it. Its JSON parser joins the names of nested values by `_`, drops nulls,
drops text and booleans that `json_string_fields` does not name, and takes all numbers as floating point.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt

from tests import ROOT
from tests.fakes.brokers import Heard

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = (ROOT / "docs" / "plant" / "telegraf.conf").read_text(encoding="utf-8")


def configured(**environment: str) -> dict[str, Any]:
    """The file with its `${NAME:-default}` replaced, which Telegraf does before it reads the TOML."""
    return tomllib.loads(re.sub(r"\$\{(\w+):-(.*?)\}", lambda found: environment.get(found[1], found[2]), TEXT))


CONFIGURATION = configured()
CONSUMERS: list[dict[str, Any]] = CONFIGURATION["inputs"]["mqtt_consumer"]


@dataclass(frozen=True)
class Point:
    """One measurement at one time. It is given to the Starlark function as its metric."""

    name: str
    tags: Mapping[str, str]
    time_ms: int
    fields: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """In InfluxDB's line protocol."""
        tags = "".join(f",{name}={value.replace(' ', chr(92) + ' ')}" for name, value in sorted(self.tags.items()))
        fields = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.fields.items())
        return f"{self.name}{tags} {fields} {self.time_ms}"


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flattened(inner, f"{name}_{key}" if name else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from flattened(inner, f"{name}_{index}")
    elif value is not None:
        yield name, value


def points(message: Heard) -> Iterator[Point]:
    """What reaches the output: of each consumer that subscribes to the topic."""
    for consumer in CONSUMERS:
        if any(mqtt.topic_matches_sub(topics, message.topic) for topics in consumer["topics"]):
            yield _processed(_parsed(consumer, message))


def _parsed(consumer: Mapping[str, Any], message: Heard) -> Point:
    assert (consumer["data_format"], consumer["json_time_format"], consumer["topic_tag"]) == ("json", "unix_ms", "")
    found = dict(flattened(message.body))
    time_ms = found.pop(consumer["json_time_key"])
    tags = {name: found.pop(name) for name in consumer["tag_keys"]}
    strings = consumer.get("json_string_fields", ())
    fields = {
        name: value if isinstance(value, str) else float(value)
        for name, value in found.items()
        if not isinstance(value, str | bool) or name in strings
    }
    return Point(consumer["name_override"], tags, time_ms, fields)


def _processed(point: Point) -> Point:
    """Starlark is a part of Python: the function is run as it stands."""
    for processor in CONFIGURATION["processors"]["starlark"]:
        if point.name in processor["namepass"]:
            defined: dict[str, Any] = {}
            exec(processor["source"], defined)
            point = defined["apply"](point)
    return point
