"""Groups stay on one side; severities are spread."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import run, table
from training.data.options import Options
from training.data.prepare import prepare


def test_a_group_stays_in_one_part_and_one_fold(data: Path) -> None:
    rows = table(run(data).folder).values()
    for group in {row["group"] for row in rows}:
        assert len({(row["part"], row["fold"]) for row in rows if row["group"] == group}) == 1


def test_severities_are_spread_over_the_parts(data: Path) -> None:
    record = run(data, test=0.3, val=0.3, folds=2).record
    for part in (*record["parts"].values(), *record["folds"].values()):
        assert set(part["severities"]) == {"low", "moderate", "severe"}


def test_another_seed_splits_otherwise(data: Path, tmp_path: Path) -> None:
    folders = [prepare(data, tmp_path / f"{seed}", Options(folds=3, seed=seed), "").folder for seed in range(4)]
    assert len({tuple(row["fold"] for row in table(folder).values() if not row["origin"]) for folder in folders}) > 1


def test_too_few_groups_for_the_folds_are_counted(data: Path) -> None:
    with pytest.raises(ConfigError, match="at least 11 are needed"):
        run(data, folds=10)
