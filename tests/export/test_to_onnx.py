"""Exported files say what the trained networks say, at every size, and their cards describe them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from edge.models.card import GREY_WINDOW_RULE, load_card
from tests.export.checkpoints import noise

SEGMENTER_SIZES = [(640, 640), (480, 640), (416, 416), (32, 32)]


@pytest.mark.parametrize(("height", "width"), SEGMENTER_SIZES)
def test_every_exported_candidate_is_one_of_the_torch_networks(exporters: Any, segmenter: Any, height: int, width: int) -> None:
    import torch

    image = noise(2, height, width)
    found = exporters.to_onnx.run_onnx(segmenter.path, image)
    with torch.no_grad():
        grey = torch.from_numpy(image).float() / 255
        (rows, prototypes), _ = segmenter.network(grey.expand(-1, 3, -1, -1))
    rows = rows.transpose(1, 2).numpy()
    centre, size = rows[..., :2], rows[..., 2:4]
    boxes = np.concatenate((centre - size / 2, centre + size / 2), axis=-1)
    for n in range(2):
        best = rows[n, :, 4:6].max(axis=1)
        count = min(exporters.graphs.CANDIDATES, len(best))
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


def test_exported_logits_equal_the_torch_networks(exporters: Any, classifier: Any) -> None:
    import torch

    image = noise(3, 224, 224)
    found = exporters.to_onnx.run_onnx(classifier.path, image)
    with torch.no_grad():
        grey = (torch.from_numpy(image).float() / 255 - 0.45) / 0.21
        expected = classifier.network(grey.expand(-1, 3, -1, -1)).numpy()
    np.testing.assert_allclose(found["logits"], expected, atol=1e-3, rtol=1e-3)


def test_the_card_names_the_file_by_its_hash(segmenter: Any) -> None:
    card = load_card(segmenter.path, "segment")
    assert card.sha256 == hashlib.sha256(segmenter.path.read_bytes()).hexdigest()
    assert (card.grey_window, card.input_px, card.tile_above_px, card.tile_overlap_px) == (GREY_WINDOW_RULE, 640, 1024, 96)
    assert (card.coarse_from_px, card.edges_followed) == (None, True)


def test_the_file_loads_on_the_oldest_onnxruntime_supported(segmenter: Any) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(segmenter.path)
    assert model.ir_version <= 10  # onnxruntime 1.18
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [17]
