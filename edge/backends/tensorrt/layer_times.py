"""A context of TensorRT's in, how long each layer of its network takes out, as TensorRT's own profiler tells it."""

# TensorRT's classes are Any to the type checker
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from edge.backends.layers import Layer, averaged
from edge.errors import BackendError


@lru_cache(maxsize=2)
def profiler_class(trt: Any) -> Any:
    """A class that notes what TensorRT reports of each layer; its objects must outlive the runs that they watch."""

    class Profiler(trt.IProfiler):
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times.append((layer_name, ms))

    return Profiler


class Engine(Protocol):
    """What holds TensorRT's engine; no local variable does, since a failure's traceback would hold it longer than the GPU."""

    engine: Any


class Prepared(Protocol):
    """The same with an execution context."""

    context: Any


def layer_times(trt: Any, of: Engine, ready: Prepared, stream: int, runs: int) -> list[Layer]:
    """Mean milliseconds of each layer over so many runs, the slowest first; the first does not count. Raises BackendError.

    TensorRT waits for each run while it is profiled. The context must not be recorded into a graph any more.
    """
    profiler = profiler_class(trt)()
    ready.context.profiler = profiler
    ready.context.enqueue_emits_profile = True
    told: list[list[tuple[str, float]]] = []
    for _ in range(runs + 1):
        profiler.times = []
        if not ready.context.execute_async_v3(stream):
            raise BackendError("TensorRT cannot run the engine while its layers are timed: restart the service")
        told.append(profiler.times)
    known = kinds(_report(trt, of, ready))
    return averaged([[Layer(name, *_pair(known, name, ms)) for name, ms in run] for run in told[1:]])


def kinds(report: str) -> dict[str, tuple[str, str]]:
    """Kind and kernel of each layer by its name, from the inspector's report; what it does not tell is "".

    Its form differs from version to version; an engine that was built without details has names alone.
    """
    try:
        layers = json.loads(report)["Layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    found = {}
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, Mapping) and isinstance(layer.get("Name"), str):
            kernel = layer.get("TacticName") or layer.get("TacticValue") or ""
            found[layer["Name"]] = str(layer.get("LayerType", "")), str(kernel)
    return found


def _pair(known: Mapping[str, tuple[str, str]], name: str, ms: float) -> tuple[str, float, str]:
    kind, kernel = known.get(name, ("", ""))
    return kind, ms, kernel


def _report(trt: Any, of: Engine, ready: Prepared) -> str:
    inspector = of.engine.create_engine_inspector()
    try:
        inspector.execution_context = ready.context
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    finally:
        inspector = None
