"""A message in, what MQTT 5 says beside it out: content type, payload format, and properties to sort it by unread.

Told from the message itself: JSON of ours begins with its schema, and its id stands near.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from edge.config import DeviceSettings
from edge.wire.channel import Publication

JSON: Final = "application/json"
HEAD_BYTES: Final = 1024
"""Schema and id stand in the first so many bytes; the whole can be megabytes."""
_SCHEMA: Final = re.compile(rb'\{"schema":"(edge\.[a-z_]+/\d+)"')
_ID: Final = re.compile(rb'"(inspection_id|failure_id)":"([0-9a-f-]{36})"')
_OVERLAY: Final = re.compile(r"/overlay/([0-9a-f-]{36})$")


def labelled(message: Publication, device: DeviceSettings) -> Publication:
    """A message of the contract with its user properties: `schema`, `device_id`, `inspection_id` or `failure_id`."""
    head = bytes(message.payload[:HEAD_BYTES])
    told = [("device_id", device.id)]
    if schema := _SCHEMA.match(head):
        told.insert(0, ("schema", schema[1].decode()))
        if found := _ID.search(head):
            told.append((found[1].decode(), found[2].decode()))
    elif overlay := _OVERLAY.search(message.topic):
        told.append(("inspection_id", overlay[1]))
    return replace(message, user_properties=tuple(told))


def content_type_of(message: Publication) -> str:
    """What it says of itself, else what its first bytes tell; empty where they tell nothing."""
    if message.content_type:
        return message.content_type
    first = bytes(message.payload[:12])
    if first[:1] in (b"{", b"["):
        return JSON
    if first[:4] == b"RIFF" and first[8:] == b"WEBP":
        return "image/webp"
    signatures = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
    return next((kind for begin, kind in signatures.items() if first.startswith(begin)), "")


def label_bytes(message: Publication) -> int:
    """Bytes that all this takes in a packet at most (MQTT 5.0, 3.3.2.3)."""
    kind, told = content_type_of(message), message.user_properties
    return 2 + 2 + (3 + len(kind)) * bool(kind) + sum(5 + len(name.encode()) + len(value.encode()) for name, value in told)
