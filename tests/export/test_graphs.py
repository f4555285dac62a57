"""The graphs that are exported compute what the trained networks compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.models.card import load_card
from tests.export.checkpoints import noise, untrained


def test_a_folded_stem_equals_the_stem_on_three_equal_channels(exporters: Any) -> None:
    import torch

    stem = torch.nn.Conv2d(3, 16, 3, stride=2, padding=1)
    grey = torch.rand(2, 1, 33, 47)
    with torch.no_grad():
        difference = (exporters.graphs.fold_stem(stem)(grey) - stem(grey.expand(-1, 3, -1, -1))).abs().max()
    assert float(difference) < 1e-5


def test_the_mean_of_the_class_activation_map_and_the_bias_are_the_logits(exporters: Any, classifier: Any) -> None:
    found = exporters.to_onnx.run_onnx(classifier.path, noise(2, 224, 224))
    bias = classifier.network.get_classifier().bias.detach().numpy()
    assert found["cam"].shape == (2, 3, 7, 7)
    np.testing.assert_allclose(found["cam"].mean(axis=(2, 3)) + bias, found["logits"], atol=1e-3, rtol=1e-3)


def test_the_embedding_is_mean_and_spread_of_the_first_stages(exporters: Any, classifier: Any) -> None:
    import torch

    image = noise(2, 224, 224)
    found = exporters.to_onnx.run_onnx(classifier.path, image)
    with torch.no_grad():
        grey = (torch.from_numpy(image).float() / 255 - 0.45) / 0.21
        _, stages = classifier.network.forward_intermediates(grey.expand(-1, 3, -1, -1))
    first = stages[0].numpy()
    channels = first.shape[1]
    np.testing.assert_allclose(found["embedding"][:, :channels], first.mean(axis=(2, 3)), atol=1e-3, rtol=1e-3)
    spread = found["embedding"][:, channels : 2 * channels]
    np.testing.assert_allclose(spread, first.std(axis=(2, 3)), atol=1e-3, rtol=1e-3)


def test_box_decoding_can_be_told_from_the_rest_by_its_nodes_names(segmenter: Any) -> None:
    onnx = pytest.importorskip("onnx")
    names = [node.name for node in onnx.load(segmenter.path).graph.node]
    assert any(name.startswith("/box_decode/Softmax") for name in names)


@pytest.mark.parametrize(
    ("architecture", "family"), [("yolov8s-seg", "YOLOv8"), ("yolo11n-seg", "YOLO11"), ("yolo26n-seg", "YOLO26")]
)
def test_networks_with_the_same_head_are_exported_and_named(
    exporters: Any, tmp_path: Path, architecture: str, family: str
) -> None:
    checkpoint = untrained(exporters, architecture)
    path = exporters.to_onnx.export_segmenter(checkpoint, tmp_path)
    card = load_card(path, "segment")
    assert (card.architecture, card.licence) == (architecture, f"AGPL-3.0 ({family} by Ultralytics)")
    image = noise(1, 96, 128)
    trained = exporters.trained.TrainedNetwork(checkpoint).run(image)
    assert exporters.drift.largest_drift(trained, exporters.to_onnx.run_onnx(path, image)) < 1e-3


def test_the_second_head_of_yolo26_is_left_out(exporters: Any) -> None:
    network = exporters.checkpoint.segmentation_network(("pit", "product"), "yolo26n-seg")
    graph = exporters.graphs.SegmenterGraph(network)
    assert graph.head.one2one_cv2 is None
    assert graph.head.cv2 is not None
    assert network.model[-1].one2one_cv2 is not None, "the caller's own network is as it was"


def test_a_network_with_another_head_is_refused_with_the_reason(exporters: Any) -> None:
    import torch

    network = torch.nn.Module()
    network.model = torch.nn.Sequential(torch.nn.Identity())
    with pytest.raises(ModelError, match="whose head is Identity"):
        exporters.graphs.SegmenterGraph(network)
