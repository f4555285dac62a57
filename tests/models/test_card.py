"""Cards: a model that is not what its card says is refused, with the reason."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ModelError
from edge.models.card import GREY_WINDOW_RULE, load_card, resolve
from tests.inspection.test_segment import CARD


def written(tmp_path: Path, **changed: Any) -> Path:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    card = json.loads(CARD.model_dump_json(by_alias=True))
    card |= {"grey_window": GREY_WINDOW_RULE, "sha256": hashlib.sha256(b"weights").hexdigest()} | changed
    model.with_suffix(".json").write_text(json.dumps(card))
    return model


def test_a_card_that_fits_its_file_is_read(tmp_path: Path) -> None:
    assert load_card(written(tmp_path), "segment").classes == ("pit", "product")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sha256": "0" * 64}, "hashes differ"),
        ({"grey_window": "other/1"}, "grey window"),
        ({"task": "classify"}, "a model to classify, not to segment"),
        ({"classes": []}, "not valid"),
        ({"surprise": 1}, "not valid"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        load_card(written(tmp_path, **changed), "segment")


def test_a_model_without_a_card_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alone.onnx").write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"no readable card alone\.json"):
        load_card(tmp_path / "alone.onnx", "segment")


def test_a_file_that_was_replaced_is_hashed_again(tmp_path: Path) -> None:
    model = written(tmp_path)
    load_card(model, "segment")
    model.write_bytes(b"other weights")
    with pytest.raises(ModelError, match="hashes differ"):
        load_card(model, "segment")


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"/nowhere/x\.onnx"):
        resolve("/nowhere/x.onnx", "segment")
