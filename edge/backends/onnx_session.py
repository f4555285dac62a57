"""ONNX Runtime on the CPU: an .onnx file in, a Network out."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.layers import Layer, averaged
from edge.backends.network import Arrays, cores, side_by_side
from edge.backends.quiet import silence_onnxruntime
from edge.errors import BackendError


class OnnxSession:
    """A model in float32 on ONNX Runtime's CPU provider.

    A model that takes images of one size, the classifier, gets many small ones at once. They run side by side, each on one
    core, which keeps what a layer passes on in that core's cache. That takes 0.73 of the time that all cores on one batch
    take. A model of any size, the segmenter, gets one large image: all cores work on it together.
    """

    name = "onnxruntime"
    precision = "float32"
    any_thread = True

    def __init__(self, model: Path, precision: str = "float32") -> None:
        """Load `model`. precision: float32, the only one of this backend. Raises BackendError."""
        silence_onnxruntime()
        try:
            import onnxruntime
        except ImportError as error:
            raise BackendError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
        self._single: Any = None
        self._pool: ThreadPoolExecutor | None = None
        try:
            self._session: Any = _open(onnxruntime, model, threads=cores())
            if all(isinstance(side, int) for side in self._session.get_inputs()[0].shape[2:]) and cores() > 1:
                self._single = _open(onnxruntime, model, threads=1)
                self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="onnxruntime")
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BackendError(f"onnxruntime cannot load {model}: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        """Outputs by name for uint8 [N, 1, H, W]. Raises BackendError."""
        try:
            if self._pool is None:
                return self._run(self._session, image)
            many = side_by_side(len(image), cores())
            rows = list(self._pool.map(lambda row: self._run(self._single, row), np.split(image[:many], many) if many else ()))
            rows += [self._run(self._session, image[row : row + 1]) for row in range(many, len(image))]
        except Exception as error:  # onnxruntime's errors share no public base class
            raise BackendError(f"onnxruntime failed on an input of {image.shape}: {error}") from error
        return {name: np.concatenate([row[name] for row in rows]) for name in self._outputs}

    def _run(self, session: Any, image: NDArray[np.uint8]) -> Arrays:
        return dict(zip(self._outputs, session.run(self._outputs, {"image": image}), strict=True))

    def close(self) -> None:
        """Free the session."""
        if self._pool is not None:
            self._pool.shutdown()
        self._single = None
        self._session = None

    def __enter__(self) -> OnnxSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def layers(model: Path, precision: str, image: NDArray[np.uint8], runs: int) -> list[Layer]:
    """Mean time of each node on all cores, the slowest first, by ONNX Runtime's own profiler. Raises BackendError.

    The first run, which sets memory up, does not count.
    """
    silence_onnxruntime()
    try:
        import onnxruntime

        with tempfile.TemporaryDirectory(prefix="edge-layers-") as folder:
            session = _open(onnxruntime, model, threads=cores(), profile=f"{folder}/layers")
            for _ in range(runs + 1):
                session.run(None, {"image": image})
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    except Exception as error:  # onnxruntime's errors share no public base class
        raise BackendError(f"onnxruntime cannot tell the layers of {model}: {error}") from error
    kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    a_run = len(kernels) // (runs + 1)
    told = [
        Layer(event["name"].removesuffix("_kernel_time"), event["args"]["op_name"], event["dur"] / 1e3)
        for event in kernels[a_run:]
    ]
    return averaged([told[number * a_run : (number + 1) * a_run] for number in range(runs)])


def _open(onnxruntime: Any, model: Path, threads: int, profile: str | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Spinning workers would burn the second core of a small PC between two images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
