"""Settings in, opened networks out: the one table of backends, and what "auto" means.

auto = tensorrt where an engine is there, else openvino where it is installed, else onnxruntime. A precision below float32
is taken only where `edge.inspection.parity` has found that it gives the same inspections on this very machine: bfloat16 on
OpenVINO, float16 on TensorRT, whose engines carry the outcome in their passports.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from edge.backends import Network, Opener
from edge.backends.onnx_session import OnnxSession
from edge.backends.openvino_model import OpenVinoModel
from edge.backends.tensorrt.engine import LIBRARIES, find_engine, open_engine
from edge.errors import BackendError, ConfigError

BACKENDS: dict[str, Opener] = {  # in the order in which auto takes them
    "tensorrt": open_engine,
    "openvino": OpenVinoModel,
    "onnxruntime": OnnxSession,
}


def installed() -> tuple[str, ...]:
    """Names of the backends whose library is installed, best first; nothing is imported."""
    return tuple(name for name in BACKENDS if _is_installed(name))


def without_engine(models: Sequence[Path]) -> str | None:
    """Why TensorRT cannot run these models here; None when it can. Makes no context on the GPU."""
    if "tensorrt" not in installed():
        return "TensorRT or PyCUDA is not installed"
    try:
        for model in models:
            find_engine(model)
    except BackendError as error:
        return str(error)
    return None


def resolve(name: str, precision: str = "float32") -> str:
    """The backend that `name` ("auto" or a backend's) means on this machine. Raises ConfigError with the cure.

    auto means tensorrt only in float16, which `edge.inspection.parity.gated_precision` gives where the engines are there.
    """
    here = installed()
    if name == "auto":
        fitting = [one for one in here if (one == "tensorrt") == (precision == "float16")]
        if not fitting:
            raise ConfigError("no inference library is installed: pip install onnxruntime")
        return fitting[0]
    if name not in BACKENDS:
        raise ConfigError(f"the backend {name!r} is not part of this version; there are {', '.join(BACKENDS)}, and auto")
    if name not in here:
        raise ConfigError(f"the backend {name!r} is not installed: pip install 'sem-corrosion-edge[{name}]'")
    return name


def open_network(backend: str, model: Path, precision: str = "float32") -> Network:
    """`model` on the backend named. Raises BackendError.

    TensorRT's precision is that of its engine, whatever is asked for.
    """
    return BACKENDS[backend](model, "float16" if backend == "tensorrt" else precision)


def _is_installed(name: str) -> bool:
    """A backend is called after the library that it imports, but for TensorRT, which has two names and needs PyCUDA."""
    if name != "tensorrt":
        return importlib.util.find_spec(name) is not None
    return importlib.util.find_spec("pycuda") is not None and any(importlib.util.find_spec(one) for one in LIBRARIES)
