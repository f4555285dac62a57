"""A backend's name in, everything that the rest of the edge knows of it out: the one table of backends.

Configuration, commands, the doctor, the benchmark and the parity gate all read this table, so a backend is added by its
file and one row (docs/develop/add-a-backend.md). A row names its file as text: nothing heavy is imported to read it.

auto = tensorrt where an engine is there, else openvino where it is installed, else onnxruntime. A precision below float32
is taken only where a gate admits it, see `Backend.gate`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge.backends.tensorrt import LIBRARIES as TENSORRT
from edge.errors import BackendError, ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.backends.layers import Layer
    from edge.backends.network import Network
    from edge.backends.server import Remote

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Backend:
    """One row: an inference library, and what decides whether and how it is used.

    name: in the configuration and in every inspection.
    module: its file, imported when the first network is opened.
    opener: what opens a model there, called with the model's path and a precision; gives a `Network`, raises BackendError.
    libraries: Python modules that it needs; of each group one.
    extra: what `pip install 'sem-corrosion-edge[…]'` calls its libraries; None where the edge itself depends on them.
    beside: what no extra can install, and where its installation is described.
    precisions: what it runs in, the default first. No two rows share one below float32: auto finds the backend by it.
    artefact: the file that it loads: "onnx", the model itself, or "engine", one that was built from it on this machine.
    remembers: its opener takes `memory`, a folder that keeps what it compiled for the next start.
    remote: its opener takes `remote`, the server that runs the models.
    named_only: auto never takes it: for one that is slow, or far away.
    gate: what admits a precision below float32. "parity": the first use, which compares inspections of the shipped
    images with those in float32. "passport": the build, which compared them and wrote the outcome down beside the engine.
    """

    name: str
    module: str
    opener: str
    libraries: tuple[tuple[str, ...], ...]
    extra: str | None = None
    beside: str = ""
    precisions: tuple[str, ...] = ("float32",)
    artefact: Literal["onnx", "engine"] = "onnx"
    gate: Literal["parity", "passport"] = "parity"
    remembers: bool = False
    remote: bool = False
    named_only: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether its libraries are installed; none is imported."""
        return all(any(find_spec(library) is not None for library in group) for group in self.libraries)

    @property
    def cure(self) -> str:
        """What installs it."""
        wanted = "sem-corrosion-edge" if self.extra is None else f"'sem-corrosion-edge[{self.extra}]'"
        return f"pip install {wanted}" + (f", and {self.beside}" if self.beside else "")

    def open(
        self, model: Path, precision: str = "float32", memory: Path | None = None, remote: Remote | None = None
    ) -> Network:
        """`model` in this precision; an engine's is its own, whatever is asked for. Raises BackendError.

        memory: a folder of this user alone, where it may keep what it compiled.  remote: the server, for one far away.
        """
        if self.artefact == "engine":
            precision = self.precisions[0]
        if precision not in self.precisions:
            raise BackendError(f"{self.name} runs in {' or '.join(self.precisions)} here, not in {precision}")
        further: dict[str, Any] = {"memory": memory} if self.remembers else {}
        further |= {"remote": remote} if self.remote else {}
        network: Network = getattr(self._file, self.opener)(model, precision, **further)
        return network

    def lower_precisions(self, models: Sequence[Path]) -> Sequence[str]:
        """Which of its further precisions run these models faster here than the default, best first.

        Asks `lower_precisions(models)` of its file, where it has several precisions and the gate is parity.
        """
        several = self.gate == "parity" and len(self.precisions) > 1
        lower: Sequence[str] = self._file.lower_precisions(models) if several else ()
        return lower

    def fingerprint(self, models: Sequence[Path], precision: str) -> Sequence[str]:
        """What an outcome of the parity gate depends on beside models and machine: the library's version, further files.

        Asks `fingerprint(models, precision)` of its file, where it has several precisions.
        """
        found: Sequence[str] = self._file.fingerprint(models, precision)
        return found

    def refusal(self, models: Sequence[Path]) -> str | None:
        """Why it cannot run these models here; None when it can.

        Asks `refusal(models)` of its file, where the gate is a passport. Nothing is loaded for it.
        """
        if not self.is_installed:
            return f"{self.name} is not installed ({', '.join(' or '.join(group) for group in self.libraries)})"
        reason: str | None = self._file.refusal(models) if self.gate == "passport" else None
        return reason

    def device(self) -> str | None:
        """The device that it alone makes use of; None where there is none.

        Asks `device()` of its file, where the gate is a passport.
        """
        found: str | None = self._file.device() if self.gate == "passport" else None
        return found

    def lost(self, models: Sequence[Path], *, expected: bool) -> str | None:
        """Why the device that it ran these models on is gone, in words; None when it is there, or never was.

        expected: it ought to be there. Asks `lost(models, …)` of its file, if it has that, where the gate is a passport.
        """
        if self.gate != "passport" or not hasattr(self._file, "lost"):
            return None
        why: str | None = self._file.lost(models, expected=expected, installed=self.is_installed)
        return why

    def layers(self, model: Path, precision: str, image: NDArray[np.uint8], runs: int) -> list[Layer] | None:
        """Mean milliseconds of each layer over so many runs on `image`, the slowest first; None where it does not tell.

        Asks `layers(model, precision, image, runs)` of its file, if it has that. Raises BackendError.
        """
        ask = getattr(self._file, "layers", None)
        found: list[Layer] | None = ask(model, precision, image, runs) if ask else None
        return found

    @property
    def _file(self) -> Any:
        return importlib.import_module(self.module)


