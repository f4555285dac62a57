"""An answer is what the model can have given, or it is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import table
from edge.backends.answer import OUTPUTS, Task, UnfitError, believed, outputs_of, sides_of
from edge.models.card import BUILTIN_FOLDER
from tests.conftest import pitted

SENT = (2, 1, 64, 96)
SIDES = {"C": 3, "D": 8}
GOOD: dict[str, Any] = {
    "boxes": np.zeros((2, 5, 4), np.float32),
    "scores": np.full((2, 5), 0.5, np.float16),
    "classes": np.full((2, 5), 2, np.int32),
    "coefficients": np.zeros((2, 5, 32), np.float32),
    "prototypes": np.zeros((2, 32, 16, 24), np.float32),
}


def segmented(**others: Any) -> dict[str, Any]:
    return believed({**GOOD, **others}.get, OUTPUTS["segment"], SENT, SIDES)


def test_what_fits_comes_as_float32_and_whole_numbers() -> None:
    found = segmented()
    assert found.keys() == GOOD.keys()
    assert {name for name, values in found.items() if values.dtype != np.float32} == {"classes"}
    nothing = {name: values[:, :0] for name, values in GOOD.items() if name != "prototypes"}
    assert segmented(**nothing)["boxes"].shape == (2, 0, 4)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("boxes", None, " has no boxes"),
        ("boxes", np.zeros((2, 5, 5), np.float32), "'s boxes have the shape"),
        ("scores", np.zeros((2, 4), np.float32), "'s scores have the shape (2, 4)"),
        ("scores", np.zeros((1, 5), np.float32), "'s scores have the shape (1, 5)"),
        ("scores", np.full((2, 5), 1.5, np.float32), "'s scores go from 1.5 to 1.5"),
        ("scores", np.full((2, 5), np.inf, np.float32), "'s scores are not numbers"),
        ("scores", np.array([[b"a"] * 5] * 2, object), "'s scores are object"),
        ("classes", np.zeros((2, 5), np.float32), "'s classes are float32"),
        ("classes", np.full((2, 5), 3), "'s classes go from 3 to 3"),
        ("classes", np.full((2, 5), -1), "'s classes go from -1 to -1"),
        ("prototypes", np.zeros((2, 32, 64, 96), np.float32), "'s prototypes have the shape"),
    ],
)
def test_what_does_not_fit_is_said(name: str, values: Any, said: str) -> None:
    with pytest.raises(UnfitError) as refused:
        segmented(**{name: values})
    assert str(refused.value).startswith(said)


def test_what_cannot_be_read_is_said() -> None:
    def broken(_: str) -> Any:
        raise ValueError("cannot reshape array of size 3")

    with pytest.raises(UnfitError, match="'s boxes cannot be read: cannot reshape"):
        believed(broken, OUTPUTS["segment"], SENT, {})


def test_the_card_tells_classes_and_the_width_of_an_embedding(tmp_path: Path) -> None:
    assert sides_of(BUILTIN_FOLDER / "classifier.onnx").keys() == {"C", "D"}
    assert sides_of(tmp_path / "none.onnx") == {}
    (tmp_path / "other.json").write_text("{}")
    assert sides_of(tmp_path / "other.onnx") == {}


@pytest.mark.parametrize(
    ("task", "name", "shape"), [("segment", "segmenter", (96, 64)), ("classify", "classifier", (224, 224))]
)
def test_the_shipped_models_give_what_is_listed(task: Task, name: str, shape: tuple[int, int]) -> None:
    model, image = BUILTIN_FOLDER / f"{name}.onnx", pitted(*shape, 1, 3)[None, None]
    with table.open_network("onnxruntime", model) as network:
        given = network.run(image)
    assert outputs_of(frozenset(given)) == OUTPUTS[task]
    assert believed(given.get, OUTPUTS[task], image.shape, sides_of(model)).keys() == given.keys()
    assert outputs_of(frozenset({"logits"})) is None
