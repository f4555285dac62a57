"""Labels of every kind become the same regions, each with its image."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.records import Mask
from tests.training.data.conftest import run, table
from tests.training.labelled_images import HEIGHT, WIDTH, as_coco, as_labelme, as_npy, as_png, blobs, painted, ring
from training.data.options import Options
from training.data.prepare import prepare
from training.labels.yolo import read_yolo


@pytest.mark.parametrize("write", [as_coco, as_png, as_npy, as_labelme])
def test_labels_of_every_kind_become_the_same_files(data: Path, write: Callable[[dict[str, Mask], Path], None]) -> None:
    expected = run(data).folder
    masks = {path.stem: painted(read_yolo(path.read_text(), "", WIDTH, HEIGHT)) for path in (data / "labels").glob("*.txt")}
    for path in (data / "labels").glob("*.txt"):
        path.unlink()
    (data / "labels").rmdir()
    write(masks, data)
    folder = prepare(data, data.parent / "other", Options(folds=3, test=0.2, val=0.2, augment=2), "").folder
    for path in (expected / "labels").glob("*.txt"):
        assert path.read_text() == (folder / "labels" / path.name).read_text()


def test_pages_of_a_file_are_images_of_one_group(data: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    (data / "images" / "c0_0.png").unlink()
    pages = np.random.default_rng(9).integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(data / "images" / "c0_0.tif", pages, photometric="minisblack")
    (data / "samples.csv").write_text((data / "samples.csv").read_text().replace("c0_0.png", "c0_0.tif"))
    with pytest.raises(ConfigError, match="which page"):
        run(data)
    (data / "labels" / "c0_0.txt").rename(data / "labels" / "c0_0_page1.txt")
    (data / "labels" / "c0_0_page2.txt").write_text("")
    rows = table(run(data).folder)
    assert rows["c0_0_page1.png"]["part"] == rows["c0_0_page2.png"]["part"]


@pytest.mark.parametrize("shapes", [["a"], {"a": 1}, [{"label": "pit", "group_id": [1], "points": [[1, 1], [9, 1], [9, 9]]}]])
def test_json_that_nobody_expects_is_named(data: Path, shapes: Any) -> None:
    (data / "images" / "c0_0.json").write_text(json.dumps({"shapes": shapes}))
    with pytest.raises(ConfigError, match="labels cannot be read: c0_0"):
        run(data, labels="labelme")


def test_labels_from_another_folder_are_split_in_the_same_way(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "automatic"
    other.mkdir()
    as_npy({path.stem: ring() for path in (data / "labels").glob("*.txt")}, other)
    by_hand = run(data)
    automatic = prepare(data, tmp_path / "auto", Options(labels_from=other, folds=3, test=0.2, val=0.2, augment=2), "")
    assert automatic.record["labels"]["kind"] == "npy"
    assert table(automatic.folder) == table(by_hand.folder)


def test_regions_can_be_named_by_the_annealing_of_their_image(data: Path, tmp_path: Path) -> None:
    rows = (data / "samples.csv").read_text().splitlines()
    minutes = ["60" if index % 2 else "90" for index in range(len(rows) - 1)]
    head, *rest = csv.reader(rows)
    table = [dict(zip(head, row, strict=True), annealing_min=time) for row, time in zip(rest, minutes, strict=True)]
    with (data / "samples.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, table[0])
        writer.writeheader()
        writer.writerows(table)
    out = tmp_path / "annealed"
    prepare(data, out, Options(folds=2, augment=1, classes_by="annealing"), "")
    assert (out / "classes.txt").read_text().split() == ["AN_60", "AN_90"]
    for row, time in zip(table, minutes, strict=True):
        lines = (out / "labels" / f"{Path(row['image']).stem}.txt").read_text().splitlines()
        assert {line.split()[0] for line in lines} <= {"0" if time == "60" else "1"}


def test_an_image_without_annealing_has_no_class_by_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    cv2.imwrite(str(tmp_path / "data" / "a.png"), blobs(1).astype(np.uint8) * 200)
    with pytest.raises(ConfigError, match="annealing time is not known"):
        prepare(tmp_path / "data", tmp_path / "out", Options(folds=0, test=0, val=0, classes_by="annealing"), "")


def test_cross_sections_of_ceramic_coatings_are_split_by_sample(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for path in sorted((shared_data / "ebc_oxide" / name).glob("*.png"))[:8]:
            (tmp_path / "data" / name / path.name).write_bytes(path.read_bytes())
    record = run(tmp_path / "data", classes=("oxide", "crack"), augment=1, folds=2).record
    assert record["labels"]["mask_rule"] == "class"
    assert record["counts"]["groups"] == 6
    assert record["counts"]["regions"]["oxide"] > 0
