"""`edge-train classifier` refuses what it cannot do before anything is learnt."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import cli


@pytest.mark.parametrize(
    ("option", "value"),
    [("--crops", "1.5"), ("--mixup", "-1"), ("--head-epochs", "-1"), ("--architecture", "vgg16"), ("--prior", "none")],
)
def test_a_value_that_an_option_cannot_have_is_named_with_the_option(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["classifier", "--data", str(tmp_path), option, value])
    assert ended.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err


def test_training_without_data_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert cli.main(["classifier", "--data", str(tmp_path), "--weights", "none", "--out", str(tmp_path)]) == 2
    assert "edge-train synthesize" in capsys.readouterr().err
