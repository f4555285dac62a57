"""Schemas and the AsyncAPI description: committed as generated, and satisfied by what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edge.records import Inspection
from edge.wire import schema
from tests import ROOT
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
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == set(schema.files()) - {"asyncapi.json"}


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
    assert closed == name.startswith("command-")


def test_every_message_is_described_on_some_topic() -> None:
    assert {name for topic in schema.TOPICS for name in topic.messages} - {"image/png"} == set(schema.MESSAGES)


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
