"""The documents in, their JSON Schemas (draft 2020-12) and AsyncAPI 3 descriptions of all topics out.

Run `python -m edge.wire.schema docs` after changing `edge.wire.documents` or `inspection_documents`; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from edge import __version__
from edge.wire import documents, inspection_documents, review_documents

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic below the prefix, or that of the fleet: who sends what there, and how.

    action: as seen from the daemon.  messages: names of JSON Schemas, or a media type for what is no JSON.
    """

    address: str
    action: Literal["send", "receive"]
    qos: int
    retain: bool
    messages: tuple[str, ...]
    about: str


TOPICS: tuple[Topic, ...] = (
    Topic("inspection", "send", 1, False, ("inspection",), "A verdict on one micrograph."),
    Topic(
        "failure",
        "send",
        1,
        False,
        ("failure", "tombstone"),
        "A verdict on an image that could not be inspected; or the tombstone of a verdict (of either topic) that the "
        "broker refuses for good.",
    ),
    Topic("summary", "send", 1, True, ("summary",), "The newest inspection on one level. Never replayed."),
    Topic("overlay/{inspection_id}", "send", 1, False, ("image/png",), "The inspection as a picture, PNG or WebP."),
    Topic("status", "send", 1, True, ("status",), "Sent at every connect and change; the last will says offline."),
    Topic("review", "send", 1, False, ("review",), "What a person said of an inspection; it takes no seq."),
    Topic("health", "send", 0, False, ("health",), "Every 10 s."),
    *(
        Topic(
            f"command/{name}",
            "receive",
            1,
            False,
            (f"command-{name}",),
            f"{model.__doc__} Retained and empty ones are ignored.",
        )
        for name, model in documents.COMMANDS.items()
    ),
    Topic(
        "{fleet_topic}",
        "receive",
        1,
        True,
        ("release",),
        "Signed models are announced to all boxes of a plant, outside of their prefixes. Empty ones withdraw.",
    ),
    Topic(
        "command/{name}/response",
        "send",
        1,
        False,
        ("response",),
        "The answer to a command that named no MQTT 5 response topic, or one that is not allowed.",
    ),
)
"""Every topic, in the order of the contract."""

MESSAGES: Mapping[str, type[BaseModel]] = {
    "inspection": inspection_documents.InspectionDocument,
    "failure": documents.FailureDocument,
    "tombstone": documents.TombstoneDocument,
    "summary": inspection_documents.SummaryDocument,
    "status": documents.StatusDocument,
    "health": documents.HealthDocument,
    "review": review_documents.ReviewDocument,
    "response": documents.ResponseDocument,
    "release": documents.Release,
    **{f"command-{name}": model for name, model in documents.COMMANDS.items()},
}
"""Every JSON message by the name of its schema."""


