"""A checkpoint that is read back from an exported file says what the file says, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.models.card import BUILTIN_FOLDER
from tests.export.checkpoints import facts, noise, unsettle, untrained


@pytest.fixture
def recovered(exporters: Any) -> Any:
    from export import recovered

    return recovered


def test_the_shipped_segmenter_is_recovered_with_its_classes(recovered: Any) -> None:
    found = recovered.recovered(BUILTIN_FOLDER / "segmenter.onnx", "segment")
    assert (found.architecture, found.classes) == ("yolov8n-seg", ("pit", "product", "attack"))


def test_the_shipped_classifier_is_recovered_with_its_normalisation(recovered: Any, exporters: Any) -> None:
    import torch

    model = BUILTIN_FOLDER / "classifier.onnx"
    found = recovered.recovered(model, "classify")
    image = noise(2, 224, 224)
    with torch.no_grad():
        grey = (torch.from_numpy(image).float() / 255 - found.grey_mean) / found.grey_std
        logits = found.network()(grey.expand(-1, 3, -1, -1)).numpy()
    np.testing.assert_allclose(logits, exporters.to_onnx.run_onnx(model, image)["logits"], atol=1e-3, rtol=1e-3)


def test_another_classifier_is_recovered(recovered: Any, exporters: Any, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    network = exporters.checkpoint.classification_network("resnet18", 3)
    with torch.no_grad():
        unsettle(torch, network)
    state, severities = network.state_dict(), ("low", "moderate", "severe")
    made = exporters.checkpoint.Checkpoint("classify", "resnet18", severities, state, facts(), grey_mean=0.4, grey_std=0.2)
    found = recovered.recovered(exporters.to_onnx.export_classifier(made, tmp_path), "classify")
    assert (found.grey_mean, found.grey_std) == (pytest.approx(0.4), pytest.approx(0.2))


def test_another_segmenter_is_recovered(recovered: Any, exporters: Any, tmp_path: Path) -> None:
    made = exporters.to_onnx.export_segmenter(untrained(exporters, "yolo11n-seg"), tmp_path)
    assert recovered.recovered(made, "segment").architecture == "yolo11n-seg"


def test_a_network_whose_second_head_was_not_exported_is_refused(recovered: Any, exporters: Any, tmp_path: Path) -> None:
    made = exporters.to_onnx.export_segmenter(untrained(exporters, "yolo26n-seg"), tmp_path)
    with pytest.raises(ModelError, match=r"does not hold \d+ of the weights.*name its checkpoint"):
        recovered.recovered(made, "segment")


def test_weights_that_say_something_else_are_refused(recovered: Any, exporters: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovered, "_normalisation", lambda *_: (0.1, 0.9))
    with pytest.raises(ModelError, match="do not say what it says"):
        recovered.recovered(BUILTIN_FOLDER / "classifier.onnx", "classify")
