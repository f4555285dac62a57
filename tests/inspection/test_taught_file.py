"""Adaptation files: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ModelError
from edge.inspection.taught_file import TaughtFile, encode, load_taught
from edge.models.card import BUILTIN_FOLDER, load_card

CARD = load_card(BUILTIN_FOLDER / "segmenter.onnx", "segment")


def content(**change: Any) -> dict[str, Any]:
    return {
        "schema": "edge.taught/1",
        "segmenter": CARD.sha256,
        "classifier": None,
        "reviews": 1,
        "images": ["0" * 64],
        "provisional": True,
        "how": "by blocks",
        "before": {},
        "after": {},
        **change,
    }


def test_what_is_written_is_read_again_with_its_hash(tmp_path: Path) -> None:
    file = TaughtFile.model_validate(content())
    (tmp_path / "a.json").write_bytes(encode(file))
    taught = load_taught(tmp_path / "a.json", CARD, None)
    assert taught.file == file
    assert encode(taught.file) == (tmp_path / "a.json").read_bytes()
    assert load_taught(tmp_path / "a.json", CARD, None, sha256=taught.sha256).sha256 == taught.sha256


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid"),
        (json.dumps(content())[:90], "not valid"),
        ("[]", "not valid"),
        (json.dumps(content(schema="edge.taught/2")), "not valid"),
        (json.dumps(content(further=1)), "not valid"),
        (json.dumps(content(segmenter="1" * 64)), "another segmenter"),
        (json.dumps(content(pixels={"filters": {}})), "not valid"),
    ],
)
def test_what_is_no_adaptation_of_this_model_is_refused_in_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ModelError, match=told) as refused:
        load_taught(tmp_path / "a.json", CARD, None)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_too_large_or_another_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adaptation can be read"):
        load_taught(tmp_path / "none.json", CARD, None)
    (tmp_path / "a.json").write_bytes(b" " * (9 << 20))
    with pytest.raises(ModelError, match="MiB"):
        load_taught(tmp_path / "a.json", CARD, None)
    (tmp_path / "a.json").write_text(json.dumps(content()))
    with pytest.raises(ModelError, match="hashes differ"):
        load_taught(tmp_path / "a.json", CARD, None, sha256="2" * 64)
