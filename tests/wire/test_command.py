"""Commands: read strictly, refused in words; and their answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from edge.wire.command import decode_command, encode_response
from edge.wire.schema import MESSAGES, json_schema
from tests.wire.examples import AT, DEVICE, EPOCH, strict


@pytest.mark.parametrize("payload", [b"", b" ", b"\n"])
def test_an_empty_payload_is_no_command(payload: bytes) -> None:
    with pytest.raises(ValueError, match="rescan"):
        decode_command("rescan", payload)


def test_an_object_without_fields_is_an_empty_command() -> None:
    assert decode_command("rescan", b" {} ") == (None, {})


@pytest.mark.parametrize("number", [2**63, 2**64, 2**70, 10**400, 0, -1, -(2**70), 1e300, 1.5])
@pytest.mark.parametrize("field", ["first", "last"])
def test_a_number_that_no_journal_can_hold_is_refused_by_name(field: str, number: float) -> None:
    payload = json.dumps({"epoch": EPOCH, "first": 1, "last": 1, field: number}).encode()
    with pytest.raises(ValueError, match=f"replay: {field}"):
        decode_command("replay", payload)


def test_every_number_and_text_of_every_command_is_bounded() -> None:
    parts = [part for name in MESSAGES if name.startswith(("command-", "release")) for part in parts_of(json_schema(name))]
    numbers = [part for part in parts if part.get("type") in ("integer", "number")]
    texts = [part for part in parts if part.get("type") == "string"]
    assert numbers
    assert texts
    assert all({"minimum", "maximum"} <= part.keys() for part in numbers), numbers
    bounded = ("maxLength", "enum", "const")
    assert all(any(key in part for key in bounded) or part.get("format") == "uuid" for part in texts), texts
    assert not [part for part in parts if part.get("type") == "array" and "maxItems" not in part]


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in it, itself included."""
    if isinstance(schema, dict):
        yield schema
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts_of(part)


def test_a_command_gives_its_fields_and_its_request_id() -> None:
    payload = json.dumps({"epoch": EPOCH, "first": 1, "last": 2, "request_id": "7"}).encode()
    assert decode_command("replay", payload) == ("7", {"epoch": EPOCH, "first": 1, "last": 2})


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b"{", b"\xff", b'{"folder": "/etc"}', b'{"request_id": 5}', b"[" * 100_000]
)
def test_a_malformed_command_is_refused_in_words(payload: bytes) -> None:
    with pytest.raises(ValueError, match="pause"):
        decode_command("pause", payload)


def test_an_answer_with_undecodable_names_is_still_utf_8() -> None:
    answer = encode_response(command="info", request_id=None, error=None, result={"a\udcff": ["b\udcfe"]}, device=DEVICE, at=AT)
    assert strict(answer)["result"] == {"a\\xff": ["b\\xfe"]}
