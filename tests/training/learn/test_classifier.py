"""The severity classifier learns in two phases, is calibrated on what it did not learn, and is judged on parts of fields."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.errors import ConfigError, ModelError
from edge.inspection.classify import domain_distance
from edge.models.card import Calibration
from edge.records import SEVERITIES
from training import cli
from training.data.dataset import LabelledImage
from training.draw.synthetic import render, write_data_set
from training.learn import calibration
from training.score import score_views
from training.score.score_views import MagnifiedVerdicts, RegionVerdicts, Surface

SIDE = 64


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("timm")
    pytest.importorskip("sklearn")
    return pytest.importorskip("torch")


@pytest.fixture
def training(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The training module, with a small input of the network."""
    from training.learn import classifier as train_classifier

    for module in (train_classifier, score_views):
        monkeypatch.setattr(module, "SIDE_PX", SIDE)
    monkeypatch.setattr(train_classifier, "SMALL_SIDE_PX", SIDE // 2)
    return train_classifier


@pytest.fixture
def brightness_judge(torch: Any) -> Any:
    """A classifier whose severity is the mean grey: below 85 low, below 170 moderate, else severe."""

    class Judge(torch.nn.Module):
        def forward(self, image: Any) -> tuple[Any, Any, Any]:
            grey = image.float().mean(dim=(1, 2, 3))
            logits = -((grey[:, None] - torch.tensor([42.0, 127.0, 212.0])) ** 2) / 1000
            return logits, logits[:, :, None, None], torch.stack([grey, grey * 0], dim=1)

    return Judge()


def flat(greys: NDArray[Any]) -> NDArray[np.uint8]:
    """Fields of one grey each."""
    return np.tile(np.asarray(greys, np.uint8)[:, None, None], (1, 2, 2))


def noisy_fields(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Fields whose severity the grey tells only roughly."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    return flat(np.clip(np.array([42, 127, 212])[labels] + rng.normal(0, 45, count), 0, 255)), labels


# --- calibration -----------------------------------------------------------------------------------------------------


def test_the_quantile_counts_one_more_than_there_are() -> None:
    assert calibration.cautious_quantile(np.arange(1.0, 10.0), 0.9) == 9
    assert calibration.cautious_quantile(np.arange(1.0, 100.0), 0.9) == 90


def test_too_few_values_have_no_quantile() -> None:
    assert calibration.cautious_quantile(np.arange(8.0), 0.9) == np.inf


def test_a_quantile_with_confidence_covers_in_nearly_every_repetition() -> None:
    rng = np.random.default_rng(0)
    limits = np.array([calibration.cautious_quantile(rng.random(200), 0.9, 0.95) for _ in range(2000)])
    assert 0.95 <= (limits >= 0.9).mean() < 0.98
    assert calibration.cautious_quantile(np.arange(28.0), 0.9, 0.95) == np.inf
    assert calibration.cautious_quantile(np.arange(29.0), 0.9, 0.95) == 28


def test_with_too_few_fields_every_prediction_set_holds_all_labels(brightness_judge: Any) -> None:
    few = calibration.calibrate(brightness_judge, flat(np.array([40, 120, 210])), np.array([0, 1, 2]))
    assert few.conformal_quantile == 1
    assert calibration.verdicts(brightness_judge, few, flat(np.array([0, 255]))).kept.all()


def test_prediction_sets_hold_the_truth_as_often_as_asked(brightness_judge: Any) -> None:
    fitted = calibration.calibrate(brightness_judge, *noisy_fields(4000, 0))
    measured = calibration.conformal_coverage(brightness_judge, fitted, *noisy_fields(8000, 1))
    assert measured.n == 8000
    assert 0.88 <= measured.low_95 < measured.coverage < measured.high_95 <= 0.92
    assert 1 < measured.mean_set_size < 2


def test_a_prediction_set_is_never_empty(brightness_judge: Any) -> None:
    said = calibration.verdicts(brightness_judge, Calibration(conformal_quantile=0.0), noisy_fields(50, 2)[0])
    assert (said.kept.sum(axis=1) == 1).all()


def test_coverage_counts_fields_in_domain_alone(brightness_judge: Any) -> None:
    rng = np.random.default_rng(0)
    near = rng.normal(100, 10, (300, 2)).astype(np.float32)
    fitted = Calibration(conformal_quantile=0.5, domain=calibration.domain_statistics(near, near))
    fields, labels = flat(np.array([100, 250])), np.array([1, 0])
    assert calibration.verdicts(brightness_judge, fitted, fields).in_domain.tolist() == [False, False]
    assert calibration.conformal_coverage(brightness_judge, fitted, fields, labels).n == 0


def test_a_proof_needs_enough_fields_on_both_sides() -> None:
    assert calibration.chance_of_proof(1000, 1500, 0.88, confidence=None) < 0.7
    assert calibration.chance_of_proof(1500, 2000, 0.88) > 0.95


def test_temperature_undoes_overconfidence() -> None:
    logits = np.array([[8.0, 0, 0]] * 10)
    assert calibration.softmax(logits, 4.0)[0, 0] < calibration.softmax(logits)[0, 0]


def test_calibration_error_is_nothing_where_confidence_is_the_accuracy() -> None:
    error = calibration.expected_calibration_error(np.array([0.9] * 10), np.array([True] * 9 + [False]))
    assert error == pytest.approx(0, abs=1e-9)


def test_fifteen_right_of_sixteen_prove_little() -> None:
    low, high = calibration.wilson_interval(15, 16)
    assert (round(low, 2), round(high, 2)) == (0.72, 0.99)


def test_embeddings_far_from_the_training_images_are_out_of_domain() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 128))
    near = (rng.normal(size=(500, 20)) @ mixing + 0.1 * rng.normal(size=(500, 128))).astype(np.float32)
    statistics = calibration.domain_statistics(near[:300], near[300:400])
    assert (domain_distance(near[400:], statistics) <= statistics.threshold).mean() > 0.9
    far = (10 * rng.normal(size=(20, 128))).astype(np.float32)
    assert (domain_distance(far, statistics) > statistics.threshold).all()


