"""The JSON beside a TensorRT engine in, the engine's bytes out if they may run on this machine, else the reason why not.

An engine is machine code for one GPU and one version of TensorRT, and says nothing about itself. So a passport lies
beside it: the ONNX file that it was built from, its own hash, what built it, and what it scored against float32. The
builder installs both; the runtime loads only what the passport vouches for. Neither TensorRT nor a GPU is needed here.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.backends.tensorrt import device, jetson
from edge.errors import ModelError
from edge.whole_file import opened_whole
from edge.wording import sentences

RECIPE = 2
"""Rises when graph conversion or build options change what an engine computes; engines of another recipe are built again."""

Shape = tuple[int, int, int, int]
"""N, 1, H, W."""
Sha256 = str

MEMORY_SLACK = 10
"""Memory of two GPUs of one name counts as the same where it differs by at most a tenth."""

_HASH = r"^[0-9a-f]{64}$"


class Page(BaseModel):
    """A part of what is written beside an engine: nothing unknown, nothing changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Library(Page):
    """Which TensorRT. name: the Python module, "tensorrt" or "tensorrt_rtx".  version: its `__version__`."""

    name: Literal["tensorrt", "tensorrt_rtx"]
    version: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Gpu(Page):
    """Which GPU. compute_capability: such as "8.7".  driver: such as "580.65.06", or "unknown"; noted, not compared.

    multiprocessors, memory_mib, mig, uuid, integrated: as `device.FirstGpu` has them.  power_mode, l4t: of a Jetson, as
    `jetson` reads them.  None: not told.
    """

    name: str = Field(min_length=1)
    compute_capability: str = Field(pattern=r"^\d+\.\d+$")
    driver: str = "unknown"
    multiprocessors: int | None = Field(None, gt=0)
    memory_mib: int | None = Field(None, gt=0)
    mig: str | None = None
    uuid: str | None = None
    integrated: bool = False
    power_mode: str | None = None
    l4t: str | None = None

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


class Profile(Page):
    """Shapes of the input that the engine takes, and the one that it is fastest at.

    wide: a larger batch that one launch takes on a large GPU, by a second profile of the engine; None where there is none.
    """

    least: Shape
    best: Shape
    most: Shape
    wide: Shape | None = None

    @property
    def ranges(self) -> tuple[tuple[Shape, Shape, Shape], ...]:
        """Smallest, fastest and largest input of each of the engine's profiles."""
        wide = () if self.wide is None else ((self.least, self.wide, self.wide),)
        return ((self.least, self.best, self.most), *wide)

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of this shape lies within the profile."""
        return len(shape) == 4 and all(
            low <= side <= high for low, side, high in zip(self.least, shape, self.most, strict=True)
        )


class EngineParity(Page):
    """How far the engine is from the same model in float32, on the images shipped with this package.

    A stage has its own figures and leaves the other's None.  box_error_px: largest, of matched candidates, in network
    pixels.  flips: severities that changed although float32 preferred its own by more than flip_margin.  domain_flips:
    images that entered or left the classifier's domain although they lay off its limit by more than domain_margin of it.
    """

    images: int = Field(gt=0)
    mean_mask_iou: float | None = None
    worst_mask_iou: float | None = None
    box_error_px: float | None = None
    flips: int | None = None
    flip_margin: float | None = None
    domain_flips: int | None = None
    domain_margin: float | None = None
    largest_probability_difference: float | None = None


class Passport(Page):
    """What is known about one engine.

    layers: number of layers by the precision that TensorRT's engine inspector reports ("float16", "float32", other).
    doubts: what the inspector leaves open about precisions, in words.
    parity: None only until it has been measured; an engine without it is neither installed nor loaded.
    made_at: ISO 8601, UTC.  made_by: the version of this package.
    """

    schema_: Literal["edge.engine/1"] = Field("edge.engine/1", alias="schema")
    recipe: int
    made_at: str
    made_by: str
    model: str
    onnx_sha256: Sha256 = Field(pattern=_HASH)
    engine_sha256: Sha256 = Field(pattern=_HASH)
    engine_bytes: int = Field(gt=0)
    library: Library
    gpu: Gpu
    precision: Literal["float16"] = "float16"
    profile: Profile
    layers: dict[str, int]
    doubts: tuple[str, ...] = ()
    parity: EngineParity | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that may run here. data: the very bytes that were hashed, so that nothing else can be loaded instead."""

    path: Path
    passport: Passport
    data: bytes


