"""A batch of files in, a part of the tables out: what one worker does. It knows nothing of Ray."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from edge.archive import tables
from edge.archive.spool import Spool, spool_of, spools
from edge.archive.turn import is_turn
from edge.config import CommandSettings, DeviceSettings
from edge.errors import BackendError, ConfigError, ImageError, in_words
from edge.folder.file import read_file
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import opener_for, precision_for, source_of
from edge.records import Failure, Inspection, Timing
from edge.wire.encode import verdict_id
from edge.wire.failure import encode_failure
from edge.wire.inspection import encode_inspection

PICTURES: Final = "pictures"
MOST_DEATHS: Final = 2
"""So many workers may die of a file before it gets no further one."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers are told. out: where parts go.  word: see `Turn`.  pictures: whether pictures are kept, too."""

    settings: CommandSettings
    epoch: str
    source: Path
    out: Path
    word: str
    pictures: bool = False


def part_name(paths: Sequence[str]) -> str:
    """Of a batch, the same for the same files: a batch that is inspected again replaces its own part."""
    return hashlib.sha256(b"\0".join(map(os.fsencode, paths))).hexdigest()[:24]


def recover(out: Path) -> None:
    """Make parts of what a run that was killed had finished; which file it was at is no reason against that file.

    To be called with the turn taken. Raises ConfigError where a worker of that run does not end, and OSError.
    """
    for part, path in spools(out):
        with Spool(path) as spool:
            if spool.done and not tables.is_written(out, part):
                tables.write_part(out, part, [document for documents in spool.done.values() for document in documents])
            spool.remove()


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
        """Inspect the files of `batch["paths"]`, raw names below the source; what came of them, counted.

        Raises OSError where a part cannot be written, BackendError, and ConfigError where the turn is another run's.
        """
        paths = [os.fsdecode(path) for path in batch["paths"]]
        part, out = part_name(paths), self._job.out
        with Spool(spool_of(out, part)) as spool:
            if not tables.is_written(out, part):
                for path in paths:
                    if path not in spool.done:
                        self._require_turn()
                        self._inspect(path, spool)
                self._require_turn()
                tables.write_part(out, part, [document for path in paths for document in spool.done[path]])
            spool.remove()
        errors = tables.column(tables.part_path(out, part), "error_code")
        return {"files": len(paths), "verdicts": len(errors), "failed": sum(error is not None for error in errors)}

    def _require_turn(self) -> None:
        if not is_turn(self._job.out, self._job.word):
            raise ConfigError(f"another run has taken {self._job.out} over")

    def _inspect(self, path: str, spool: Spool) -> None:
        if spool.deaths[path] >= MOST_DEATHS:
            spool.begin(path)
            spool.end(path, [self._failure(path, None, ImageError("crashed", "workers died of it"))])
            return
        spool.begin(path)
        spool.end(path, self._verdicts(path))

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
            return [self._failure(path, sha256, ImageError("internal", f"inspecting it failed: {in_words(error)}"))]
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
