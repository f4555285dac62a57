"""Masks are those of ultralytics, at the full size."""

from __future__ import annotations

import numpy as np

from tests.training.score.conftest import of_stage_1


def test_masks_are_those_of_ultralytics_at_full_size() -> None:
    of_stage_1()
    import torch
    from pycocotools import mask as coco_mask
    from ultralytics.utils import ops

    from training.score.detect import _Masks

    rng = np.random.default_rng(0)
    prototypes = rng.normal(size=(32, 16, 24)).astype(np.float32)
    coefficients = rng.normal(size=(5, 32)).astype(np.float32)
    boxes = np.array(
        [[3.2, 4.7, 40.1, 50.0], [0, 0, 96, 64], [50, 10, 55.5, 12], [90, 60, 99, 70], [20, 20, 20, 30]], np.float32
    )
    tensors = (torch.from_numpy(values) for values in (prototypes, coefficients, boxes))
    expected = ops.process_mask(*tensors, shape=(64, 96), upsample=True).numpy().astype(bool)
    found, _ = _Masks(prototypes, coefficients, boxes, (0, 0, 64, 96)).encode(np.ones(5))
    decoded = np.stack([coco_mask.decode(mask) for mask in found]).astype(bool)
    assert (decoded != expected).mean() < 1e-3
