"""Labels of every kind become the same regions; groups stay on one side; copies are only learnt from; errors are named."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Mask, Regions
from training.data.augment import Variation, draw_variation, vary
from training.data.dataset import open_data_set, sample_group
from training.data.prepare import Options, Prepared, prepare
from training.labels.formats import (
    Drawn,
    Sheet,
    load_mask,
    make_regions,
    mask_rule,
    outline,
    read_coco,
    read_labelme,
    read_mask,
    read_yolo,
    run_lengths,
    yolo_text,
)

WIDTH, HEIGHT = 120, 90


def painted(sheet: Sheet, width: int = WIDTH, height: int = HEIGHT) -> Mask:
    """The union of what was drawn."""
    canvas = np.zeros((height, width), np.bool_)
    for one in sheet.drawn:
        rows, columns = one.mask.shape
        canvas[one.y_px : one.y_px + rows, one.x_px : one.x_px + columns] |= one.mask
    return canvas


def blobs(seed: int, width: int = WIDTH, height: int = HEIGHT, share: float = 0.4) -> Mask:
    """Random regions with holes, thin bridges and islands."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((height, width)), (0, 0), 1.5)
    return np.asarray(field > np.quantile(field, 1 - share))


def ring(outer: int = 30, inner: int = 15) -> Mask:
    distance = np.hypot(*np.mgrid[-45:45, -60:60])
    return np.asarray((distance < outer) & (distance > inner))


def fatal(sheet: Sheet) -> list[str]:
    return [finding.what for finding in sheet.findings if finding.fatal]


# --- YOLO-seg --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_regions_written_as_yolo_text_come_back_to_the_pixel(seed: int) -> None:
    mask = blobs(seed)
    regions, _ = make_regions([Drawn(0, 0, 0, mask)], ("pit",), WIDTH, HEIGHT, "a")
    again, _ = make_regions(
        read_yolo(yolo_text(regions, WIDTH, HEIGHT), "a.txt", WIDTH, HEIGHT).drawn, ("pit",), WIDTH, HEIGHT, "a"
    )
    assert len(again) == len(regions)
    for one, other in zip(regions.masks, again.masks, strict=True):
        np.testing.assert_array_equal(one, other)


def test_holes_survive_in_an_outline() -> None:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(canvas, [outline(ring()).astype(np.int32)], (1,))
    np.testing.assert_array_equal(canvas > 0, ring())


def test_ultralytics_fills_the_text_to_the_same_pixels() -> None:
    polygon2mask = pytest.importorskip("ultralytics.data.utils").polygon2mask
    regions, _ = make_regions([Drawn(0, 0, 0, ring())], ("pit",), WIDTH, HEIGHT, "a")
    points = np.array(yolo_text(regions, WIDTH, HEIGHT).split()[1:], np.float32).reshape(-1, 2) * (WIDTH, HEIGHT)
    np.testing.assert_array_equal(polygon2mask((HEIGHT, WIDTH), [points]) > 0, ring())


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box"),
        ("0 10 10 40 10 40 40", "coordinates in pixels"),
        ("0 0.1 0.1 0.2", "no YOLO-seg line"),
        ("pit 0.1 0.1 0.2 0.1 0.2 0.2", "no YOLO-seg line"),
        ("0 1.2 0.1 1.4 0.1 1.4 0.2", "outside its image"),
    ],
)
def test_a_wrong_yolo_line_is_named_with_its_number(line: str, what: str) -> None:
    sheet = read_yolo(f"\n{line}\n", "a.txt", WIDTH, HEIGHT)
    assert what in sheet.findings[0].what
    assert sheet.findings[0].where == "a.txt line 2"


# --- LabelMe ---------------------------------------------------------------------------------------------------------


def labelme(*shapes: dict[str, Any]) -> dict[str, Any]:
    return {"imageWidth": WIDTH, "imageHeight": HEIGHT, "shapes": list(shapes)}


