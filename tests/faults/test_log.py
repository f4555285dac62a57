"""The log of counts: what it sums, what bound it states, and that the page shows it as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import log
from tests.faults.log import Run
from tests.faults.row import Outcome, Row
from tests.faults.rows import BY_NAME, ROWS

ROW = Row("one", "a fault", 300, lambda _: Outcome())


def run(trials: int, failed: int = 0, *, anew: bool = False, **more: object) -> Run:
    return Run("one", "2026-11-26", "0.6.0", 7, 0, trials, 1, 2.0, failed, anew=anew, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failed", "trials", "bound"), [(0, 300, 0.01), (0, 2, 1.0), (1, 100, 0.0466), (5, 5, 1.0), (0, 0, 1.0)]
)
def test_the_bound_is_the_rule_of_three_or_clopper_and_pearsons(failed: int, trials: int, bound: float) -> None:
    assert log.upper_bound(failed, trials) == pytest.approx(bound, rel=0.002)


def test_runs_add_up_and_what_was_mended_is_counted_anew(tmp_path: Path) -> None:
    file = tmp_path / "counts.jsonl"
    for one in (
        run(100, 3),
        run(50, anew=True, counts={"images": 5}, worst={"s": 1.0}),
        run(60, counts={"images": 7}, worst={"s": 0.5}),
    ):
        log.append(one, file)
    assert [one.trials for one in log.read(file)] == [100, 50, 60]
    total = log.sums(log.read(file))["one"]
    assert (total.trials, total.failed, total.real) == (110, 0, 2)
    assert (total.counts, total.worst) == ({"images": 12}, {"s": 1.0})


def test_a_row_that_was_never_counted_says_so() -> None:
    assert "0 of 300 trials | – | – | – | not counted yet" in log.table([ROW], [])


def test_the_table_says_what_failed_and_how_sure_a_zero_is() -> None:
    line = log.table([ROW], [run(300, counts={"images": 1200})]).splitlines()[-1]
    assert "300 of 300 trials | 1 | 0 | 1 % | 1,200 images" in line
    assert "| 1 | 4.7 % |" in log.table([ROW], [run(100, 1)])
    assert "| 0 | 100 % |" in log.table([ROW], [run(2)])


def test_the_page_shows_the_log_as_it_is() -> None:
    page = log.PAGE.read_text(encoding="utf-8")
    shown = page.partition(log.BEGIN)[2].partition(log.END)[0].strip()
    assert shown == log.table(ROWS, log.read()), "python -m tests.faults.count --table writes it"


def test_every_line_of_the_log_is_of_a_row_that_there_is() -> None:
    assert {one.row for one in log.read()} <= set(BY_NAME)


def test_the_page_keeps_what_stands_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{log.BEGIN}\nold\n{log.END}\nafter\n")
    log.put_into_page("new", page)
    assert page.read_text() == f"before\n{log.BEGIN}\nnew\n{log.END}\nafter\n"


def test_a_row_whose_trials_do_many_at_once_counts_those() -> None:
    many = replace(ROW, each=10, unit="files")
    assert "| 1,000 of 3,000 files | 10 | 0 | 0.3 % |" in log.table([many], [run(100)])