BACKENDS: dict[str, Backend] = {  # in the order in which auto takes them
    backend.name: backend
    for backend in (
        Backend(
            name="tensorrt",
            module="edge.backends.tensorrt.engine",
            opener="open_engine",
            libraries=(("pycuda",), TENSORRT),
            extra="tensorrt",
            beside="TensorRT itself: docs/use/gpu.md",
            precisions=("float16",),
            artefact="engine",
            gate="passport",
        ),
        Backend(
            name="openvino",
            module="edge.backends.openvino_model",
            opener="OpenVinoModel",
            libraries=(("openvino",),),
            extra="openvino",
            precisions=("float32", "bfloat16"),
            remembers=True,
        ),
        Backend(
            name="onnxruntime",
            module="edge.backends.onnx_session",
            opener="OnnxSession",
            libraries=(("onnxruntime",),),
        ),
        Backend(
            name="kserve",
            module="edge.backends.kserve",
            opener="KserveNetwork",
            libraries=(("tritonclient",), ("grpc",)),
            extra="kserve",
            remembers=True,  # what it falls back on
            remote=True,
            named_only=True,
        ),
    )
}


def names() -> tuple[str, ...]:
    """The values of `[models] backend`: auto, or a backend's name."""
    return (AUTO, *BACKENDS)


def libraries() -> tuple[str, ...]:
    """The Python modules of all backends, installed or not."""
    groups = (group for backend in BACKENDS.values() for group in backend.libraries)
    return tuple(dict.fromkeys(library for group in groups for library in group))


def installed(precision: str | None = None) -> tuple[str, ...]:
    """Names of the backends that are installed, best first; with a precision, of those that run in it."""
    here = (backend for backend in BACKENDS.values() if backend.is_installed)
    return tuple(backend.name for backend in here if precision is None or precision in backend.precisions)


def local(precision: str | None = None) -> tuple[str, ...]:
    """Those of `installed` that need no other machine."""
    return tuple(name for name in installed(precision) if not BACKENDS[name].remote)


def resolve(name: str, precision: str = "float32") -> str:
    """The backend that `name` ("auto" or a backend's) means on this machine. Raises ConfigError with the cure.

    auto means one that runs in this precision; `edge.inspection.parity.gated_precision` gives the best that is admitted.
    """
    if name == AUTO:
        fitting = [one for one in installed(precision) if not BACKENDS[one].named_only]
        if not fitting:
            cure = BACKENDS["onnxruntime"].cure
            raise ConfigError(f"no inference library that runs in {precision} is installed: {cure}")
        return fitting[0]
    if name not in BACKENDS:
        raise ConfigError(f"the backend {name!r} is not part of this version; there are {', '.join(BACKENDS)}, and auto")
    if not BACKENDS[name].is_installed:
        raise ConfigError(f"the backend {name!r} is not installed: {BACKENDS[name].cure}")
    return name


def open_network(
    backend: str, model: Path, precision: str = "float32", *, memory: Path | None = None, remote: Remote | None = None
) -> Network:
    """`model` on the backend of this name; memory, remote: see `Backend.open`. Raises BackendError."""
    return BACKENDS[backend].open(model, precision, memory, remote)
