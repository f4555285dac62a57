"""What TensorRT for RTX compiled for this GPU in, the same at the next start out, so that no shape is compiled twice.

Its engines hold no machine code: that is made when a context is opened, and forgotten when the process ends. TensorRT
itself needs no such file. The first line says what the rest was compiled for, with its hash; it is loaded as an engine is,
only where all of that fits, and else made anew.
"""

from __future__ import annotations

import hashlib
import logging
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from edge.backends.tensorrt.passport import Engine, Gpu, Library, Page, Sha256, another_gpu
from edge.whole_file import write_whole

log = logging.getLogger(__name__)

SUFFIX = ".runtime-cache"
MOST_BYTES = 1 << 30
"""More than any GPU's compiled kernels of two small networks; a larger file is not read."""


class Label(Page):
    """The first line of the file."""

    schema_: Literal["edge.runtime-cache/1"] = Field("edge.runtime-cache/1", alias="schema")
    engine_sha256: Sha256
    library: Library
    gpu: Gpu
    sha256: Sha256


class RuntimeCache:
    """Of one engine, while that is open; used by the thread that the engine belongs to.

    Nothing depends on it but time, so whatever is wrong with the file is told in the log, and never raised.
    """

    def __init__(self, engine: Path, folders: Sequence[Path], *, engine_sha256: Sha256, library: Library, gpu: Gpu) -> None:
        """engine: its path, or the one that it will have.  folders: where the file may lie, the best first."""
        self._paths = [folder / (engine.name + SUFFIX) for folder in folders]
        self._label = Label(engine_sha256=engine_sha256, library=library, gpu=gpu, sha256="")
        self._cache: Any = None
        self._stored = ""

    @classmethod
    def of(cls, engine: Engine, folders: Sequence[Path], gpu: Gpu) -> RuntimeCache:
        """That of an engine whose passport fits this machine."""
        known = engine.passport
        return cls(engine.path, folders, engine_sha256=known.engine_sha256, library=known.library, gpu=gpu)

    def attach(self, config: Any) -> None:
        """Let a context that is opened with this runtime configuration compile into the cache, and take from it.

        To be called with CUDA's context current: TensorRT looks at the GPU before it takes what was stored.
        """
        if not hasattr(config, "create_runtime_cache"):
            return
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            if self._cache is not None:
                self._load()
        if self._cache is not None and not config.set_runtime_cache(self._cache):
            log.warning("TensorRT takes no runtime cache: each start compiles for this GPU anew")

    def keep(self) -> None:
        """Store what was compiled, unless that is what lies there."""
        if self._cache is None:
            return
        memory = self._cache.serialize()
        blob = b"" if memory is None else bytes(memory)
        digest = hashlib.sha256(blob).hexdigest()
        if not blob or digest == self._stored:
            return
        text = self._label.model_copy(update={"sha256": digest}).model_dump_json(by_alias=True)
        problems = []
        for path in self._paths:
            try:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                write_whole(path, text.encode() + b"\n" + blob, mode=0o644)
            except OSError as error:
                problems.append(f"{path}: {error.strerror or error}")
            else:
                self._stored = digest
                return
        log.warning("what was compiled for this GPU cannot be kept, so the next start compiles anew: %s", "; ".join(problems))

    def release(self) -> None:
        """Let go of TensorRT's object; after the contexts, before the engine."""
        self._cache = None

    def _load(self) -> None:
        for path in self._paths:
            try:
                blob = self._read(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                log.warning("%s is not used, and made anew: %s", path, str(error))  # the error itself would keep its frames
                continue
            if self._cache.deserialize(blob):
                self._stored = hashlib.sha256(blob).hexdigest()
                return
            log.warning("%s is not used, and made anew: TensorRT says that it is of another driver or setting", path)

    def _read(self, path: Path) -> bytes:
        """What was compiled. Raises OSError, and ValueError with what is wrong with it."""
        with path.open("rb") as stream:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise ValueError("it is no file of such a kind")
            if status.st_mode & 0o002:
                raise ValueError("anyone may write to it, and it is machine code")
            line, blob = stream.readline(1 << 16), stream.read()
        try:
            label = Label.model_validate_json(line)
        except ValidationError as error:
            raise ValueError("its first line is damaged") from error
        wanted = self._label
        if label.sha256 != hashlib.sha256(blob).hexdigest():
            raise ValueError("its bytes are not those that its first line describes (hashes differ)")
        if label.engine_sha256 != wanted.engine_sha256:
            raise ValueError("it was compiled from another engine")
        if label.library != wanted.library:
            raise ValueError(f"it was compiled by another TensorRT ({label.library}, here is {wanted.library})")
        if reason := another_gpu(label.gpu, wanted.gpu):
            raise ValueError(reason)
        return blob