def test_drawn_fields_differ_from_seed_to_seed_and_come_back() -> None:
    fields, labels = calibration.drawn_fields(7, 2, (96, 96), SIDE)
    again, _ = calibration.drawn_fields(8, 1, (96, 96), SIDE)
    assert fields.shape == (2, SIDE, SIDE)
    assert labels.shape == (2,)
    assert (fields[1] == again[0]).all()
    assert (fields[0] != fields[1]).any()


# --- other magnifications --------------------------------------------------------------------------------------------


def test_the_centre_at_twice_the_magnification_is_half_as_wide() -> None:
    pixels = np.arange(8 * 12).reshape(8, 12)
    assert (score_views.centre(pixels, 2.0) == pixels[2:6, 3:9]).all()
    assert score_views.centre(pixels, 1.0).shape == pixels.shape


def surface(grey: int, centre_grey: int, share: float, severity: int) -> Surface:
    pixels = np.full((60, 80), grey, np.uint8)
    score_views.centre(pixels, 2.0)[:] = centre_grey
    corroded = np.zeros((60, 80), np.bool_)
    corroded.flat[: round(share * corroded.size)] = True
    return Surface(pixels, corroded, severity)


def test_the_same_everywhere_is_the_same_at_every_magnification(brightness_judge: Any) -> None:
    surfaces = [surface(grey, grey, 0.1 * index, index) for index, grey in enumerate((30, 120, 220))]
    sure = Calibration(conformal_quantile=0.3)
    scores = score_views.magnification_agreement(brightness_judge, sure, surfaces, "three surfaces")
    assert scores["magnification_agreement_any_share"]["value"] == 1
    assert scores["magnification_silent_change"]["value"] == 0
    assert scores["magnification_review"] == {**scores["magnification_review"], "value": 0, "n": 6}
    assert scores["magnification_agreement"]["range"] == [1.0, 2.0]


def test_another_verdict_on_the_centre_is_seen(brightness_judge: Any) -> None:
    surfaces = [surface(grey, grey, 0.1 * index, index) for index, grey in enumerate((30, 120, 220))]
    changed = score_views.magnified_verdicts(
        brightness_judge, Calibration(conformal_quantile=0.3), [*surfaces, surface(30, 220, 0.0, 0)], (2.0,)
    )
    assert changed.labels.tolist() == [[0, 0], [1, 1], [2, 2], [0, 2]]
    assert changed.sure[3, 1]


def test_change_that_the_true_share_explains_is_not_held_against_the_classifier() -> None:
    said = MagnifiedVerdicts(
        magnifications=(2.0,),
        labels=np.array([[0, 0], [0, 2], [1, 2], [1, 0]]),
        sure=np.array([[True, True], [True, True], [True, True], [True, False]]),
        by_share=np.array([[0, 0], [0, 2], [1, 1], [1, 1]]),
    )
    scores = {name: (row["value"], row["n"]) for name, row in said.card("four pairs").items()}
    assert scores["magnification_agreement"] == (0.5, 2)
    assert scores["magnification_agreement_any_share"] == (pytest.approx(1 / 3, abs=1e-4), 3)
    assert scores["magnification_share_changes"] == (0.25, 4)
    assert scores["magnification_review"] == (0.25, 4)
    assert scores["magnification_silent_change"] == (0.5, 4)


