"""Documents are read from journals, folders and lines, and what is none is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.journal import Journal
from edge.report.reading import Document, _source, read_folder, read_journal
from tests.journal.examples import inspected, one
from tests.report.documents import failure, inspection, picture


def test_a_journal_gives_documents_with_pictures_and_reviews(tmp_path: Path) -> None:
    said = inspection()
    with Journal.open(tmp_path) as journal:
        journal.pictures.write("o.png", picture(tmp_path).read_bytes())
        inspected(journal, "a.tif", one(picture="o.png", payload=json.dumps(said).encode()))
        inspected(journal, "b.tif", one("w", payload=b"garbage"))
        review = {"image": {"sha256": said["image"]["sha256"]}, "reviewer": "anna"}
        journal.reviews.add("r1", said["image"]["sha256"], json.dumps(review).encode(), lambda _: b"")
        for path in (tmp_path, tmp_path / "journal.sqlite3"):  # while it is held
            found = read_journal(path)
            assert [document.said for document in found.inspections] == [said]
            assert found.inspections[0].picture == tmp_path / "pictures" / "o.png"
            assert found.inspections[0].reviews == (review,)
            assert len(found.notes) == 1


def test_a_folder_gives_files_and_lines_and_each_verdict_once(tmp_path: Path) -> None:
    first, second = inspection(number=1), inspection("b.tif", number=2)
    (tmp_path / "a.inspection.json").write_text(json.dumps(first))
    picture(tmp_path).rename(tmp_path / "a.overlay.png")
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, (second, second, failure()))) + "\n[1]\n{broken")
    found = read_folder(tmp_path)
    assert [document.said for document in found.inspections] == [first, second]
    assert found.inspections[0].picture == tmp_path / "a.overlay.png"
    assert len(found.failures) == 1
    assert ["line 4" in found.notes[0], "line 5" in found.notes[1]] == [True, True]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="edge-inspect"):
        read_folder(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        read_folder(tmp_path / "not")


def test_an_image_that_was_inspected_again_counts_once_at_its_newest() -> None:
    def said(identity: str, ts_ms: int, path: str = "a.tif", epoch: str | None = "e", page: int = 0) -> Document:
        image = {"path": path, "page": page}
        return Document(
            {"schema": "edge.inspection/2", "inspection_id": identity, "ts_ms": ts_ms, "epoch": epoch, "image": image}
        )

    source = _source("x", [said("1", 1), said("2", 9), said("3", 2, "b.tif"), said("4", 3, page=1)], [])
    assert [document.said["inspection_id"] for document in source.inspections] == ["3", "4", "2"]
    assert any("1 verdicts are left out" in note for note in source.notes)
    by_hand = _source("x", [said("1", 1, epoch=None), said("2", 2, epoch=None)], [])
    assert len(by_hand.inspections) == 2
