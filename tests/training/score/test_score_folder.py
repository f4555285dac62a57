"""A labelled folder goes through the edge's own pipeline; what is wrong with one is told in a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.inspector import Inspector
from tests.training.labelled_images import as_coco
from tests.training.score.scored import HEIGHT, WIDTH, make_folder, scored
from training.data.options import Options
from training.score.perturb import VIEWS
from training.score.score_folder import LabelledPages, open_folder


def opened(folder: Path, clean: bool = False) -> LabelledPages:
    return open_folder(folder, Options(class_blind=True), clean=clean)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = make_folder(tmp_path_factory.mktemp("score") / "mine", 2)
    (folder / "samples.csv").write_text("image,severity,group\ncoupon0_1.png,severe,a\ncoupon1_1.png,low,b\n")
    score = scored(folder, views=True)
    assert not score.failed
    return folder, score.document


def test_everything_of_the_edge_is_measured_and_is_plain_json(whole: tuple[Path, dict[str, object]]) -> None:
    _, document = whole
    document = json.loads(json.dumps(document, allow_nan=False))
    assert document["schema"] == "edge.score/1"
    assert (document["images"], document["specimens"]) == (2, 2)
    assert document["labels"] == {"kind": "png", "mask_rule": "binary"}
    assert document["models"]["segmenter"]["sha256"]
    assert document["edge"]["area_labelled"]["value"] == pytest.approx(np.pi * 14.3**2 / WIDTH / HEIGHT, rel=0.05)
    assert document["severity"]["known"] == 2
    assert document["perturbed"]["views"] == list(VIEWS)
    assert set(document["each"][0]["views"]) == set(VIEWS)
    assert document["thresholds"]["otsu_polarity_known"]["area_iou"]["value"] > 0.8


def test_what_is_scored_is_what_the_edge_says(whole: tuple[Path, dict[str, object]]) -> None:
    folder, document = whole
    with Inspector(backend="onnxruntime") as inspector:
        inspection = inspector.inspect(folder / "images" / "coupon0_1.png")
    line = document["each"][0]  # type: ignore[index]
    assert line["found"] == len(inspection.regions)
    assert line["area_found"] == pytest.approx(inspection.measures.area_fraction, abs=1e-4)
    assert inspection.severity is not None
    assert line["severity"]["answer"] == inspection.severity.answer.label


def test_settings_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    document = scored(folder, stages="segment", min_diameter_px=60.0).document
    assert document["severity"] is None
    assert document["edge"]["region_recall"]["n"] == 0, "what is too small to count is no miss"


def test_stage_2_alone_is_scored_by_severities_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 2, masks=False)
    (folder / "samples.csv").write_text("image,severity\ncoupon0_1.png,severe\ncoupon1_1.png,low\n")
    document = scored(folder, stages="classify").document
    assert document["edge"] is None
    assert document["severity"]["known"] == 2


def test_a_severity_that_only_a_name_suggests_is_not_known(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    for kind in ("images", "masks"):
        (folder / kind / "coupon0_1.png").rename(folder / kind / "spot_180d_5.png")
    assert opened(folder).pages[0].severity is None


def test_clean_images_need_no_labels_where_they_are_said_to_be_clean(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1, masks=False)
    with pytest.raises(ConfigError, match="--clean"):
        opened(folder)
    document = scored(folder, clean=True, stages="segment").document
    assert document["labels"]["kind"] == "clean"
    assert document["edge"]["area_iou"]["value"] is None
    assert document["edge"]["false_regions"]["value"] == document["each"][0]["found"]


def test_masks_named_after_their_images_beside_them_are_read(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    for kind, ending in (("masks", "_mask"), ("images", "")):
        for path in (folder / kind).iterdir():
            path.rename(folder / f"{path.stem}{ending}.png")
        (folder / kind).rmdir()
    data = opened(folder)
    assert [page.key for page in data.pages] == ["coupon0_1", "coupon1_1"]
    assert [len(one) for one in data.regions] == [1, 1]


def test_masks_of_several_values_need_no_names_of_classes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    path = folder / "masks" / "coupon0_1.png"
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 255
    mask[5:15, 80:100] = 2
    cv2.imwrite(str(path), mask)
    data = opened(folder)
    assert len(data.regions[0]) == 2
    assert any("several values" in line for line in data.warnings)


def test_varied_copies_are_no_images_of_their_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    (folder / "samples.csv").write_text("image,origin\ncoupon0_1.png,\ncoupon1_1.png,coupon0_1.png\n")
    data = opened(folder)
    assert [page.key for page in data.pages] == ["coupon0_1"]
    assert any("1 varied copies" in line for line in data.warnings)


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_scored(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    (folder / "images" / "coupon1_1.png").write_bytes(b"no image")
    score = scored(folder, stages="segment")
    assert score.failed == 1
    assert score.document["images"] == 1
    assert score.document["failed"][0]["image"] == "coupon1_1.png"


def test_where_no_image_can_be_read_nothing_is_scored(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    (folder / "images" / "coupon0_1.png").write_bytes(b"no image")
    with pytest.raises(ConfigError, match=r"no image of .* can be read"):
        scored(folder)


def test_labels_without_a_region_are_told(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    cv2.imwrite(str(folder / "masks" / "coupon0_1.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    assert any("no region is labelled in any image" in line for line in opened(folder).warnings)


def broken(folder: Path, what: str) -> None:
    mask = folder / "masks" / "coupon0_1.png"
    if what == "empty":
        shutil.rmtree(folder)
        folder.mkdir()
    elif what == "gone":
        shutil.rmtree(folder)
    elif what == "labels alone":
        shutil.rmtree(folder / "images")
        (folder / "images").mkdir()
    elif what == "size":
        cv2.imwrite(str(mask), np.ones((HEIGHT // 2, WIDTH // 2), np.uint8))
    elif what == "missing":
        mask.unlink()
    elif what == "of no image":
        mask.rename(mask.with_name("another.png"))
    elif what == "no picture":
        mask.write_bytes(b"no mask")
    elif what == "two kinds":
        as_coco({"coupon0_1": np.ones((HEIGHT, WIDTH), bool)}, folder)
    elif what == "severity":
        (folder / "samples.csv").write_text("image,severity\ncoupon0_1.png,awful\n")
    elif what == "ghost":
        (folder / "samples.csv").write_text("image,severity\nghost.png,low\n")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("empty", "no images in"),
        ("gone", "is no folder"),
        ("labels alone", "no images in"),
        ("size", "a mask of another size than its image"),
        ("missing", "labels are missing"),
        ("of no image", "labels of no image: another.png"),
        ("no picture", "labels cannot be read"),
        ("two kinds", "labels of several kinds"),
        ("severity", "a severity that is none of low, moderate, severe"),
        ("ghost", "names an image that is not there"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_a_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    broken(folder, what)
    with pytest.raises(ConfigError, match=sentence):
        opened(folder)


def test_a_clean_folder_with_labels_is_a_contradiction(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        opened(make_folder(tmp_path / "mine", 1), clean=True)


def test_rows_that_only_the_microscopes_text_file_knows_to_be_a_bar_are_not_compared(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    grey = cv2.imread(str(folder / "images" / "coupon0_1.png"), cv2.IMREAD_UNCHANGED)
    grey[-20:, :60] = 0  # half drawn: a bar where somebody says so, and not by its looks
    cv2.imwrite(str(folder / "images" / "coupon0_1.png"), grey)
    whole = scored(folder, stages="segment").document["edge"]["area_labelled"]["value"]
    (folder / "images" / "coupon0_1.png").unlink()
    cv2.imwrite(str(folder / "images" / "coupon0_1.tif"), grey)
    text = "[MAIN]\nDevice=TESCAN\nImageStripSize=20\nPixelSizeX=1e-8\nPixelSizeY=1e-8\n"
    (folder / "images" / "coupon0_1.hdr").write_text(text)
    cut = scored(folder, stages="segment").document["edge"]["area_labelled"]["value"]
    assert cut == pytest.approx(whole * HEIGHT / (HEIGHT - 20), rel=0.01), "the disc lies above the bar"
