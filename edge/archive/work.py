"""A batch of files in, a part of the tables out: what one worker does. It knows nothing of Ray."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from edge.archive.tables import write_part
from edge.config import CommandSettings, DeviceSettings
from edge.errors import BackendError, ImageError
from edge.folder.file import read_file
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import opener_for, precision_for, source_of
from edge.records import Failure, Inspection, Timing
from edge.wire.encode import verdict_id
from edge.wire.failure import encode_failure
from edge.wire.inspection import encode_inspection

BEGUN: Final = "begun"
PICTURES: Final = "pictures"
MOST_DEATHS: Final = 2
"""So many workers may die of a file before it gets no further one."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers are told. out: where parts go.  pictures: whether pictures are kept, too."""

    settings: CommandSettings
    epoch: str
    source: Path
    out: Path
    pictures: bool = False


def part_name(paths: Sequence[str]) -> str:
    """Of a batch, the same for the same files: a batch that is inspected again replaces its own part."""
    return hashlib.sha256("\0".join(paths).encode("utf-8", "surrogateescape")).hexdigest()[:24]


class Inspecting:
    """A worker: holds the pipeline, inspects batch after batch."""

    def __init__(self, job: Job) -> None:
        """Load the models. Raises ModelError, BackendError or ConfigError."""
        self._job = job
        self._device = DeviceSettings()
        self._limits = limits_of(job.settings)
        settings = job.settings
        self._pipeline = Pipeline(settings, precision=precision_for(settings), open_network=opener_for(settings))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Inspect the files of `batch["paths"]`, below the source; what came of them, counted.

        Raises OSError where a part cannot be written, and BackendError.
        """
        paths = [str(path) for path in batch["paths"]]
        part, started = part_name(paths), time.perf_counter()
        documents: list[bytes] = []
        with _Begun(self._job.out / BEGUN / f"{part}.txt") as begun:
            for path in paths:
                if begun.deaths[path] >= MOST_DEATHS:
                    documents.append(self._failure(path, None, ImageError("crashed", "workers died of it")))
                    continue
                begun.begin(path)
                documents += self._verdicts(path)
            write_part(self._job.out, part, documents)
            begun.end()
        failed = sum(b'"schema":"edge.failure/' in document[:64] for document in documents)
        return {"files": len(paths), "verdicts": len(documents), "failed": failed, "seconds": time.perf_counter() - started}

    def _verdicts(self, path: str) -> list[bytes]:
        started = time.perf_counter()
        sha256: str | None = None
        try:
            file = read_file(self._job.source / path, self._limits.max_bytes)
            sha256 = file.sha256
            name = path.rpartition("/")[2]
            spent = Timing(read=(time.perf_counter() - started) * 1e3)
            found = self._pipeline.inspect_file(file, source_of(name, path, sha256), spent)
        except BackendError:
            raise
        except ImageError as error:
            return [self._failure(path, sha256, error)]
        except Exception as error:  # a defect of ours must cost this image alone
            return [self._failure(path, sha256, ImageError("internal", f"inspecting it failed: {error!r}"))]
        return [self._document(path, inspection) for inspection in found]

    def _document(self, path: str, inspection: Inspection) -> bytes:
        identity = verdict_id(self._job.epoch, path, 1, 1, page=inspection.micrograph.page)
        if self._job.pictures:
            folder = self._job.out / PICTURES
            folder.mkdir(exist_ok=True)
            (folder / f"{identity}.webp").write_bytes(overlay.encode(overlay.draw(inspection), "webp"))
        return encode_inspection(inspection, inspection_id=identity, epoch=self._job.epoch, seq=None, device=self._device)

    def _failure(self, path: str, sha256: str | None, error: ImageError) -> bytes:
        source = replace(source_of(path.rpartition("/")[2], path, None), sha256=sha256)
        failure = Failure(source, error.code, error.message, datetime.now(timezone.utc))
        identity = verdict_id(self._job.epoch, path, 1, 1, kind="failure")
        return encode_failure(failure, failure_id=identity, epoch=self._job.epoch, seq=None, device=self._device)


class _Begun:
    """Which file a batch was at, on the disk: the last one of a life is what its worker died of.

    deaths: how many lives ended in each file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        lives = path.read_text(encoding="utf-8", errors="surrogateescape").split("\0\n") if path.exists() else []
        self.deaths = Counter(life.rstrip("\n").rpartition("\n")[2] for life in lives if life.strip())
        self._path = path
        self._file = path.open("a", encoding="utf-8", errors="surrogateescape")
        self._file.write("\0\n" if lives else "")

    def begin(self, path: str) -> None:
        """Before the file is opened. A name may hold a line feed; it is then known by what follows it."""
        self._file.write(path.rpartition("\n")[2] + "\n")
        self._file.flush()

    def end(self) -> None:
        """The part is written."""
        self._path.unlink()

    def __enter__(self) -> _Begun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