def test_no_surfaces_cannot_be_judged(brightness_judge: Any) -> None:
    with pytest.raises(ValueError, match="no surfaces"):
        score_views.magnified_verdicts(brightness_judge, Calibration(), [])


# --- single regions --------------------------------------------------------------------------------------------------


def test_each_region_is_judged_against_its_own_truth(brightness_judge: Any) -> None:
    scenes = [render(seed, (160, 120), "severe") for seed in (4, 5)]
    said = score_views.region_verdicts(brightness_judge, Calibration(), scenes, most=3)
    shown = [min(3, len(scene.regions)) for scene in scenes]
    assert len(said.truth) == sum(shown)
    truths = {
        (SEVERITIES.index(severity), float(degree))
        for scene in scenes
        for severity, degree in zip(scene.region_severities, scene.degrees, strict=True)
    }
    assert set(zip(said.truth.tolist(), said.degrees.tolist(), strict=True)) <= truths
    assert len(set(said.of_fields[: shown[0]].tolist())) == 1


def test_right_verdicts_on_regions_beat_the_fields() -> None:
    pytest.importorskip("sklearn")
    truth = np.array([0, 1, 2, 2])
    said = RegionVerdicts(truth, np.array([2, 2, 2, 2]), truth, truth.astype(float), np.array([0.1, 0.4, 0.7, 0.8]))
    scores = {name: row["value"] for name, row in said.card("four regions").items()}
    assert scores["region_accuracy_weak"] == scores["region_macro_f1_weak"] == 1
    assert scores["region_accuracy_of_field"] == 0.5
    assert scores["region_degree_correlation_weak"] > 0.9


# --- data ------------------------------------------------------------------------------------------------------------


def image(group: str, severity: Any, origin: str | None = None) -> LabelledImage:
    return LabelledImage(Path(f"{group}.png"), severity, group, "train", 1, origin)


def test_calibration_takes_whole_groups_and_no_copies(training: Any) -> None:
    originals = [image(f"{severity} {number}", severity) for severity in SEVERITIES for number in range(5)]
    images = (*originals, *(replace(one, origin=one.path.name) for one in originals))
    learnt, aside = training._set_aside(images, seed=0)
    assert not {one.group for one in learnt} & {one.group for one in aside}
    assert {one.severity for one in aside} == set(SEVERITIES)
    assert all(one.origin is None for one in aside)
    assert len(learnt) + 2 * len(aside) == len(images)


def test_one_group_cannot_calibrate_what_it_taught(training: Any) -> None:
    with pytest.raises(ConfigError, match="too few groups"):
        training._set_aside((image("a", "low"), image("a", "low")), seed=0)


