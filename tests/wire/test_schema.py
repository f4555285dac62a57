"""Schemas and the AsyncAPI description: committed as generated, and satisfied by what is sent."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.records import Inspection
from edge.wire import schema
from tests import ROOT
from tests.fakes.node import NODE, package
from tests.wire.examples import (
    abstained,
    classified_only,
    encoded,
    example,
    limited,
    limited_alone,
    messages,
    segmented_only,
    strict,
    summarised,
    tilted,
    uncalibrated,
    unmeasured,
)

DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", list(schema.files()))
def test_the_committed_schemas_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == schema.files()[name], "run: python -m edge.wire.schema docs"


def test_no_schema_is_left_over() -> None:
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == {name for name in schema.files() if "/" in name}


@pytest.mark.parametrize("name", list(schema.MESSAGES))
def test_every_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema.json_schema(name))


@pytest.mark.parametrize("name", list(messages()))
def test_real_messages_satisfy_their_schema(name: str) -> None:
    Draft202012Validator(schema.json_schema(name)).validate(strict(messages()[name]))


@pytest.mark.parametrize(
    "inspection",
    [uncalibrated(), classified_only(), segmented_only(), abstained(), tilted(), limited(), limited_alone(), unmeasured()],
)
def test_partial_inspections_satisfy_the_schema(inspection: Inspection) -> None:
    Draft202012Validator(schema.json_schema("inspection")).validate(encoded(inspection))
    Draft202012Validator(schema.json_schema("summary")).validate(summarised(inspection))


def test_the_schema_refuses_a_missing_field_and_allows_one_that_a_later_release_adds() -> None:
    check = Draft202012Validator(schema.json_schema("inspection"))
    whole = encoded(example())
    assert not check.is_valid({key: value for key, value in whole.items() if key != "quality"})
    assert check.is_valid({**whole, "extra": 1, "corrosion": {**whole["corrosion"], "more": {"extra": 1}}})


@pytest.mark.parametrize("name", list(schema.MESSAGES))
def test_what_is_sent_may_grow_and_what_is_received_may_not(name: str) -> None:
    closed = '"additionalProperties": false' in json.dumps(schema.json_schema(name))
    assert closed == (name.startswith("command-") or name == "release")


def test_every_message_is_described_on_some_topic() -> None:
    assert {name for topic in schema.TOPICS for name in topic.messages} - {"image/png"} == set(schema.MESSAGES)


def every_field() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Where each property of each schema stands, what is said of it, and the schema that its references are in."""
    for name in schema.MESSAGES:
        whole = schema.json_schema(name)
        for part, said in ((name, whole), *whole.get("$defs", {}).items()):
            for field, told in said.get("properties", {}).items():
                yield f"{name}: {part}.{field}", told, whole


def kinds(told: Any) -> set[str]:
    """The types that a property's values, or the values in its lists, may have."""
    if isinstance(told, list):
        return {kind for one in told for kind in kinds(one)}
    if not isinstance(told, dict):
        return set()
    own = told.get("type")
    inner = [told.get(key) for key in ("anyOf", "items", "prefixItems", "additionalProperties")]
    return {own} | kinds(inner) if isinstance(own, str) else kinds(inner)


def test_every_field_of_every_message_is_described() -> None:
    fields = list(every_field())
    assert len(fields) > 300
    assert not [where for where, told, _ in fields if len(told.get("description", "").split()) < 2]


def test_every_field_has_an_example_that_it_allows() -> None:
    for where, told, whole in every_field():
        check = Draft202012Validator({**told, "$defs": whole.get("$defs", {})})
        assert told["examples"][0] is not None, where
        for value in told["examples"]:
            check.validate(value)


UNITS = {
    "ms": "ms", "s": "s", "min": "min", "h": "h", "px": "px", "nm": "nm", "um": "µm", "mm": "mm", "um2": "µm²", "mm2": "1/mm²",
    "kv": "kV", "deg": "°", "mib": "MiB", "c": "°C", "w": "W", "fraction": "1",
}  # fmt: skip


def test_every_field_with_a_unit_tells_it() -> None:
    """A number that may have a fraction has one, "1" without a dimension; what ends in a unit has that one."""
    for where, told, _ in every_field():
        field = where.rpartition(".")[2]
        end = field.removesuffix("_interval").removesuffix("_lo").removesuffix("_hi").rpartition("_")[2]
        if "_" in field and end in UNITS:
            assert told["x-unit"] == UNITS[end], where
        if "number" in kinds(told):
            assert told.get("x-unit"), where


@pytest.mark.parametrize("name", list(schema.MESSAGES))
def test_the_example_of_a_message_is_one(name: str) -> None:
    whole = schema.json_schema(name)
    Draft202012Validator(whole).validate(whole["examples"][0])
    if name in messages():
        assert set(whole["examples"][0]) == set(strict(messages()[name]))
    if {"ts", "ts_ms"} <= set(whole["properties"]):
        at = datetime.strptime(whole["examples"][0]["ts"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert round(at.timestamp() * 1000) == whole["examples"][0]["ts_ms"]


def test_the_bundled_description_stands_alone_and_says_the_same() -> None:
    bundled = schema.asyncapi(bundled=True)
    payloads = {name: message["payload"] for name, message in bundled["components"]["messages"].items()}
    assert set(payloads) == {*schema.MESSAGES, "picture"}
    for name in schema.MESSAGES:
        assert "$ref" not in json.dumps(payloads[name])
        check = Draft202012Validator(payloads[name]["schema"])
        check.validate(schema.json_schema(name)["examples"][0])
        assert not check.is_valid({"schema": "another"})
    for name, payload in messages().items():
        Draft202012Validator(payloads[name]["schema"]).validate(strict(payload))
    assert {key: value for key, value in bundled.items() if key != "components"} == {
        key: value for key, value in schema.asyncapi().items() if key != "components"
    }


def test_references_of_the_asyncapi_document_lead_somewhere() -> None:
    document = schema.asyncapi()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [value for key, value in node.items() if key == "$ref"] + [r for v in node.values() for r in references(v)]
        return []

    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert reference[2:] in schema.files()
            continue
        place: Any = document
        for part in reference[2:].split("/"):
            place = place[part]


PARSE = """
const { Parser } = require("@asyncapi/parser");
const [file] = process.argv.slice(1);
new Parser().parse(require("fs").readFileSync(file, "utf8"), { source: file }).then(({ document, diagnostics }) =>
    console.log(JSON.stringify({
        wrong: diagnostics.filter((one) => one.severity < 2).map((one) => one.message),
        messages: document ? document.allMessages().all().map((one) => one.id()) : [],
        examples: document ? document.allMessages().all().filter((one) => one.examples().length).length : 0,
    })));
"""


@pytest.mark.parametrize("name", ["asyncapi.json", "asyncapi.bundled.json"])
def test_the_parser_of_asyncapi_takes_it(name: str) -> None:
    parser = package("@asyncapi/parser")
    if parser is None or NODE is None:
        pytest.skip("AsyncAPI's parser is not installed by npm (make .venv/.node)")
    environment = {**os.environ, "NODE_PATH": str(parser.parents[1])}
    told = subprocess.run([NODE, "-e", PARSE, str(DOCS / name)], env=environment, check=True, capture_output=True)
    found = json.loads(told.stdout)
    assert not found["wrong"]
    assert set(found["messages"]) == {*schema.MESSAGES, "picture"}
    assert found["examples"] == len(schema.MESSAGES)
