"""An announcement on the wire: four fields, bounded, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import jsonschema
import pytest

from edge.wire.release import MOST_BYTES, decode_release, encode_release
from tests import ROOT

AT = datetime(2026, 3, 17, 11, 26, 14, 123000, timezone.utc)


def test_what_is_written_is_read_and_fits_the_published_schema() -> None:
    payload = encode_release(release_id="a" * 64, signature="four\nlines\n", at=AT, note="spring")
    told = decode_release(payload)
    assert (told.id, told.signature, told.note, told.made_at) == (
        "a" * 64,
        "four\nlines\n",
        "spring",
        "2026-03-17T11:26:14.123Z",
    )
    jsonschema.validate(json.loads(payload), json.loads((ROOT / "docs" / "schemas" / "release.json").read_text()))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"id": "../../etc"}, "SHA-256"),
        ({"signature": "x" * 3000}, "signature"),
        ({"note": "x" * 600}, "note"),
        ({"source": "http://elsewhere/"}, "unknown key"),
        ({"schema": "edge.release/2"}, "schema"),
        ({"made_at": "today"}, "made_at"),
    ],
)
def test_what_is_not_of_this_kind_is_refused_by_name(changed: dict[str, str], why: str) -> None:
    payload = json.loads(encode_release(release_id="a" * 64, signature="x", at=AT)) | changed
    with pytest.raises(ValueError, match=why):
        decode_release(json.dumps(payload).encode())


def test_a_long_message_is_not_even_parsed() -> None:
    with pytest.raises(ValueError, match="are no announcement"):
        decode_release(b"{" * (MOST_BYTES + 1))


def test_what_no_box_would_take_is_not_written() -> None:
    with pytest.raises(ValueError, match="note"):
        encode_release(release_id="a" * 64, signature="x", at=AT, note="x" * 501)
