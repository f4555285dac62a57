"""The folder of `edge-review export` becomes a data set: only what was looked at as a whole is learnt from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from tests.teach.test_reviews import line
from tests.training.data.conftest import table
from tests.training.labelled_images import HEIGHT, WIDTH
from tests.training.labels.test_reviewed import FIRST, SECOND, SEGMENTER, TWO, document
from training.data.dataset import open_data_set
from training.data.options import Options
from training.data.prepare import Prepared, prepare
from training.labels.yolo import read_yolo
from training.score.score_folder import open_folder

pytest.importorskip("sklearn")
NAMES = ("spot1_0", "spot2_0", "spot3_0")


class Export:
    """A folder as `edge-review export` writes it, in which each image has two regions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sha256: dict[str, str] = {}
        self.lines: list[dict[str, Any]] = []
        for name in ("images", "inspections"):
            (folder / name).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            grey = cv2.GaussianBlur(np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), np.uint8), (0, 0), 1.5)
            path = folder / "images" / f"{name}.png"
            cv2.imwrite(str(path), grey)
            self.sha256[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            self.inspected(name)

    def inspected(self, name: str, **changed: Any) -> None:
        content = document(TWO, self.sha256[name], inspection_id=f"i-{name}", **changed)
        (self.folder / "inspections" / f"i-{name}.inspection.json").write_text(json.dumps(content))

    def review(self, name: str, **changed: Any) -> None:
        image = {"name": f"{name}.png", "path": f"plate/{name}.png", "sha256": self.sha256[name], "page": 0, "revision": 1}
        blank: dict[str, Any] = {"regions": [], "missed": [], "brushed": [], "complete": True, "image": image}
        number = len(self.lines)
        self.lines.append(
            line(**{**blank, "review_id": f"r{number}", "ts_ms": number, "inspection_id": f"i-{name}", **changed})
        )

    def prepare(self, **options: Any) -> Prepared:
        text = "".join(json.dumps(one) + "\n" for one in self.lines)
        (self.folder / "reviews.jsonl").write_text(text)
        chosen = Options(**{"folds": 0, "test": 0, "val": 0.4, "augment": 1, **options})
        return prepare(self.folder, self.folder.parent / "out", chosen, "edge-train prepare")

    def all_complete(self, but: str = "") -> None:
        for name in NAMES:
            if name != but:
                self.review(name)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path / "export")


def told(prepared: Prepared) -> str:
    return "\n".join(prepared.warnings)


def regions_of(prepared: Prepared, name: str, width: int = WIDTH, height: int = HEIGHT) -> list[tuple[int, int, int, int]]:
    labels = read_yolo((prepared.folder / "labels" / f"{name}.txt").read_text(), name, width, height)
    return sorted((one.x_px, one.y_px, one.mask.shape[1], one.mask.shape[0]) for one in labels.regions)


