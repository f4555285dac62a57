"""A folder that is prepared, or not empty, is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import run
from training.data.options import Options
from training.data.prepare import prepare


def test_a_prepared_data_set_is_not_prepared_again(data: Path) -> None:
    folder = run(data).folder
    with pytest.raises(ConfigError, match="prepared already"):
        prepare(folder, data.parent / "again", Options(), "")


def test_a_folder_that_is_not_empty_is_left_alone(data: Path) -> None:
    out = data.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        run(data)
    assert (out / "mine.txt").read_text() == "keep"
