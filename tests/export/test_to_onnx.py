"""Exported graphs say what the trained networks say, at every size; the shipped models keep the contract."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.models.card import BUILTIN_FOLDER, GREY_WINDOW_RULE, card_path, load_card
from edge.records import SEVERITIES
from export import cli
from tests.conftest import pitted

SEGMENTER_SIZES = [(640, 640), (480, 640), (416, 416), (32, 32)]


def noise(n: int, height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, 1, height, width), dtype=np.uint8)


def facts() -> Any:
    from edge.models.card import Training

    return Training(data="noise", data_sha256="0" * 64, initialised_from="none", epochs=0, images=0, seed=0, command="a test")


@pytest.fixture(scope="module")
def to_onnx() -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("timm")
    from export import to_onnx

    return to_onnx


def unsettle(torch: Any, network: Any) -> None:
    """Give every BatchNorm statistics of its own, so that folding it is a real test."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))


@pytest.fixture(scope="module")
def segmenter(to_onnx: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    torch.manual_seed(0)
    network = to_onnx.segmentation_network(("pit", "product")).eval()
    with torch.no_grad():
        unsettle(torch, network)
        for branch in network.model[-1].cv3:  # scores that differ from candidate to candidate
            branch[-1].weight.mul_(30)
            branch[-1].bias.zero_()
    checkpoint = to_onnx.Checkpoint("segment", "yolov8n-seg", ("pit", "product"), network.state_dict(), facts())
    path = to_onnx.export_segmenter(checkpoint, tmp_path_factory.mktemp("segmenter"))
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=path)


@pytest.fixture(scope="module", params=["efficientnet_b0", "resnet18"])
def classifier(request: pytest.FixtureRequest, to_onnx: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    torch.manual_seed(0)
    network = to_onnx.classification_network(request.param, 3).eval()
    with torch.no_grad():
        unsettle(torch, network)
        network.get_classifier().bias.copy_(torch.tensor([0.5, -1.0, 2.0]))
    checkpoint = to_onnx.Checkpoint(
        "classify", request.param, SEVERITIES, network.state_dict(), facts(), grey_mean=0.45, grey_std=0.21
    )
    path = to_onnx.export_classifier(checkpoint, tmp_path_factory.mktemp(request.param))
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=path)


@pytest.mark.parametrize(("height", "width"), SEGMENTER_SIZES)
def test_every_exported_candidate_is_one_of_the_torch_networks(to_onnx: Any, segmenter: Any, height: int, width: int) -> None:
    import torch

    image = noise(2, height, width)
    found = to_onnx.run_onnx(segmenter.path, image)
    with torch.no_grad():
        grey = torch.from_numpy(image).float() / 255
        (rows, prototypes), _ = segmenter.network(grey.expand(-1, 3, -1, -1))
    rows = rows.transpose(1, 2).numpy()
    centre, size = rows[..., :2], rows[..., 2:4]
    boxes = np.concatenate((centre - size / 2, centre + size / 2), axis=-1)
    for n in range(2):
        best = rows[n, :, 4:6].max(axis=1)
        count = min(to_onnx.CANDIDATES, len(best))
        assert found["scores"].shape == (2, count)
        np.testing.assert_allclose(found["scores"][n], np.sort(best)[::-1][:count], atol=1e-4)
        # equal scores may change places, so a candidate is found again by its box and coefficients
        mine = np.hstack((found["boxes"][n][:, :2], found["coefficients"][n][:, :2]))
        theirs = np.hstack((boxes[n][:, :2], rows[n][:, 6:8]))
        distance = np.abs(mine[:, None] - theirs[None]).sum(axis=2)
        match = distance.argmin(axis=1)
        np.testing.assert_allclose(found["boxes"][n], boxes[n][match], atol=2e-2)
        np.testing.assert_allclose(found["scores"][n], best[match], atol=1e-4)
        np.testing.assert_allclose(found["coefficients"][n], rows[n][match, 6:], atol=1e-3)
        assert (found["classes"][n] == rows[n][match, 4:6].argmax(axis=1)).mean() > 0.99
    np.testing.assert_allclose(found["prototypes"], prototypes.numpy(), atol=1e-3)


