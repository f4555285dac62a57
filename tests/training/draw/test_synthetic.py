"""The generator draws what it says, with the truth that it says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.config import SampleSettings
from edge.records import SEVERITIES, SeverityLabel
from tests.training.draw.scenes import SIZE
from training import cli
from training.data.dataset import open_data_set, severity_of
from training.draw import kinetics, synthetic
from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H
from training.draw.synthetic import (
    CLASSES,
    PAPER_CLASSES,
    SMALLEST_REGION_PX2,
    render,
    render_coupon,
    write_scenes,
    yolo_labels,
)


def test_the_same_seed_draws_the_same_scene() -> None:
    one, other = render(11, SIZE), render(11, SIZE)
    assert one.name == other.name
    np.testing.assert_array_equal(one.grey, other.grey)
    np.testing.assert_array_equal(one.regions.boxes_px, other.regions.boxes_px)


def test_another_seed_draws_another_scene() -> None:
    assert (render(11, SIZE).grey != render(12, SIZE).grey).mean() > 0.5


@pytest.mark.parametrize("size", [(192, 144), (144, 192), (97, 131)])
def test_a_scene_has_the_size_asked_for(size: tuple[int, int]) -> None:
    scene = render(5, size)
    assert scene.grey.shape == size[::-1]
    assert scene.grey.dtype == np.uint8


@pytest.mark.parametrize("seed", range(8))
def test_regions_lie_inside_the_image_and_do_not_overlap(seed: int) -> None:
    regions = render(seed, SIZE, "severe").regions
    taken = np.zeros(SIZE[::-1], np.int32)
    for (x, y, width, height), mask in zip(regions.boxes_px, regions.masks, strict=True):
        assert x >= 0
        assert y >= 0
        assert x + width <= SIZE[0]
        assert y + height <= SIZE[1]
        taken[y : y + height, x : x + width] += mask
    assert taken.max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_a_region_is_one_connected_part_with_tight_bounds(seed: int) -> None:
    for mask in render(seed, SIZE, "severe").regions.masks:
        parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        assert parts == 2
        assert mask.sum() >= SMALLEST_REGION_PX2
        assert all(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def test_more_severe_scenes_are_more_corroded_on_average() -> None:
    means = [np.mean([render(seed, SIZE, label).area_fraction for seed in range(20)]) for label in SEVERITIES]
    assert means[0] < means[1] < means[2]


def test_pits_and_product_occur() -> None:
    seen = {int(value) for seed in range(6) for value in render(seed, SIZE, "severe").regions.class_ids}
    assert {synthetic.PIT, synthetic.PRODUCT} <= seen


def test_scenes_without_a_chosen_severity_have_all_of_them() -> None:
    assert {render(seed, (64, 64)).severity for seed in range(20)} == set(SEVERITIES)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_scenes_name_says_its_annealing_and_exposure(severity: SeverityLabel) -> None:
    scene = render(3, (64, 64), severity)
    fields = SampleSettings().fields(f"{scene.name}.tif")
    assert (fields["annealing_min"], fields["exposure_h"]) == (scene.annealing_min, scene.exposure_h)
    assert severity_of(fields["exposure_h"]) == severity


def test_labels_drawn_again_cover_their_regions() -> None:
    scene = render(7, (320, 240), "severe")
    lines = yolo_labels(scene.regions, 320, 240).splitlines()
    assert len(lines) > 3
    largest = np.array(lines[0].split()[1:], float).reshape(-1, 2) * (320, 240) - 0.5
    drawn = np.zeros((240, 320), np.uint8)
    cv2.fillPoly(drawn, [np.round(largest).astype(np.int32)], 1)
    truth = np.zeros((240, 320), bool)
    x, y, width, height = scene.regions.boxes_px[0]
    truth[y : y + height, x : x + width] = scene.regions.masks[0]
    both, either = (drawn & truth).sum(), (drawn | truth).sum()
    assert both / either > 0.95


def test_there_are_images_without_any_corrosion_and_they_count_as_low() -> None:
    never = [scene for scene in (render(seed, (64, 64), "low") for seed in range(40)) if scene.exposure_h == 0]
    assert never
    assert all(len(scene.regions) == 0 and scene.severity == "low" for scene in never)


def test_every_region_has_a_degree_and_a_severity() -> None:
    scene = render(3, SIZE, "severe")
    assert scene.degrees.shape == (len(scene.regions),)
    assert ((scene.degrees > 0) & (scene.degrees <= 1)).all()
    assert len(scene.region_severities) == len(scene.regions)


def test_a_condition_that_is_not_the_papers_is_refused() -> None:
    with pytest.raises(ValueError, match="annealing"):
        render_coupon(45.0, 168.0, 1, 1)


@pytest.fixture(scope="module")
def paper_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    assert cli.main(["synthesize", "--preset", "paper", "--out", str(folder), "--size", "96x72"]) == 0
    return folder


def test_the_papers_preset_is_a_full_factorial_of_117_images(paper_set: Path) -> None:
    data_set = open_data_set(paper_set)
    assert data_set.classes == PAPER_CLASSES
    assert len(data_set.images) == 117
    truth = json.loads((paper_set / "truth.json").read_text())["images"]
    conditions = Counter((image["annealing_min"], image["exposure_h"]) for image in truth)
    assert set(conditions) == {(minutes, hours) for minutes in ANNEALING_MIN for hours in EXPOSURES_H}
    assert set(conditions.values()) == {9, 10}


def test_each_condition_has_four_coupons_of_several_images(paper_set: Path) -> None:
    images = Counter(image.group for image in open_data_set(paper_set).images)
    assert len(images) == 12 * 4
    assert set(images.values()) == {2, 3}
    assert set(Counter(group.rsplit("_", 1)[0] for group in images).values()) == {4}


def test_the_truth_holds_law_scatter_and_regions_of_each_image(paper_set: Path) -> None:
    truth = json.loads((paper_set / "truth.json").read_text())
    assert truth["schema"] == "synthetic.truth/1"
    assert truth["law"]["avrami_exponent"] == kinetics.AVRAMI_EXPONENT
    for image in truth["images"]:
        numbers = cv2.imread(str(paper_set / "truth" / image["image"]), cv2.IMREAD_UNCHANGED)
        areas = np.bincount(numbers.ravel())[1:].tolist()
        assert areas == image["region_area_px"]
        assert len(image["region_class"]) == len(image["region_degree"]) == len(areas)
        assert image["drawn_fraction"] == pytest.approx(sum(areas) / numbers.size, abs=1e-5)


def test_the_papers_labels_are_annealing_times(paper_set: Path) -> None:
    for path in (paper_set / "labels").glob("AN_90_21days*.txt"):
        assert {line.split()[0] for line in path.read_text().splitlines()} <= {"1"}


def test_the_papers_preset_can_have_morphological_classes(tmp_path: Path) -> None:
    scenes = [render_coupon(120.0, 504.0, 1, 1, (320, 240))]
    write_scenes(tmp_path, scenes, CLASSES, "paper", 1)
    assert open_data_set(tmp_path).classes == CLASSES