def test_labelme_shapes_cover_the_pixels_whose_centres_they_hold() -> None:
    rectangle = {"label": "pit", "shape_type": "rectangle", "points": [[10, 20], [30, 25]]}
    sheet = read_labelme(labelme(rectangle), "a.json", WIDTH, HEIGHT)
    expected = np.zeros((HEIGHT, WIDTH), np.bool_)
    expected[20:25, 10:30] = True
    np.testing.assert_array_equal(painted(sheet), expected)


def test_a_labelme_circle_has_the_area_of_one() -> None:
    circle = {"label": "pit", "shape_type": "circle", "points": [[60, 45], [80, 45]]}
    area = int(painted(read_labelme(labelme(circle), "a.json", WIDTH, HEIGHT)).sum())
    assert area == pytest.approx(np.pi * 400, rel=0.01)


def test_a_labelme_mask_lies_where_its_box_begins() -> None:
    pixels = np.full((5, 8), 255, np.uint8)
    encoded = base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()
    shape = {"label": "pit", "shape_type": "mask", "points": [[40, 30], [47, 34]], "mask": encoded}
    drawn = read_labelme(labelme(shape), "a.json", WIDTH, HEIGHT).drawn[0]
    assert (drawn.x_px, drawn.y_px, drawn.mask.shape) == (40, 30, (5, 8))


def test_a_labelme_shape_that_is_no_region_is_named() -> None:
    line = {"label": "scratch", "shape_type": "linestrip", "points": [[1, 1], [50, 50]]}
    sheet = read_labelme(labelme(line), "a.json", WIDTH, HEIGHT)
    assert "linestrip" in fatal(sheet)[0]
    assert sheet.findings[0].where == "a.json shape 1 (scratch)"


def test_labelme_of_another_size_is_named() -> None:
    assert "another size" in fatal(read_labelme(labelme(), "a.json", WIDTH + 1, HEIGHT))[0]


# --- COCO ------------------------------------------------------------------------------------------------------------


def packed(runs: list[int]) -> str:
    """COCO's packing of run lengths, written from its description."""
    text = ""
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 0x1F, value >> 5
            done = value == (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits if done else bits | 0x20))
            if done:
                break
    return text


def runs_of(mask: Mask) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff(edges, prepend=0)]


@pytest.mark.parametrize("seed", range(5))
def test_packed_and_plain_run_lengths_give_the_mask_back(seed: int) -> None:
    mask = blobs(seed)
    np.testing.assert_array_equal(run_lengths(runs_of(mask), HEIGHT, WIDTH), mask)
    np.testing.assert_array_equal(run_lengths(packed(runs_of(mask)), HEIGHT, WIDTH), mask)


def test_packed_run_lengths_are_those_of_the_coco_tools() -> None:
    # what pycocotools 2.0 makes of this mask
    text = "jU1Q1k" + "0" * 19 + "TOZOb0f0^OZOb0f0^OZOb0f0:" + "0" * 48 + "Vf0"
    expected = np.zeros((60, 70), np.bool_)
    expected[10:43, 20:58] = True
    expected[15:20, 30:33] = False
    np.testing.assert_array_equal(run_lengths(text, 60, 70), expected)


def test_run_lengths_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 5"):
        run_lengths([2, 3], 2, 2)


def coco_sheet(segmentation: Any) -> Sheet:
    annotation = {"id": 7, "category_id": 1, "segmentation": segmentation}
    image = {"file_name": "a.png", "width": WIDTH, "height": HEIGHT}
    return read_coco(image, [annotation], {1: "pit"}, "coco.json", WIDTH, HEIGHT)


def test_polygons_of_one_coco_annotation_become_a_region_each() -> None:
    sheet = coco_sheet([[5, 5, 20, 5, 20, 20], [50, 50, 70, 50, 70, 70]])
    regions, findings = make_regions(sheet.drawn, ("pit",), WIDTH, HEIGHT, "a")
    assert len(sheet.drawn) == 1
    assert len(regions) == 2
    assert "several parts" in findings[0].what