def test_reviewed_images_become_a_data_set(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review(
        "spot1_0", regions=[{"index": 0, "box_px": FIRST, "verdict": "not_corrosion"}], severity={"verdict": "severe"}
    )
    prepared = export.prepare()
    assert prepared.record["labels"]["kind"] == "reviews"
    assert prepared.record["classes"] == ["pit", "product"]
    assert regions_of(prepared, "spot1_0") == [tuple(SECOND)]
    assert regions_of(prepared, "spot2_0") == sorted([tuple(FIRST), tuple(SECOND)])
    rows = table(prepared.folder)
    assert rows["spot1_0.png"]["severity"] == "severe"
    assert rows["spot2_0.png"]["severity"] == ""
    assert rows["spot1_0.png"]["group"] == "plate/spot1", "the folder in which it was inspected says whose it is"


def test_an_image_that_nobody_called_complete_teaches_its_severity_alone(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", complete=False, severity={"verdict": "low"})
    prepared = export.prepare(augment=2)
    assert "nobody called complete" in told(prepared)
    rows = table(prepared.folder)
    assert (rows["spot1_0.png"]["severity"], rows["spot1_0.png"]["outlines"]) == ("low", "unknown")
    assert rows["spot2_0.png"]["outlines"] == ""
    assert not list((prepared.folder / "labels").glob("spot1_0*"))
    assert "spot1_0.png" in {image.path.name for image in open_data_set(prepared.folder).images}
    assert not {image.path.name for image in open_data_set(prepared.folder).outlined().images} & {
        "spot1_0.png",
        "spot1_0_varied1.png",
    }


def test_without_complete_and_severity_an_image_is_left_out(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", complete=False, regions=[{"index": 0, "box_px": FIRST, "verdict": "right"}])
    prepared = export.prepare()
    assert "nobody called complete" in told(prepared)
    assert set(table(prepared.folder)) == {"spot2_0.png", "spot3_0.png"}


def test_a_part_that_was_looked_at_is_an_image_of_its_own(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", complete={"box_px": [60.4, 30, 50, 400]}, severity={"verdict": "low"})
    prepared = export.prepare()
    part = cv2.imread(str(prepared.folder / "images" / "spot1_0_part.png"), cv2.IMREAD_UNCHANGED)
    whole = cv2.imread(str(export.folder / "images" / "spot1_0.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(part, whole[30:, 60:110])
    assert regions_of(prepared, "spot1_0_part", 50, HEIGHT - 30) == [(10, 10, 20, 20)]
    rows = table(prepared.folder)
    assert (rows["spot1_0_part.png"]["severity"], rows["spot1_0.png"]["severity"]) == ("", "low"), "of the whole field alone"
    assert rows["spot1_0_part.png"]["group"] == rows["spot1_0.png"]["group"]
    (source,) = (one for one in prepared.record["sources"] if one["image"] == "spot1_0_part.png")
    assert (source["crop_px"], source["databar_px"]) == ([60, 30, 50, HEIGHT - 30], 0)


def test_a_part_without_anything_in_it_is_too_small(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", complete={"box_px": [5000, 30, 50, 40]})
    assert "below 32 px" in told(export.prepare())


def test_the_latest_of_a_reviewer_counts(export: Export) -> None:
    export.all_complete()
    export.review("spot1_0", regions=[{"index": 1, "box_px": SECOND, "verdict": "not_corrosion"}])
    assert regions_of(export.prepare(), "spot1_0") == [tuple(FIRST)]


def test_what_was_withdrawn_is_not_learnt_from(export: Export) -> None:
    export.all_complete()
    export.review("spot1_0", withdrawn=True)
    prepared = export.prepare()
    assert "without a review that counts: left out: spot1_0.png" in told(prepared)


@pytest.mark.parametrize(
    "others",
    [
        {"regions": [{"index": 0, "box_px": FIRST, "verdict": "not_corrosion"}]},
        {"regions": [{"index": 0, "box_px": FIRST, "verdict": "not_corrosion"}], "complete": False},
        {"severity": {"verdict": "low"}},
        {"regions": [{"index": 1, "box_px": SECOND, "verdict": "wrong_class", "class": "pit"}]},
    ],
)
def test_an_image_on_which_reviewers_disagree_is_left_out(export: Export, others: dict[str, Any]) -> None:
    export.all_complete("spot1_0")
    mine = [
        {"index": 0, "box_px": FIRST, "verdict": "right"},
        {"index": 1, "box_px": SECOND, "verdict": "wrong_class", "class": "product"},
    ]
    export.review("spot1_0", regions=mine, severity={"verdict": "severe"})
    export.review("spot1_0", reviewer="ben", **others)
    prepared = export.prepare()
    assert "reviewers disagree: the image is left out: spot1_0" in told(prepared)
    assert "spot1_0.png" not in table(prepared.folder)


def test_who_calls_it_complete_says_that_the_unmarked_is_right(export: Export) -> None:
    export.all_complete()
    export.review(
        "spot1_0", reviewer="ben", complete=False, regions=[{"index": 0, "box_px": FIRST, "verdict": "not_corrosion"}]
    )
    assert "right by complete" in told(export.prepare())


def test_two_who_agree_are_one(export: Export) -> None:
    export.all_complete()
    export.review("spot1_0", reviewer="ben", missed=[{"box_px": [20, 50, 20, 20], "class": "pit"}])
    assert len(regions_of(export.prepare(), "spot1_0")) == 3


def test_a_region_without_a_class_gets_that_of_most_and_it_is_told(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", missed=[{"box_px": [20, 50, 20, 20]}])
    prepared = export.prepare()
    assert "region without a class" in told(prepared)
    assert prepared.record["counts"]["regions"] == {"pit": 7, "product": 0}


def test_with_one_class_every_region_is_of_it(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", missed=[{"box_px": [20, 50, 20, 20]}])
    assert export.prepare(classes=("corrosion",)).record["counts"]["regions"] == {"corrosion": 7}


def test_a_class_that_only_reviews_know_is_added(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", missed=[{"box_px": [20, 50, 20, 20], "class": "rust"}])
    assert export.prepare().record["counts"]["regions"] == {"pit": 6, "product": 0, "rust": 1}


def test_severities_that_are_none_of_ours_are_unknown_and_told(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", severity={"verdict": "cannot_tell"})
    prepared = export.prepare()
    assert "taken as unknown: spot1_0 (cannot_tell)" in told(prepared)
    assert table(prepared.folder)["spot1_0.png"]["severity"] == ""


def test_labels_may_come_from_another_folder(export: Export, tmp_path: Path) -> None:
    export.all_complete()
    first = export.prepare()
    images = export.folder.parent / "elsewhere"
    (images / "images").mkdir(parents=True)
    for path in (export.folder / "images").iterdir():
        (images / "images" / f"x{path.name}").write_bytes(path.read_bytes())
    options = Options(folds=0, test=0, val=0.4, augment=1, labels_from=export.folder)
    second = prepare(images, tmp_path / "second", options, "")
    assert second.record["counts"]["regions"] == first.record["counts"]["regions"]


def test_an_uncorroded_field_with_regions_left_unmarked_contradicts_itself(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", severity={"verdict": "uncorroded"})
    assert "said to be uncorroded" in told(export.prepare())


def test_reviewed_images_can_be_scored(export: Export) -> None:
    export.all_complete("spot1_0")
    export.review("spot1_0", complete={"box_px": [60, 30, 50, 50]})
    export.prepare()
    data = open_folder(export.folder, Options(class_blind=True), clean=False)
    assert (data.kind, [page.key for page in data.pages]) == ("reviews", ["spot2_0", "spot3_0"])
    assert [len(one) for one in data.regions] == [2, 2]
    assert any("only wholes are" in line for line in data.warnings)


def broken(export: Export, what: str) -> None:
    region = {"index": 0, "box_px": FIRST, "verdict": "right"}
    if what == "other box":
        export.review("spot1_0", regions=[{**region, "box_px": [1, 1, 9, 9]}])
    elif what == "other index":
        export.review("spot1_0", regions=[{**region, "index": 7}])
    elif what == "other model":
        export.review("spot1_0", regions=[region], model={"segmenter": "c" * 64})
    elif what == "outside":
        export.review("spot1_0", missed=[{"box_px": [1, 1, 9, 9]}, {"point_px": [900, 10]}])
    elif what == "both":
        strokes = [{"class": name, "points_px": [[0, 70], [60, 70]], "radius_px": 5} for name in ("background", "corrosion")]
        export.review("spot1_0", brushed=strokes)
    elif what == "shape":
        export.review("spot1_0", missed=[{}])
    elif what == "no json":
        (export.folder / "inspections" / "i-spot1_0.inspection.json").write_text('{"half')
    elif what == "no inspection":
        (export.folder / "inspections" / "i-spot1_0.inspection.json").write_text("[1]")


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("other box", "where the inspection has it at"),
        ("other index", "it is of another inspection"),
        ("other model", "names regions of another segmenter"),
        ("outside", "it is of another one"),
        ("both", "brush them once"),
        ("shape", "exactly one of point_px"),
        ("no json", "is no JSON that can be read"),
        ("no inspection", "is no inspection that can be read"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence_and_nothing_is_written(export: Export, what: str, sentence: str) -> None:
    export.all_complete("spot1_0")
    broken(export, what)
    with pytest.raises(ConfigError, match=sentence):
        export.prepare()
    assert not (export.folder.parent / "out").exists()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("gone", "inspection is not in inspections/"),
        ("truncated", "does not list all regions"),
        ("small", "too small to count"),
        ("other image", "has other content now"),
    ],
)
def test_what_cannot_be_known_is_left_out_and_told(export: Export, what: str, sentence: str) -> None:
    export.all_complete()
    if what == "gone":
        (export.folder / "inspections" / "i-spot1_0.inspection.json").unlink()
    elif what == "truncated":
        export.inspected("spot1_0", regions_truncated=True)
    elif what == "small":
        export.inspected("spot1_0", corrosion={"by_class": {"pit": {}, "product": {}}, "regions_below": 3})
    else:
        image = export.folder / "images" / "spot1_0.png"
        cv2.imwrite(str(image), cv2.imread(str(image), cv2.IMREAD_UNCHANGED)[::-1])
    assert sentence in told(export.prepare())


def test_where_nothing_can_be_learnt_that_is_said(export: Export) -> None:
    export.review("spot1_0", complete=False)
    with pytest.raises(ConfigError, match="nothing that can be learnt from"):
        export.prepare()


def test_the_inspections_model_is_the_one_of_the_reviews() -> None:
    assert line()["model"]["segmenter"]["sha256"] == SEGMENTER
