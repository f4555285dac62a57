"""Weights keep their facts, and those of others are taken or refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ModelError
from edge.records import SEVERITIES


def test_a_checkpoint_survives_a_round_trip(exporters: Any, classifier: Any, tmp_path: Path) -> None:
    classifier.checkpoint.save(tmp_path / "w.pt")
    back = exporters.checkpoint.Checkpoint.load(tmp_path / "w.pt")
    assert (back.task, back.architecture, back.classes) == ("classify", classifier.checkpoint.architecture, SEVERITIES)
    assert back.training == classifier.checkpoint.training
    assert all((back.state[name] == tensor).all() for name, tensor in classifier.checkpoint.state.items())


def test_a_file_that_is_no_checkpoint_is_refused_by_name(exporters: Any, tmp_path: Path) -> None:
    path = tmp_path / "letter.pt"
    path.write_bytes(b"dear all")
    with pytest.raises(ModelError, match=r"letter\.pt"):
        exporters.checkpoint.Checkpoint.load(path)


def test_weights_that_ultralytics_saved_keep_their_architectures_name(exporters: Any, tmp_path: Path) -> None:
    import torch

    network = exporters.checkpoint.segmentation_network(("pit", "product"), "yolo11n-seg")
    torch.save({"model": network, "train_args": {}}, tmp_path / "theirs.pt")
    assert exporters.checkpoint.Checkpoint.load(tmp_path / "theirs.pt").architecture == "yolo11n-seg"


def test_weights_of_another_network_are_refused_in_one_line(exporters: Any, segmenter: Any) -> None:
    with pytest.raises(ModelError, match="the weights do not fit yolo11n-seg") as raised:
        replace(segmenter.checkpoint, architecture="yolo11n-seg").network()
    assert len(str(raised.value)) < 300
