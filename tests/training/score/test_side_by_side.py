"""Drawn and real images on one page that needs nothing beside it."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from training import cli
from training.score.side_by_side import write_page


def drawn(folder: Path, count: int = 2) -> Path:
    size = ["--size", "96x80", "--seed", "4"]
    assert cli.main(["synthesize", "--preset", "relief", "--out", str(folder), "--images", str(count), *size]) == 0
    return folder


def test_each_drawn_image_stands_with_its_truth_and_a_real_one(tmp_path: Path) -> None:
    real = tmp_path / "real & mine"
    real.mkdir()
    for name in ("a.png", "a_mask.png", "b.png", "c.png"):
        cv2.imwrite(str(real / name), np.random.default_rng(0).integers(0, 255, (80, 90), np.uint8))
    write_page(tmp_path / "page.html", drawn(tmp_path / "drawn"), real)
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 2 * 2 + 3
    assert "beside real ones" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "look" / "page.html"
    arguments = ["--out", str(tmp_path / "drawn"), "--images", "1", "--size", "96x80", "--page", str(page)]
    assert cli.main(["synthesize", *arguments]) == 0
    assert str(page) in capsys.readouterr().out
    assert "Drawn micrographs" in page.read_text()


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no drawn image"):
        write_page(tmp_path / "page.html", tmp_path, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no image"):
        write_page(tmp_path / "page.html", drawn(tmp_path / "drawn", 1), tmp_path / "empty")


def test_beside_needs_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), "--images", "1", "--beside", str(tmp_path)]) == 2
    assert "--page" in capsys.readouterr().err
