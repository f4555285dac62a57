"""The played GPU, and what its driver takes for the kernels' fat binary."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.backends.tensorrt import cuda
from tests.backends.tensorrt.toy_engine import installed
from tests.fakes.gpu import Machine
from tests.fakes.pycuda import FATBIN


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    gpu = installed(monkeypatch, Machine())
    gc.disable()  # Whatever is freed in a test is freed by the code, not by the collector.
    yield gpu
    gc.enable()


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    path = tmp_path / cuda.kernels_name()
    path.write_bytes(FATBIN)
    return path
