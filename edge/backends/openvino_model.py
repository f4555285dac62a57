"""OpenVINO on the CPU: an .onnx file in, a Network out."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends import Arrays
from edge.errors import BackendError

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoModel:
    """A model on OpenVINO's CPU plug-in, in float32 or bfloat16.

    OpenVINO takes bfloat16 by itself where the processor has it, so the precision is always asked for by name.
    `precision` is what the compiled model really runs in, not what was asked.
    """

    name = "openvino"

    def __init__(self, model: Path, precision: str = "float32") -> None:
        if precision not in _HINTS:
            raise BackendError(f"openvino runs in {' or '.join(_HINTS)} here, not in {precision}")
        try:
            import openvino
        except ImportError as error:
            raise BackendError(f"openvino cannot be imported ({error}): pip install 'sem-corrosion-edge[openvino]'") from error
        try:
            core = openvino.Core()
            self._model: Any = core.compile_model(
                model, "CPU", {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
            )
            self._request: Any = self._model.create_infer_request()
            used = str(self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        except RuntimeError as error:
            raise BackendError(f"openvino cannot load {model}: {error}") from error
        self.precision = {hint: name for name, hint in _HINTS.items()}.get(used, used)
        # One output can carry several names: the ONNX file's and those that the compiler gave it.
        self._outputs = [tuple(output.get_names()) for output in self._model.outputs]

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 [N, 1, H, W]. Raises BackendError."""
        try:
            results = self._request.infer({"image": image}, share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise BackendError(f"openvino failed on an input of {image.shape}: {error}") from error
        return {name: results[index] for index, names in enumerate(self._outputs) for name in names}

    def close(self) -> None:
        """Free the compiled model."""
        self._request = None
        self._model = None

    def __enter__(self) -> OpenVinoModel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def has_bfloat16() -> bool:
    """Whether OpenVINO would run bfloat16 natively on this processor; False without OpenVINO."""
    try:
        import openvino
    except ImportError:
        return False
    capabilities: Any = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities
