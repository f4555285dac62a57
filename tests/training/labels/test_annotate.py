"""Annotation finds what was planted, refuses what is no region, says how far it can be trusted, and beats a plain threshold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from edge.errors import ConfigError
from edge.records import SEVERITIES, Grey, Regions
from training import cli
from training.draw.synthetic import render
from training.labels.annotate import Labels, Polarity, Rules, annotate
from training.labels.annotate_folder import QUALITY_COLUMNS
from training.labels.compare import Agreement, compare, read_manual_labels

SIZE = (320, 240)
GROUND = 120.0


def ground(seed: int = 1, noise: float = 4.0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Even metal with the detector's noise, as float."""
    return GROUND + noise * np.random.default_rng(seed).standard_normal((size[1], size[0]))


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    rows, columns = np.mgrid[: size[1], : size[0]]
    return np.hypot(columns - x, rows - y) <= radius


def photograph(image: np.ndarray) -> Grey:
    return np.clip(np.round(cv2.GaussianBlur(image, (0, 0), 0.7)), 0, 255).astype(np.uint8)


def pits(contrast: float = -70.0, radius: float = 10.0, noise: float = 4.0) -> tuple[Grey, Labels]:
    """Six discs on even ground, and the truth."""
    image, truth = ground(noise=noise), np.zeros((SIZE[1], SIZE[0]), np.int32)
    for number, (x, y) in enumerate(((50, 50), (150, 60), (260, 50), (60, 180), (160, 170), (250, 190)), start=1):
        where = disc(x, y, radius)
        image[where] += contrast
        truth[where] = number
    return photograph(image), truth


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", [-70.0, 60.0])
def test_planted_discs_are_found_each_with_its_outline(contrast: float) -> None:
    grey, truth = pits(contrast)
    agreement = compare(annotate(grey).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)
    assert agreement.pixel_iou > 0.75


def test_labels_are_int32_of_the_images_shape_and_numbered_without_gaps() -> None:
    labels = annotate(pits()[0]).labels
    assert labels.dtype == np.int32
    assert labels.shape == (SIZE[1], SIZE[0])
    assert np.unique(labels).tolist() == list(range(7))


def test_the_same_image_gives_the_same_labels() -> None:
    grey, _ = pits()
    np.testing.assert_array_equal(annotate(grey).labels, annotate(grey).labels)


def test_uneven_illumination_changes_nothing_that_matters() -> None:
    grey, truth = pits()
    slope = np.linspace(-60, 60, SIZE[0])[None, :] + np.linspace(-20, 20, SIZE[1])[:, None]
    agreement = compare(annotate(np.clip(grey + slope, 0, 255).astype(np.uint8)).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)


def test_a_bright_ring_stands_for_the_pit_inside_it() -> None:
    image = ground()
    image[disc(160, 120, 22) & ~disc(160, 120, 18)] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.8


def test_a_dark_pit_and_its_bright_rim_are_one_region() -> None:
    image = ground()
    image[disc(160, 120, 22)] += 80
    image[disc(160, 120, 18)] -= 150
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.8


def test_a_crescent_stands_for_the_whole_mouth() -> None:
    image = ground()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    lit = np.cos(np.arctan2(rows - 120, columns - 160)) > -0.3
    image[disc(160, 120, 22) & ~disc(160, 120, 17) & lit] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(160, 120, 22)) > 0.6


def test_a_ring_that_the_images_border_cuts_is_filled() -> None:
    image = ground()
    image[disc(4, 120, 24) & ~disc(4, 120, 20)] += 80
    found = annotate(photograph(image))
    assert found.count == 1
    assert overlap(found.labels > 0, disc(4, 120, 24)) > 0.75


def test_touching_pits_are_divided_at_their_neck() -> None:
    image = ground()
    image[disc(140, 120, 18) | disc(173, 120, 18)] -= 70
    assert annotate(photograph(image)).count == 2


def test_an_oblong_pit_stays_whole() -> None:
    image = ground()
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    image[((columns - 160) / 34) ** 2 + ((rows - 120) / 14) ** 2 <= 1] -= 70
    assert annotate(photograph(image)).count == 1


def test_every_region_is_one_connected_part() -> None:
    labels = annotate(render(7107, SIZE, "severe").grey).labels
    assert labels.max() > 5
    for number in range(1, int(labels.max()) + 1):
        assert cv2.connectedComponents((labels == number).astype(np.uint8), connectivity=4)[0] == 2


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_bare_metal_has_no_regions(seed: int) -> None:
    assert annotate(photograph(ground(seed))).count == 0


def test_an_image_of_one_grey_has_no_regions() -> None:
    assert annotate(np.full((60, 80), 90, np.uint8)).count == 0


@pytest.mark.parametrize("size", [(3, 3), (1, 40), (40, 1), (9, 200)])
def test_tiny_images_are_no_trouble(size: tuple[int, int]) -> None:
    assert annotate(np.zeros(size, np.uint8)).labels.shape == size


