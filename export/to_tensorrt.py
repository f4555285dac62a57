"""An ONNX model in, an FP16 TensorRT engine with its passport beside it out, or the reason why there is none.

Runs on the machine that will use the engine, without torch. In this order, and only what passes is installed:
the graph becomes FP16 (`export.fp16`); TensorRT builds it strongly typed; its engine inspector says in which precision
each layer really runs; the engine's answers on the shipped micrographs are compared with float32.
"""

# TensorRT's classes are Any to the type checker
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.backends.crop import Crop, CroppingNetwork
from edge.backends.network import Arrays, Network
from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt.cuda import cuda_here
from edge.backends.tensorrt.passport import (
    RECIPE,
    EngineParity,
    Gpu,
    Library,
    Passport,
    Profile,
    engine_folders,
    engine_name,
    find_engine,
    install_engine,
    this_gpu,
)
from edge.config import Settings
from edge.errors import BackendError, EdgeError, ModelError
from edge.inspection.classify import field_of_view
from edge.inspection.parity import DOMAIN_MARGIN, FLIP_MARGIN, LEAST_MASK_IOU, compare, sample_micrographs
from edge.inspection.pipeline import Pipeline
from edge.inspection.segment import STRIDE, VIEWS_A_BATCH, views
from edge.models.card import ModelCard, load_card
from edge.records import Grey, Micrograph
from export import fatbin, fp16

MOST_BOX_ERROR_PX = 1.0
"""Of candidates that float32 reports, in network pixels."""
MOST_NAMES_TOLD = 5
CROPS_A_BATCH = 8
MOST_TOLD_OF_A_LAYER = 600

Say = Callable[[str], None]
Task = Literal["segment", "classify"]


class NoTensorRtError(BackendError):
    """This machine has no NVIDIA GPU or no TensorRT: nothing to build, and nothing is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """TensorRT's module, which one it is, and the GPU."""

    trt: Any
    library: Library
    gpu: Gpu


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build.

    workspace_mib: memory of the GPU that a layer may take while it runs; a Jetson shares it with everything else.
    level: 0…5, how long TensorRT searches for fast kernels.  timing_cache: file in which it remembers measurements; None
    for no such file.  again: build also where a fitting engine is there.
    """

    workspace_mib: int = 1024
    level: int = 3
    timing_cache: Path | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """Where the engine is. built: False when one was there that still fits."""

    engine: Path
    passport: Passport
    built: bool


@dataclass(frozen=True, slots=True)
class InspectedLayer:
    """A layer of a finished engine as TensorRT's inspector tells it.

    precision: of what it gives out ("float16", "float32", "int64" …; "unknown" where not told).
    half: whether FP16 appears in it at all, in a tensor, in its weights or in its kernel's name.
    convolutions: names of the ONNX convolutions that it is made of, as far as told; its own name where it is one by its kind.
    """

    name: str
    precision: str
    half: bool
    convolutions: frozenset[str]


def make_engine(model: Path, task: Task, settings: Settings, options: BuildOptions, say: Say) -> Made:
    """Build, check and install the engine of one model, unless one that fits is there.

    Raises NoTensorRtError, BackendError when TensorRT fails, ModelError when the model or the engine is refused.
    """
    machine = this_machine()
    card = load_card(model, task)
    profile = profile_for(card)
    if not options.again:
        try:
            there = find_engine(model, onnx_sha256=card.sha256, library=machine.library, gpu=machine.gpu)
        except ModelError as error:
            say(str(error))
        else:
            if there.passport.profile == profile:
                return Made(there.path, there.passport, built=False)
            say(f"{there.path.name} was built for other sizes of the input")
    micrographs = sample_micrographs()
    half = fp16.convert(model, examples(card, micrographs))
    for weight in half.kept_weights:
        say(f"stays float32, since FP16 cannot hold the weight: {weight}")
    for name, largest in half.wide.items():
        say(f"stays float32, since it comes near the end of FP16's range: {name}, up to {largest:.3g}")
    path = writable_folder(model) / engine_name(model, card.sha256)
    with cuda_here():  # what the runtime lacks is told before the minutes that building takes, not after
        data, passport = _build_and_check(half, model, card, profile, machine, options)
        with open_on_tensorrt(data, model, machine.trt) as network:
            parity = measure_parity(model, card, network, settings, micrographs)
    reason = refusal(parity)
    if reason is not None:
        raise ModelError(f"the engine of {model.name} does not agree with float32, so it is not used: {reason}")
    passport = passport.model_copy(update={"parity": parity})
    install_engine(path, data, passport)
    return Made(path, passport, built=True)


def _build_and_check(
    half: fp16.HalfGraph, model: Path, card: ModelCard, profile: Profile, machine: Machine, options: BuildOptions
) -> tuple[bytes, Passport]:
    """An engine whose precision was checked, and its passport, which lacks only the parity."""
    data = build_engine(half, profile, machine.trt, machine.library, options, progress=Progress(model.name))
    layers = read_layers(inspect_engine(data, profile, machine.trt))
    require_half(layers, half.islands)
    return data, Passport(
        recipe=RECIPE,
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        made_by=__version__,
        model=model.name,
        onnx_sha256=card.sha256,
        engine_sha256=hashlib.sha256(data).hexdigest(),
        engine_bytes=len(data),
        library=machine.library,
        gpu=machine.gpu,
        profile=profile,
        layers=dict(Counter(one.precision for one in layers)),
    )


def this_machine() -> Machine:
    """What there is to build with. Raises NoTensorRtError."""
    trt, library = load_tensorrt()
    gpu = this_gpu()
    if gpu is None:
        raise NoTensorRtError("this machine has no NVIDIA GPU that CUDA can use")
    return Machine(trt, library, gpu)


def load_tensorrt() -> tuple[Any, Library]:
    """TensorRT's module, or that of TensorRT for RTX, which has the same interface. Raises NoTensorRtError."""
    try:
        module = tensorrt_engine.load_library()
        return module, Library(name=module.__name__, version=str(module.__version__))
    except (BackendError, AttributeError) as error:  # an empty package of the name has no version
        raise NoTensorRtError(str(error)) from error


