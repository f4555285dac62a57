"""A classifier that judges by brightness, and modules that train with a small input of the network."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from training.score import score_views

SIDE = 64


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("timm")
    pytest.importorskip("sklearn")
    return pytest.importorskip("torch")


class Modules(NamedTuple):
    """What trains a classifier, and what it learns from."""

    classifier: Any
    data: Any
    fit: Any


@pytest.fixture
def training(torch: Any, monkeypatch: pytest.MonkeyPatch) -> Modules:
    """The modules, with a small input of the network."""
    from training.learn import classifier, classifier_data, classifier_fit

    for module in (classifier, classifier_data, classifier_fit, score_views):
        monkeypatch.setattr(module, "SIDE_PX", SIDE)
    monkeypatch.setattr(classifier_fit, "SMALL_SIDE_PX", SIDE // 2)
    return Modules(classifier, classifier_data, classifier_fit)


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
