"""A journal's pages: what is there at once, what comes, and a journal that is not there, goes, or holds garbage."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.journal import Journal
from edge.web import journal_source
from edge.web.journal_source import JournalSource
from tests.conftest import settings_for
from tests.journal.examples import failure, inspected, one
from tests.web.documents import inspection

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_source, "LOOK_S", 0.02)
    monkeypatch.setattr(journal_source, "AGAIN_S", 0.05)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir()
    return tmp_path / "state"


@pytest.fixture
def source(state: Path) -> Iterator[JournalSource]:
    with JournalSource(settings_for(state.parent / "watched")) as source:
        yield source


def until(true: Callable[[], Any]) -> Any:
    """What `true` says as soon as it is something."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def ids(source: JournalSource, **how: Any) -> list[str]:
    asked = {"before": "", "limit": 50, "doubtful": False, "search": "", **how}
    return [row["id"] for row in source.rows("", **asked)["rows"]]


def test_without_a_journal_it_says_so_and_waits_for_one(state: Path, source: JournalSource) -> None:
    until(lambda: "there is no journal" in (source.problems("")["journal"] or ""))
    assert source.now("")["row"] is None
    assert source.inspection("", "x") is None
    assert source.fleet()[0]["state"] == "offline"
    with Journal.open(state) as journal:
        inspected(journal)
        assert until(lambda: ids(source)) == ["v-1"]
        assert source.problems("")["journal"] is None


def test_what_comes_is_news_and_thousands_are_a_reload(state: Path, source: JournalSource) -> None:
    with Journal.open(state) as journal:
        inspected(journal)
        until(lambda: ids(source))
        seen = source.last_event()
        inspected(journal, "<b>.tif", failure("f"))
        event = until(lambda: [one for one in source.news(seen, 0.0) if one.kind == "verdict"])[0]
        assert event.said["row"]["name"] == "<b>.tif"
        assert event.said["row"]["kind"] == "failure"
        assert source.now("")["today"]["failures"] == 1
        assert [row["id"] for row in source.problems("")["failures"]] in ([], ["f-2"])


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"image": {"path": "\ud800"}, "ts_ms": 1e999}).encode(),
        json.dumps({"image": [], "severity": 1, "corrosion": {}, "model": None, "sample": "x"}).encode(),
    ],
)
def test_garbage_in_the_journal_takes_no_page_away(state: Path, source: JournalSource, payload: bytes) -> None:
    with Journal.open(state) as journal:
        inspected(journal, "a.tif", one("bad", payload=payload))
        inspected(journal, "b.tif", one("next"))
        assert until(lambda: len(ids(source)) == 2 and ids(source)) == ["next-2", "bad-1"]
    assert source.inspection("", "bad-1") is not None
    assert len(source.timeline("")["ids"]) == 2
    assert source.image("", "bad-1") is None


@pytest.mark.parametrize("before", ["x", "1-", "²-1", "9" * 18 + "-" + "9" * 18, "9" * 39 + "-1", "-", "1-2-3"])
def test_a_place_to_go_on_from_that_is_none_is_no_defect(source: JournalSource, before: str) -> None:
    assert ids(source, before=before) == []


def test_a_journal_that_is_moved_away_and_a_new_one(state: Path, source: JournalSource) -> None:
    with Journal.open(state) as journal:
        inspected(journal)
        until(lambda: ids(source))
    for file in state.glob("journal.sqlite3*"):
        file.unlink()
    until(lambda: source.problems("")["journal"])
    assert ids(source) == ["v-1"], "what is known stays"
    (state / "witness").unlink(missing_ok=True)
    with Journal.open(state) as journal:
        inspected(journal, "new.tif", one("new"))
        until(lambda: ids(source) == ["new-1"])


def test_a_damaged_journal_is_said_and_a_whole_one_is_read_again(state: Path, source: JournalSource) -> None:
    with Journal.open(state) as journal:
        inspected(journal)
    until(lambda: ids(source))
    file, copy = state / "journal.sqlite3", state.parent / "copy"
    shutil.copyfile(file, copy)
    file.unlink()
    file.write_bytes(b"no database" * 1000)
    until(lambda: source.problems("")["journal"])
    file.unlink()
    copy.rename(file)
    until(lambda: source.problems("")["journal"] is None)
    assert ids(source) == ["v-1"]


def test_the_files_it_makes_are_its_own(state: Path, source: JournalSource) -> None:
    with Journal.open(state) as journal:
        inspected(journal)
        until(lambda: ids(source))
        assert {file.name for file in (state / "web").iterdir()} >= {"index.sqlite3"}
        assert (state / "web" / "index.sqlite3").stat().st_mode & 0o077 == 0


def test_the_first_verdict_after_a_restart_of_the_page_is_news_and_the_first_of_all_is_too(state: Path) -> None:
    settings = settings_for(state.parent / "watched")
    with Journal.open(state) as journal:
        for number in (1, 2):
            with JournalSource(settings) as source:
                before = source.last_event()
                source.news(before, PATIENCE_S)  # it has looked once
                inspected(journal, f"{number}.tif")
                end = time.monotonic() + PATIENCE_S
                while not any(told.kind == "verdict" for told in source.news(before, 0.1)):
                    assert time.monotonic() < end


def test_a_class_of_the_plants_own_is_counted_found_and_drawn_by_its_name(state: Path, source: JournalSource) -> None:
    document = inspection(label=None, **{"class": "coarse <b>"})
    with Journal.open(state) as journal:
        inspected(journal, "a.tif", one("own", payload=json.dumps(document).encode()))
        inspected(journal, "b.tif", one("next"))
        until(lambda: len(ids(source)) == 2)
    now = until(lambda: source.now(""))
    assert now["today"]["classes"] == {"coarse <b>": 1}
    assert now["today"]["low"] == 0
    assert ids(source, search="coarse") == ["own-1"]
    assert source.timeline("")["own_class"] == ["coarse <b>", None]


def test_of_many_failures_the_newest_are_listed_and_all_are_counted(
    state: Path, source: JournalSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_source, "MOST_SHOWN", 2)
    with Journal.open(state) as journal:
        for number in range(5):
            inspected(journal, f"{number}.tif", failure(f"f{number}"))
        until(lambda: len(ids(source)) == 5)
        facts = source.problems("")
        assert [row["name"] for row in facts["failures"]] == ["4.tif", "3.tif"]
        assert facts["failures_in_all"] == 5