def test_a_coco_box_without_an_outline_is_named() -> None:
    assert "a box" in fatal(coco_sheet([]))[0]


def test_coco_run_lengths_of_another_size_are_named() -> None:
    assert "another size" in fatal(coco_sheet({"size": [4, 4], "counts": [16]}))[0]


# --- masks -----------------------------------------------------------------------------------------------------------


def two_values() -> NDArray[np.int64]:
    values = np.zeros((HEIGHT, WIDTH), np.int64)
    values[10:20, 10:20], values[10:20, 40:50], values[50:70, 60:90] = 1, 1, 2
    return values


@pytest.mark.parametrize(
    ("masks", "class_count", "rule"),
    [
        ([two_values() > 0], 0, "binary"),
        ([255 * (two_values() > 0)], 1, "binary"),
        ([two_values()], 2, "class"),
        ([np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // (30 * WIDTH) + 4 * number for number in range(5)], 0, "instance"),
        ([np.stack([two_values() == 1, two_values() == 2])], 0, "instance"),
    ],
)
def test_the_rule_of_masks_follows_from_all_of_them(masks: list[NDArray[Any]], class_count: int, rule: str) -> None:
    assert mask_rule([mask.astype(np.int64) for mask in masks], class_count) == rule


def test_masks_that_can_be_read_in_two_ways_are_asked_about() -> None:
    with pytest.raises(ConfigError, match="--classes"):
        mask_rule([two_values()], 0)


@pytest.mark.parametrize(("rule", "labels"), [("binary", [0, 0, 0]), ("class", [0, 0, 1]), ("instance", [0, 0])])
def test_values_of_a_mask_mean_what_the_rule_says(rule: Any, labels: list[int]) -> None:
    sheet = read_mask(two_values(), rule, "a.png", WIDTH, HEIGHT, HEIGHT)
    assert sorted(int(one.label) for one in sheet.drawn) == labels
    np.testing.assert_array_equal(painted(sheet), two_values() > 0)


@pytest.mark.parametrize("rule", ["binary", "class", "instance"])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (2, HEIGHT, WIDTH), (0, HEIGHT, WIDTH)])
def test_a_mask_of_zeros_says_that_nothing_is_corroded(rule: Any, shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, np.int64)
    sheet = read_mask(empty, rule, "a.npy", WIDTH, HEIGHT, HEIGHT)
    assert (sheet.drawn, sheet.findings) == ((), ())
    assert mask_rule([empty, np.where(two_values() > 1, 7, 0)], 0) == "binary"


def test_planes_of_an_npy_mask_may_overlap() -> None:
    planes = np.zeros((2, HEIGHT, WIDTH), np.int64)
    planes[0, 10:40, 10:40], planes[1, 30:60, 30:60] = 1, 1
    assert [int(one.mask.sum()) for one in read_mask(planes, "instance", "a.npy", WIDTH, HEIGHT, HEIGHT).drawn] == [900, 900]


def test_a_mask_without_the_rows_of_the_data_bar_fits_too() -> None:
    assert read_mask(two_values()[:80], "binary", "a.png", WIDTH, HEIGHT, 80).findings == ()
    assert "another size" in fatal(read_mask(two_values()[:70], "binary", "a.png", WIDTH, HEIGHT, 80))[0]


@pytest.mark.parametrize("mask", [np.zeros((4, 4)), np.zeros(4, np.uint8), np.full((4, 4), -1)])
def test_an_npy_file_that_is_no_mask_is_refused(tmp_path: Path, mask: NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", mask)
    with pytest.raises(ConfigError):
        load_mask(tmp_path / "a.npy")


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="coloured"):
        load_mask(tmp_path / "a.png")


# --- regions ---------------------------------------------------------------------------------------------------------


