"""`edge-export` as people type it: exit status, what is written, what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.models.card import load_card
from export import cli


def test_the_command_writes_model_and_card(exporters: Any, segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    assert cli.main(["onnx", "--segmenter", str(tmp_path / "w.pt"), "--out", str(tmp_path / "m"), "--model-version", "3"]) == 0
    assert load_card(tmp_path / "m" / "segmenter.onnx", "segment").version == "3"


def test_weights_of_the_other_stage_are_wrong_usage(exporters: Any, segmenter: Any, tmp_path: Path) -> None:
    segmenter.checkpoint.save(tmp_path / "w.pt")
    assert cli.main(["onnx", "--classifier", str(tmp_path / "w.pt"), "--out", str(tmp_path)]) == 2


def test_a_missing_weights_file_fails(exporters: Any, tmp_path: Path) -> None:
    assert cli.main(["onnx", "--segmenter", str(tmp_path / "none.pt"), "--out", str(tmp_path)]) == 1


def test_nothing_to_export_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["onnx", "--out", str(tmp_path)])
    assert raised.value.code == 2
