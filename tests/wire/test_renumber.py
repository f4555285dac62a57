"""A stored message under another number: nothing else changes."""

from __future__ import annotations

import json

import pytest

from edge.wire.encode import VerdictKind, verdict_id
from edge.wire.renumber import renumbered, renumbered_id

OLD, NEW = "11111111-2222-3333-4444-555555555555", "99999999-8888-7777-6666-555555555555"


@pytest.mark.parametrize("name", ["inspection_id", "failure_id", "verdict_id"])
def test_number_and_id_change_and_nothing_else(name: str) -> None:
    body = {
        "schema": "s",
        name: "old",
        "epoch": OLD,
        "seq": 9,
        "ts": "t",
        "image": {"seq": 1, "name": "ü", "epoch": "x"},
        "f": 0.1,
    }
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    changed = renumbered(payload, epoch=NEW, seq=1, old_id="old", new_id="new")
    assert changed == payload.replace(b'"old"', b'"new"').replace(OLD.encode(), NEW.encode()).replace(b'"seq":9', b'"seq":1')


def test_fields_that_are_not_there_are_not_added() -> None:
    assert renumbered(b'{"a":1}', epoch=NEW, seq=1, old_id="old", new_id="new") == b'{"a":1}'


@pytest.mark.parametrize("payload", [b"", b"[]", b"verdict", b"\xff"])
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        renumbered(payload, epoch=NEW, seq=1, old_id="old", new_id="new")


@pytest.mark.parametrize(("page", "kind"), [(0, "inspection"), (3, "inspection"), (0, "failure")])
def test_the_id_is_the_one_that_the_other_epoch_gives(page: int, kind: VerdictKind) -> None:
    about = {"revision": 2, "run": 1, "kind": kind}
    old = verdict_id(OLD, "a/b.tif", 2, 1, page=page, kind=kind)
    new = renumbered_id(old, old_epoch=OLD, epoch=NEW, path="a/b.tif", **about)  # type: ignore[arg-type]
    assert new == verdict_id(NEW, "a/b.tif", 2, 1, page=page, kind=kind)


def test_an_id_of_another_making_gets_one_of_its_own() -> None:
    first, again, other = (
        renumbered_id(old, old_epoch=OLD, epoch=NEW, path="a", revision=1, run=1, kind="failure") for old in ("x", "x", "y")
    )
    assert first == again != other
