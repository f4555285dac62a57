"""An FP16 graph and TensorRT's module in, a serialised engine out, and what its inspector says about every layer."""

# TensorRT's classes are Any to the type checker
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.tensorrt import messages
from edge.backends.tensorrt.device import free_mib
from edge.backends.tensorrt.passport import (
    Gpu,
    Library,
    Profile,
)
from edge.errors import BackendError, ModelError
from edge.whole_file import write_whole
from export import fp16, rtx
from export.build_progress import Progress
from export.engine_layers import some_of

MOST_WORKSPACE_MIB, LEAST_WORKSPACE_MIB = 1024, 64
SMALL_GPU_MIB = 8 << 10
"""Up to this much memory it is not spent on speed: a Jetson shares it with everything else."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    workspace_mib: memory of the GPU that a layer may take while it runs; None: see `workspace`.
    level: 0…5, how long TensorRT searches for fast kernels.  timing_cache: file in which it remembers measurements; None
    for no such file.  again: build also where a fitting engine is there.
    """

    workspace_mib: int | None = None
    level: int = 3
    timing_cache: Path | None = None
    again: bool = False


def build_engine(
    half: fp16.HalfGraph,
    profile: Profile,
    trt: Any,
    library: Library,
    options: BuildOptions,
    progress: Progress | None = None,
    gpu: Gpu | None = None,
) -> bytes:
    """The serialised engine of an FP16 graph. Needs no GPU with TensorRT for RTX.

    gpu: which to build for: how much memory it has, and what it is where TensorRT for RTX does not see it.
    Raises ModelError when the network is not FP16, BackendError when TensorRT cannot parse or build it.
    """
    log = messages.logger(trt)
    log.errors.clear()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(half.model.SerializeToString()):
        problems = [parser.get_error(index) for index in range(parser.num_errors)]
        told = "; ".join(f"{problem.desc()} (at {problem.node_name() or 'an unnamed node'})" for problem in problems)
        raise BackendError(f"TensorRT cannot parse the graph: {told or log.told()}")
    require_half_network(network, trt, half.islands)
    config = builder.create_builder_config()
    _limit_memory(config, trt, options.workspace_mib, gpu)
    config.builder_optimization_level = options.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector does not tell precisions
    config.clear_flag(trt.BuilderFlag.TF32)  # an island in float32 is meant to be one
    for least, best, most in profile.ranges:
        shapes = builder.create_optimization_profile()
        shapes.set_shape("image", least, best, most)
        if config.add_optimization_profile(shapes) < 0:
            raise BackendError(f"TensorRT refuses the input's shapes {profile}: {log.told()}")
    monitor = _monitor(trt, progress) if progress else None
    if monitor is not None:
        config.progress_monitor = monitor
    # TensorRT for RTX has no measurements to remember: it compiles for the GPU when an engine is loaded
    remembers = options.timing_cache if library.name == "tensorrt" else None
    if remembers is not None and not _take_timings(config, _read_or_nothing(remembers)):
        _take_timings(config, b"")  # another GPU's or another version's
    plan, capability = None, gpu.compute_capability if gpu else None
    for target in rtx.targets(trt, library, capability):
        if plan is None and not getattr(monitor, "stopped", False) and rtx.aim(config, trt, target):
            plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"TensorRT cannot build the engine: {log.told()}{rtx.unlisted(trt, library, capability)}")
    if remembers is not None:
        _replace(remembers, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def workspace(free_mib: int | None) -> int:
    """Memory that a layer may take, in MiB: half of what is free, no more than `MOST_WORKSPACE_MIB`."""
    return MOST_WORKSPACE_MIB if free_mib is None else max(min(free_mib // 2, MOST_WORKSPACE_MIB), LEAST_WORKSPACE_MIB)


def _limit_memory(config: Any, trt: Any, workspace_mib: int | None, gpu: Gpu | None) -> None:
    """A workspace that is there; on a small GPU, no kernels that trade memory for speed, in trials neither."""
    size = (workspace(free_mib()) if workspace_mib is None else workspace_mib) << 20
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    if gpu is None or gpu.memory_mib is None or gpu.memory_mib > SMALL_GPU_MIB:
        return
    config.set_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM, size)
    config.set_tactic_sources(config.get_tactic_sources() & ~(1 << int(trt.TacticSource.EDGE_MASK_CONVOLUTIONS)))


def require_half_network(network: Any, trt: Any, islands: Iterable[str]) -> None:
    """Refuse a parsed network that would build in float32: every convolution outside the islands gives out FP16.

    Raises ModelError. A check before the minutes that building takes; what counts in the end is `require_half`.
    """
    kept = set(islands)
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type in kinds and layer.name not in kept]
    wrong = [layer.name for layer in convolutions if layer.get_output(0).dtype != trt.DataType.HALF]
    if wrong or not convolutions:
        raise ModelError(f"TensorRT read a network that is not FP16: {some_of(wrong) or 'it has no convolution'}")


def inspect_engine(data: bytes, profile: Profile, trt: Any) -> str:
    """What the engine inspector says about every layer, as JSON. Needs the GPU. Raises BackendError."""
    log = messages.logger(trt)
    log.errors.clear()
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(data)
    context = engine.create_execution_context() if engine is not None else None
    if context is None:
        raise BackendError(f"the engine that was just built does not load: {log.told()}")
    context.set_input_shape("image", profile.best)
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context  # formats are told for definite shapes only
    report = str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    del inspector, context, engine, runtime
    return report


def _monitor(trt: Any, progress: Progress) -> Any:
    """TensorRT's own progress monitor, telling ours. An interrupt becomes TensorRT's way of stopping a build."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.stopped = False

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.begin(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                progress.step(phase_name, step)
            except KeyboardInterrupt:
                self.stopped = True
                return False
            return True

        def phase_finish(self, phase_name: str) -> None:
            progress.end(phase_name)

    return Monitor()


def _take_timings(config: Any, stored: bytes) -> bool:
    cache = config.create_timing_cache(stored)
    return cache is not None and bool(config.set_timing_cache(cache, ignore_mismatch=False))


def _read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _replace(path: Path, content: bytes) -> None:
    """Best effort: without the file the next build measures again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, mode=None)
