"""A folder becomes masks, a table and a page, worst first; a damaged file does not stop it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from tests.training.labels.planted import SIZE, pits
from training import cli
from training.draw.synthetic import render
from training.labels.annotate_folder import QUALITY_COLUMNS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    clear, _ = pits()
    faint, _ = pits(contrast=-22.0, noise=18.0)
    tifffile.imwrite(images / "clear.tif", clear)
    cv2.imwrite(str(images / "faint.png"), faint)
    return images


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_command_writes_a_mask_per_image_and_their_quality_worst_first(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert cli.main(["annotate", str(folder), "--out", str(out)]) == 0
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["clear.npy", "faint.npy"]
    labels = np.load(out / "masks" / "clear.npy")
    assert (labels.dtype, labels.shape, labels.max()) == (np.int32, (SIZE[1], SIZE[0]), 6)
    rows = table(out / "quality.csv")
    assert tuple(rows[0]) == QUALITY_COLUMNS
    assert [row["image"] for row in rows] == ["faint.png", "clear.tif"]
    assert float(rows[0]["score"]) < float(rows[1]["score"])
    assert rows[0]["reasons"]
    assert not (out / "report.html").exists()


def test_the_page_needs_nothing_but_itself_and_shows_the_worst_first(folder: Path, tmp_path: Path) -> None:
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out"), "--report"]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.index("faint.png") < page.index("clear.tif")
    assert re.findall(r'(?:src|href)="([^"]{0,22})', page) == ["data:image/jpeg;base64"] * 2


def test_the_command_compares_with_manual_labels(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manual = tmp_path / "manual"
    manual.mkdir()
    np.save(manual / "clear.npy", pits()[1])
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out"), "--against", str(manual)]) == 0
    written = json.loads((tmp_path / "out" / "against.json").read_text(encoding="utf-8"))
    assert written["total"]["recall"] == written["total"]["precision"] == 1.0
    assert written["without_labels"] == ["faint.png"]
    assert "6 of 6 manual regions found" in capsys.readouterr().out


def test_a_damaged_file_gets_a_row_and_the_others_are_annotated(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.tif").write_bytes(b"II*\0 not much of a picture")
    out = tmp_path / "out"
    assert cli.main(["annotate", str(folder), "--out", str(out)]) == 1
    rows = table(out / "quality.csv")
    assert (rows[0]["image"], rows[0]["score"]) == ("broken.tif", "0.000")
    assert len(rows) == 3
    assert (out / "masks" / "clear.npy").exists()


def test_pages_of_one_file_get_a_mask_each(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([pits()[0], pits(60.0)[0]]), photometric="minisblack")
    assert cli.main(["annotate", str(tmp_path / "stack.tif"), "--out", str(tmp_path / "out")]) == 0
    names = sorted(path.name for path in (tmp_path / "out" / "masks").iterdir())
    assert names == ["stack_page1.npy", "stack_page2.npy"]


def test_two_images_of_one_name_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(folder / "clear.png"), pits()[0])
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "rename one" in capsys.readouterr().err


def test_masks_may_be_written_beside_the_images_of_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), render(5, (320, 240)).grey)
    for _ in range(2):
        assert cli.main(["annotate", str(tmp_path / "images"), "--out", str(tmp_path)]) == 0
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.npy"]
