"""A small drawn data set, and a segmenter's run on it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from training import cli
from training.draw.synthetic import write_data_set


@pytest.fixture(scope="session")
def trainer() -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    from training.learn import segmenter as train_segmenter

    return train_segmenter


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_data_set(folder, images=10, seed=5, size_px=(96, 96))
    return folder


@pytest.fixture(scope="session")
def run(trainer: Any, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch."""
    out = tmp_path_factory.mktemp("run")
    assert cli.main(["segmenter", *options(drawn, out)]) == 0
    return out


def options(data: Path, out: Path, *more: str, weights: str = "none", epochs: int = 1) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--weights", weights, "--epochs", str(epochs), "--imgsz", "96", *more]


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    """The drawn set, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "data"))


def first(folder: Path, kind: str) -> Path:
    return sorted((folder / kind).iterdir())[0]
