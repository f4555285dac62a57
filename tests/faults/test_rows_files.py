"""Files that are many, slow, bad or poisonous: a few trials of each row, the same code that is counted by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.brokers import needs_mosquitto
from tests.faults.bad_files import BAD
from tests.faults.book import Book
from tests.faults.poisons import FILES
from tests.faults.row import Trial
from tests.faults.rows import BY_NAME
from tests.faults.rows.many import behind_many
from tests.faults.rows.poison import poisoned
from tests.faults.writers import ORDERS, PAUSES, SPACES, TAILS, Plan, Planned

SEED = 300


def trial(row: str, folder: Path, number: int = 0) -> Trial:
    return replace(BY_NAME[row].trial(SEED, number, folder), real=False)


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["slow-writers", "bad-files"])
def test_slow_and_bad_files_are_told_once_and_as_what_they_are(name: str, tmp_path: Path) -> None:
    outcome = BY_NAME[name].one(trial(name, tmp_path))
    assert outcome.problems == []
    assert outcome.counts["verdicts"] >= BY_NAME[name].each


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
def test_no_file_stops_the_next_good_image_over_three_restarts(tmp_path: Path) -> None:
    assert poisoned(trial("poison", tmp_path), list(FILES)).problems == []


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
def test_a_library_that_ends_its_thread_stops_no_good_image_over_three_restarts(tmp_path: Path) -> None:
    assert poisoned(trial("poison", tmp_path), ["panic while read"]).problems == []


@needs_mosquitto
@pytest.mark.broker
@pytest.mark.timeout(600)
def test_many_files_hide_no_new_image_and_none_is_forgotten(tmp_path: Path) -> None:
    outcome = behind_many(trial("many-files", tmp_path), many=300)
    assert outcome.problems == []
    assert outcome.counts["verdicts"] > 3


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_made_again_from_the_same_chance(kind: str) -> None:
    extension, data = BAD[kind].make(random.Random(3), 7)
    assert extension.startswith(".")
    assert (extension, data) == BAD[kind].make(random.Random(3), 7)


@pytest.mark.parametrize("tail", TAILS)
def test_every_plan_of_a_slow_writer_leaves_the_whole_image(tail: str, tmp_path: Path) -> None:
    book = Book()
    for order in ORDERS:
        for space in SPACES:
            plan = Plan(order, space, PAUSES[0], tail)
            planned = Planned(plan, tmp_path, book, random.Random(1), dict.fromkeys(PAUSES, 0.0))
            planned.write()
            assert (tmp_path / planned.name).read_bytes() == planned.data, str(plan)
