"""`edge-review dead-letters`: what the broker never took is listed with the reason, and its original can be had."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.commands.cli import review
from edge.journal import Journal, Message, Verdict
from tests.journal.examples import inspected

TOMBSTONE = Message("verdict", "failure", b'{"schema": "edge.tombstone/1"}')


def said(text: str, *more: Message) -> Callable[[int], Sequence[Verdict]]:
    return lambda seq: [Verdict(f"v-{seq}", "inspection", (Message("verdict", "inspection", text.encode()), *more))]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of three verdicts the broker never took the second, nor the picture of the third."""
    with Journal.open(tmp_path / "state") as journal:
        inspected(journal, "a.tif", said('{"name": "a.tif"}'))
        inspected(journal, "b.tif", said('{"name": "b.tif"}'))
        journal.pictures.write("v-3.png", b"picture")
        inspected(journal, "c.tif", said('{"name": "c.tif"}', Message("overlay", "overlay/v-3", None, "v-3.png")))
        rows = {(row.seq, row.role): row for row in journal.outbox.unsent()}
        journal.outbox.bury(rows[2, "verdict"].id, "larger than the broker takes", TOMBSTONE)
        journal.outbox.bury(rows[3, "overlay"].id, "not allowed", None)
    return tmp_path / "state"


def test_the_list_tells_number_topic_and_why_the_newest_first(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(["dead-letters", "--state", str(state)]) == 0
    printed = capsys.readouterr()
    first, why, second, _ = printed.out.splitlines()
    assert first.split()[0] == "3"
    assert "overlay/v-3" in first
    assert why.strip() == "not allowed"
    assert second.split()[0] == "2"
    assert second.endswith("v-2")
    assert "2 messages that the broker never took" in printed.err


def test_the_list_is_json_too(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(["dead-letters", "--json", "--state", str(state)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["seq"], one["verdict_id"], one["reason"]) for one in lines][1] == (2, "v-2", "larger than the broker takes")
    assert lines[0]["ts"].endswith("Z")


@pytest.mark.parametrize("named", ["2", "v-2"])
def test_the_original_is_printed_where_subscribers_got_a_tombstone(
    named: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(["dead-letters", named, "--state", str(state)]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "b.tif"}


def test_of_a_picture_that_was_not_taken_the_file_is_named(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(["dead-letters", "3", "--state", str(state)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"name": "c.tif"}
    assert str(state / "pictures" / "v-3.png") in printed.err


@pytest.mark.parametrize("named", ["1", "nothing"])
def test_what_was_taken_or_never_was_is_refused_with_what_to_type(
    named: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(["dead-letters", named, "--state", str(state)]) == 2
    assert f"{named} is no dead letter: edge-review dead-letters shows" in capsys.readouterr().err


def test_an_original_that_was_forgotten_is_said_and_the_others_are_printed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal.open(state) as journal:
        journal._database.write(lambda: journal._database.execute("DELETE FROM outbox WHERE seq = 2"))  # as pruning leaves it
    assert review(["dead-letters", "2", "3", "--state", str(state)]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"name": "c.tif"}
    assert "v-2 is no longer kept" in printed.err
