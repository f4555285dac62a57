"""An ONNX model in, an FP16 TensorRT engine with its passport beside it out, or the reason why there is none.

Runs on the machine that will use the engine, without torch. In this order, and only what passes is installed:
the graph becomes FP16 (`export.fp16`); TensorRT builds it strongly typed (`export.engine_build`); its engine inspector says
in which precision each layer really runs (`export.engine_layers`); the engine's answers on the shipped micrographs are
compared with float32 (`export.engine_parity`).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.backends.network import Network
from edge.backends.tensorrt import engine as tensorrt_engine
from edge.backends.tensorrt.cuda import cuda_here
from edge.backends.tensorrt.passport import (
    RECIPE,
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
from edge.backends.tensorrt.runtime_cache import RuntimeCache
from edge.config import InspectionSettings
from edge.errors import BackendError, EdgeError, ModelError
from edge.inspection.classify import field_of_view
from edge.inspection.segment import STRIDE, VIEWS_A_BATCH, views
from edge.models.card import ModelCard, load_card
from edge.records import Micrograph
from edge.samples import sample_micrographs
from edge.whole_file import write_whole
from export import fatbin, fp16
from export.build_progress import Progress
from export.engine_build import BuildOptions, build_engine, inspect_engine
from export.engine_layers import read_layers, require_half
from export.engine_parity import measure_parity, refusal

CROPS_A_BATCH = 8
MANY_CROPS = 40
LARGE_GPU = 30
"""Multiprocessors from which on `MANY_CROPS` crops are one launch: a Jetson Orin has 8 to 16, a desktop's GPU 28 and more."""


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
class Made:
    """Where the engine is. built: False when one was there that still fits."""

    engine: Path
    passport: Passport
    built: bool


def make_engine(model: Path, task: Task, settings: InspectionSettings, options: BuildOptions, say: Say) -> Made:
    """Build, check and install the engine of one model, unless one that fits is there.

    Raises NoTensorRtError, BackendError when TensorRT fails, ModelError when the model or the engine is refused.
    """
    machine = this_machine()
    card = load_card(model, task, settings.models.public_key)
    profile = profile_for(card, getattr(machine.gpu, "multiprocessors", None))
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
        data, passport, report = _build_and_check(half, model, card, profile, machine, options)
        for doubt in passport.doubts:
            say(f"WARNING: {doubt}. The graph that was built is FP16; look at {evidence_path(path).name} once it is there")
        with open_on_tensorrt(data, model, machine, path) as network:
            parity = measure_parity(model, card, network, settings, micrographs)
    reason = refusal(parity)
    if reason is not None:
        raise ModelError(f"the engine of {model.name} does not agree with float32, so it is not used: {reason}")
    passport = passport.model_copy(update={"parity": parity})
    install_engine(path, data, passport)
    _keep_evidence(evidence_path(path), report, say)
    return Made(path, passport, built=True)


def _build_and_check(
    half: fp16.HalfGraph, model: Path, card: ModelCard, profile: Profile, machine: Machine, options: BuildOptions
) -> tuple[bytes, Passport, str]:
    """An engine whose precision was checked, its passport, which lacks only the parity, and the inspector's report."""
    data = build_engine(half, profile, machine.trt, machine.library, options, Progress(model.name), machine.gpu)
    report = inspect_engine(data, profile, machine.trt)
    inspected = read_layers(report)
    try:
        require_half(inspected.layers, half.islands)
    except ModelError as error:
        refused = writable_folder(model) / f"refused-{model.stem}-{card.sha256[:12]}.inspector.json"
        _keep_evidence(refused, report, lambda _: None)
        raise ModelError(f"{error} (what the inspector says: {refused})") from error
    passport = Passport(
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
        layers=dict(Counter(one.precision for one in inspected.layers)),
        doubts=inspected.doubts,
    )
    return data, passport, report


def evidence_path(engine: Path) -> Path:
    """`name.engine` → `name.engine.inspector.json`: what TensorRT's inspector said of the engine, as it said it."""
    return engine.with_name(engine.name + ".inspector.json")


def _keep_evidence(path: Path, report: str, say: Say) -> None:
    """Nothing depends on it, so what keeps it from being written is told and no failure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, report.encode(), mode=0o644)
    except OSError as error:
        say(f"the inspector's report cannot be kept: {path}: {error.strerror or error}")


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


def profile_for(card: ModelCard, multiprocessors: int | None = None) -> Profile:
    """The shapes that the edge gives this model: batches of views of up to `input_px`, or runs of crops.

    multiprocessors: of the GPU; None where it does not tell.
    """
    side = -(-card.input_px // STRIDE) * STRIDE
    if card.task == "classify":
        size = (1, card.input_px, card.input_px)
        wide = (MANY_CROPS, *size) if (multiprocessors or 0) >= LARGE_GPU else None
        return Profile(least=(1, *size), best=(CROPS_A_BATCH, *size), most=(CROPS_A_BATCH, *size), wide=wide)
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


def open_on_tensorrt(data: bytes, model: Path, machine: Machine, path: Path) -> Network:
    """An engine of `model` as the daemon will open it once it lies at `path`. Raises BackendError.

    What TensorRT for RTX compiles meanwhile is kept, so the daemon's first start finds it.
    """
    engine_sha256 = hashlib.sha256(data).hexdigest()
    folders = engine_folders(model)
    cache = RuntimeCache(path, folders, engine_sha256=engine_sha256, library=machine.library, gpu=machine.gpu)
    return tensorrt_engine.TensorRtEngine(data, machine.trt, kernels=tensorrt_engine.kernels_for(model), cache=cache)


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
