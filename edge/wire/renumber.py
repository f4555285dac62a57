"""A stored message and another number for its verdict in, the same message under that number out."""

from __future__ import annotations

import json
import uuid
from typing import Final

from edge.wire.encode import VerdictKind, verdict_id

_IDS: Final = ("inspection_id", "failure_id", "verdict_id")
_MOST_PAGES: Final = 10_000


def renumbered(payload: bytes, *, epoch: str, seq: int, old_id: str, new_id: str) -> bytes:
    """A verdict, summary or tombstone with another epoch, seq and id, and nothing else changed, its `ts` neither.

    Raises ValueError when it is no JSON object.
    """
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("a stored message is no JSON object")
    body.update({name: value for name, value in (("epoch", epoch), ("seq", seq)) if name in body})
    body.update({name: new_id for name in _IDS if body.get(name) == old_id})
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def renumbered_id(old_id: str, *, old_epoch: str, epoch: str, path: str, revision: int, run: int, kind: VerdictKind) -> str:
    """The id of the same verdict in another epoch: the one that `verdict_id` gives it there.

    Which page it is about is found out from the old id. An id that was made in another way gets a UUIDv5 of itself.
    """
    for page in range(_MOST_PAGES):
        if verdict_id(old_epoch, path, revision, run, page=page, kind=kind) == old_id:
            return verdict_id(epoch, path, revision, run, page=page, kind=kind)
        if kind == "failure":
            break
    return str(uuid.uuid5(uuid.UUID(epoch), old_id))