def test_what_lies_in_the_data_bar_is_cut_off_and_told() -> None:
    drawn = [Drawn(0, 10, 60, np.ones((30, 10), np.bool_)), Drawn(0, 50, 85, np.ones((4, 4), np.bool_))]
    regions, findings = make_regions(drawn, ("pit",), WIDTH, 80, "a")
    assert regions.boxes_px.tolist() == [[10, 60, 10, 20]]
    assert [finding.what.split(": ")[1] for finding in findings] == ["cut off", "left out"]


def test_a_region_labelled_twice_is_taken_once() -> None:
    drawn = [Drawn(0, 10, 10, np.ones((20, 20), np.bool_)), Drawn(0, 10, 10, np.ones((20, 19), np.bool_))]
    regions, findings = make_regions(drawn, ("pit",), WIDTH, HEIGHT, "a")
    assert len(regions) == 1
    assert "twice" in findings[0].what


@pytest.mark.parametrize("label", [3, "rust"])
def test_an_unknown_class_is_named_with_the_known_ones(label: str | int) -> None:
    _, findings = make_regions([Drawn(label, 1, 1, np.ones((5, 5), np.bool_))], ("pit", "product"), WIDTH, HEIGHT, "a")
    assert findings[0].fatal
    assert str(label) in findings[0].what
    assert "0 pit, 1 product" in findings[0].what


# --- augmentation ----------------------------------------------------------------------------------------------------


def discs(seed: int) -> tuple[NDArray[np.uint8], Regions]:
    """Bright discs on black, and their masks."""
    rng = np.random.default_rng(seed)
    drawn, grey = [], np.zeros((HEIGHT, WIDTH), np.uint8)
    for x, y in ((25, 20), (90, 25), (30, 65), (85, 65)):
        canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(canvas, (x, y), (int(rng.integers(8, 16)), 9), float(rng.uniform(0, 180)), 0, 360, (1,), -1)
        grey[canvas > 0] = 200
        drawn.append(Drawn(0, 0, 0, canvas > 0))
    return grey, make_regions(drawn, ("pit",), WIDTH, HEIGHT, "a")[0]


@pytest.mark.parametrize("seed", range(12))
def test_labels_of_a_varied_picture_lie_on_what_they_name(seed: int) -> None:
    grey, regions = discs(seed)
    variation = draw_variation(np.random.default_rng(seed), WIDTH, HEIGHT)
    plain = Variation(variation.mirrored, variation.quarter_turns, variation.matrix, 1.0, 1.0, 0.0, (0.0, 0.0))
    varied, moved = vary(grey, regions, plain)
    mask = painted(
        Sheet(tuple(Drawn(0, box[0], box[1], m) for box, m in zip(moved.boxes_px.tolist(), moved.masks, strict=True))),
        *varied.shape[::-1],
    )
    bright = varied >= 100
    assert (mask & bright).sum() / (mask | bright).sum() > 0.96


@pytest.mark.parametrize("seed", range(12))
def test_a_varied_picture_shows_nothing_from_beyond_the_edges(seed: int) -> None:
    grey = np.full((HEIGHT, WIDTH), 128, np.uint8)
    variation = draw_variation(np.random.default_rng(seed), WIDTH, HEIGHT)
    sides = (HEIGHT, WIDTH) if variation.quarter_turns % 2 else (WIDTH, HEIGHT)
    back = np.linalg.inv(np.vstack([variation.matrix, [0, 0, 1]]))
    corners = back @ np.array([(x, y, 1.0) for x in (0, sides[0] - 1) for y in (0, sides[1] - 1)]).T
    assert vary(grey, discs(0)[1], variation)[0].shape == sides[::-1]
    assert corners[:2].min() > -1e-6
    assert (corners[:2].max(axis=1) < np.array(sides) - 1 + 1e-6).all()


