"""`edge-train annotate` says what it found and where it lies; its status says whether every file was read."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.training.labels.planted import pits
from training import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image with pits."""
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "clear.png"), pits()[0])
    return images


def test_it_counts_regions_and_images_and_names_the_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.main(["annotate", str(folder), "--out", str(out)]) == 0
    counts, named = capsys.readouterr().out.splitlines()[-2:]
    assert counts.endswith("regions in 1 images; 0 files failed")
    assert named == str(out)


def test_a_file_that_cannot_be_read_is_status_1(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "1 files failed" in capsys.readouterr().out


def test_a_folder_without_images_ends_with_status_2(tmp_path: Path) -> None:
    assert cli.main(["annotate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2


@pytest.mark.parametrize("options", [["--against", "nowhere"], ["--min-diameter-px", "1"]])
def test_wrong_options_end_with_status_2(folder: Path, tmp_path: Path, options: list[str]) -> None:
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out"), *options]) == 2
