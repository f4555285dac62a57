"""Inspections in, overlay pictures in the journal's folder out, also those that an earlier life left undrawn."""

from __future__ import annotations

import json
import logging
import time
from collections import deque

from edge import sem
from edge.errors import BackendError, ImageError, StateError
from edge.folder.file import read_file
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline, limits_of
from edge.journal import Undrawn
from edge.records import Inspection, Source
from edge.service.isolated import DEATHS
from edge.service.worker import RETRY_S, Worker, printable
from edge.wire.encode import display_path

log = logging.getLogger(__name__)


def draw(worker: Worker, name: str, inspection: Inspection) -> None:
    """Store one picture, in the thread of `worker`; without it its overlay is not sent."""
    try:
        picture = overlay.encode(overlay.draw(inspection), "webp")
        worker.store(lambda: worker.journal.pictures.write(name, picture))
    except StateError:
        raise
    except Exception:  # a defect in drawing must cost this picture alone
        log.exception("%s: its picture cannot be drawn", printable(inspection.source.path))
    finally:
        worker.shared.being_drawn.discard([name])
        worker.shared.wake_publishers()


class MissingPictures:
    """Pictures that an earlier life left undrawn, drawn one by one, in the order of the outbox. Used in the inspector's thread.

    What has a verdict from before the process ended, but no picture, is inspected anew; only the picture is kept. While the
    watched folder is away, as when the machine is back before its share, they wait.
    """

    def __init__(self, worker: Worker) -> None:
        """Looks at what is missing; draws nothing."""
        self._worker = worker
        self._undrawn = deque(worker.journal.pictures.undrawn())
        self._wait_until = 0.0

    def __len__(self) -> int:
        """How many are still to be drawn."""
        return len(self._undrawn)

    def __bool__(self) -> bool:
        """Whether it is time to draw one."""
        return bool(self._undrawn) and time.monotonic() >= self._wait_until

    def draw_next(self, pipeline: Pipeline) -> None:
        """Draw the next one, give it up, or have all wait. Raises BackendError when the network is broken."""
        worker = self._worker
        worker.beat()
        if not worker.folder_is_there():
            self._wait_until = time.monotonic() + RETRY_S
            return
        undrawn = self._undrawn.popleft()
        try:
            inspection = _inspected_again(worker, pipeline, undrawn)
        except BackendError:
            raise
        except Exception as error:  # the image is gone or another one; or a defect of ours, which costs this picture alone
            log.warning("%s: its picture cannot be drawn any more: %s", printable(undrawn.path), error)
            worker.shared.being_drawn.discard([undrawn.picture])
            worker.shared.wake_publishers()
        else:
            draw(worker, undrawn.picture, inspection)


def _inspected_again(worker: Worker, pipeline: Pipeline, undrawn: Undrawn) -> Inspection:
    """Raises ImageError when the image is not what it was, or when drawing it has ended the process before."""
    if undrawn.tries >= DEATHS:
        raise ImageError("crashed", f"drawing it killed the process {undrawn.tries} times")
    worker.journal.pictures.count_try(undrawn.id)
    verdict = json.loads(undrawn.verdict)
    before, used = verdict["image"], verdict.get("model") or {}
    if (used.get("taught") or {}).get("sha256") != pipeline.models.taught_sha256:
        raise ImageError("unreadable", "another adaptation is used now, and would draw other outlines")
    segmenter = pipeline.models.segmenter
    if (used.get("segmenter") or {}).get("sha256") != (segmenter and segmenter.sha256):
        raise ImageError("unreadable", "other models are used now, and would draw other outlines")
    path, limits = worker.folder / undrawn.path, limits_of(worker.settings)
    file = read_file(path, limits.max_bytes, within=worker.folder)
    if file.sha256 != before["sha256"]:
        raise ImageError("unreadable", "the file is another one now")
    source = Source(display_path(path.name), display_path(undrawn.path), file.sha256)
    for page in sem.read(file.data, source.name, file.sidecars, limits, worker.settings.inspect.pixel_size_nm):
        if page.page == before["page"]:
            return pipeline.inspect(page, source)
    raise ImageError("unreadable", "the page is gone")