def test_a_folded_stem_equals_the_stem_on_three_equal_channels(to_onnx: Any) -> None:
    import torch

    stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
    grey = torch.rand(2, 1, 33, 47)
    with torch.no_grad():
        difference = (to_onnx.fold_stem(stem)(grey) - stem(grey.expand(-1, 3, -1, -1))).abs().max()
    assert float(difference) < 1e-5


def test_exported_logits_equal_the_torch_networks(to_onnx: Any, classifier: Any) -> None:
    import torch

    image = noise(3, 224, 224)
    found = to_onnx.run_onnx(classifier.path, image)
    with torch.no_grad():
        grey = (torch.from_numpy(image).float() / 255 - 0.45) / 0.21
        expected = classifier.network(grey.expand(-1, 3, -1, -1)).numpy()
    np.testing.assert_allclose(found["logits"], expected, atol=1e-3, rtol=1e-3)


def test_the_mean_of_the_class_activation_map_and_the_bias_are_the_logits(to_onnx: Any, classifier: Any) -> None:
    found = to_onnx.run_onnx(classifier.path, noise(2, 224, 224))
    bias = classifier.network.get_classifier().bias.detach().numpy()
    assert found["cam"].shape == (2, 3, 7, 7)
    np.testing.assert_allclose(found["cam"].mean(axis=(2, 3)) + bias, found["logits"], atol=1e-3, rtol=1e-3)


def test_the_embedding_is_mean_and_spread_of_the_first_stages(to_onnx: Any, classifier: Any) -> None:
    import torch

    image = noise(2, 224, 224)
    found = to_onnx.run_onnx(classifier.path, image)
    with torch.no_grad():
        grey = (torch.from_numpy(image).float() / 255 - 0.45) / 0.21
        _, stages = classifier.network.forward_intermediates(grey.expand(-1, 3, -1, -1))
    first = stages[0].numpy()
    channels = first.shape[1]
    np.testing.assert_allclose(found["embedding"][:, :channels], first.mean(axis=(2, 3)), atol=1e-3, rtol=1e-3)
    spread = found["embedding"][:, channels : 2 * channels]
    np.testing.assert_allclose(spread, first.std(axis=(2, 3)), atol=1e-3, rtol=1e-3)


def test_a_checkpoint_survives_a_round_trip(to_onnx: Any, classifier: Any, tmp_path: Path) -> None:
    classifier.checkpoint.save(tmp_path / "w.pt")
    back = to_onnx.Checkpoint.load(tmp_path / "w.pt")
    assert (back.task, back.architecture, back.classes) == ("classify", classifier.checkpoint.architecture, SEVERITIES)
    assert back.training == classifier.checkpoint.training
    assert all((back.state[name] == tensor).all() for name, tensor in classifier.checkpoint.state.items())


def test_the_card_names_the_file_by_its_hash(segmenter: Any) -> None:
    card = load_card(segmenter.path, "segment")
    assert card.sha256 == hashlib.sha256(segmenter.path.read_bytes()).hexdigest()
    assert (card.grey_window, card.input_px, card.tile_above_px, card.tile_overlap_px) == (GREY_WINDOW_RULE, 640, 1024, 96)


def test_the_file_loads_on_the_oldest_onnxruntime_supported(segmenter: Any) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(segmenter.path)
    assert model.ir_version <= 10  # onnxruntime 1.18
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]


def test_box_decoding_can_be_told_from_the_rest_by_its_nodes_names(segmenter: Any) -> None:
    onnx = pytest.importorskip("onnx")
    names = [node.name for node in onnx.load(segmenter.path).graph.node]
    assert any(name.startswith("/box_decode/Softmax") for name in names)


