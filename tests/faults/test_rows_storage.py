"""Trials of what befalls the disk below the state; `make faults ROW=power-cuts` and its like count many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.brokers import needs_mosquitto
from tests.faults import disks
from tests.faults.breaking import Unavailable
from tests.faults.row import Row
from tests.faults.rows import BY_NAME
from tests.faults.rows.errors import NUMBERS
from tests.faults.rows.power import with_writer

SEED = 7


def trials(*names: str) -> list[tuple[str, int]]:
    """Of each row as many as a test does, of each case where it says so."""
    found = []
    for row in (BY_NAME[name] for name in names):
        found += [(row.name, number) for number in range(row.in_ci * (len(row.cases) if row.each_in_ci else 1))]
    return found


def passed(row: Row, number: int, folder: Path) -> None:
    try:
        outcome = row.one(row.trial(SEED, number, folder))
    except Unavailable as absent:
        pytest.skip(str(absent))
    print(outcome)
    assert outcome.problems == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "number"), trials("power-cuts", "shutdowns", "nth-errors", "journal-full"))
def test_what_the_journal_told_is_there_whatever_befalls_its_disk(name: str, number: int, tmp_path: Path) -> None:
    passed(BY_NAME[name], number, tmp_path)


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "number"), trials("disk-full"))
def test_a_daemon_goes_on_by_itself_when_its_full_disk_has_room_again(name: str, number: int, tmp_path: Path) -> None:
    passed(BY_NAME[name], number, tmp_path)


@pytest.mark.timeout(600)
def test_a_journal_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    row = BY_NAME["power-cuts"]
    try:
        outcome = with_writer(row.trial(SEED, 0, tmp_path), "--careless")
    except Unavailable as absent:
        pytest.skip(str(absent))
    assert any(problem.startswith("lost: ") for problem in outcome.problems)


def test_the_errors_stand_at_each_of_the_first_sixty_calls_and_at_each_tenth_to_four_hundred() -> None:
    assert NUMBERS[:60] == tuple(range(1, 61))
    assert NUMBERS[60:] == tuple(range(70, 410, 10))
    row = BY_NAME["nth-errors"]
    assert row.wanted == 752
    cases = {(row.trial(SEED, number, Path()).case, number // len(row.cases)) for number in range(row.wanted)}
    assert len(cases) == row.wanted


@pytest.fixture
def mounts() -> Iterator[disks.Mounts]:
    try:
        found = disks.Mounts()
    except Unavailable as absent:
        pytest.skip(str(absent))
    yield found
    found.close()


def test_what_is_mounted_is_seen_within_alone_and_gone_with_its_name_space(mounts: disks.Mounts, tmp_path: Path) -> None:
    folder = mounts.small("tmpfs", tmp_path, tmp_path / "disk")
    (mounts.inside(folder) / "there").write_text("x")
    assert mounts.within(lambda: [one.name for one in folder.iterdir()]) == ["there"]
    assert list(folder.iterdir()) == []


def test_what_fails_within_says_so(mounts: disks.Mounts) -> None:
    def fails() -> None:
        raise ValueError("broken within")

    with pytest.raises(AssertionError, match="broken within"):
        mounts.within(fails)
    with pytest.raises(AssertionError, match="no-such-image"):
        mounts.run("mount", "/no-such-image", "/mnt")
