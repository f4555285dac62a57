"""What is written are the same pixels and bytes; copies are only learnt from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.training.data.conftest import run, table
from tests.training.labelled_images import HEIGHT, WIDTH, painted
from training.data.options import Options
from training.data.prepare import prepare
from training.labels.yolo import read_yolo


def test_copies_are_made_of_what_is_learnt_from_and_never_of_the_test(data: Path) -> None:
    rows = table(run(data, augment=4).folder)
    originals = {name: row for name, row in rows.items() if not row["origin"]}
    for name, row in originals.items():
        copies = [other for other in rows.values() if other["origin"] == name]
        assert len(copies) == (0 if row["part"] == "test" else 3)
        assert all((copy["part"], copy["fold"], copy["group"]) == (row["part"], row["fold"], row["group"]) for copy in copies)


def test_the_same_seed_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    options = Options(folds=3, seed=5)
    one, other = (prepare(data, tmp_path / name, options, "edge-train prepare").folder for name in ("one", "other"))
    assert (one / "dataset.json").read_bytes() == (other / "dataset.json").read_bytes()


def test_labels_without_a_change_keep_their_pixels(data: Path) -> None:
    folder = run(data).folder
    for path in (data / "labels").glob("*.txt"):
        one, other = (
            painted(read_yolo((at / path.name).read_text(), "", WIDTH, HEIGHT)) for at in (path.parent, folder / "labels")
        )
        np.testing.assert_array_equal(one, other)


def test_deep_images_with_a_data_bar_are_cut_and_their_labels_stay_in_place(data: Path) -> None:
    plain = cv2.imread(str(data / "images" / "c0_0.png"), cv2.IMREAD_GRAYSCALE)
    assert plain is not None
    bar = np.zeros((24, 320), np.uint8)
    cv2.putText(bar, "15.00kV  x500  WD 10mm", (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255,), 1)
    deep = np.vstack([cv2.resize(plain, (320, 240)), bar]).astype(np.uint16) * 200
    (data / "images" / "c0_0.png").unlink()
    cv2.imwrite(str(data / "images" / "c0_0.tif"), deep, (cv2.IMWRITE_TIFF_COMPRESSION, 1))
    (data / "labels" / "c0_0.txt").write_text("0 0.25 0.5 0.5 0.5 0.5 0.97 0.25 0.97\n", encoding="ascii")
    text = (data / "samples.csv").read_text().replace("c0_0.png", "c0_0.tif")
    (data / "samples.csv").write_text(text)
    prepared = run(data)
    written = cv2.imread(str(prepared.folder / "images" / "c0_0.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.dtype == np.uint8
    assert written.shape == (240, 320)
    mask = painted(read_yolo((prepared.folder / "labels" / "c0_0.txt").read_text(), "", 320, 240), 320, 240)
    rows = np.flatnonzero(mask.any(axis=1))
    assert (rows[0], rows[-1]) == (132, 239)
    assert any("reaches into the data bar" in line for line in prepared.warnings)
