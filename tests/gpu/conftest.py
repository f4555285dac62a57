"""The GPU, the kernels built for it, and the engines of the shipped models; each test is skipped where there is no GPU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from edge.backends import cuda, passport
from edge.backends.tensorrt_engine import TensorRtEngine, find_engine
from edge.model_card import BUILTIN_FOLDER
from tests.conftest import settings_for


def lacking(what: str) -> NoReturn:
    """Skip, or fail where the GPU is what the tests were started for."""
    if os.environ.get("EDGE_GPU_REQUIRED"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def gpu() -> passport.Gpu:
    found = passport.this_gpu()
    if found is None:
        lacking("this machine has no NVIDIA GPU with a driver")
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        lacking(f"PyCUDA cannot be imported: {error}")
    return found


@pytest.fixture(scope="session")
def kernels(gpu: passport.Gpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fat binary that is installed, else one that is built here."""
    from export import fatbin

    there = cuda.find_kernels([Path(cuda.__file__).parent])
    nvcc = fatbin.find_nvcc()
    if there is None and nvcc is None:
        lacking(f"the kernels are not built: {fatbin.MISSING}")
    return there or fatbin.build(tmp_path_factory.mktemp("kernels"), str(nvcc))


@pytest.fixture(scope="session")
def models(gpu: passport.Gpu, kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped models, their engines, which are built here in some minutes, and the kernels."""
    pytest.importorskip("onnx")
    from export.to_tensorrt import BuildOptions, NoTensorRtError, make_engine

    folder = tmp_path_factory.mktemp("models")
    for path in BUILTIN_FOLDER.iterdir():
        shutil.copy(path, folder)
    shutil.copy(kernels, folder)
    settings = settings_for(tmp_path_factory.mktemp("settings") / "watched")
    try:
        make_engine(folder / "segmenter.onnx", "segment", settings, BuildOptions(), print)
        make_engine(folder / "classifier.onnx", "classify", settings, BuildOptions(), print)
    except NoTensorRtError as error:
        lacking(str(error))
    return folder


def opened(model: Path, kernels: Path | None, *, graphs: bool = True) -> TensorRtEngine:
    engine, library = find_engine(model)
    return TensorRtEngine(engine.data, library, kernels=kernels, graphs=graphs)


@pytest.fixture
def segmenter(models: Path, kernels: Path) -> Iterator[TensorRtEngine]:
    with opened(models / "segmenter.onnx", kernels) as engine:
        yield engine


@pytest.fixture
def classifier(models: Path, kernels: Path) -> Iterator[TensorRtEngine]:
    with opened(models / "classifier.onnx", kernels) as engine:
        yield engine
