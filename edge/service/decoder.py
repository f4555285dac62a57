"""The ledger's next image in, its pixels out, at most a few images ahead of the networks: the work of the decoder thread."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge import sem
from edge.errors import ImageError, StateFullError
from edge.folder.file import read_file
from edge.inspection.pipeline import limits_of
from edge.journal import Entry
from edge.records import FileBytes, Micrograph, Source, Timing
from edge.service.shared import Decoded
from edge.service.worker import RETRY_S, Worker, printable
from edge.wire.encode import display_path

log = logging.getLogger(__name__)

LEAST_FREE_BYTES: Final = 64 << 20
READS: Final = 3
"""An image that changes while it is read is read so often, then it fails; once it is quiet it is a new revision."""


class Decoder(Worker):
    """Begins one image after another, its attempt counted before anything risky touches the file."""

    name = "decoder"

    def run(self) -> None:
        """Decode what waits, or wait for something."""
        shared = self.shared
        while not shared.stopping.is_set():
            self.beat()
            shared.new_work.clear()
            try:
                entry = self._next_entry()
            except StateFullError as error:
                self.report(str(error))
                shared.stopping.wait(RETRY_S)
                continue
            if entry is None:
                shared.new_work.wait(1.0)
                continue
            self.hand_over(shared.decoded, self._read(entry), shared.stopping.is_set)

    def _next_entry(self) -> Entry | None:
        """The ledger's next image, its attempt counted; None when there is nothing to do or nothing may be begun."""
        shared = self.shared
        if shared.paused.is_set() or shared.state_full.is_set() or not shared.models_loaded.is_set():
            return None
        free = shutil.disk_usage(self.journal.folder).free
        if free < LEAST_FREE_BYTES:
            wanted = LEAST_FREE_BYTES >> 20
            self.report(f"less than {wanted} MiB are free where the state lies: images wait until there is room")
            return None
        entry = None
        for first in self.journal.ledger.waiting(limit=1):
            shared.begun.add([first.path])
            entry = self.journal.ledger.begin(first.path)
        self.report(None)
        return entry

    def _read(self, entry: Entry) -> Decoded:
        """Read and decode one image."""
        path = self.folder / entry.path
        settled_at = self.shared.settled_at.take(entry.path)
        source = Source(display_path(path.name), display_path(entry.path), None, entry.revision, entry.run)
        started = time.perf_counter()
        spent = Timing(wait=(time.monotonic() - settled_at) * 1e3)
        outcome: tuple[Micrograph, ...] | ImageError | None
        if entry.attempts > 1:
            return Decoded(entry, source, None, spent, settled_at)
        try:
            limits = limits_of(self.settings)
            file = self._read_quiet(path, limits.max_bytes)
            source = replace(source, sha256=file.sha256)
            read = time.perf_counter()
            spent = replace(spent, read=(read - started) * 1e3)
            outcome = sem.read(file.data, source.name, file.sidecars, limits, self.settings.inspect.pixel_size_nm)
            spent = replace(spent, decode=(time.perf_counter() - read) * 1e3)
        except ImageError as error:
            outcome = error
        except Exception as error:  # a defect in a reader must cost this image alone
            log.exception("%s: reading it failed", printable(entry.path))
            outcome = ImageError("internal", f"reading it failed: {error!r}")
        return Decoded(entry, source, outcome, spent, settled_at)

    def _read_quiet(self, path: Path, max_bytes: int) -> FileBytes:
        """The file's bytes, read again a few times while it changes. Raises ImageError."""
        for _ in range(READS - 1):
            try:
                return read_file(path, max_bytes, within=self.folder)
            except ImageError as error:
                if error.code != "still_changing":
                    raise
            self.shared.stopping.wait(self.settings.watch.settle_s)
        return read_file(path, max_bytes, within=self.folder)
