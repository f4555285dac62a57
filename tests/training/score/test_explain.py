"""Heat maps are Grad-CAM's, and are compared with labels above a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.records import SEVERITIES
from tests.training.score.conftest import of_stage_1, of_stage_2, untrained


def test_a_segmenters_heat_map_covers_its_canvas() -> None:
    of_stage_1()
    from training.score.explain import segmenter_heat

    canvas = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
    heat = segmenter_heat(untrained(("pit", "product")), canvas, 0.25)
    assert heat.shape == canvas.shape
    assert heat.min() >= 0
    assert heat.max() <= 1


@pytest.mark.parametrize(("architecture", "layer"), [("efficientnet_b0", "bn2"), ("resnet18", "layer4")])
def test_a_classifiers_own_map_is_grad_cam(architecture: str, layer: str) -> None:
    of_stage_2()
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from export.checkpoint import classification_network
    from export.graphs import ClassifierGraph
    from training.score.explain import classifier_heat

    torch.manual_seed(0)
    network: Any = classification_network(architecture, len(SEVERITIES)).eval()
    field = np.random.default_rng(0).integers(0, 256, (224, 224), dtype=np.uint8)
    heat = classifier_heat(ClassifierGraph(network, 0.5, 0.2), field)
    pixels = ((torch.from_numpy(field).float() / 255 - 0.5) / 0.2)[None, None].repeat(1, 3, 1, 1)
    with GradCAM(model=network, target_layers=[getattr(network, layer)]) as cam:
        decided = int(network(pixels)[0].argmax())
        expected = cam(input_tensor=pixels, targets=[ClassifierOutputTarget(decided)])[0]
    if expected.max() > 0:  # pytorch-grad-cam also takes the minimum off
        shifted = (heat - heat.min()) / max(float(heat.max() - heat.min()), 1e-9)
        assert np.abs(shifted - expected).max() < 0.02


def test_a_heat_map_is_compared_with_the_labels_above_its_threshold() -> None:
    of_stage_1()
    from training.score.explain import heat_iou

    heat = np.array([[1.0, 0.2], [0.1, 0.0]], np.float32)
    truth = np.array([[True, False], [False, False]])
    assert heat_iou(heat, truth, 0.15) == 0.5
    assert heat_iou(heat, truth, 0.5) == 1.0
    assert np.isnan(heat_iou(heat, np.zeros((2, 2), bool), 0.5))
