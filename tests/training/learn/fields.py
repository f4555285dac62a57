"""Dark fields of low severity and bright ones of severe."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.training.conftest import SIDE, Modules


def examples(training: Modules, count: int = 12, zoom: float = 0.5) -> Any:
    """Dark low fields and bright severe ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2 * 2
    pictures = tuple(np.asarray(rng.normal(60 + 60 * label, 8, (72, 96)), np.uint8) for label in labels)
    crops = np.zeros((0, SIDE, SIDE), np.uint8)
    unknown = (None,) * count
    return training.data.Examples(pictures, labels, unknown, crops, np.zeros(0, np.int64), 0.5, 0.2, zoom, rng)
