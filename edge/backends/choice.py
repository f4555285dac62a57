"""Settings in, opened networks out: the one table of backends, and what "auto" means.

auto = tensorrt where an engine is there, else openvino where it is installed, else onnxruntime. On OpenVINO, bfloat16
is taken only where `edge.parity` has found that it gives the same inspections on this very machine.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edge.backends import Network, Opener
from edge.backends.onnx_session import OnnxSession
from edge.backends.openvino_model import OpenVinoModel
from edge.errors import ConfigError

BACKENDS: dict[str, Opener] = {  # by the name of the library that each imports
    "openvino": OpenVinoModel,
    "onnxruntime": OnnxSession,
}


def installed() -> tuple[str, ...]:
    """Names of the backends whose library is installed, best first; nothing is imported."""
    return tuple(name for name in BACKENDS if importlib.util.find_spec(name) is not None)


def resolve(name: str) -> str:
    """The backend that `name` ("auto" or a backend's) means on this machine. Raises ConfigError with the cure."""
    here = installed()
    if name == "auto":
        if not here:
            raise ConfigError("no inference library is installed: pip install onnxruntime")
        return here[0]
    if name not in BACKENDS:
        raise ConfigError(f"the backend {name!r} is not part of this version; there are {', '.join(BACKENDS)}, and auto")
    if name not in here:
        raise ConfigError(f"the backend {name!r} is not installed: pip install 'sem-corrosion-edge[{name}]'")
    return name


def open_network(backend: str, model: Path, precision: str = "float32") -> Network:
    """`model` on the backend named. Raises BackendError."""
    return BACKENDS[backend](model, precision)
