"""What a GPU tells without TensorRT: the product with its networks in torch, in FP16, recorded into CUDA graphs as engines are.

`python -m tests.gpu.standin --out FOLDER` runs `tests/gpu` so and leaves `gpu-check.json` there: the GPU's name, each answer,
each time. It proves kernels, copies, graphs, overlap and parity on a GPU that TensorRT does not list. Its ratio, the whole
chain over the networks alone, is that to torch's networks; the ratio to real engines stays open.

Needs torch, onnx and onnxruntime, PyCUDA and nvcc; no package index.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

LAYER = {
    "Name": "/body.0/conv/Conv",
    "LayerType": "torch",
    "Inputs": [{"Name": "a", "Format/Datatype": "Half"}],
    "Outputs": [{"Name": "b", "Format/Datatype": "Half"}],
}
NETWORKS = "torch in FP16, as a stand-in for TensorRT's engines"
WITHOUT = ("ultralytics_own_predict",)
"""What says nothing where the networks are torch's own."""
PLUGIN = "tests.gpu.standin"
converted: list[Any] = []


def install(module: Any) -> None:
    """Let everything that imports TensorRT find this module, and build what it runs."""
    sys.modules["tensorrt"] = module
    from export import to_tensorrt

    convert = to_tensorrt.fp16.convert

    def remembered(*arguments: Any) -> Any:
        converted.append(convert(*arguments))
        return converted[-1]

    to_tensorrt.fp16.convert = remembered
    to_tensorrt.build_engine = build
    to_tensorrt.inspect_engine = lambda *_: json.dumps({"Layers": [LAYER] * 30})


def build(half: Any, profile: Any, *_: Any, **__: Any) -> bytes:
    """The FP16 graph behind the shapes that it takes."""
    from tests.gpu.torch_tensorrt import engine_bytes

    return engine_bytes(half.model, profile.ranges)


def pytest_configure(config: Any) -> None:
    """As a plugin: before `tests/gpu` is imported."""
    from tests.gpu.torch_tensorrt import TorchTensorRt, cuda

    install(TorchTensorRt(cuda()))


def main(arguments: list[str] | None = None) -> int:
    """pytest's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.standin", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("gpu-check"), metavar="FOLDER", help="for gpu-check.json (%(default)s)"
    )
    parser.add_argument("--runs", type=int, default=1000, help="of the long tests (%(default)s)")
    parser.add_argument("--images", type=int, default=60, help="for parity (%(default)s)")
    parser.add_argument("-k", dest="only", metavar="NAMES", help="run these tests alone, as pytest's -k")
    chosen = parser.parse_args(arguments)
    import pytest

    os.environ |= {
        "EDGE_GPU_REQUIRED": "1",
        "EDGE_GPU_RUNS": str(chosen.runs),
        "EDGE_GPU_IMAGES": str(chosen.images),
        "EDGE_GPU_OUT": str(chosen.out.absolute()),
        "EDGE_GPU_NETWORKS": NETWORKS,
    }
    only = chosen.only or " and ".join(f"not {name}" for name in WITHOUT)
    options = ["-m", "gpu", "-s", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, "-k", only]
    return int(pytest.main([*options, "tests/gpu"]))


if __name__ == "__main__":
    raise SystemExit(main())
