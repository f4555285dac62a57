"""What was heard on the topic of the fleet in; whether a box may begin to fetch it out. Nothing is fetched here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.errors import ModelError
from edge.fleet.release import SHORT, SIGNATURE, signed_at
from edge.fleet.shelf import Standing
from edge.models.signature import MANIFEST, PublicKey, verify_alone
from edge.wire.release import decode_release

Verdict = Literal["fetch", "active", "ready", "left"]


@dataclass(frozen=True, slots=True)
class Announcement:
    """A release that the plant's key has signed; that the signature is of this very release shows when it was fetched.

    signature: the text of SHA256SUMS.minisig.  signed_at: seconds since 1970, from its trusted comment.
    """

    id: str
    signature: bytes
    signed_at: int
    note: str | None


def heard(payload: bytes, public_key: str) -> Announcement:
    """The announcement. Raises ValueError for what is none, ModelError for one that another key signed, or nobody."""
    told = decode_release(payload)
    signature = told.signature.encode()
    verify_alone(signature, PublicKey.parse(public_key), Path(f"release-{told.id[:SHORT]}") / MANIFEST)
    return Announcement(told.id, signature, signed_at(signature), told.note)


def judged(announced: Announcement, standing: Standing) -> Verdict:
    """What is to be done about it, as far as the shelf knows. Raises ModelError for one older than what was taken already.

    "left": a person went back from it or dropped it, and it was not signed anew since.
    """
    if announced.id == standing.active:
        return "active"
    if announced.id == standing.candidate:
        return "ready"
    if announced.signed_at <= standing.left.get(announced.id, -1):
        return "left"
    if announced.signed_at < standing.newest_signed_at:
        raise ModelError(
            f"{SIGNATURE} is older than that of a release that was taken here already: an announcement that was kept and sent"
            " again? To bring an older release back, sign it anew"
        )
    return "fetch"
