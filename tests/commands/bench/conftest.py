"""One run of `edge-bench` over two shipped images, which many tests look at, and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.commands.cli import bench
from edge.config import CommandSettings, change
from edge.samples import sample_files

SAMPLES = [path for path in sample_files() if "_1h_" in path.name]
"""Two with few regions, which are quick."""
TINY = ["--duration", "0.01", "--backend", "onnxruntime"]


def settings(**sections: dict[str, Any]) -> CommandSettings:
    return change(CommandSettings(), {"watch": {"sidecar_wait_s": 0.0}, **sections})


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON of a run over two samples, with a picture beside it."""
    folder = tmp_path_factory.mktemp("bench")
    arguments = [*map(str, SAMPLES), *TINY, "--json", str(folder / "run.json"), "--plot", str(folder / "run.svg")]
    assert bench(arguments) == 0
    return folder / "run.json"


@pytest.fixture
def document(measured: Path) -> dict[str, Any]:
    return dict(json.loads(measured.read_text()))
