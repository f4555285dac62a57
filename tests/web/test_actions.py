"""What the page asks the daemon for: the files that it leaves, and the answers that it waits for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ReviewError
from edge.journal import page_requests, requests
from edge.teach.reviews import parse_review
from edge.web.actions import COMMANDS, Actions
from edge.web.journal_source import JournalSource
from tests.conftest import settings_for
from tests.web.test_reviewing import STRUCK, document


class Known(JournalSource):
    """A source that knows one inspection."""

    def document(self, verdict_id: str) -> dict[str, Any] | None:
        return {"i1": document(), "failed": {"failure_id": "failed"}}.get(verdict_id)


@pytest.fixture
def actions(tmp_path: Path) -> Actions:
    (tmp_path / "watched").mkdir()
    (tmp_path / "state").mkdir()
    return Actions(Known(settings_for(tmp_path / "watched")))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[list[page_requests.Asked]]:
    """Answers each command, and keeps it."""
    asked: list[page_requests.Asked] = []
    ended = threading.Event()

    def answer() -> None:
        while not ended.is_set():
            for file in page_requests.waiting(tmp_path / "state", page_requests.COMMAND):
                asked.append(page_requests.read(file))
                page_requests.answer(file, page_requests.Answer(True, None, {"n": len(asked)}))
            time.sleep(0.02)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield asked
    ended.set()
    thread.join()


def test_a_review_is_left_for_the_daemon_whole(actions: Actions, tmp_path: Path) -> None:
    review_id = actions.review({"inspection_id": "i1", "regions": [STRUCK]}, "ann")["review_id"]
    (file,) = requests.reviews_waiting(tmp_path / "state")
    review = parse_review(file.read_bytes(), "it")
    assert (review.review_id, review.reviewer, review.inspection_id) == (review_id, "ann", "i1")


@pytest.mark.parametrize("inspection_id", ["gone", "failed", None, 7, ["i1"], {}])
def test_what_was_not_inspected_is_not_reviewed(actions: Actions, tmp_path: Path, inspection_id: Any) -> None:
    with pytest.raises(ReviewError, match="not known here"):
        actions.review({"inspection_id": inspection_id, "note": "x"}, "ann")
    assert requests.reviews_waiting(tmp_path / "state") == []


def test_a_command_is_answered_and_names_who_asked(actions: Actions, daemon: list[page_requests.Asked]) -> None:
    told = actions.command("inspect", {"inspection_id": "i1"}, "bea")
    assert told == {"ok": True, "error": None, "result": {"n": 1}}
    assert daemon == [page_requests.Asked("inspect", {"inspection_id": "i1"}, "bea")]


def test_the_draft_goes_in_front_of_the_command_that_takes_it_and_another_does_not(
    actions: Actions, daemon: list[page_requests.Asked], tmp_path: Path
) -> None:
    drafts = tmp_path / "state" / "web" / "drafts"
    drafts.mkdir(parents=True)
    (drafts / "draft.json").write_text("{}")
    sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    (drafts / "said.json").write_text(json.dumps({"sha256": sha256}))
    actions = Actions(Known(actions.teaching._settings))
    for wanted, left in ((None, 0), ("1" * 64, 0), (sha256, 1)):
        assert actions.taught(wanted, "ann")["ok"]
        files = page_requests.waiting(tmp_path / "state", page_requests.ADAPTATION)
        assert [file.read_bytes() for file in files] == [b"{}"] * left
    assert [asked.fields["sha256"] for asked in daemon] == [None, "1" * 64, sha256]


def test_to_pause_needs_more_than_to_inspect_again() -> None:
    assert COMMANDS["inspect"] == "review"
    assert {COMMANDS[name] for name in COMMANDS if name != "inspect"} == {"command"}


def test_a_class_of_the_plants_own_is_handed_over_in_its_spelling(actions: Actions, tmp_path: Path) -> None:
    draft = {"severity": {"classes": [{"name": "Coarse", "label": None}, {"name": "fine", "label": "low"}]}}
    (tmp_path / "state" / "web" / "drafts").mkdir(parents=True)
    (tmp_path / "state" / "web" / "drafts" / "draft.json").write_text(json.dumps(draft))
    actions.review({"inspection_id": "i1", "severity": {"verdict": " coarse"}}, "ann")
    (file,) = requests.reviews_waiting(tmp_path / "state")
    assert json.loads(file.read_bytes())["severity"] == {"verdict": "Coarse"}
    for said in ("x,y", 3, None, ["low"], {}):
        with pytest.raises(ReviewError):
            actions.review({"inspection_id": "i1", "severity": {"verdict": said}}, "ann")


def test_teaching_is_told_the_order_of_classes(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(actions.teaching, "start", told.append)
    actions.teach({})
    actions.teach({"classes": [{"name": "fine", "label": "low"}, {"name": "coarse", "label": None}]})
    assert told == ["", "fine=low,coarse"]