def test_quarter_turns_and_mirrors_are_exact() -> None:
    grey, regions = discs(3)
    for mirrored in (False, True):
        for turns in range(4):
            still = np.array([[1.0, 0, 0], [0, 1.0, 0]])
            varied, moved = vary(grey, regions, Variation(mirrored, turns, still, 1.0, 1.0, 0.0, (0.0, 0.0)))
            expected = np.rot90(grey[:, ::-1] if mirrored else grey, turns)
            np.testing.assert_array_equal(varied, expected)
            drawn = tuple(
                Drawn(0, box[0], box[1], mask) for box, mask in zip(moved.boxes_px.tolist(), moved.masks, strict=True)
            )
            np.testing.assert_array_equal(painted(Sheet(drawn), *varied.shape[::-1]), expected > 0)


# --- the whole command -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("040617_3_S0410018.png", "040617_3_S"),
        ("021519_3_1426C-100cyc0008.png", "021519_3_1426C-100cyc"),
        ("AN_60_7days_003.tif", "AN_60_7days"),
        ("coupon 4/overview-12.tif", "coupon 4/overview"),
        ("0012.png", "0012"),
    ],
)
def test_a_group_is_the_name_without_its_number(path: str, group: str) -> None:
    assert sample_group(path) == group


def make_images(folder: Path, coupons: int = 9, each: int = 2, labels: bool = True) -> None:
    """Textured images of so many coupons, three severities in turn, with YOLO labels of one disc each."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rows = ["image,severity,group"]
    for number in range(coupons * each):
        coupon = number // each
        rng = np.random.default_rng(number)
        grey = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8), (0, 0), 1.5)
        centre = (int(rng.integers(30, 90)), int(rng.integers(30, 60)))
        cv2.circle(grey, centre, 12, (20,), -1)
        cv2.imwrite(str(folder / "images" / f"c{coupon}_{number}.png"), grey)
        mask = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), centre, 12, (1,), -1) > 0
        regions, _ = make_regions([Drawn(0, 0, 0, mask)], ("pit",), WIDTH, HEIGHT, "")
        if labels:
            (folder / "labels" / f"c{coupon}_{number}.txt").write_text(yolo_text(regions, WIDTH, HEIGHT), encoding="ascii")
        rows.append(f"c{coupon}_{number}.png,{('low', 'moderate', 'severe')[coupon % 3]},c{coupon}")
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="ascii")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pytest.importorskip("sklearn")
    make_images(tmp_path / "data")
    return tmp_path / "data"


def run(data: Path, **options: Any) -> Prepared:
    return prepare(
        data,
        data.parent / "out",
        Options(**{"folds": 3, "test": 0.2, "val": 0.2, "augment": 2, **options}),
        "edge-train prepare",
    )


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "samples.csv").open(newline="", encoding="utf-8") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def test_a_group_stays_in_one_part_and_one_fold(data: Path) -> None:
    rows = table(run(data).folder).values()
    for group in {row["group"] for row in rows}:
        assert len({(row["part"], row["fold"]) for row in rows if row["group"] == group}) == 1


def test_severities_are_spread_over_the_parts(data: Path) -> None:
    record = run(data, test=0.3, val=0.3, folds=2).record
    for part in (*record["parts"].values(), *record["folds"].values()):
        assert set(part["severities"]) == {"low", "moderate", "severe"}


def test_copies_are_made_of_what_is_learnt_from_and_never_of_the_test(data: Path) -> None:
    rows = table(run(data, augment=4).folder)
    originals = {name: row for name, row in rows.items() if not row["origin"]}
    for name, row in originals.items():
        copies = [other for other in rows.values() if other["origin"] == name]
        assert len(copies) == (0 if row["part"] == "test" else 3)
        assert all((copy["part"], copy["fold"], copy["group"]) == (row["part"], row["fold"], row["group"]) for copy in copies)


def test_training_reads_the_parts_and_folds(data: Path) -> None:
    prepared = run(data)
    data_set = open_data_set(prepared.folder)
    assert data_set.prepared
    assert data_set.folds == 3
    assert data_set.sha256 == prepared.record["sha256"]
    train, val, test = data_set.parts()
    assert data_set.split(0.06) == (train, val)
    for learnt, scored in ((train, val), (train, test), (train + val, test), *(data_set.fold(n) for n in range(3))):
        assert not {image.group for image in learnt} & {image.group for image in scored}
        assert all(image.origin is None for image in scored)
    assert any(image.origin for image in train)
    scored_once = [image.path for n in range(3) for image in data_set.fold(n)[1]]
    assert sorted(scored_once) == sorted(image.path for image in data_set.images if image.part != "test" and not image.origin)


def test_a_fold_that_was_not_prepared_is_refused(data: Path) -> None:
    with pytest.raises(ConfigError, match="no fold 3"):
        open_data_set(run(data).folder).fold(3)


def test_the_same_seed_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    options = Options(folds=3, seed=5)
    one, other = (prepare(data, tmp_path / name, options, "edge-train prepare").folder for name in ("one", "other"))
    assert (one / "dataset.json").read_bytes() == (other / "dataset.json").read_bytes()


def test_another_seed_splits_otherwise(data: Path, tmp_path: Path) -> None:
    folders = [prepare(data, tmp_path / f"{seed}", Options(folds=3, seed=seed), "").folder for seed in range(4)]
    assert len({tuple(row["fold"] for row in table(folder).values() if not row["origin"]) for folder in folders}) > 1


def test_labels_without_a_change_keep_their_pixels(data: Path) -> None:
    folder = run(data).folder
    for path in (data / "labels").glob("*.txt"):
        one, other = (
            painted(read_yolo((at / path.name).read_text(), "", WIDTH, HEIGHT)) for at in (path.parent, folder / "labels")
        )
        np.testing.assert_array_equal(one, other)


def as_coco(masks: dict[str, Mask], folder: Path) -> None:
    images = [{"id": number, "file_name": f"{stem}.png", "width": WIDTH, "height": HEIGHT} for number, stem in enumerate(masks)]
    annotations = [
        {"id": number, "image_id": number, "category_id": 4, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs_of(mask)}}
        for number, mask in enumerate(masks.values())
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 4, "name": "pit"}]}
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")


def as_png(masks: dict[str, Mask], folder: Path) -> None:
    (folder / "masks").mkdir()
    for stem, mask in masks.items():
        cv2.imwrite(str(folder / "masks" / f"{stem}.png"), 255 * mask.astype(np.uint8))


def as_npy(masks: dict[str, Mask], folder: Path) -> None:
    (folder / "masks").mkdir()
    for stem, mask in masks.items():
        np.save(folder / "masks" / f"{stem}.npy", 5 * mask.astype(np.int32))


def as_labelme(masks: dict[str, Mask], folder: Path) -> None:
    for stem, mask in masks.items():
        encoded = base64.b64encode(cv2.imencode(".png", 255 * mask.astype(np.uint8))[1].tobytes()).decode()
        shape = {"label": "pit", "shape_type": "mask", "points": [[0, 0], [WIDTH - 1, HEIGHT - 1]], "mask": encoded}
        (folder / "images" / f"{stem}.json").write_text(json.dumps(labelme(shape)), encoding="utf-8")


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


def test_all_errors_are_told_at_once_and_nothing_is_written(data: Path) -> None:
    (data / "labels" / "c1_2.txt").unlink()
    (data / "labels" / "stray.txt").write_text("")
    (data / "labels" / "c2_4.txt").write_text("7 0.1 0.1 0.2 0.1 0.2 0.2\n")
    (data / "images" / "c3_6.png").write_bytes(b"no image")
    (data / "samples.csv").write_text((data / "samples.csv").read_text() + "ghost.png,low,g\n")
    with pytest.raises(ConfigError) as caught:
        run(data, classes=("pit",))
    for what in ("labels are missing", "labels of no image: stray.txt", "number 7", "cannot be read", "ghost.png"):
        assert what in str(caught.value)
    assert sorted(path.name for path in data.parent.iterdir()) == ["data"]


@pytest.mark.parametrize("hours", ["nan", "-1", "a week"])
def test_an_exposure_that_is_no_time_is_named(data: Path, hours: str) -> None:
    (data / "samples.csv").write_text(f"image,exposure_h\nc0_0.png,{hours}\n")
    with pytest.raises(ConfigError, match=f"exposure_h is no number from 0: c0_0.png .{hours}"):
        run(data)


@pytest.mark.parametrize("shapes", [["a"], {"a": 1}, [{"label": "pit", "group_id": [1], "points": [[1, 1], [9, 1], [9, 9]]}]])
def test_json_that_nobody_expects_is_named(data: Path, shapes: Any) -> None:
    (data / "images" / "c0_0.json").write_text(json.dumps({"shapes": shapes}))
    with pytest.raises(ConfigError, match="labels cannot be read: c0_0"):
        run(data, labels="labelme")


def test_the_same_picture_in_two_groups_is_a_leak(data: Path) -> None:
    (data / "images" / "c0_0.png").write_bytes((data / "images" / "c5_10.png").read_bytes())
    with pytest.raises(ConfigError, match="c0_0 = c5_10"):
        run(data)


def test_a_mirrored_picture_in_another_group_is_told(data: Path) -> None:
    picture = cv2.imread(str(data / "images" / "c5_10.png"), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    cv2.imwrite(str(data / "images" / "c0_0.png"), np.clip(0.8 * picture[:, ::-1] + 20, 0, 255).astype(np.uint8))
    told = run(data).warnings
    assert any("look alike" in line and "c0_0 ~ c5_10" in line for line in told)
    assert sum("look alike" in line for line in told) == 1


def test_too_few_groups_for_the_folds_are_counted(data: Path) -> None:
    with pytest.raises(ConfigError, match="at least 11 are needed"):
        run(data, folds=10)


def test_names_that_varied_copies_will_get_are_refused(data: Path) -> None:
    for folder, suffix in (("images", "png"), ("labels", "txt")):
        (data / folder / f"c0_1.{suffix}").rename(data / folder / f"c0_0_varied1.{suffix}")
    (data / "samples.csv").write_text((data / "samples.csv").read_text().replace("c0_1.png", "c0_0_varied1.png"))
    with pytest.raises(ConfigError, match="rename it: c0_0"):
        run(data)


def test_labels_of_two_kinds_have_to_be_chosen_from(data: Path) -> None:
    as_png({path.stem: ring() for path in (data / "labels").glob("*.txt")}, data)
    with pytest.raises(ConfigError, match="several kinds"):
        run(data)
    assert run(data, labels="png").record["labels"] == {"kind": "png", "mask_rule": "binary"}


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


def test_images_without_labels_can_still_be_classified(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    make_images(tmp_path / "data", labels=False)
    prepared = run(tmp_path / "data")
    assert prepared.record["labels"]["kind"] is None
    assert any("only the classifier" in line for line in prepared.warnings)


def test_a_prepared_data_set_is_not_prepared_again(data: Path) -> None:
    folder = run(data).folder
    with pytest.raises(ConfigError, match="prepared already"):
        prepare(folder, data.parent / "again", Options(), "")


def test_a_folder_that_is_not_empty_is_left_alone(data: Path) -> None:
    out = data.parent / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty"):
        run(data)
    assert (out / "mine.txt").read_text() == "keep"


def test_the_command_ends_with_2_for_data_that_cannot_be_used(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training import cli

    (data / "labels" / "c1_2.txt").unlink()
    assert cli.main(["prepare", str(data), "--out", str(data.parent / "out")]) == 2
    assert "labels are missing" in capsys.readouterr().err


def test_the_command_prints_what_it_made(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from training import cli

    assert cli.main(["prepare", str(data), "--out", str(data.parent / "out"), "--folds", "3", "--classes", "pit"]) == 0
    printed = capsys.readouterr().out
    assert "18 images of 9 groups" in printed
    assert printed.splitlines()[-1] == str(data.parent / "out")


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
