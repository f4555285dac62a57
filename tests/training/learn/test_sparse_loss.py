"""The quicker loss is ultralytics' own."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

SIDE = 64
COUNTS = [(0, 0), (1, 0), (30, 0), (3, 1)]


@pytest.fixture(scope="module")
def network() -> Any:
    from ultralytics.utils import DEFAULT_CFG

    from export.checkpoint import segmentation_network

    torch.manual_seed(0)
    made: Any = segmentation_network(("pit", "product"), "yolov8n-seg")
    made.args = copy.copy(DEFAULT_CFG)
    return made.train()


def labelled(small_and_whole: list[tuple[int, int]]) -> dict[str, Any]:
    """A batch with so many small regions, and regions as large as the image, in each of its images."""
    rng = np.random.default_rng(1)
    quarter = SIDE // 4
    masks = np.zeros((len(small_and_whole), quarter, quarter), np.float32)
    batch_idx, classes, boxes = [], [], []
    for image, (small, whole) in enumerate(small_and_whole):
        for number in range(small + whole):
            width, height = rng.uniform(0.05, 0.2, 2) if number < small else (1.0, 1.0)
            left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            rows = slice(int(top * quarter), int(np.ceil((top + height) * quarter)))
            columns = slice(int(left * quarter), int(np.ceil((left + width) * quarter)))
            masks[image, rows, columns] = number + 1
            batch_idx.append(float(image))
            classes.append(float(number % 2))
            boxes.append((left + width / 2, top + height / 2, width, height))
    return {
        "img": torch.from_numpy(rng.random((len(small_and_whole), 3, SIDE, SIDE), np.float32)),
        "masks": torch.from_numpy(masks),
        "batch_idx": torch.tensor(batch_idx),
        "cls": torch.tensor(classes).view(-1, 1),
        "bboxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
    }


def losses_and_gradients(loss: Any, network: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
    network.zero_grad()
    losses, _ = loss(network(batch["img"]), batch)
    losses.sum().backward()
    return losses.detach(), torch.cat([one.grad.flatten() for one in network.parameters() if one.grad is not None])


@pytest.mark.parametrize("counts", [COUNTS, [(0, 0), (0, 0)], [(1, 0)]])
@pytest.mark.parametrize("at_once", [1 << 18, 50])
def test_losses_and_gradients_are_those_of_ultralytics(
    network: Any, counts: list[tuple[int, int]], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics.utils.loss import v8SegmentationLoss

    from training.learn import sparse_loss

    monkeypatch.setattr(sparse_loss, "PIXELS_AT_ONCE", at_once)
    batch = labelled(counts)
    expected, gradients = losses_and_gradients(v8SegmentationLoss(network), network, batch)
    losses, ours = losses_and_gradients(sparse_loss.SparseSegmentationLoss(network), network, batch)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)
    assert float((ours - gradients).abs().max()) <= 1e-4 * float(gradients.abs().max())


def test_masks_that_overlap_are_left_to_ultralytics(network: Any) -> None:
    from ultralytics.utils.loss import v8SegmentationLoss

    from training.learn.sparse_loss import SparseSegmentationLoss

    batch = labelled([(2, 0)])
    batch["masks"] = torch.stack([(batch["masks"][0] == number).float() for number in (1, 2)])
    results = []
    for kind in (v8SegmentationLoss, SparseSegmentationLoss):
        loss = kind(network)
        loss.overlap = False
        results.append(losses_and_gradients(loss, network, batch)[0])
    torch.testing.assert_close(results[0], results[1])
