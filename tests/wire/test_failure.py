"""Failures and tombstones: each says where to look, whatever went wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from edge.errors import FAILURE_CODES
from edge.records import Source
from edge.wire.encode import verdict_id
from edge.wire.failure import encode_failure, is_tombstone
from tests.wire.examples import DEVICE, EPOCH, ID, any_text, failure, messages, strict


@pytest.mark.parametrize("code", FAILURE_CODES)
def test_every_failure_says_where_to_look(code: str) -> None:
    message = strict(encode_failure(failure(code=code), failure_id=ID, epoch=None, seq=None, device=DEVICE))
    assert message["hint"]
    assert message["error"]["code"] == code


def test_an_unknown_failure_code_is_refused() -> None:
    with pytest.raises(ValueError, match="code"):
        encode_failure(failure(code="odd"), failure_id=ID, epoch=None, seq=None, device=DEVICE)


@settings(deadline=None)
@given(any_text, any_text)
def test_whatever_goes_wrong_becomes_strict_json(path: str, message: str) -> None:
    broken = failure(source=Source(path, path, None), message=message)
    strict(encode_failure(broken, failure_id=verdict_id(EPOCH, path, 1, 1), epoch=EPOCH, seq=1, device=DEVICE))


def test_a_tombstone_is_known_by_its_payload() -> None:
    assert is_tombstone(messages()["tombstone"])
    assert not is_tombstone(messages()["inspection"])
