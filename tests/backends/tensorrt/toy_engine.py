"""A toy engine on a played GPU: how the tests open one, what they show it, and whether its answers are right."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.tensorrt import cuda
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt.engine import TensorRtEngine
from tests.fakes.gpu import Machine

Grey = NDArray[np.uint8]


def installed(monkeypatch: pytest.MonkeyPatch, gpu: Machine) -> Machine:
    package = ModuleType("pycuda")
    package.driver = gpu.pycuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", gpu.pycuda)
    monkeypatch.setattr(tensorrt_engine, "load_driver", lambda: gpu.libcuda)
    monkeypatch.setattr(cuda, "load_driver", lambda: gpu.libcuda)
    return gpu


def opened(gpu: Machine, **changed: Any) -> TensorRtEngine:
    return TensorRtEngine(b"engine", gpu.tensorrt, **changed)


def images(count: int, height: int = 64, width: int = 64, seed: int = 0) -> Grey:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, height, width), np.uint8)


def agrees(found: Any, shown: Grey) -> bool:
    means = shown.mean(axis=(1, 2, 3), dtype=np.float64)
    return found["mean"].shape == (len(shown), 2) and np.allclose(found["mean"][:, 0], means, rtol=1e-4)


def read_only(grey: Grey) -> Grey:
    grey.setflags(write=False)
    return grey
