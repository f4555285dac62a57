"""ONNX Runtime on the CPU: an .onnx file in, a Network out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends import Arrays
from edge.errors import BackendError


class OnnxSession:
    """A model in float32 on ONNX Runtime's CPU provider."""

    name = "onnxruntime"
    precision = "float32"

    def __init__(self, model: Path, precision: str = "float32") -> None:
        if precision != "float32":
            raise BackendError(f"onnxruntime runs in float32 here, not in {precision}")
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Spinning workers would burn the second core of a small PC between two images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BackendError(f"onnxruntime cannot load {model}: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 [N, 1, H, W]. Raises BackendError."""
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, {"image": image}), strict=True))
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BackendError(f"onnxruntime failed on an input of {image.shape}: {error}") from error

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def __enter__(self) -> OnnxSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