@pytest.mark.parametrize("angle", [0.4, 1.3, 2.2])
def test_scratches_are_refused(angle: float) -> None:
    image = ground()
    middle, along = np.array((160.0, 120.0)), np.array((np.cos(angle), np.sin(angle))) * 95
    ends = [tuple(int(value) for value in middle + sign * along) for sign in (-1, 1)]
    cv2.line(image, ends[0], ends[1], GROUND + 70, 3)
    assert annotate(photograph(image)).count == 0


def test_brushed_metal_is_no_region_and_hides_no_pit() -> None:
    rng = np.random.default_rng(4)
    grey, truth = pits()
    grooves = 14 * cv2.GaussianBlur(rng.standard_normal((SIZE[1], 1)), (1, 3), 0.8) * np.ones((1, SIZE[0]))
    agreement = compare(annotate(np.clip(grey + grooves, 0, 255).astype(np.uint8)).labels, truth)
    assert (agreement.automatic, agreement.right) == (6, 6)


def test_grain_boundaries_are_refused_but_a_pit_among_them_is_found() -> None:
    image = ground()
    seeds = np.ones((SIZE[1], SIZE[0]), np.uint8)
    rng = np.random.default_rng(2)
    seeds[rng.integers(0, SIZE[1], 14), rng.integers(0, SIZE[0], 14)] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    image[cv2.morphologyEx(cells.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0] += 40
    image[disc(160, 120, 12)] = 20
    labels = annotate(photograph(image)).labels
    pit = labels == labels[120, 160]
    assert labels[120, 160] > 0
    assert overlap(pit, disc(160, 120, 12)) > 0.6
    assert (labels > 0).sum() < 2.5 * pit.sum()


def test_what_lies_beside_the_sample_is_refused() -> None:
    image = ground()
    image[200:] = 10
    image[disc(160, 90, 12)] -= 70
    assert annotate(photograph(image)).count == 1


# --- rules -----------------------------------------------------------------------------------------------------------


def test_regions_below_the_least_diameter_are_left_out() -> None:
    image = ground()
    image[disc(80, 120, 5)] -= 80
    image[disc(220, 120, 14)] -= 80
    assert annotate(photograph(image)).count == 2
    assert annotate(photograph(image), Rules(min_diameter_px=16)).count == 1


@pytest.mark.parametrize(("polarity", "kept"), [("dark", (True, False)), ("bright", (False, True)), ("both", (True, True))])
def test_polarity_chooses_between_dark_and_bright_regions(polarity: Polarity, kept: tuple[bool, bool]) -> None:
    image = ground()
    image[disc(90, 120, 14)] -= 70
    image[disc(230, 120, 14)] += 70
    labels = annotate(photograph(image), Rules(polarity=polarity)).labels
    assert (bool(labels[120, 90]), bool(labels[120, 230])) == kept


def test_a_ringed_pit_counts_as_dark() -> None:
    image = ground()
    image[disc(160, 120, 22) & ~disc(160, 120, 18)] += 80
    assert annotate(photograph(image), Rules(polarity="dark")).count == 1
    assert annotate(photograph(image), Rules(polarity="bright")).count == 0


@pytest.mark.parametrize("wrong", [{"min_diameter_px": 0.0}, {"min_diameter_px": float("nan")}, {"threshold": 0.0}])
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Rules(**wrong)  # type: ignore[arg-type]


# --- trust -----------------------------------------------------------------------------------------------------------


def test_clear_regions_score_high_with_no_reason_against_them() -> None:
    trust = annotate(pits()[0]).trust
    assert trust.score > 0.9
    assert trust.reasons == ()


def test_faint_regions_score_lower_and_say_why() -> None:
    clear, faint = annotate(pits()[0]).trust, annotate(pits(contrast=-22.0, noise=18.0)[0]).trust
    assert faint.score < clear.score - 0.2
    assert any("contrast" in reason or "unstable" in reason for reason in faint.reasons)


def test_blurred_edges_score_lower_and_say_why() -> None:
    image = ground(noise=1.5)
    for x, y in ((80, 70), (220, 70), (80, 180), (220, 180)):
        image -= 90 * cv2.GaussianBlur(disc(x, y, 14).astype(np.float64), (0, 0), 9)
    blurred = annotate(photograph(image)).trust
    assert blurred.edge_width_px is not None
    assert blurred.edge_width_px > 2 * (annotate(pits()[0]).trust.edge_width_px or 0)
    assert any("blurred" in reason for reason in blurred.reasons)


def test_nothing_found_is_neither_good_nor_bad() -> None:
    trust = annotate(photograph(ground())).trust
    assert trust.score == 0.5
    assert "nothing found" in trust.reasons[0]


# --- against manual labels -------------------------------------------------------------------------------------------


def test_agreement_counts_regions_and_pixels() -> None:
    manual, automatic = np.zeros((20, 30), np.int32), np.zeros((20, 30), np.int32)
    manual[2:8, 2:8], manual[12:18, 2:8] = 5, 9
    automatic[2:8, 2:7], automatic[2:8, 20:25] = 1, 2
    found = compare(automatic, manual)
    assert found == Agreement(manual=2, automatic=2, right=1, both_px=30, either_px=102)
    assert (found.recall, found.precision, found.f1) == (0.5, 0.5, 0.5)


def test_a_region_found_in_two_halves_is_not_found() -> None:
    manual = np.zeros((10, 20), np.int32)
    manual[2:8, 2:18] = 1
    automatic = manual.copy()
    automatic[2:8, 10:18] = 2
    assert compare(automatic, manual).right == 0


def test_agreement_of_empty_labels_is_perfect() -> None:
    empty = np.zeros((4, 4), np.int32)
    assert (compare(empty, empty).f1, compare(empty, empty).pixel_iou) == (1.0, 1.0)


def test_labels_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(np.zeros((4, 4), np.int32), np.zeros((4, 5), np.int32))


def test_manual_labels_are_read_from_npy_png_and_yolo(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15], mask[20:35, 30:50] = 1, 1
    np.save(tmp_path / "a.npy", mask)
    cv2.imwrite(str(tmp_path / "b.png"), mask * 255)
    corners = ((5.5, 5.5), (14.5, 5.5), (14.5, 14.5), (5.5, 14.5))
    (tmp_path / "c.txt").write_text("0 " + " ".join(f"{x / 60:.5f} {y / 40:.5f}" for x, y in corners) + "\n")
    for stem, regions in (("a", 2), ("b", 2), ("c", 1)):
        labels = read_manual_labels(tmp_path, stem, (40, 60), 40)
        assert labels is not None
        assert labels.max() == regions
        assert labels[10, 10]
        assert not labels[2, 2]
    assert read_manual_labels(tmp_path, "d", (40, 60), 40) is None


def test_manual_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 10), np.uint8))
    with pytest.raises(ConfigError, match="another size"):
        read_manual_labels(tmp_path, "a", (40, 60), 40)