def test_the_command_writes_model_and_card(to_onnx: Any, segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    assert cli.main(["onnx", "--segmenter", str(tmp_path / "w.pt"), "--out", str(tmp_path / "m"), "--model-version", "3"]) == 0
    assert load_card(tmp_path / "m" / "segmenter.onnx", "segment").version == "3"


def test_weights_of_the_other_stage_are_wrong_usage(to_onnx: Any, segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    assert cli.main(["onnx", "--classifier", str(tmp_path / "w.pt"), "--out", str(tmp_path)]) == 2


def test_a_missing_weights_file_fails(to_onnx: Any, tmp_path: Path) -> None:
    assert cli.main(["onnx", "--segmenter", str(tmp_path / "none.pt"), "--out", str(tmp_path)]) == 1


def test_a_file_that_is_no_checkpoint_is_refused_by_name(to_onnx: Any, tmp_path: Path) -> None:
    path = tmp_path / "letter.pt"
    path.write_bytes(b"dear all")
    with pytest.raises(ModelError, match=r"letter\.pt"):
        to_onnx.Checkpoint.load(path)


def test_nothing_to_export_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["onnx", "--out", str(tmp_path)])
    assert raised.value.code == 2


# --- other architectures ---------------------------------------------------------------------------------------------


def untrained(to_onnx: Any, architecture: str) -> Any:
    import torch

    torch.manual_seed(0)
    network = to_onnx.segmentation_network(("pit", "product"), architecture).eval()
    with torch.no_grad():
        unsettle(torch, network)
    return to_onnx.Checkpoint("segment", architecture, ("pit", "product"), network.state_dict(), facts())


@pytest.mark.parametrize(("architecture", "family"), [("yolov8s-seg", "YOLOv8"), ("yolo11n-seg", "YOLO11")])
def test_networks_with_the_same_head_are_exported_and_named(
    to_onnx: Any, tmp_path: Path, architecture: str, family: str
) -> None:
    checkpoint = untrained(to_onnx, architecture)
    path = to_onnx.export_segmenter(checkpoint, tmp_path)
    card = load_card(path, "segment")
    assert (card.architecture, card.licence) == (architecture, f"AGPL-3.0 ({family} by Ultralytics)")
    image = noise(1, 96, 128)
    trained = to_onnx.TrainedNetwork(checkpoint).run(image)
    assert to_onnx.largest_drift(trained, to_onnx.run_onnx(path, image)) < 1e-3


def test_a_network_with_another_head_is_refused_with_the_reason(
    to_onnx: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untrained(to_onnx, "yolo26n-seg").save(tmp_path / "w.pt")
    assert cli.main(["onnx", "--segmenter", str(tmp_path / "w.pt"), "--out", str(tmp_path / "m")]) == 1
    assert "end-to-end" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_weights_that_ultralytics_saved_keep_their_architectures_name(to_onnx: Any, tmp_path: Path) -> None:
    import torch

    network = to_onnx.segmentation_network(("pit", "product"), "yolo11n-seg")
    torch.save({"model": network, "train_args": {}}, tmp_path / "theirs.pt")
    assert to_onnx.Checkpoint.load(tmp_path / "theirs.pt").architecture == "yolo11n-seg"


def test_weights_of_another_network_are_refused_in_one_line(to_onnx: Any, segmenter: Any) -> None:
    with pytest.raises(ModelError, match="the weights do not fit yolo11n-seg") as raised:
        replace(segmenter.checkpoint, architecture="yolo11n-seg").network()
    assert len(str(raised.value)) < 300


# --- the proof -------------------------------------------------------------------------------------------------------


@pytest.fixture
def micrographs(tmp_path: Path) -> Path:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), pitted(160, 128))
    return folder


def test_folding_the_stem_changes_nothing(to_onnx: Any, segmenter: Any, classifier: Any) -> None:
    assert to_onnx.folding_difference(segmenter.checkpoint, noise(1, 96, 160)) < 1e-5
    assert to_onnx.folding_difference(classifier.checkpoint, noise(1, 224, 224)) < 1e-5


def test_an_exported_segmenter_agrees_with_its_weights_on_every_backend(segmenter: Any, micrographs: Path) -> None:
    from edge.backends.table import installed
    from export.parity import compare_export

    found = compare_export(segmenter.checkpoint, segmenter.path, micrographs)
    assert found.passed
    assert tuple(backend.backend for backend in found.backends) == installed("float32")
    assert all(image.candidates >= 100 for backend in found.backends for image in backend.images)


def test_an_exported_classifier_agrees_with_its_weights(classifier: Any, micrographs: Path) -> None:
    from export.parity import compare_export

    assert compare_export(classifier.checkpoint, classifier.path, micrographs).passed


