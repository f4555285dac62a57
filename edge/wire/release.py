"""An `edge.release/1` in, its checked fields out, and back: what announces signed models to all boxes."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import ValidationError

from edge.wire.documents import Release
from edge.wire.encode import timestamp
from edge.wording import sentences

MOST_BYTES: Final = 8 << 10
"""Of an announcement; a longer one is not read."""


def encode_release(*, release_id: str, signature: str, at: datetime, note: str | None = None) -> bytes:
    """The announcement. Raises ValueError for what no box would take."""
    fields = {"schema": "edge.release/1", "id": release_id, "signature": signature, "made_at": timestamp(at)}
    try:
        release = Release.model_validate({**fields, **({"note": note} if note else {})})
    except ValidationError as error:
        raise ValueError("; ".join(sentences(error, "the announcement", Release))) from error
    return release.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode_release(payload: bytes) -> Release:
    """The fields. Raises ValueError with a sentence for what is no announcement."""
    if len(payload) > MOST_BYTES:
        raise ValueError(f"{len(payload)} bytes are no announcement: at most {MOST_BYTES} are read")
    try:
        return Release.model_validate_json(payload)
    except ValidationError as error:
        raise ValueError("; ".join(sentences(error, "the announcement", Release))) from error