# --- the command -----------------------------------------------------------------------------------------------------


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
    told = json.loads((tmp_path / "out" / "against.json").read_text(encoding="utf-8"))
    assert told["total"]["recall"] == told["total"]["precision"] == 1.0
    assert told["without_labels"] == ["faint.png"]
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


@pytest.mark.parametrize("options", [["--against", "nowhere"], ["--min-diameter-px", "1"]])
def test_wrong_options_end_with_status_2(folder: Path, tmp_path: Path, options: list[str]) -> None:
    assert cli.main(["annotate", str(folder), "--out", str(tmp_path / "out"), *options]) == 2


def test_masks_may_be_written_beside_the_images_of_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), render(5, (320, 240)).grey)
    for _ in range(2):
        assert cli.main(["annotate", str(tmp_path / "images"), "--out", str(tmp_path)]) == 0
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["a.npy"]


def test_a_folder_without_images_ends_with_status_2(tmp_path: Path) -> None:
    assert cli.main(["annotate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2


# --- against the plain threshold -------------------------------------------------------------------------------------


def plain_threshold(grey: Grey) -> Labels:
    """The rival: Otsu on the blurred image, the smaller side of it, components of at least the same size."""
    blurred = cv2.GaussianBlur(grey, (0, 0), 2)
    _, binary = cv2.threshold(blurred, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    if binary.mean() > 0.5:
        binary = 1 - binary
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    labels = np.zeros(grey.shape, np.int32)
    kept = 0
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= np.pi / 4 * Rules().min_diameter_px ** 2:
            kept += 1
            labels[numbers == number] = kept
    return labels


def numbered(regions: Regions, shape: tuple[int, int]) -> Labels:
    labels = np.zeros(shape, np.int32)
    for number, ((x, y, width, height), mask) in enumerate(zip(regions.boxes_px, regions.masks, strict=True), start=1):
        labels[y : y + height, x : x + width][mask] = number
    return labels


def test_the_plain_threshold_is_beaten_on_forty_drawn_scenes() -> None:
    ours, rival = Agreement(), Agreement()
    scores: list[tuple[float, float]] = []
    for index in range(40):
        scene = render(7100 + index, SIZE, SEVERITIES[index % 3])
        truth = numbered(scene.regions, scene.grey.shape)
        annotation = annotate(scene.grey)
        agreement = compare(annotation.labels, truth)
        ours, rival = ours + agreement, rival + compare(plain_threshold(scene.grey), truth)
        scores.append((annotation.trust.score, agreement.pixel_iou))
    print(f"ours F1 {ours.f1:.3f} pixel IoU {ours.pixel_iou:.3f}; rival F1 {rival.f1:.3f} pixel IoU {rival.pixel_iou:.3f}")
    assert ours.f1 > 1.5 * rival.f1
    assert ours.pixel_iou > 1.5 * rival.pixel_iou
    scores.sort()
    worse, better = (float(np.mean([iou for _, iou in half])) for half in (scores[:20], scores[20:]))
    print(f"mean pixel IoU of the half with the lower scores {worse:.3f}, of the other half {better:.3f}")
    assert worse < better