def test_weights_that_changed_since_the_export_differ(
    to_onnx: Any, segmenter: Any, micrographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: tensor.clone() for name, tensor in segmenter.checkpoint.state.items()}
    for level in range(3):
        state[f"model.22.cv2.{level}.2.bias"][0] += 0.1  # the first distance of a side becomes a little likelier
    replace(segmenter.checkpoint, state=state).save(tmp_path / "w.pt")
    command = ["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(segmenter.path), "--images", str(micrographs)]
    assert cli.main([*command, "--json", str(tmp_path / "figures.json")]) == 1
    assert capsys.readouterr().out.startswith("DIFFERS")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert not figures["passed"]
    assert figures["backends"][0]["worst"]["box_px"] > figures["tolerances"]["box_px"]


def test_without_a_file_the_figures_go_to_stdout_and_the_verdict_beside_them(
    classifier: Any, micrographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (micrographs / "b.tif").write_bytes(b"no image")
    classifier.checkpoint.save(tmp_path / "w.pt")
    command = ["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(classifier.path), "--images", str(micrographs)]
    capsys.readouterr()
    assert cli.main(command) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["unreadable"].keys() == {"b.tif"}
    assert "agrees" in printed.err


def test_a_file_of_another_architecture_is_refused(to_onnx: Any, segmenter: Any, micrographs: Path) -> None:
    from export.parity import compare_export

    with pytest.raises(ModelError, match="exported from other weights"):
        compare_export(untrained(to_onnx, "yolo11n-seg"), segmenter.path, micrographs)


def test_a_proof_without_images_is_wrong_usage(segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    images = ["--images", str(tmp_path / "none")]
    assert cli.main(["parity", "--checkpoint", str(tmp_path / "w.pt"), "--onnx", str(segmenter.path), *images]) == 2


@pytest.mark.parametrize("images", ["microscopes/quanta_image.tif", "microscopes/tescan-pfib_dataZeroed.tif"])
def test_both_agree_on_a_real_microscopes_file(segmenter: Any, shared_data: Path, images: str) -> None:
    from export.parity import compare_export

    assert compare_export(segmenter.checkpoint, segmenter.path, shared_data / images).passed


def test_both_agree_on_a_real_cross_section(segmenter: Any, shared_data: Path) -> None:
    from export.parity import compare_export

    image = sorted((shared_data / "ebc_oxide" / "images").iterdir())[0]
    assert compare_export(segmenter.checkpoint, segmenter.path, image).passed


# --- the shipped files, without torch --------------------------------------------------------------------------------


def run_shipped(name: str, image: Any) -> dict[str, Any]:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(BUILTIN_FOLDER / name), sess_options=options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 416)])
def test_the_shipped_segmenter_keeps_the_contract(height: int, width: int) -> None:
    found = run_shipped("segmenter.onnx", noise(2, height, width))
    count = min(1024, height * width * 21 // 1024)
    assert {name: values.shape for name, values in found.items()} == {
        "boxes": (2, count, 4),
        "scores": (2, count),
        "classes": (2, count),
        "coefficients": (2, count, 32),
        "prototypes": (2, 32, height // 4, width // 4),
    }
    assert found["classes"].dtype in (np.int32, np.int64)
    assert found["boxes"].dtype == found["scores"].dtype == np.float32


def test_the_shipped_classifier_keeps_the_contract() -> None:
    found = run_shipped("classifier.onnx", noise(2, 224, 224))
    assert {name: values.shape for name, values in found.items()} == {
        "logits": (2, 3),
        "cam": (2, 3, 7, 7),
        "embedding": (2, 160),
    }


def test_the_shipped_classifiers_map_explains_its_logits_up_to_a_constant() -> None:
    found = run_shipped("classifier.onnx", noise(2, 224, 224))
    bias = found["logits"] - found["cam"].mean(axis=(2, 3))
    np.testing.assert_allclose(bias[0], bias[1], atol=1e-3)


@pytest.mark.parametrize(("name", "task"), [("segmenter", "segment"), ("classifier", "classify")])
def test_the_shipped_cards_are_valid_and_describe_their_files(name: str, task: Any) -> None:
    card = load_card(BUILTIN_FOLDER / f"{name}.onnx", task)
    assert all({"value", "n", "how"} <= set(score) for score in card.scores.values())
    assert str(Path.home()) not in card_path(BUILTIN_FOLDER / f"{name}.onnx").read_text(encoding="utf-8")


def test_the_shipped_models_are_small_enough_for_a_repository() -> None:
    assert sum(path.stat().st_size for path in BUILTIN_FOLDER.iterdir()) < 40e6
