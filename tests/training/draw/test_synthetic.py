"""The generator draws what it says, with the truth that it says; the law and the two judges keep their promises."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.config import SampleSettings
from edge.records import SEVERITIES, SeverityLabel
from tests import ROOT
from training import cli
from training.data.dataset import open_data_set, severity_of
from training.draw import kinetics, synthetic
from training.draw.appearance import ATTACKS, PIT_STYLES, PRODUCT_HABITS, Appearance, paper, wide
from training.draw.canvas import Canvas
from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H, Growth, corroded_fraction
from training.draw.synthetic import (
    CLASSES,
    PAPER_CLASSES,
    SMALLEST_REGION_PX2,
    Scene,
    render,
    render_coupon,
    write_scenes,
    yolo_labels,
)
from training.score.baselines import measure, oracle_hits, otsu_regions

SIZE = (192, 144)


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


def appearance_with(**changes: Any) -> Appearance:
    """A quiet one: nothing that covers regions, no noise worth mentioning."""
    calm = {"bar": False, "edge_part": 0.0, "holes": 0.0, "particles": 0.0, "fibres": 0.0, "drift_px": 0.0, "dose": 1e5}
    return replace(paper(np.random.default_rng(0), 60.0), **{**calm, **changes})


def drawn(appearance: Appearance, fraction: float = 0.06, size: tuple[int, int] = SIZE, seed: int = 3) -> Scene:
    growth = Growth(60.0, 168.0, image_factor=fraction / corroded_fraction(168.0, 60.0))
    return synthetic._draw(np.random.default_rng(seed), appearance, growth, size, "moderate", "K", seed, "name")


@pytest.mark.parametrize("style", PIT_STYLES)
def test_every_style_of_pit_can_be_drawn(style: str) -> None:
    scene = drawn(appearance_with(pit_styles=tuple(float(name == style) for name in PIT_STYLES), product_part=0.0))
    assert set(scene.regions.class_ids.tolist()) <= {synthetic.PIT}
    assert len(scene.regions) or style == "faint"


@pytest.mark.parametrize("habit", PRODUCT_HABITS)
def test_every_habit_of_product_can_be_drawn(habit: str) -> None:
    scene = drawn(appearance_with(product_habits=tuple(float(name == habit) for name in PRODUCT_HABITS), product_part=1.0))
    assert set(scene.regions.class_ids.tolist()) == {synthetic.PRODUCT}


@pytest.mark.parametrize(
    ("attack", "class_id"), [("uniform", synthetic.ATTACK), ("intergranular", synthetic.ATTACK), ("layer", synthetic.PRODUCT)]
)
def test_every_kind_of_attack_can_be_drawn(attack: str, class_id: int) -> None:
    assert attack in ATTACKS
    scene = drawn(appearance_with(attack=attack, grain_px=200.0, contrast=2.0), fraction=0.15)
    assert class_id in scene.regions.class_ids


def test_a_dense_field_holds_hundreds_of_small_pits() -> None:
    styles = tuple(float(name == "deep") for name in PIT_STYLES)
    appearance = appearance_with(pit_px=9.0, pit_styles=styles, product_part=0.0, crowding=0.3, contrast=2.0)
    assert 200 <= len(drawn(appearance, fraction=0.1, size=(640, 480)).regions) <= 450


def test_the_drawn_fraction_is_the_one_that_was_asked_for() -> None:
    scenes = [drawn(appearance_with(darkness=0.9), 0.08, (320, 240), seed) for seed in range(6)]
    assert np.mean([scene.area_fraction for scene in scenes]) == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize(("step", "kept"), [(0.2, 1), (0.005, 0)])
def test_a_region_that_nobody_could_see_gets_no_label(step: float, kept: int) -> None:
    canvas = Canvas(np.random.default_rng(0), appearance_with(), 64, 64)
    bare = canvas.grey.copy()
    canvas.claim(slice(40, 50), slice(40, 50), np.ones((10, 10), np.bool_), synthetic.PIT, 0.5)
    canvas.grey[40:50, 40:50] -= step
    canvas.forget_invisible(bare, canvas.grey)
    regions, _ = canvas.regions()
    assert len(regions) == kept


def test_there_are_images_without_any_corrosion_and_they_count_as_low() -> None:
    never = [scene for scene in (render(seed, (64, 64), "low") for seed in range(40)) if scene.exposure_h == 0]
    assert never
    assert all(len(scene.regions) == 0 and scene.severity == "low" for scene in never)


def test_the_wide_appearance_reaches_all_surfaces_faint_doses_and_data_bars() -> None:
    appearances = [wide(np.random.default_rng(seed)) for seed in range(300)]
    assert {appearance.surface for appearance in appearances} == {
        "ground",
        "polished",
        "machined",
        "grains",
        "mottled",
        "rough",
        "dull",
    }
    assert min(appearance.dose for appearance in appearances) < 60 < 2000 < max(appearance.dose for appearance in appearances)
    assert any(appearance.bar for appearance in appearances)
    assert {appearance.bits for appearance in appearances} == {6, 8, 16}


def test_drift_moves_labels_with_their_pixels() -> None:
    styles = tuple(float(name == "deep") for name in PIT_STYLES)
    scene = drawn(
        appearance_with(drift_px=4.0, pit_styles=styles, product_part=0.0, surface="polished", boundary=0.0), 0.1, (320, 240)
    )
    inside = synthetic._numbered(scene.regions, 320, 240) > 0
    core = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert scene.grey[core].mean() < scene.grey[~inside].mean() - 20


# --- the law ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("annealing_min", ANNEALING_MIN)
def test_corrosion_grows_and_saturates(annealing_min: float) -> None:
    hours = np.array([0.0, 1, 24, 168, 336, 504, 5000, 50000])
    fractions = np.array([corroded_fraction(t, annealing_min) for t in hours])
    assert (np.diff(fractions) >= 0).all()
    assert fractions[0] == 0
    assert fractions[-1] == pytest.approx(kinetics.START_FRACTION + kinetics.LIMIT_FRACTION[annealing_min], rel=1e-6)
    assert fractions[-1] == pytest.approx(fractions[-2], rel=1e-6)


def test_longer_annealing_corrodes_more() -> None:
    for hours in EXPOSURES_H[1:]:
        fractions = [corroded_fraction(hours, minutes) for minutes in ANNEALING_MIN]
        assert fractions == sorted(fractions)


def test_drawn_coupons_follow_the_law() -> None:
    for hours in EXPOSURES_H:
        scenes = [render_coupon(90.0, hours, coupon, 1, (320, 240)) for coupon in range(1, 9)]
        ratios = [scene.area_fraction / scene.growth.target_fraction for scene in scenes]
        assert np.median(ratios) == pytest.approx(1.0, abs=0.25)


def test_scatter_between_coupons_is_shared_by_their_images() -> None:
    one, other = (render_coupon(60.0, 168.0, 2, image, (64, 64)).growth for image in (1, 2))
    assert one.coupon_factor == other.coupon_factor
    assert one.image_factor != other.image_factor


def test_degrees_grow_with_progress_and_tell_no_more() -> None:
    rng = np.random.default_rng(0)
    means = [np.mean([kinetics.degree(rng, progress) for _ in range(400)]) for progress in (0.03, 0.3, 1.0)]
    low, high = kinetics.DEGREE_LIMITS
    assert means[0] < low < means[1] < high < means[2]
    slow, fast = Growth(60.0, 504.0, coupon_factor=0.5), Growth(60.0, 504.0 * 0.5)
    assert slow.progress == pytest.approx(fast.progress, rel=0.2)


def test_every_region_has_a_degree_and_a_severity() -> None:
    scene = render(3, SIZE, "severe")
    assert scene.degrees.shape == (len(scene.regions),)
    assert ((scene.degrees > 0) & (scene.degrees <= 1)).all()
    assert len(scene.region_severities) == len(scene.regions)


def test_a_condition_that_is_not_the_papers_is_refused() -> None:
    with pytest.raises(ValueError, match="annealing"):
        render_coupon(45.0, 168.0, 1, 1)


# --- the two presets on disk -----------------------------------------------------------------------------------------


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


def test_the_truth_tells_law_scatter_and_regions_of_each_image(paper_set: Path) -> None:
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


def test_synthesize_writes_as_many_images_as_asked_for(tmp_path: Path) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--seed", "9", "--size", "96x64"]) == 0
    images = sorted((tmp_path / "images").iterdir())
    assert len(images) == 2
    assert cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE).shape == (64, 96)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--preset", "paper", "--images", "5"], "--images"),
        ([], "--images"),
        (["--images", "2", "--classes", "annealing"], "--classes"),
    ],
)
def test_what_a_preset_cannot_do_is_wrong_usage(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["synthesize", "--out", str(tmp_path), *arguments]) == 2
    assert named in capsys.readouterr().err


def test_a_size_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["synthesize", "--out", str(tmp_path), "--images", "2", "--size", "large"])
    assert raised.value.code == 2


# --- the two judges --------------------------------------------------------------------------------------------------


def test_otsu_finds_dark_discs_on_plain_metal() -> None:
    grey = np.full((240, 320), 150, np.uint8)
    for x in (60, 160, 260):
        cv2.circle(grey, (x, 120), 20, 40, -1)
    boxes = otsu_regions(grey).boxes_px
    assert len(boxes) == 3
    assert np.abs(boxes[:, 2:] - 41).max() <= 4


def test_otsu_finds_nothing_on_noise() -> None:
    noise = np.random.default_rng(0).normal(128, 10, (240, 320))
    assert len(otsu_regions(np.clip(noise, 0, 255).astype(np.uint8))) <= 2


def test_an_oracle_is_right_where_fractions_do_not_overlap() -> None:
    fractions = np.array([0.01, 0.012, 0.05, 0.06, 0.2, 0.3] * 3)
    severities = np.array([0, 0, 1, 1, 2, 2] * 3)
    assert oracle_hits(fractions, severities, np.array([str(i % 9) for i in range(18)])).all()


def test_an_oracle_never_learns_from_the_coupon_it_judges() -> None:
    fractions, severities = np.array([0.01, 0.02, 0.03, 0.04, 0.9]), np.array([0, 0, 1, 1, 2])
    groups = np.array(["a", "b", "c", "d", "e"])
    assert not oracle_hits(fractions, severities, groups)[-1]


def test_the_law_makes_the_papers_classes_as_separable_as_the_paper_found() -> None:
    rng = np.random.default_rng(5)
    fractions, severities, groups = [], [], []
    for coupon in range(100):
        for minutes in ANNEALING_MIN:
            for hours in EXPOSURES_H:
                factor = kinetics.scatter(rng, kinetics.COUPON_SCATTER)
                growth = Growth(minutes, hours, factor, kinetics.scatter(rng, kinetics.IMAGE_SCATTER))
                fractions.append(growth.target_fraction)
                label = severity_of(hours)
                assert label is not None
                severities.append(SEVERITIES.index(label))
                groups.append(str(coupon % 4))
    assert oracle_hits(np.array(fractions), np.array(severities), np.array(groups)).mean() == pytest.approx(0.94, abs=0.02)


def test_both_judges_score_a_set() -> None:
    scored = measure(render(seed, (96, 96), SEVERITIES[seed % 3]) for seed in range(6))
    assert scored.images == 6
    assert 0 <= scored.pixel_iou <= 1
    assert "oracle" in str(scored)


# --- the shipped samples ---------------------------------------------------------------------------------------------


def test_the_shipped_samples_are_still_the_files_that_the_first_generator_drew() -> None:
    """They are kept, not redrawn: parity scores and the demo's picture were made with them."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "edge" / "samples").iterdir()):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    assert digest.hexdigest()[:16] == "9b7791540ab89c4c"
