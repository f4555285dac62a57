"""What MQTT 5 says beside a message is told from the message."""

from __future__ import annotations

import json

import pytest

from edge.wire.channel import Publication
from edge.wire.labels import content_type_of, label_bytes, labelled
from tests.wire.examples import DEVICE, messages


@pytest.mark.parametrize("name", messages())
def test_every_message_of_the_contract_names_its_schema_device_and_verdict(name: str) -> None:
    payload = messages()[name]
    body = json.loads(payload)
    told = dict(labelled(Publication(f"p/{name}", payload), DEVICE).user_properties)
    assert told.pop("schema") == body["schema"]
    assert told.pop("device_id") == "sem-01"
    ids = {key: body[key] for key in ("inspection_id", "failure_id") if body.get(key)}
    assert told == ids
    assert content_type_of(Publication("p", payload)) == "application/json"


def test_a_picture_names_its_inspection_and_its_kind() -> None:
    identity = "0b7a4d1c-9a53-5d3e-8f10-1c2d3e4f5a6b"
    webp = Publication(f"p/overlay/{identity}", b"RIFF\x00\x00\x00\x00WEBPVP8 ")
    assert labelled(webp, DEVICE).user_properties == (("device_id", "sem-01"), ("inspection_id", identity))
    kinds = [
        content_type_of(Publication("p", begin + bytes(20))) for begin in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\x08")
    ]
    assert [content_type_of(webp), *kinds] == ["image/webp", "image/png", "image/jpeg", ""]


def test_a_name_in_a_text_is_no_id() -> None:
    text = '"inspection_id":"0b7a4d1c-9a53-5d3e-8f10-1c2d3e4f5a6b"'
    payload = json.dumps({"schema": "edge.status/1", "reasons": [text]}, separators=(",", ":")).encode()
    assert dict(labelled(Publication("p", payload), DEVICE).user_properties).keys() == {"schema", "device_id"}


def test_what_a_format_says_of_itself_stays() -> None:
    assert content_type_of(Publication("p", b"{}", content_type="application/x-own")) == "application/x-own"


def test_nothing_is_told_of_nothing() -> None:
    assert content_type_of(Publication("p", b"")) == ""
    assert label_bytes(Publication("p", b"")) == 4