def examples(training: Any, count: int = 12, zoom: float = 0.5) -> Any:
    """Dark low fields and bright severe ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2 * 2
    pictures = tuple(np.asarray(rng.normal(60 + 60 * label, 8, (72, 96)), np.uint8) for label in labels)
    crops = np.zeros((0, SIDE, SIDE), np.uint8)
    unknown = (None,) * count
    return training._Examples(pictures, labels, unknown, crops, np.zeros(0, np.int64), 0.5, 0.2, zoom, rng)


def test_a_magnified_window_keeps_the_aspect_ratio_and_its_range(training: Any) -> None:
    rng = np.random.default_rng(0)
    field = np.zeros((300, 400), np.uint8)
    shapes = np.array([field[training._window(field.shape, 0.5, rng)].shape for _ in range(200)])
    assert shapes[:, 0].min() >= 150
    assert shapes[:, 0].max() <= 300
    assert np.abs(shapes[:, 1] / shapes[:, 0] - 4 / 3).max() < 0.02


def test_an_epoch_shows_every_field_once_at_the_asked_size(training: Any) -> None:
    batches = list(examples(training, 20).batches(32))
    assert [len(truth.labels) for _, truth in batches] == [16, 4]
    assert batches[0][0].shape == (16, 3, 32, 32)


def test_rare_classes_weigh_more_and_absent_ones_do_no_harm(training: Any) -> None:
    some = replace(examples(training, 4), labels=np.array([0, 0, 0, 2]))
    assert some.class_weights().tolist() == pytest.approx([4 / 6, 1, 2])


# --- learning --------------------------------------------------------------------------------------------------------


def test_the_first_phase_changes_the_head_alone(training: Any, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.initial_network("resnet18", "none").network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training._fit_head(network, examples(training), training.Recipe(head_epochs=2))
    after = network.state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


def test_the_head_alone_tells_dark_from_bright(training: Any, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.initial_network("resnet18", "none").network
    some = examples(training, 24)
    training._fit_head(network, some, training.Recipe(head_epochs=40, dropout=0.0, mixup=0.0))
    with torch.no_grad():
        right = [(network(images).argmax(dim=1) == truth.labels).float().mean() for images, truth in some.batches()]
    assert np.mean(right) > 0.9


def test_the_second_phase_changes_all_layers(training: Any, torch: Any) -> None:
    torch.manual_seed(0)
    network = training.initial_network("resnet18", "none").network
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    training._fit_all(network, examples(training), training.Recipe(epochs=3), rate=1e-3)
    assert all(not torch.equal(before[name], tensor) for name, tensor in network.named_parameters())


def test_weights_are_averaged_over_the_last_steps(training: Any, torch: Any) -> None:
    """A step late in training moves the average by a part of what it moves the weights."""
    ends = []
    for averaged in (0.0, 0.5):
        torch.manual_seed(0)
        network = training.initial_network("resnet18", "none").network
        recipe = training.Recipe(epochs=3, averaged=averaged, mixup=0.0)
        training._fit_all(network, examples(training, 40), recipe, rate=1e-3)
        ends.append(network.get_classifier().weight.detach().clone())
    torch.manual_seed(0)
    begin = training.initial_network("resnet18", "none").network.get_classifier().weight.detach()
    last, average = ((end - begin).norm() for end in ends)
    assert 0 < average < last


def test_the_network_answers_for_the_mix_of_the_data_unless_asked_not_to(training: Any, torch: Any) -> None:
    biases = []
    some = examples(training, 40)
    some = replace(some, labels=np.where(np.arange(40) < 30, 0, 2))  # three times as many of the first, none of the second
    for prior in ("balanced", "data"):
        torch.manual_seed(0)
        beginning = training.initial_network("resnet18", "none")
        some.rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        training._fit(beginning, some, training.Recipe(epochs=1, head_epochs=0, prior=prior))
        biases.append(beginning.network.get_classifier().bias.detach().numpy())
    added = biases[1] - biases[0]
    assert added[0] - added[2] == pytest.approx(np.log(3), abs=1e-4)
    assert added[1] == pytest.approx(0, abs=1e-4)


def test_without_mixup_inputs_stay_themselves(training: Any, torch: Any) -> None:
    loss = training._Loss(training.Recipe(mixup=0.0), examples(training), torch.device("cpu"))
    inputs = torch.rand(4, 3)
    mixed, mixture = loss.mix(inputs)
    assert torch.equal(mixed, inputs)
    assert mixture.part == 1


def test_mixed_inputs_are_judged_by_both_labels(training: Any, torch: Any) -> None:
    some = examples(training)
    loss = training._Loss(training.Recipe(mixup=0.4, label_smoothing=0.0), some, torch.device("cpu"))
    mixture = training._Mixture(0.25, torch.tensor([1, 0]))
    logits = torch.tensor([[9.0, 0, 0], [9.0, 0, 0]])
    truth = training._Truth(torch.tensor([0, 2]), torch.ones(2), torch.full((2,), torch.nan))
    weights = some.class_weights()
    wrong = 9 * (0.75 * weights[2] + 0.25 * weights[2]) / 2
    assert float(loss(logits, None, truth, mixture)) == pytest.approx(float(wrong), rel=1e-2)


def test_a_known_area_is_learnt_and_an_unknown_one_counts_nothing(training: Any, torch: Any) -> None:
    loss = training._Loss(training.Recipe(area_weight=2.0), examples(training), torch.device("cpu"))
    severities = training._Loss(training.Recipe(), examples(training), torch.device("cpu"))
    alone = training._Mixture(1.0, torch.tensor([0, 1]))
    logits, truth = torch.zeros(2, 3), training._Truth(torch.tensor([0, 2]), torch.ones(2), torch.tensor([0.1, torch.nan]))
    wanted = float(np.log(0.1 + training.LEAST_AREA))
    right, wrong = (loss(logits, torch.tensor([wanted + by, 5.0]), truth, alone) for by in (0.0, 3.0))
    assert float(right) == pytest.approx(float(severities(logits, None, truth, alone)))
    assert float(wrong - right) == pytest.approx(2.0 * (3.0 - 0.5) / 2)


def test_the_area_of_a_window_is_its_own(training: Any) -> None:
    """The left half is corroded, and dark."""
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 80), bool)
    mask[:, :40] = True
    picture = np.where(mask, 40, 200).astype(np.uint8)
    crops = np.full((1, SIDE, SIDE), 90, np.uint8)
    some = training._Examples(
        (picture,) * 40, np.zeros(40, np.int64), (mask,) * 40, crops, np.zeros(1, np.int64), 0, 1, 0.5, rng
    )
    seen = np.concatenate([truth.areas.numpy() for _, truth in some.batches(32)])
    assert np.isnan(seen).sum() == 1
    assert np.nanmin(seen) < 0.4
    assert np.nanmax(seen) > 0.6


def test_corroded_pixels_are_those_of_the_label_files(training: Any, tmp_path: Path) -> None:
    write_data_set(tmp_path, images=6, seed=5, size_px=(96, 96))
    images = [one for one in training.open_data_set(tmp_path).images if one.severity is not None]
    pictures, _ = training._load_pictures(images)
    truth = {one["image"]: one["drawn_fraction"] for one in json.loads((tmp_path / "truth.json").read_bytes())["images"]}
    for image_, mask in zip(images, training._load_corroded(training.open_data_set(tmp_path), images, pictures), strict=True):
        assert mask is not None
        assert mask.mean() == pytest.approx(truth[image_.path.name], abs=0.03)


def test_weights_of_another_layout_are_refused(training: Any, torch: Any, tmp_path: Path) -> None:
    torch.save(training.initial_network("resnet18", "none").network.state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ModelError, match="not the same layout"):
        training.initial_network("efficientnet_b0", str(tmp_path / "resnet.pth"))


def test_weights_without_squeeze_and_excitation_begin_a_b0_with_open_gates(training: Any, torch: Any, tmp_path: Path) -> None:
    known = training.initial_network("efficientnet_b0", "none").network.state_dict()
    lite = {f"another.{name}": tensor for name, tensor in known.items() if ".se." not in name}
    torch.save(lite, tmp_path / "lite.pth")
    beginning = training.initial_network("efficientnet_b0", str(tmp_path / "lite.pth"))
    begun = beginning.network.state_dict()
    assert all(torch.equal(begun[name], known[name]) for name in known if ".se." not in name)
    gates = torch.cat([begun[name] for name in begun if name.endswith(".se.conv_expand.bias")])
    assert float(gates.sigmoid().min()) > 0.95
    assert beginning.head_first


def test_the_same_recipe_gives_the_same_weights(training: Any, torch: Any) -> None:
    def learnt() -> dict[str, Any]:
        torch.manual_seed(0)
        beginning = replace(training.initial_network("resnet18", "none"), head_first=True)
        training._fit(beginning, examples(training), training.Recipe(head_epochs=2, epochs=2, small_part=0.5))
        return dict(beginning.network.state_dict())

    first, second = learnt(), learnt()
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn data set with two folds."""
    folder = tmp_path_factory.mktemp("folded")
    write_data_set(folder, images=24, seed=50, size_px=(96, 96))
    with (folder / "samples.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (folder / "samples.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "part", "fold"])
        writer.writeheader()
        writer.writerows({**row, "part": "train", "fold": index // 3 % 2} for index, row in enumerate(rows))
    return folder


def test_each_fold_gets_a_classifier_scored_on_that_fold(folded: Path, tmp_path: Path, training: Any) -> None:
    from export.checkpoint import Checkpoint
    from training.learn.classifier import outputs

    options = ["--weights", "none", "--architecture", "resnet18", "--epochs", "1", "--fold", "all", "--out", str(tmp_path)]
    assert cli.main(["classifier", "--data", str(folded), *options]) == 0
    for fold in range(2):
        checkpoint = Checkpoint.load(tmp_path / f"fold{fold}" / "classifier.pt")
        assert checkpoint.scores["accuracy"]["n"] == 12
        assert checkpoint.scores["accuracy"]["how"] == f"fold {fold} of {folded.name}"
        assert 6 <= checkpoint.training.images <= 10
        logits, _ = outputs(calibration.graph_of(checkpoint), np.zeros((1, SIDE, SIDE), np.uint8))
        assert np.isfinite(logits).all()


def test_recalibration_keeps_weights_and_domain(folded: Path, tmp_path: Path, training: Any) -> None:
    recipe = training.Recipe(architecture="resnet18", weights="none", epochs=1, crops_part=0.0)
    before = training.train(folded, tmp_path, recipe, "test", fold=0)
    fields, labels = calibration.drawn_fields(7, 40, (96, 96), SIDE)
    after = training.recalibrated(before, fields, labels)
    assert after.calibration.domain == before.calibration.domain
    assert after.calibration.conformal_quantile != before.calibration.conformal_quantile
    assert all(bool((before.state[name] == after.state[name]).all()) for name in before.state)