def passport_path(engine: Path) -> Path:
    """`name.engine` → `name.engine.json`."""
    return engine.with_name(engine.name + ".json")


def engine_name(model: Path, onnx_sha256: Sha256) -> str:
    """`segmenter.onnx` → `segmenter-3cbe887e8892.engine`: going back to an older model finds its engine again."""
    return f"{model.stem}-{onnx_sha256[:12]}.engine"


def engine_folders(model: Path) -> tuple[Path, Path]:
    """Where an engine of `model` may lie: beside it, else in the user's cache, which systemd gives the service as its own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sem-corrosion-edge"
    return model.absolute().parent, cache / "engines"


def has_engine(model: Path) -> bool:
    """Whether an engine of a model of this name was built on this machine, fitting or not."""
    return any(any(folder.glob(f"{model.stem}-*.engine.json")) for folder in engine_folders(model))


def read_passport(engine: Path) -> Passport:
    """The passport beside `engine`. Raises ModelError."""
    path = passport_path(engine)
    try:
        return Passport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"the engine {engine} has no readable passport {path.name}: {error.strerror or error}") from error
    except ValidationError as error:
        raise ModelError(f"the passport {path} is not valid: {'; '.join(sentences(error, 'the file', Passport))}") from error


def mismatch(passport: Passport, *, onnx_sha256: Sha256, library: Library, gpu: Gpu) -> str | None:
    """Why an engine with this passport may not run here, in words; None when it may."""
    if passport.parity is None:
        return "it was never compared with float32"
    if passport.recipe != RECIPE:
        return f"it was built by recipe {passport.recipe}, this version has recipe {RECIPE}"
    if passport.onnx_sha256 != onnx_sha256:
        return f"it was built from another ONNX file ({passport.onnx_sha256[:12]}…, not {onnx_sha256[:12]}…)"
    if passport.library != library:
        return f"it was built by another TensorRT ({passport.library}, here is {library})"
    return another_gpu(passport.gpu, gpu)


def another_gpu(built: Gpu, here: Gpu) -> str | None:
    """Why an engine that was tuned for one GPU may not run on another; None when it is the same, as far as both are told.

    On a Jetson the UUID is noted only: that it outlives a new installation is not documented.
    """
    if (built.name, built.compute_capability) != (here.name, here.compute_capability):
        return f"it was built for another GPU ({built}, here is {here})"
    if built.multiprocessors is None and here.multiprocessors is not None:
        return f"its passport does not say for how many multiprocessors it was tuned, and not every {here.name} has as many"
    told: tuple[tuple[str, object, object, bool], ...] = (
        ("multiprocessors", built.multiprocessors, here.multiprocessors, False),
        ("MiB of memory", built.memory_mib, here.memory_mib, _as_large(built.memory_mib, here.memory_mib)),
        ("part of a divided GPU (MIG)", built.mig or "none", here.mig or "none", False),
        ("UUID", built.uuid, here.uuid, here.integrated),
        ("power mode", built.power_mode, here.power_mode, False),
        ("L4T", built.l4t, here.l4t, False),
    )
    apart = [
        f"{what}: {before}, here {now}"
        for what, before, now, no_matter in told
        if not (no_matter or before is None or now is None or before == now)
    ]
    return f"it was tuned for another GPU or for another setting of it ({'; '.join(apart)})" if apart else None


def _as_large(built_mib: int | None, here_mib: int | None) -> bool:
    """Whether two sizes of memory are those of one GPU: drivers keep more or less of it for themselves."""
    return built_mib is None or here_mib is None or abs(built_mib - here_mib) * MEMORY_SLACK <= max(built_mib, here_mib)


def load_engine(engine: Path, *, onnx_sha256: Sha256, library: Library, gpu: Gpu) -> Engine:
    """The engine at this path, checked against its passport and this machine. Raises ModelError with the reason."""
    passport = read_passport(engine)
    reason = mismatch(passport, onnx_sha256=onnx_sha256, library=library, gpu=gpu)
    if reason is None:
        try:
            if engine.stat().st_mode & 0o002:
                reason = "anyone may write to it, and it is machine code"
            else:
                data = engine.read_bytes()
                if hashlib.sha256(data).hexdigest() != passport.engine_sha256:
                    reason = "its bytes are not those that the passport describes (hashes differ)"
        except OSError as error:
            reason = f"it cannot be read: {error.strerror or error}"
    if reason is not None:
        raise ModelError(f"the engine {engine} is not used: {reason} (edge-export tensorrt builds it again)")
    return Engine(engine, passport, data)


def find_engine(model: Path, *, onnx_sha256: Sha256, library: Library, gpu: Gpu) -> Engine:
    """The first engine of `model` that may run here, of those in `engine_folders`. Raises ModelError with every reason."""
    reasons = []
    for folder in engine_folders(model):
        engine = folder / engine_name(model, onnx_sha256)
        if not engine.exists() and not passport_path(engine).exists():
            continue
        try:
            return load_engine(engine, onnx_sha256=onnx_sha256, library=library, gpu=gpu)
        except ModelError as error:
            reasons.append(str(error))
    raise ModelError("; ".join(reasons) or f"{model.name} has no TensorRT engine yet (edge-export tensorrt builds it)")


def install_engine(engine: Path, data: bytes, passport: Passport) -> None:
    """Put an engine and its passport in place of what was there. Raises ModelError.

    Both are complete on the disk before either takes its name, so a full disk or a crash until then changes nothing.
    The engine takes its name first, the passport last: a power cut between the two leaves an old passport whose hash does
    not fit the new engine, and `load_engine` refuses the pair.
    """
    if hashlib.sha256(data).hexdigest() != passport.engine_sha256 or passport.parity is None:
        raise ModelError("the passport describes another engine, or one never compared with float32: nothing was written")
    text = passport.model_dump_json(by_alias=True, indent=1) + "\n"
    try:
        for folder in [one for one in (*reversed(engine.parent.parents), engine.parent) if not one.exists()]:
            folder.mkdir(mode=0o755, exist_ok=True)  # whoever may write there could put another engine in its place
        with (
            _locked(engine.parent),
            opened_whole(passport_path(engine), mode=0o644) as page,  # closed last, so it takes its name last
            opened_whole(engine, mode=0o644) as machine,
        ):
            for stream, content in ((page, text.encode()), (machine, data)):
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise ModelError(f"cannot write the engine {engine}: {error.strerror or error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other builders."""
    import fcntl  # engines are built on Linux; their passports are read by whoever lists the backends

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def this_gpu() -> Gpu | None:
    """The first GPU that CUDA shows, asked of the driver itself; None where there is no driver or no GPU.

    Makes no context, so it takes no memory of the GPU.
    """
    found = device.first_gpu()
    if isinstance(found, device.NoGpu):
        return None
    return Gpu(
        name=found.name,
        compute_capability=found.compute_capability,
        driver=_driver_version(),
        multiprocessors=found.multiprocessors,
        memory_mib=found.memory_mib,
        mig=found.mig,
        uuid=found.uuid,
        integrated=found.integrated,
        power_mode=jetson.power_mode() if found.integrated else None,
        l4t=jetson.l4t() if found.integrated else None,
    )


def _driver_version() -> str:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "unknown"
    found = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", text.partition("\n")[0])
    return found[0] if found else "unknown"
