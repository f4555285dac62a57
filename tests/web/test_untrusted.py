from __future__ import annotations

import pytest

from edge.web.untrusted import document, verdict_row
from tests.web.documents import inspection

SCHEMA = "edge.failure/1"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"<b>"',
        b'{"schema": "edge.failure/2"}',
        b'{"schema": "edge.failure/1", "a": NaN}',
        b'{"schema": "edge.failure/1", "a": -Infinity}',
        b'{"schema": "edge.failure/1", "a": 1e999}',
        b'{"schema": "edge.failure/1", "a": "\\ud800"}',
        b'{"schema": "edge.failure/1", "a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b"[" * 100_000,
        b'{"a": "' + b"x" * (9 << 20) + b'"}',
    ],
)
def test_what_is_no_document_is_none(payload: bytes) -> None:
    assert document(payload, SCHEMA) is None


def test_brackets_in_a_text_are_no_nesting() -> None:
    assert document(b'{"schema": "edge.failure/1", "a": "' + b"[" * 99 + b'\\""}', SCHEMA) is not None


def test_a_failure_gives_a_row() -> None:
    row = verdict_row(failure(), "failure")
    assert row is not None
    assert (row["name"], row["state"]) == ("<img src=x>.tif", "failed")


@pytest.mark.parametrize("wrong", [{"seq": "1"}, {"seq": -1}, {"seq": 2**80}, {"epoch": None}, {"image": []}, {"ts_ms": "x"}])
def test_fields_of_another_kind_give_none(wrong: dict[str, object]) -> None:
    assert verdict_row({**failure(), **wrong}, "failure") is None


def test_a_class_of_the_plants_own_is_a_text() -> None:
    row = verdict_row(inspection(label=None, **{"class": "coarse"}), "inspection")
    assert row is not None
    assert (row["own_class"], row["state"]) == ("coarse", "judged")
    assert verdict_row(inspection(**{"class": 3}), "inspection") is None


def failure() -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "epoch": "e",
        "seq": 1,
        "ts_ms": 1_700_000_000_000,
        "failure_id": "f",
        "image": {"name": "<img src=x>.tif", "path": "a/<img src=x>.tif"},
        "error": {"code": "unreadable", "message": "it is cut short"},
    }
