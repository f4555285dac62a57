"""Paths of images in, their decoded pages out, one file after another: the next are read while the last one is inspected."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge import sem
from edge.config import InspectionSettings
from edge.errors import ImageError
from edge.folder.file import read_file
from edge.inspection.pipeline import limits_of
from edge.inspector import source_of
from edge.records import Micrograph, Source, Timing

AHEAD: Final = 2
"""Files, as many as in the daemon."""
MOST_BYTES: Final = 64 << 20
"""Grey pixels that wait or are inspected; where there are more, nothing is read ahead."""


@dataclass(frozen=True)
class Image:
    """One file: its pages, or why it has none; what reading it took, shared by the pages.

    following: the first page of the next file, where that has been read by now.
    """

    path: Path
    source: Source
    pages: tuple[Micrograph, ...] | Exception
    spent: Timing = Timing()  # noqa: RUF009 (frozen)
    following: Micrograph | None = None

    @property
    def refused_as_large(self) -> bool:
        """Whether there was too little memory for it, which others may have taken."""
        return isinstance(self.pages, ImageError) and self.pages.code == "too_large"

    @property
    def weight(self) -> int:
        """Bytes that it holds."""
        if isinstance(self.pages, Exception):
            return MOST_BYTES + 1 if self.refused_as_large else 0
        return sum(page.grey.nbytes for page in self.pages)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read(path: Path, called: str, settings: InspectionSettings) -> Image:
    """Read and decode one file; whatever goes wrong is what came of it."""
    source, spent, started = source_of(path.name, called, None), Timing(), time.perf_counter()
    try:
        limits = limits_of(settings)
        file = read_file(path, limits.max_bytes)
        source = source_of(path.name, called, file.sha256)
        done = time.perf_counter()
        spent = Timing(read=(done - started) * 1e3)
        pages = sem.read(file.data, source.name, file.sidecars, limits, settings.inspect.pixel_size_nm)
        spent = replace(spent, decode=(time.perf_counter() - done) * 1e3)
    except Exception as error:  # it belongs to its file, and is raised where that one's turn comes
        return Image(path, source, error, spent)
    return Image(path, source, pages, spent.shared_by(len(pages)))


def read_ahead(images: Sequence[tuple[Path, str]], settings: InspectionSettings) -> Generator[Image, None, None]:
    """Each (path, name to call it by) as an `Image`, in order; by a thread of its own where there is a second core.

    Closing it, as an exception in the loop over it does, ends the thread after the file that it is reading.
    """
    if cores() < 2 or len(images) < 2:
        for path, called in images:
            yield read(path, called, settings)
        return
    shelf = _Shelf()

    def fill() -> None:
        for path, called in images:
            if not shelf.wait_for_room():
                return
            shelf.put(read(path, called, settings))

    thread = threading.Thread(target=fill, name="read-ahead", daemon=True)
    thread.start()
    try:
        for path, called in images:
            image = shelf.take()
            # Alone it may have room: nothing more is read until it is done.
            yield read(path, called, settings) if image.refused_as_large else image
    finally:
        shelf.close()
        thread.join()


class _Shelf:
    """Images that wait for the networks, from one thread to another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Image] = deque()
        self._held = self._taken = 0  # bytes of all, those of the one that is inspected included; of that one
        self._closed = False

    def wait_for_room(self) -> bool:
        """Wait until one more may be read; False when none is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (len(self._waiting) < AHEAD and self._held <= MOST_BYTES))
            return not self._closed

    def put(self, image: Image) -> None:
        with self._changed:
            self._waiting.append(image)
            self._held += image.weight
            self._changed.notify_all()

    def take(self) -> Image:
        """The next one; the one before is done."""
        with self._changed:
            self._held -= self._taken
            self._taken = 0
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting)
            image = self._waiting.popleft()
            self._taken = image.weight
            self._changed.notify_all()
            waiting = self._waiting[0].pages if self._waiting else ()
            return replace(image, following=waiting[0]) if isinstance(waiting, tuple) and waiting else image

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
