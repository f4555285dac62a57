"""Documents are read from journals, folders and lines, and what is none is named."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError
from edge.journal import Journal
from edge.report.reading import Document, Period, Source, _source, read_folder, read_journal
from tests.journal.examples import inspected, one
from tests.report.documents import failure, inspection, picture
from tests.teach.making import review


def test_a_journal_gives_documents_with_pictures_and_reviews(tmp_path: Path) -> None:
    said = inspection()
    with Journal.open(tmp_path) as journal:
        journal.pictures.write("o.png", picture(tmp_path).read_bytes())
        inspected(journal, "a.tif", one(picture="o.png", payload=json.dumps(said).encode()))
        inspected(journal, "b.tif", one("w", payload=b"garbage"))
        given = {"image": {"sha256": said["image"]["sha256"]}, "reviewer": "anna"}
        journal.reviews.add("r1", said["image"]["sha256"], json.dumps(given).encode(), lambda _: b"")
        for path in (tmp_path, tmp_path / "journal.sqlite3"):  # while it is held
            found = read_journal(path)
            assert [document.said for document in found.inspections] == [said]
            assert found.inspections[0].picture == tmp_path / "pictures" / "o.png"
            assert found.inspections[0].reviews == (given,)
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


def test_exported_reviews_in_a_folder_are_joined_to_their_images(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.inspection.json").write_text(json.dumps(inspection(f"{number}.tif", number=number)))
    given = review("1.tif", f"{1:064x}", severity={"verdict": "low"})
    (tmp_path / "reviews.jsonl").write_text(json.dumps(given) + '\n{"schema": "edge.review/1"}\n')
    found = read_folder(tmp_path)
    assert [document.reviews for document in found.inspections] == [(given,), ()]
    assert len(found.notes) == 1


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="edge-inspect"):
        read_folder(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        read_folder(tmp_path / "not")


def said(identity: str, ts_ms: int, path: str = "a.tif", epoch: str | None = "e", **more: Any) -> Document:
    """A verdict of a journal, or of `edge-inspect` where there is no epoch."""
    image = {"path": path, "page": more.pop("page", 0), "sha256": more.pop("sha256", None)}
    schema = "edge.failure/1" if more.pop("failed", False) else "edge.inspection/2"
    return Document({"schema": schema, "inspection_id": identity, "ts_ms": ts_ms, "epoch": epoch, "image": image, **more})


def ids(source: Source) -> list[str]:
    return [document.said["inspection_id"] for document in source.inspections]


def test_an_image_that_was_inspected_again_counts_once_at_its_newest() -> None:
    source = _source("x", [said("1", 1), said("2", 9), said("3", 2, "b.tif"), said("4", 3, page=1)], [])
    assert ids(source) == ["3", "4", "2"]
    assert any("1 earlier verdicts are left out" in note and "a.tif" in note for note in source.notes)
    by_hand = _source("x", [said("1", 1, epoch=None), said("2", 2, epoch=None)], [])
    assert len(by_hand.inspections) == 2


def test_a_clock_that_was_set_back_does_not_make_an_old_verdict_the_newest() -> None:
    assert ids(_source("x", [said("1", 900, seq=1), said("2", 100, seq=2)], [])) == ["2"]
    restored = [said("1", 100, seq=70), said("2", 900, epoch="f", seq=1)]
    assert ids(_source("x", restored, [])) == ["2"]


def test_an_image_that_failed_last_has_no_inspection() -> None:
    source = _source("x", [said("1", 1), said("2", 2, failed=True)], [])
    assert source.inspections == ()
    assert len(source.failures) == 1


def test_the_newest_verdict_is_that_of_the_period() -> None:
    january, march = (round(datetime(2026, month, 5, tzinfo=timezone.utc).timestamp() * 1e3) for month in (1, 3))
    found = [said("1", january), said("2", march)]
    february = datetime(2026, 2, 1, tzinfo=timezone.utc)
    assert ids(_source("x", found, [], Period(until=february))) == ["1"]
    later = _source("x", found, [], Period(since=february))
    assert ids(later) == ["2"]
    assert "from 2026-02-01 on" in later.where
    assert not later.notes
    with pytest.raises(ConfigError, match="before 2025-01-01; its 2 verdicts are from 2026-01-05 to 2026-03-05"):
        _source("x", found, [], Period(until=february.replace(year=2025, month=1)))


def test_a_day_begins_at_midnight_and_ends_before_the_next() -> None:
    day, next_day = datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc)
    period = Period(day, next_day)
    edges = [round(day.timestamp() * 1e3) + off for off in (-1, 0, 86_399_999, 86_400_000)]
    assert [period.holds({"ts_ms": at}) for at in edges] == [False, True, True, False]


def test_the_newest_copy_of_a_verdict_counts_whatever_the_order_of_files() -> None:
    assert [d.said["ts_ms"] for d in _source("x", [said("1", 9, epoch=None), said("1", 2, epoch=None)], []).inspections] == [9]


def test_files_of_the_same_bytes_are_named() -> None:
    same = [said(str(n), n, f"{n}.tif", sha256="s", corrosion={}) for n in range(3)]
    source = _source("x", same, [])
    assert len(source.inspections) == 3
    assert source.notes == ("0.tif, 1.tif, 2.tif: the same bytes 3 times, and each counts.",)


def test_a_folder_of_something_else_is_not_told_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n" * 500)
    notes = read_folder(tmp_path).notes
    assert len(notes) == 21
    assert notes[-1] == "480 more are left out."
