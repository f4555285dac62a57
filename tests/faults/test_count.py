"""The runner of counts: trials that are their seed's and number's alone, runs that go on, and failures that are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import count, log
from tests.faults.breaking import Unavailable
from tests.faults.row import REAL_EVERY, Outcome, Row, Trial
from tests.faults.rows import ROWS


def drawn(trial: Trial) -> Outcome:
    value = trial.chance.randint(0, 1 << 30)
    return Outcome([f"odd: {trial.number}"] if trial.number == 3 else [], {"images": 2}, {"value": value})


ROW = Row("one", "a fault", 20, drawn, cases=("a", "b"), in_ci=1)


def test_a_trial_is_done_again_by_its_row_seed_and_number(tmp_path: Path) -> None:
    one, again, other = (ROW.trial(seed, 4, tmp_path).chance.random() for seed in (7, 7, 8))
    assert one == again != other


def test_cases_are_taken_in_turn_and_one_round_in_ten_is_real(tmp_path: Path) -> None:
    trials = [ROW.trial(1, number, tmp_path) for number in range(2 * REAL_EVERY)]
    assert [trial.case for trial in trials[:4]] == ["a", "b", "a", "b"]
    assert [trial.case for trial in trials if trial.real] == ["a", "b"]


def test_a_run_counts_each_case_and_tells_what_failed() -> None:
    run = count.counted(ROW, 2, 4, 7)
    assert (run.first, run.trials, run.failed, run.problems) == (2, 4, 1, ["3 b: odd: 3"])
    assert (run.by_case, run.counts) == ({"a": 2, "b": 2}, {"images": 8})


def test_an_error_of_the_bench_is_a_failed_trial() -> None:
    def broken(_: Trial) -> Outcome:
        raise AssertionError("the daemon does not come up")

    run = count.counted(Row("one", "a fault", 1, broken), 0, 1, 7)
    assert run.problems == ["0 : bench: AssertionError: the daemon does not come up"]


def test_what_this_machine_cannot_do_is_no_trial() -> None:
    def cannot(_: Trial) -> Outcome:
        raise Unavailable("only root may")

    with pytest.raises(Unavailable):
        count.counted(Row("one", "a fault", 1, cannot), 0, 1, 7)


def test_a_run_that_is_ended_by_hand_keeps_its_whole_trials() -> None:
    def ended(trial: Trial) -> Outcome:
        if trial.number == 2:
            raise KeyboardInterrupt
        return Outcome([], {})

    run = count.counted(Row("one", "a fault", 9, ended), 0, 9, 7)
    assert (run.trials, run.failed) == (2, 0)


def test_a_seed_goes_on_where_it_ended_and_the_aim_is_what_is_left(tmp_path: Path) -> None:
    file = tmp_path / "counts.jsonl"
    log.append(count.counted(ROW, 0, 2, 7), file)
    runs = log.read(file)
    assert count.next_number(ROW, runs, 7) == 2
    assert count.next_number(ROW, runs, 8) == 0
    assert count.done(ROW, runs, anew=False) == 2
    assert count.done(ROW, runs, anew=True) == 0


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_the_command_says_which_rows_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        count.main([])
    assert ended.value.code == 2
    assert ROWS[0].name in capsys.readouterr().err
