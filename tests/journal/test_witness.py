"""What the witness remembers, and what it takes for a copy; whole states that come back are in test_numbering.py."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.journal.witness import SLACK_NS, Witness

EPOCH = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "journal.sqlite3").touch()
    return tmp_path


def written(state: Path, seq: int = 7, *, closed: bool = True) -> None:
    witness = Witness(state)
    witness.write(EPOCH, seq, synced=True)
    if closed:
        witness.close()
    else:
        assert witness._descriptor is not None
        os.close(witness._descriptor)


def agrees(state: Path, epoch: str = EPOCH, last_seq: int = 7) -> bool:
    witness = Witness(state)
    answer = witness.agrees(epoch, last_seq)
    assert witness._descriptor is not None
    os.close(witness._descriptor)
    return answer


@pytest.mark.parametrize("closed", [True, False])
def test_it_agrees_with_the_database_that_it_was_written_for_and_with_a_later_one(closed: bool, state: Path) -> None:
    written(state, closed=closed)
    assert agrees(state)
    assert agrees(state, last_seq=8)
    assert not agrees(state, last_seq=6)
    assert not agrees(state, epoch=EPOCH.replace("1", "2"))


@pytest.mark.parametrize("closed", [True, False])
def test_a_line_that_was_put_back_was_noted_later_than_it_says(closed: bool, state: Path, tmp_path: Path) -> None:
    written(state, closed=closed)
    os.utime(state / "witness", ns=(0, 0))  # changes nothing but the ctime, as a copy that keeps times does
    line = (state / "witness").read_text().split()
    line[5] = f"{int(line[5]) - 10**9:020d}"
    (state / "witness").write_text(f"{' '.join(line)}\n")
    assert not agrees(state)


def test_a_busy_machine_between_two_steps_of_writing_makes_no_copy_of_the_line(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ftruncate", "fsync"):
        monkeypatch.setattr(os, name, late(getattr(os, name)))
    written(state, closed=False)
    assert agrees(state)


def late(call: Callable[..., None]) -> Callable[..., None]:
    def waits_first(*arguments: int) -> None:
        time.sleep(3 * SLACK_NS / 1e9)  # as for its turn
        call(*arguments)

    return waits_first


def test_after_a_power_cut_the_time_of_the_line_says_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(state, closed=False)
    line = (state / "witness").read_text().split()
    line[5] = f"{int(line[5]) - 10**12:020d}"
    (state / "witness").write_text(f"{' '.join(line)}\n")
    monkeypatch.setattr("edge.journal.witness.boot_id", lambda: EPOCH)
    assert agrees(state)


def test_another_file_in_place_of_the_database_is_a_copy(state: Path) -> None:
    written(state)
    shutil.copy(state / "journal.sqlite3", state / "new")
    (state / "new").replace(state / "journal.sqlite3")
    assert not agrees(state)


@pytest.mark.parametrize("text", ["", "x", "\0" * 300, f"{EPOCH} x y", f"{EPOCH} 1 2 3", "ä" * 9, f"{EPOCH} {'9' * 999} 1"])
def test_what_makes_no_sense_agrees_with_nothing(text: str, state: Path) -> None:
    (state / "witness").write_text(text)
    assert not agrees(state)
    assert Witness(state).empty == (not text.split())


def test_its_line_is_always_of_one_length(state: Path) -> None:
    lengths = set()
    for seq, closed in ((1, False), (10**19, True)):
        written(state, seq, closed=closed)
        lengths.add((state / "witness").stat().st_size)
    assert len(lengths) == 1