def profile_for(card: ModelCard) -> Profile:
    """The shapes that the edge gives this model: batches of views of up to `input_px`, or runs of crops."""
    side = -(-card.input_px // STRIDE) * STRIDE
    if card.task == "classify":
        size = (1, card.input_px, card.input_px)
        return Profile(least=(1, *size), best=(CROPS_A_BATCH, *size), most=(CROPS_A_BATCH, *size))
    # most microscopes give 4:3 or 3:2, which is viewsed to about that
    usual = -(-side * 3 // 4 // STRIDE) * STRIDE
    return Profile(least=(1, 1, STRIDE, STRIDE), best=(1, 1, usual, side), most=(VIEWS_A_BATCH, 1, side, side))


def examples(card: ModelCard, micrographs: Iterable[Micrograph]) -> Iterator[NDArray[np.uint8]]:
    """What the edge gives this model of each micrograph, as a whole: uint8 [1, 1, H, W]."""
    for micrograph in micrographs:
        seen = (
            field_of_view(micrograph.grey, card.input_px)
            if card.task == "classify"
            else next(views(micrograph.grey, card, tile="off")).canvas
        )
        yield seen[None, None]


def writable_folder(model: Path) -> Path:
    """The first of the model's `engine_folders` that can be written to; it need not exist yet. Raises ModelError."""
    folders = engine_folders(model)
    for folder in folders:
        nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return folder
    raise ModelError(f"no folder for the engine can be written to: {', '.join(map(str, folders))}")


def build_engine(
    half: fp16.HalfGraph,
    profile: Profile,
    trt: Any,
    library: Library,
    options: BuildOptions,
    progress: Progress | None = None,
) -> bytes:
    """The serialised engine of an FP16 graph. Needs no GPU with TensorRT for RTX.

    Raises ModelError when the network is not FP16, BackendError when TensorRT cannot parse or build it.
    """
    log = _log(trt)
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
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector does not tell precisions
    config.clear_flag(trt.BuilderFlag.TF32)  # an island in float32 is meant to be one
    shapes = builder.create_optimization_profile()
    shapes.set_shape("image", profile.least, profile.best, profile.most)
    if config.add_optimization_profile(shapes) < 0:
        raise BackendError(f"TensorRT refuses the input's shapes {profile}: {log.told()}")
    monitor = _monitor(trt, progress) if progress else None
    if monitor is not None:
        config.progress_monitor = monitor
    # TensorRT for RTX has no measurements to remember: it compiles for the GPU when an engine is loaded
    remembers = options.timing_cache if library.name == "tensorrt" else None
    if remembers is not None and not _take_timings(config, _read_or_nothing(remembers)):
        _take_timings(config, b"")  # another GPU's or another version's
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"TensorRT cannot build the engine: {log.told()}")
    if remembers is not None:
        _replace(remembers, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


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
        raise ModelError(f"TensorRT read a network that is not FP16: {_some(wrong) or 'it has no convolution'}")


def inspect_engine(data: bytes, profile: Profile, trt: Any) -> str:
    """What the engine inspector says about every layer, as JSON. Needs the GPU. Raises BackendError."""
    log = _log(trt)
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


_PRECISIONS = (
    (re.compile(r"\b(bf16|bfloat16)\b", re.IGNORECASE), "bfloat16"),
    (re.compile(r"\b(fp16|half|float16)\b", re.IGNORECASE), "float16"),
    (re.compile(r"\b(fp32|float|float32)\b", re.IGNORECASE), "float32"),
    (re.compile(r"\b(u?int\d+|bool|fp8|fp4)\b", re.IGNORECASE), None),
)
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")
_CONVOLUTION = re.compile(r"\S*/Conv(Transpose)?(_\d+)?(?=$|_myl)")
"""An ONNX node's name by our exporter; Myelin, TensorRT's compiler of subgraphs, adds its own number."""
_CONVOLVES = re.compile(r"conv|correlation", re.IGNORECASE)
"""Kinds of layers; Myelin calls a convolution a correlation."""
_HALF_KERNEL = re.compile(r"(?<![a-z0-9])(f16|fp16|h16816|h1688|hmma)|_f16", re.IGNORECASE)


def read_layers(report: str) -> tuple[InspectedLayer, ...]:
    """Layers of an inspector's JSON. Raises ModelError.

    TensorRT 10 tells of each tensor a "Format/Datatype" ("Half", or "Row major linear FP16 format"); TensorRT 11 split it
    into the type, spelt "DataType" in NVIDIA's guide to migration and "Datatype" by those who read it, and "Format".
    """
    try:
        document = json.loads(report)
        entries = document if isinstance(document, list) else document["Layers"]
        layers = tuple(_layer(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"what TensorRT's engine inspector says cannot be understood: {error!r}") from error
    if not any(one.precision != "unknown" for one in layers):
        example = json.dumps(entries[len(entries) // 2]) if entries else report
        raise ModelError(
            "TensorRT's engine inspector tells no layer's precision, so the engine is not trusted; "
            f"of one of {len(layers)} layers it says {example[:MOST_TOLD_OF_A_LAYER]}"
        )
    return layers


def _layer(entry: str | Mapping[str, Any]) -> InspectedLayer:
    if isinstance(entry, str):  # an engine built without details tells names only
        return InspectedLayer(entry, "unknown", half=False, convolutions=frozenset())
    tensors = [_type_of(tensor) for side in ("Outputs", "Inputs") for tensor in entry.get(side) or ()]
    told = [precision for precision in tensors if precision != "unknown"]
    weights = entry.get("Weights")
    held = _precision(str(weights.get("Type", ""))) if isinstance(weights, Mapping) else "unknown"
    kernel = str(entry.get("TacticName", ""))
    name = str(entry.get("Name", ""))
    words = re.split(r"[\s+,:()\[\]{}\x1e\x1f]+", f"{name} {entry.get('Metadata') or ''}")
    convolutions = {found[0] for word in words if (found := _CONVOLUTION.match(word))}
    return InspectedLayer(
        name=name,
        precision=told[0] if told else "unknown",
        half="float16" in (*told, held) or _HALF_KERNEL.search(kernel) is not None,
        convolutions=frozenset(convolutions or ({name} if _CONVOLVES.search(str(entry.get("LayerType", ""))) else ())),
    )


def _type_of(tensor: str | Mapping[str, Any]) -> str:
    """The precision of a layer's input or output."""
    texts = [tensor] if isinstance(tensor, str) else [tensor.get(key, "") for key in _TYPE_KEYS]
    return next((precision for text in texts if (precision := _precision(str(text))) != "unknown"), "unknown")


def _precision(datatype: str) -> str:
    for pattern, name in _PRECISIONS:
        if found := pattern.search(datatype):
            return name or found[0].lower()
    return "unknown"


def require_half(layers: Iterable[InspectedLayer], islands: Iterable[str]) -> None:
    """Refuse an engine that turned out float32, all or in part. Raises ModelError.

    A builder that does not honour FP16 says nothing: only the finished engine tells. A convolution counts as float32 when
    none of the layers that TensorRT made of it has FP16: a reformat beside it carries its name as well.
    """
    layers = tuple(layers)
    if not any(one.half for one in layers):
        raise ModelError("the engine turned out float32: no layer of it runs in FP16")
    fine = set(islands).union(*(one.convolutions for one in layers if one.half))
    slow = {name for one in layers if one.precision == "float32" and not one.half for name in one.convolutions}
    if wrong := sorted(slow - fine):
        raise ModelError(f"the engine turned out float32 in {len(wrong)} convolutions: {_some(wrong)}")


def open_on_tensorrt(data: bytes, model: Path, trt: Any) -> Network:
    """An engine of `model` as the daemon will open it once it is installed. Raises BackendError."""
    return tensorrt_engine.TensorRtEngine(data, trt, kernels=tensorrt_engine.kernels_for(model))


def provide_kernels(models: Sequence[Path]) -> str:
    """Build the kernels' binary where engines of these models go, unless one of this version is there; says what was done.

    Nothing depends on it but speed, so what keeps it from being built is told and never raised.
    """
    there = {model: tensorrt_engine.kernels_for(model) for model in models}
    lacking = [model for model, path in there.items() if path is None]
    if not lacking:
        return f"the kernels are there already: {', '.join(sorted({str(path) for path in there.values()}))}"
    nvcc = fatbin.find_nvcc()
    try:
        if nvcc is None:
            raise fatbin.FatbinError(fatbin.MISSING)
        built = [fatbin.build(folder, nvcc) for folder in sorted({writable_folder(model) for model in lacking})]
        return f"the kernels are built: {', '.join(map(str, built))}"
    except (EdgeError, OSError) as error:
        reason = " ".join(str(error).split())
        return f"the kernels are left out, so the processor draws what the GPU sees, with the same results: {reason}"


def measure_parity(
    model: Path, card: ModelCard, network: Network, settings: Settings, micrographs: Iterable[Micrograph]
) -> EngineParity:
    """Compare one stage on this network with the same stage in float32 on ONNX Runtime.

    settings: of the inspection; its models and backend are not used. The network is not closed.
    Raises ModelError when the network does not even give numbers, and BackendError.
    """
    images = list(micrographs)
    stage = _only(settings, model, card)
    tried = cast(Network, _TriedCroppingNetwork(network) if isinstance(network, CroppingNetwork) else _Tried(network))
    with Pipeline(stage) as reference, Pipeline(stage, open_network=lambda *_: tried) as candidate:
        found = compare(reference, candidate, images)
    if card.task == "classify":
        return EngineParity(
            images=found.images,
            flips=found.flips,
            flip_margin=FLIP_MARGIN,
            domain_flips=found.domain_flips,
            domain_margin=DOMAIN_MARGIN,
            largest_probability_difference=found.largest_probability_difference,
        )
    with OnnxSession(model) as float32:
        error_px = max(box_error_px(float32, tried, card, one, settings.inspect.confidence) for one in images)
    return EngineParity(
        images=found.images,
        mean_mask_iou=found.mean_mask_iou,
        worst_mask_iou=found.worst_mask_iou,
        box_error_px=error_px,
    )


def refusal(parity: EngineParity) -> str | None:
    """Why an engine with these figures may not speak for float32; None when it may."""
    if parity.mean_mask_iou is not None and not parity.mean_mask_iou >= LEAST_MASK_IOU:
        return f"mean mask IoU {parity.mean_mask_iou:.4f}, at least {LEAST_MASK_IOU} is asked for"
    if parity.box_error_px is not None and not parity.box_error_px <= MOST_BOX_ERROR_PX:
        return f"a box is off by {parity.box_error_px:.2f} px, {MOST_BOX_ERROR_PX} px are allowed"
    if parity.flips:
        return f"{parity.flips} of {parity.images} severities changed, where float32 was surer than {parity.flip_margin}"
    if parity.domain_flips:
        off = f"more than {parity.domain_margin} of the limit off it"
        return f"{parity.domain_flips} of {parity.images} images entered or left the domain, which float32 saw {off}"
    difference = parity.largest_probability_difference
    if difference is not None and not np.isfinite(difference):
        return "its probabilities are not numbers"
    return None


def box_error_px(reference: Network, candidate: Network, card: ModelCard, micrograph: Micrograph, confidence: float) -> float:
    """The largest difference of a box's side, over the candidates of at least this score in float32, in network pixels.

    A TopK may order two nearly equal candidates differently, so each is compared with the one most like it in box and
    mask coefficients together.
    """
    worst = 0.0
    every_view = views(micrograph.grey, card)
    while batch := list(islice(every_view, VIEWS_A_BATCH)):
        canvases = np.stack([view.canvas for view in batch])[:, None]
        ours, theirs = reference.run(canvases), candidate.run(canvases)
        for row in range(len(batch)):
            chosen = ours["scores"][row] >= confidence
            if not chosen.any():
                continue
            left, right = (_likeness(side, row) for side in (ours, theirs))
            match = np.array([np.abs(right - one).sum(axis=1).argmin() for one in left[chosen]])
            difference = np.abs(ours["boxes"][row][chosen] - theirs["boxes"][row][match])
            worst = max(worst, float(difference.max()))
    return worst


def _likeness(outputs: Arrays, row: int) -> NDArray[np.float32]:
    return np.hstack((outputs["boxes"][row], outputs["coefficients"][row]))


def _only(settings: Settings, model: Path, card: ModelCard) -> Settings:
    """The settings with this model's stage alone, in float32 on ONNX Runtime."""
    role = "segmenter" if card.task == "segment" else "classifier"
    models = settings.models.model_copy(update={role: str(model), "backend": "onnxruntime"})
    return settings.model_copy(
        update={"models": models, "inspect": settings.inspect.model_copy(update={"stages": card.task, "region_crops": 0})}
    )


class _Tried:
    """A network whose pipeline may close it without closing it, and whose answers must be numbers.

    Where FP16 overflows, infinities and what comes of them run through all layers after it.
    """

    def __init__(self, tried: Network) -> None:
        self._tried = tried
        self.name, self.precision = tried.name, tried.precision

    def run(self, image: NDArray[np.uint8]) -> Arrays:
        return self._checked(self._tried.run(image))

    def close(self) -> None:
        """Leave it open."""

    def __enter__(self) -> _Tried:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it open."""

    @staticmethod
    def _checked(outputs: Arrays) -> Arrays:
        broken = [name for name, values in outputs.items() if not np.isfinite(values).all()]
        if broken:
            raise ModelError(f"the engine gives values that are not numbers in {', '.join(broken)}, so it is not used")
        return outputs


class _TriedCroppingNetwork(_Tried):
    """One that draws its own input: the kernels are tried with it."""

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> Arrays:
        return self._checked(cast(CroppingNetwork, self._tried).run_on_crops(grey, crops, rows, columns))


@dataclass(slots=True)
class Progress:
    """How far a build is: a bar on a terminal, a line for each of TensorRT's main steps elsewhere."""

    subject: str
    _phases: dict[str, tuple[str | None, int, int]] = field(default_factory=dict)
    """Phases that are open: (the one around it, steps, done)."""

    def begin(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of this many steps begins inside another, or inside none."""
        self._phases[phase] = (parent, max(steps, 1), 0)

    def step(self, phase: str, index: int) -> None:
        """A phase has done the step of this index."""
        parent, steps, _ = self._phases.get(phase, (None, 1, 0))
        self._phases[phase] = (parent, steps, index + 1)
        self._tell(main=parent is None)

    def end(self, phase: str) -> None:
        """A phase is over."""
        parent = self._phases.pop(phase, (None, 1, 0))[0]
        if parent is None and sys.stderr.isatty():
            print(file=sys.stderr, flush=True)

    @property
    def done(self) -> float:
        """0…1: the open phases, each as a part of one step of the phase around it."""
        parts = sorted(self._phases.items(), key=lambda item: self._depth(item[0]))
        done, width = 0.0, 1.0
        for _, (_, steps, finished) in parts:
            done += width * min(finished / steps, 1.0)
            width /= steps
        return min(done, 1.0)

    def _depth(self, phase: str) -> int:
        depth, around = 0, self._phases[phase][0]
        while around in self._phases and depth < len(self._phases):
            depth, around = depth + 1, self._phases[around][0]
        return depth

    def _tell(self, main: bool) -> None:
        if sys.stderr.isatty():
            filled = round(30 * self.done)
            print(
                f"\r{self.subject} [{'█' * filled}{'·' * (30 - filled)}] {self.done:4.0%}", end="", file=sys.stderr, flush=True
            )
        elif main:
            print(f"{self.subject}: building, {self.done:.0%}", file=sys.stderr, flush=True)


def _monitor(trt: Any, progress: Progress) -> Any:
    """TensorRT's own progress monitor, telling ours. An interrupt becomes TensorRT's way of stopping a build."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.begin(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            try:
                progress.step(phase_name, step)
            except KeyboardInterrupt:
                return False
            return True

        def phase_finish(self, phase_name: str) -> None:
            progress.end(phase_name)

    return Monitor()


@lru_cache(maxsize=2)
def _log(trt: Any) -> Any:
    """TensorRT's logger, one for the whole process, which keeps the errors to be told with what failed."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message.strip())

        def told(self) -> str:
            return "; ".join(self.errors[-3:]) or "TensorRT gave no reason"

    return Log()


def _some(names: list[str]) -> str:
    rest = len(names) - MOST_NAMES_TOLD
    return ", ".join(names[:MOST_NAMES_TOLD]) + (f" and {rest} more" if rest > 0 else "")


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
    fresh = path.with_name(f".{path.name}.fresh")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
