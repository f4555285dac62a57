"""An announcement is believed by its signature alone, and an old one that is sent again is told from a new one."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.fleet.announcement import Announcement, heard, judged
from edge.fleet.shelf import Standing
from edge.wire.release import encode_release
from tests.fleet.making import make_release
from tests.models.test_signature import Signer

pytest.importorskip("cryptography")

A, B = "a" * 64, "b" * 64


def said(folder: Path, release: str) -> bytes:
    signature = (folder / "SHA256SUMS.minisig").read_text()
    return encode_release(release_id=release, signature=signature, at=datetime.now(timezone.utc), note="spring")


def test_what_the_plants_key_signed_is_heard(tmp_path: Path) -> None:
    signer = Signer()
    release = make_release(tmp_path, signer, heavy=False, at=77)
    told = heard(said(tmp_path, release), signer.public_key)
    assert (told.id, told.signed_at, told.note) == (release, 77, "spring")


def test_another_key_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    release = make_release(tmp_path, Signer(), heavy=False)
    with pytest.raises(ModelError, match="not what was signed"):
        heard(said(tmp_path, release), Signer().public_key)


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"x" * 9000, b'{"schema":"edge.release/2"}'])
def test_garbage_is_refused_with_a_sentence(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        heard(payload, Signer().public_key)


def test_a_signature_that_is_none_is_refused() -> None:
    payload = encode_release(release_id=A, signature="not\nminisign\n", at=datetime.now(timezone.utc))
    with pytest.raises(ModelError, match="no signature of minisign"):
        heard(payload, Signer().public_key)


def test_what_is_known_is_not_fetched_again() -> None:
    told = Announcement(A, b"", 10, None)
    assert judged(told, Standing()) == "fetch"
    assert judged(told, Standing(active=A)) == "active"
    assert judged(told, Standing(candidate=A)) == "ready"
    assert judged(told, Standing(left={A: 10})) == "left"
    assert judged(Announcement(A, b"", 11, None), Standing(left={A: 10}, newest_signed_at=10)) == "fetch"


def test_an_older_signature_than_one_that_was_taken_is_refused() -> None:
    with pytest.raises(ModelError, match="sign it anew"):
        judged(Announcement(A, b"", 10, None), Standing(active=B, newest_signed_at=11))
