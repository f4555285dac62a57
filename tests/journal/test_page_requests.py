"""A click becomes a file, the answer comes back, and what nobody took is taken back."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from edge.journal import page_requests, requests
from edge.journal.page_requests import ADAPTATION, COMMAND, Answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def test_who_asks_gets_the_answer_to_the_own_command(folder: Path) -> None:
    told: dict[str, Answer] = {}
    askers = [
        threading.Thread(target=lambda name=name: told.update({name: page_requests.ask(folder, name, {"a": 1}, "ann", 60)}))
        for name in ("pause", "rescan")
    ]
    for asker in askers:
        asker.start()
    answered = 0
    while answered < 2:
        for file in page_requests.waiting(folder, COMMAND):
            asked = page_requests.read(file)
            assert (asked.fields, asked.who) == ({"a": 1}, "ann")
            page_requests.answer(file, Answer(True, None, {"did": asked.name}))
            answered += 1
    for asker in askers:
        asker.join()
    assert {name: one.result for name, one in told.items()} == {"pause": {"did": "pause"}, "rescan": {"did": "rescan"}}
    assert list((folder / "requests").iterdir()) == []


def test_a_command_that_nobody_takes_is_taken_back(folder: Path) -> None:
    told = page_requests.ask(folder, "pause", {}, "ann", 0.0)
    assert not told.ok
    assert "does not answer" in str(told.error)
    assert list((folder / "requests").iterdir()) == []


def test_an_answer_that_nobody_fetches_is_removed_in_time(folder: Path) -> None:
    for name in ("a", "b"):
        page_requests.answer(requests.leave_file(folder, COMMAND, b"{}", name), Answer(True, None, None))
        os.utime(folder / "requests" / "a.answer", (0, 0)) if name == "a" else None
    assert [file.name for file in requests.left(folder, ".answer")] == ["b.answer"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"schema":"edge.request/1"}',
        b'{"schema":"edge.request/1","command":3,"fields":{},"who":"x"}',
        b'{"schema":"edge.request/1","command":"pause","fields":[],"who":"x"}',
        b" " * (requests.LARGEST_BYTES + 1),
    ],
)
def test_what_is_no_command_is_a_sentence(folder: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        page_requests.read(requests.leave_file(folder, COMMAND, data))


def test_a_name_cannot_forge_a_line_of_the_log(folder: Path) -> None:
    asked = {"schema": "edge.request/1", "command": "pause", "fields": {}, "who": "ann\n2026 root" + "x" * 500}
    who = page_requests.read(requests.leave_file(folder, COMMAND, json.dumps(asked).encode())).who
    assert who.startswith("ann?2026 root")
    assert len(who) == 100


def test_an_adaptation_is_handed_over_as_it_is(folder: Path) -> None:
    data = b'{"schema": "edge.taught/1"}'
    assert page_requests.leave_adaptation(folder, data) == hashlib.sha256(data).hexdigest()
    (file,) = page_requests.waiting(folder, ADAPTATION)
    assert file.read_bytes() == data
    with pytest.raises(ValueError, match="64 MiB"):
        page_requests.leave_adaptation(folder, bytes(page_requests.LARGEST_ADAPTATION + 1))