class PublishedNames(GenerateJsonSchema):
    """Names the parts of a schema as the contract does, whatever their classes are called."""

    def normalize_name(self, name: str) -> str:
        """The key below `$defs` for a class."""
        return documents.published_name(super().normalize_name(name))


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one of `MESSAGES`.

    What we send has all its fields required and may get further ones within its version. What we receive has only some
    required, and nothing else is taken.
    """
    model = MESSAGES[name]
    received = issubclass(model, documents.Heard)
    schema = model.model_json_schema(schema_generator=PublishedNames, mode="validation" if received else "serialization")
    for part in (schema, *schema.get("$defs", {}).values()):
        for told in part.get("properties", {}).values():
            if told.get("examples", [None])[0] is None:
                told["examples"] = [_made(told, schema), *told.get("examples", [])]
    head = {"$schema": DIALECT, "$id": f"urn:edge:schema:{name}"}
    return {**head, **(schema if received else _opened(schema)), "examples": [_made(schema, schema)]}


def _example(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """What `part` of `schema` is in the example of the object that has it: null, where null is usual."""
    return part["examples"][-1] if "examples" in part else _made(part, schema)


def _made(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """An object of the examples of its fields, or a list of one such."""
    if "$ref" in part:
        return _made(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in part:  # an object or null
        return _made(part["anyOf"][0], schema)
    if part["type"] == "array":
        return [_made(part["items"], schema)]
    return {name: _example(field, schema) for name, field in part.get("properties", {}).items()}


def _opened(schema: Any) -> Any:
    """The same without its ban on fields that it does not name."""
    if isinstance(schema, dict):
        closed = schema.get("additionalProperties") is False
        return {key: _opened(value) for key, value in schema.items() if not (closed and key == "additionalProperties")}
    return [_opened(value) for value in schema] if isinstance(schema, list) else schema


def asyncapi(*, bundled: bool = False) -> dict[str, Any]:
    """The AsyncAPI 3.0 document; payloads refer to `schemas/<name>.json` beside it, or stand in it where it is bundled."""
    names = list(dict.fromkeys(name for topic in TOPICS for name in topic.messages))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "sem-corrosion-edge",
            "version": __version__,
            "description": "What the daemon beside a scanning electron microscope says and hears over MQTT. Verdicts are "
            "delivered at least once, in order of seq; drop repeats by id.",
            "license": {"name": "AGPL-3.0-or-later"},
        },
        "servers": {
            "plant": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5.0", "description": "The broker."}
        },
        "defaultContentType": "application/json",
        "channels": {_channel(topic): _describe(topic) for topic in TOPICS},
        "operations": {
            f"{topic.action}-{_channel(topic)}": {
                "action": topic.action,
                "channel": {"$ref": f"#/channels/{_channel(topic)}"},
                "bindings": {"mqtt": {"qos": topic.qos, "retain": topic.retain, "bindingVersion": "0.2.0"}},
            }
            for topic in TOPICS
        },
        "components": {"messages": {_message(name): _payload(name, bundled=bundled) for name in names}},
    }


def files() -> dict[str, str]:
    """Text of every generated file by its path below the documentation folder."""
    bundle = {"asyncapi.json": asyncapi(), "asyncapi.bundled.json": asyncapi(bundled=True)}
    written = {**bundle, **{f"schemas/{name}.json": json_schema(name) for name in MESSAGES}}
    return {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in written.items()}


def _channel(topic: Topic) -> str:
    return topic.address.replace("/", "-").replace("{", "").replace("}", "")


def _message(name: str) -> str:
    return "picture" if "/" in name else name


def _describe(topic: Topic) -> dict[str, Any]:
    parameters = {
        "prefix": {"description": "mqtt.prefix, or <site>/<area>/sem/<id>", "default": "plant-1/lab/sem/sem-01"},
        "inspection_id": {"description": "of the inspection that the picture shows"},
        "fleet_topic": {"description": "fleet.topic", "default": "edge/models"},
        "name": {"description": "of the command", "enum": list(documents.COMMANDS)},
    }
    address = topic.address if topic.address == "{fleet_topic}" else f"{{prefix}}/{topic.address}"
    return {
        "address": address,
        "description": topic.about,
        "messages": {_message(name): {"$ref": f"#/components/messages/{_message(name)}"} for name in topic.messages},
        "parameters": {name: what for name, what in parameters.items() if f"{{{name}}}" in address},
    }


def _payload(name: str, *, bundled: bool) -> dict[str, Any]:
    if "/" in name:
        return {"name": "picture", "contentType": name, "payload": {"type": "string", "format": "binary"}}
    schema = json_schema(name)
    return {
        "name": name,
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": _inlined(schema, schema.get("$defs", {})) if bundled else {"$ref": f"./schemas/{name}.json"},
        },
        "examples": [{"payload": schema["examples"][0]}],
    }


def _inlined(part: Any, parts: Mapping[str, Any]) -> Any:
    """The same without references: each part of the schema stands where it is used.

    Tools resolve `#/$defs/…` from the top of the whole file, whatever the `$id` says; so neither is left.
    """
    if isinstance(part, dict):
        named = parts[part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        own = {key: value for key, value in {**named, **part}.items() if key not in ("$ref", "$defs", "$id", "$schema")}
        return {key: value if key == "examples" else _inlined(value, parts) for key, value in own.items()}
    return [_inlined(value, parts) for value in part] if isinstance(part, list) else part


def main(arguments: list[str]) -> int:
    """Write all files below the folder named in `arguments`."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m edge.wire.schema FOLDER     (for example: docs)", file=sys.stderr)
        return 2
    for name, text in files().items():
        path = Path(arguments[0], name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
