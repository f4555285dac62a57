"""A checked review in, its `edge.review/1` as it is sent out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from edge.config import DeviceSettings
from edge.wire.encode import device_fields, serialise, timestamp
from edge.wire.review_documents import ReviewDocument


def encode_review(said: Mapping[str, Any], *, review_seq: int, reviewer: str, device: DeviceSettings) -> bytes:
    """The message of one review.

    said: its fields by name, all of them, with `class_name` for `class`.
    reviewer: what the reviewer is called on the wire.
    """
    at = datetime.fromtimestamp(said["ts_ms"] / 1000, timezone.utc)
    told = {
        **_by_alias(said),
        "schema_": "edge.review/1",
        "review_seq": review_seq,
        "reviewer": reviewer,
        "ts": timestamp(at),
        "device": device_fields(device).model_dump(),
    }
    return serialise(ReviewDocument.model_validate(told))


def _by_alias(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"class" if name == "class_name" else name: _by_alias(one) for name, one in value.items()}
    return [_by_alias(one) for one in value] if isinstance(value, list | tuple) else value
