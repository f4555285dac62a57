"""Commands: read strictly, refused in words; and their answers."""

from __future__ import annotations

import json

import pytest

from edge.wire.command import decode_command, encode_response
from tests.wire.examples import AT, DEVICE, EPOCH, strict


def test_an_empty_payload_is_an_empty_command() -> None:
    assert decode_command("rescan", b"") == (None, {})


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
