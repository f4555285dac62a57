"""The files beside the database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.errors import StateFullError
from edge.journal import Journal
from tests.journal.examples import inspected, one


def test_pictures_are_written_whole_or_not_at_all(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.pictures.write("a.png", b"old")

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fails)
        with pytest.raises(StateFullError):
            journal.pictures.write("a.png", b"new")
    assert {path.name: path.read_bytes() for path in journal.pictures.folder.iterdir()} == {"a.png": b"old"}


@pytest.mark.parametrize("name", ["", "../a.png", ".a.png", "a/b.png"])
def test_a_picture_needs_a_plain_name(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        journal.pictures.write(name, b"")


def test_pictures_that_nothing_names_are_removed_at_the_next_opening(folder: Path) -> None:
    with Journal.open(folder) as journal:
        for name in ("named.png", "orphan.png"):
            journal.pictures.write(name, b"png")
        (journal.pictures.folder / ".half.png.part").write_bytes(b"")
        inspected(journal, make=one(picture="named.png"))
    with Journal.open(folder) as journal:
        assert [path.name for path in journal.pictures.folder.iterdir()] == ["named.png"]
        assert [row.picture for row in journal.outbox.unsent() if row.role == "overlay"] == ["named.png"]


def test_an_overlay_without_its_picture_is_undrawn_and_each_try_is_counted(journal: Journal) -> None:
    journal.pictures.write("there.png", b"png")
    inspected(journal, "a.tif", one("a", picture="there.png"))
    inspected(journal, "b.tif", one("b", picture="missing.png", payload=b"of b"))
    (undrawn,) = journal.pictures.undrawn()
    assert undrawn[1:] == ("missing.png", 0, "b.tif", b"of b")
    journal.pictures.count_try(undrawn.id)
    assert [one.tries for one in journal.pictures.undrawn()] == [1]
    journal.outbox.acknowledge([undrawn.id])
    assert journal.pictures.undrawn() == []
