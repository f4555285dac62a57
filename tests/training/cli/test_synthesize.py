"""`edge-train synthesize` draws what was asked for, or says what it cannot."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from training import cli


def test_synthesize_writes_as_many_images_as_asked_for(tmp_path: Path) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--seed", "9", "--size", "96x64"]) == 0
    images = sorted((tmp_path / "images").iterdir())
    assert len(images) == 2
    assert cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE).shape == (64, 96)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--preset", "paper", "--images", "5"], "--images"),
        ([], "--images"),
        (["--images", "2", "--classes", "annealing"], "--classes"),
    ],
)
def test_what_a_preset_cannot_do_is_wrong_usage(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), *arguments]) == 2
    assert named in capsys.readouterr().err


def test_a_size_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--size", "large"])
    assert raised.value.code == 2
