"""All errors are named at once, and the command prints what it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from tests.training.data.conftest import run


def test_all_errors_are_named_at_once_and_nothing_is_written(data: Path) -> None:
    (data / "labels" / "c1_2.txt").unlink()
    (data / "labels" / "stray.txt").write_text("")
    (data / "labels" / "c2_4.txt").write_text("7 0.1 0.1 0.2 0.1 0.2 0.2\n")
    (data / "images" / "c3_6.png").write_bytes(b"no image")
    (data / "samples.csv").write_text((data / "samples.csv").read_text() + "ghost.png,low,g\n")
    with pytest.raises(ConfigError) as caught:
        run(data, classes=("pit",))
    for what in ("labels are missing", "labels of no image: stray.txt", "number 7", "cannot be read", "ghost.png"):
        assert what in str(caught.value)
    assert sorted(path.name for path in data.parent.iterdir()) == ["data"]


def test_the_command_ends_with_2_for_data_that_cannot_be_used(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training import cli

    (data / "labels" / "c1_2.txt").unlink()
    assert cli.main(["prepare", str(data), "--out", str(data.parent / "out")]) == 2
    assert "labels are missing" in capsys.readouterr().err


def test_the_command_prints_what_it_made(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training import cli

    assert cli.main(["prepare", str(data), "--out", str(data.parent / "out"), "--folds", "3", "--classes", "pit"]) == 0
    printed = capsys.readouterr().out
    assert "18 images of 9 groups" in printed
    assert printed.splitlines()[-1] == str(data.parent / "out")
