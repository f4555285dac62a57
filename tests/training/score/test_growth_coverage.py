from __future__ import annotations

import pytest

from training.score.growth_coverage import DESIGNS, factorial_table, main, measure_bias, measure_coverage


def test_a_design_has_its_coupons_and_fields() -> None:
    rows = factorial_table(3, DESIGNS[0])
    assert len(rows) == 12 * 5 * 3
    assert rows["coupon"].nunique() == 12 * 5


def test_a_lost_condition_is_asked_for_all_the_same() -> None:
    found = measure_coverage(DESIGNS[4], 1)
    assert (found.asked, found.lost_asked) == (12, 1)
    assert measure_coverage(DESIGNS[2], 1).lost_asked == 0


def test_bands_hold_the_truth_about_as_often_as_they_say() -> None:
    found = measure_coverage(DESIGNS[1], 8)
    assert found.held / found.asked > 0.85


def test_the_command_prints_a_row_a_design(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--seeds", "1"])
    assert capsys.readouterr().out.count("|\n") == 2 + len(DESIGNS) + 1  # and one of the lost condition


def test_through_the_network_each_exposure_has_a_ratio() -> None:
    found = measure_bias(1, coupons=1, size_px=(320, 256))
    assert [row.exposure_h for row in found] == [1, 168, 336, 504]
    assert 0.2 < found[-1].ratio < 3
    assert sum(row.asked for row in found) == 0  # one coupon a condition: nothing is fitted


def test_a_design_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--design", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| 2 coupons, 2 fields |")
