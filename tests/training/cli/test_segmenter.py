"""`edge-train segmenter` refuses what it cannot do before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.learn.conftest import options
from training import cli


@pytest.mark.parametrize(("option", "value"), [("--epochs", "0"), ("--imgsz", "wide"), ("--preset", "long")])
def test_a_value_that_an_option_cannot_have_is_named_with_the_option(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["segmenter", "--data", str(tmp_path), option, value])
    assert ended.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err


def test_without_data_it_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    assert cli.main(["segmenter", *options(tmp_path, tmp_path)]) == 2
    assert "edge-train synthesize" in capsys.readouterr().err


def test_a_fold_that_is_no_number_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["segmenter", *options(tmp_path, tmp_path, "--fold", "last")])
    assert "a number from 0, or all" in capsys.readouterr().err
