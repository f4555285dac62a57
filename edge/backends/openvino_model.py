"""OpenVINO on the CPU: an .onnx file in, a Network out."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.compiled import remember, remembered, this_processor
from edge.backends.layers import Layer, averaged
from edge.backends.network import Arrays, cores, side_by_side
from edge.backends.quiet import without_openvino_telemetry
from edge.errors import BackendError

log = logging.getLogger(__name__)

ROWS = 2
"""Images that one stream takes at once, where many come: more of them leave the core's cache."""
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoModel:
    """A model on OpenVINO's CPU plug-in, in float32 or bfloat16.

    OpenVINO takes bfloat16 by itself where the processor has it, so the precision is always asked for by name.
    `precision` is what the compiled model really runs in, not what was asked.

    A model that takes images of one size, the classifier, can get many small ones at once. They run side by side, `ROWS` in
    each of as many streams as there are cores, compiled for just that shape. That takes 0.8 of the time that all cores on
    one batch take. A model of any size, the segmenter, gets one large image: all cores work on it together.
    """

    name = "openvino"
    any_thread = True

    def __init__(self, model: Path, precision: str = "float32", memory: Path | None = None) -> None:
        """Load `model`. memory: a folder that keeps it compiled for the next time. Raises BackendError."""
        if precision not in _HINTS:
            raise BackendError(f"openvino runs in {' or '.join(_HINTS)} here, not in {precision}")
        try:
            openvino = _library()
        except ImportError as error:
            raise BackendError(f"openvino cannot be imported ({error}): pip install 'sem-corrosion-edge[openvino]'") from error
        try:
            core = openvino.Core()
            hints = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
            self._model: Any = _compiled(openvino, core, model, {**hints, "PERFORMANCE_HINT": "LATENCY"}, memory)
            shape = self._model.input(0).partial_shape
            self._streams: Callable[[], Any] | None = None
            self._queue: Any = None
            if shape[2].is_static and shape[3].is_static:
                channels_and_sides = [side.get_length() for side in list(shape)[1:]]

                def streams() -> Any:
                    network = core.read_model(model)
                    network.reshape([ROWS, *channels_and_sides])
                    several = {"NUM_STREAMS": str(cores()), "INFERENCE_NUM_THREADS": cores()}
                    return openvino.AsyncInferQueue(core.compile_model(network, "CPU", {**hints, **several}), cores())

                self._streams = streams
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
            results = self._together(image) if self._streams is None else self._side_by_side(image, self._streams)
        except RuntimeError as error:
            raise BackendError(f"openvino failed on an input of {image.shape}: {error}") from error
        return {name: results[index] for index, names in enumerate(self._outputs) for name in names}

    def _together(self, image: NDArray[np.uint8]) -> list[NDArray[Any]]:
        results = self._request.infer({"image": image}, share_inputs=True, share_outputs=False)
        return [results[index] for index in range(len(self._outputs))]

    def _side_by_side(self, image: NDArray[np.uint8], streams: Callable[[], Any]) -> list[NDArray[Any]]:
        count = len(image)
        many = side_by_side(count, ROWS * cores())
        if many and self._queue is None:  # a network that only ever gets one image at a time is not compiled twice
            self._queue = streams()
        spare = -many % ROWS
        whole = np.concatenate([image, np.zeros((spare, *image.shape[1:]), np.uint8)]) if spare else image
        results: list[NDArray[Any]] = [
            np.empty((count, *tuple(output.shape)[1:]), output.get_element_type().to_dtype()) for output in self._model.outputs
        ]

        def keep(request: Any, start: int) -> None:
            stop = min(start + ROWS, many)
            for index, result in enumerate(results):
                result[start:stop] = request.get_output_tensor(index).data[: stop - start]

        if many:
            self._queue.set_callback(keep)
            for start in range(0, many, ROWS):
                self._queue.start_async({"image": whole[start : start + ROWS]}, userdata=start, share_inputs=True)
            self._queue.wait_all()
        for row in range(many, count):
            for result, alone in zip(results, self._together(image[row : row + 1]), strict=True):
                result[row] = alone[0]
        return results

    def close(self) -> None:
        """Free the compiled model."""
        self._queue = self._streams = None
        self._request = None
        self._model = None

    def __enter__(self) -> OpenVinoModel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _library() -> Any:
    """OpenVINO, which would report its import. Raises ImportError."""
    with without_openvino_telemetry():
        import openvino
    return openvino


def _compiled(openvino: Any, core: Any, model: Path, hints: dict[str, str], memory: Path | None) -> Any:
    """The model compiled for the CPU; one that takes images of one size for a single image. Raises RuntimeError.

    What `memory` keeps is taken instead, where model, library, processor and hints are those that it was made with.
    """
    name = f"compiled-{model.stem}-{hints['INFERENCE_PRECISION_HINT']}.openvino"
    key: list[str] = []
    if memory is not None:
        try:
            sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
        except OSError:
            memory = None  # read_model says why
        else:
            key = [sha256, str(openvino.__version__), this_processor(), str(cores()), *(f"{one}={hints[one]}" for one in hints)]
            if (kept := remembered(memory, name, key)) is not None:
                try:
                    return core.import_model(io.BytesIO(kept), "CPU", hints)
                except RuntimeError as error:
                    log.warning("what was remembered of %s cannot be used, so it is compiled anew: %s", model.name, error)
    network = core.read_model(model)
    shape = network.input(0).partial_shape
    if shape[2].is_static and shape[3].is_static:
        network.reshape([1, *(side.get_length() for side in list(shape)[1:])])
    compiled = core.compile_model(network, "CPU", hints)
    if memory is not None:
        try:
            remember(memory, name, key, compiled.export_model().getvalue())
        except RuntimeError as error:  # a plug-in that does not export
            log.info("%s is compiled at each start: %s", model.name, error)
    return compiled


def has_bfloat16() -> bool:
    """Whether OpenVINO would run bfloat16 natively on this processor; False without OpenVINO."""
    try:
        openvino = _library()
    except ImportError:
        return False
    capabilities: Any = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def lower_precisions(models: Sequence[Path]) -> list[str]:
    """What runs faster here than float32: bfloat16 where the processor has it natively."""
    return ["bfloat16"] if has_bfloat16() else []


def fingerprint(models: Sequence[Path], precision: str) -> list[str]:
    """OpenVINO's version."""
    return [str(_library().__version__)]


def layers(model: Path, precision: str, image: NDArray[np.uint8], runs: int) -> list[Layer]:
    """Mean time of each layer on all cores, the slowest first, by OpenVINO's own counters. Raises BackendError.

    The first run, which compiles for the shape, does not count.
    """
    try:
        openvino = _library()
        core = openvino.Core()
        network = core.read_model(model)
        network.reshape(list(image.shape))
        wanted = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY", "PERF_COUNT": True}
        request = core.compile_model(network, "CPU", wanted).create_infer_request()
        told = []
        for _ in range(runs + 1):
            request.infer({"image": image})
            told.append(
                [
                    Layer(one.node_name, one.node_type, one.real_time.total_seconds() * 1e3, one.exec_type)
                    for one in request.get_profiling_info()
                    if one.real_time
                ]
            )
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"openvino cannot tell the layers of {model}: {error}") from error
    return averaged(told[1:])
