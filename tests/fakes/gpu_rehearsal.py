"""A pytest plugin that puts a GPU in place of none: PyCUDA, libcuda and TensorRT of `tests.fakes.gpu`, whose engines are
the very ONNX files on ONNX Runtime. What is built, asked, compared and freed is real, its precision and speed are not."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.backends.tensorrt import cuda, engine, passport
from edge.backends.tensorrt import graph as cuda_graph
from tests.fakes.gpu import Machine, onnx_network
from tests.fakes.pycuda import FATBIN

GPU = passport.Gpu(name="played by ONNX Runtime", compute_capability="9.0", driver="0.0")
LAYER = {
    "Name": "/body.0/conv/Conv",
    "LayerType": "CaskConvolution",
    "Inputs": [{"Name": "a", "Format/Datatype": "Half"}],
    "Outputs": [{"Name": "b", "Format/Datatype": "Half"}],
}
gpu = Machine(network=onnx_network, any_thread=True)
converted: list[Path] = []


def install() -> None:
    """Before a test module or conftest imports what is replaced."""
    package = ModuleType("pycuda")
    package.driver = gpu.pycuda  # type: ignore[attr-defined]
    for name, module in (("pycuda", package), ("pycuda.driver", gpu.pycuda), ("tensorrt", gpu.tensorrt)):
        module.__spec__ = ModuleSpec(name, None)
        sys.modules[name] = module
    passport.this_gpu = lambda: GPU
    for module in (cuda_graph, cuda, engine):
        module.load_driver = lambda: gpu.libcuda  # type: ignore[attr-defined]
    from export import fatbin, to_tensorrt

    convert = to_tensorrt.fp16.convert

    def remembered(model: Path, *examples: Any) -> Any:
        converted.append(model)
        return convert(model, *examples)

    to_tensorrt.fp16.convert = remembered
    to_tensorrt.build_engine = build
    to_tensorrt.inspect_engine = lambda *_: json.dumps({"Layers": [LAYER] * 30})
    fatbin.find_nvcc = lambda: "nvcc"
    fatbin.build = write_kernels


def build(_half: Any, profile: passport.Profile, *_: Any, **__: Any) -> bytes:
    """The model as it was, which a processor runs twice as fast as the one in FP16, behind the shapes that it takes."""
    shapes = json.dumps([profile.least, profile.best, profile.most]).encode()
    return shapes + b"\n" + converted[-1].read_bytes()


def write_kernels(folder: Path, _nvcc: str) -> Path:
    """What the played driver takes for a fat binary."""
    from edge.backends.tensorrt.cuda import kernels_name

    path = folder / kernels_name()
    path.write_bytes(FATBIN)
    return path


install()
