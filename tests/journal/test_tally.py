"""Counts of a stretch of time, from the stored verdicts alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal import Journal
from edge.journal import tally as tally_module
from edge.journal.tally import Tally
from tests.journal.examples import DAY_S, Clock, failure, inspected, one

DAY = (1_000_000.0, 1_000_000.0 + DAY_S)


def asked(journal: Journal) -> list[str]:
    queries: list[str] = []
    journal._database._connection.set_trace_callback(queries.append)
    return queries


def test_verdicts_of_the_day_are_counted_by_kind_and_those_of_yesterday_are_not(journal: Journal, clock: Clock) -> None:
    clock.now -= 1
    inspected(journal, "yesterday.tif")
    clock.now += 1
    inspected(journal, "a.tif")
    inspected(journal, "b.tif", failure("b"))
    assert journal.tally.between(*DAY) == (1, 1)
    inspected(journal, "c.tif", failure("c"))
    assert journal.tally.between(*DAY) == (1, 2)
    assert journal.tally.between(DAY[0] - DAY_S, DAY[0]) == (1, 0)


def test_a_restart_forgets_none_and_a_new_epoch_neither(folder: Path, clock: Clock) -> None:
    with Journal.open(folder, clock=clock) as journal:
        inspected(journal, "a.tif")
        inspected(journal, "b.tif", failure("b"))
    (folder / "witness").write_text("of another file")
    with Journal.open(folder, clock=clock) as journal:
        assert journal.renewed
        inspected(journal, "c.tif", one("w"))
        assert journal.tally.between(*DAY) == (2, 1)
    with Journal.view(folder) as view:
        assert view.tally.between(*DAY) == (2, 1)


def test_the_second_call_reads_only_what_is_new(journal: Journal) -> None:
    for number in range(5):
        inspected(journal, f"{number}.tif")
    journal.tally.between(*DAY)
    queries = asked(journal)
    assert journal.tally.between(*DAY) == (5, 0)
    (plan,) = journal._database.read(f"EXPLAIN QUERY PLAN {queries[0]}")
    assert len(queries) == 1
    assert "SEARCH verdict USING PRIMARY KEY ((epoch,seq)>" in plan[3]


@pytest.mark.parametrize(("wrong", "counted"), [(2, 5), (5, 2)])
def test_few_verdicts_under_a_wrong_clock_hide_none_and_a_long_past_is_not_read(
    journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch, wrong: int, counted: int
) -> None:
    monkeypatch.setattr(tally_module, "STEP", 3)
    for number, moment in enumerate([DAY[0]] * 3 + [0.0] * wrong + [DAY[0]] * 2):
        clock.now = moment
        inspected(journal, f"{number}.tif")
    assert Tally(journal._database).between(*DAY) == (counted, 0)


def test_verdicts_dated_ahead_are_of_their_own_day(journal: Journal, clock: Clock) -> None:
    inspected(journal, "a.tif")
    clock.now += 91 * DAY_S
    inspected(journal, "b.tif")
    assert journal.tally.between(*DAY) == (1, 0)


def test_the_last_image_is_the_last_that_nobody_asked_for_again(journal: Journal, clock: Clock) -> None:
    assert journal.tally.last_image_at() is None
    assert journal.tally.first_admission_at() is None
    inspected(journal, "a.tif", failure("a"))
    at = clock.now
    clock.now += 100
    journal.ledger.again("a-1")
    journal.ledger.begin("a.tif")
    journal.ledger.conclude("a.tif", failure("a"))
    assert journal.tally.last_image_at() == at
    assert journal.tally.first_admission_at() == at
