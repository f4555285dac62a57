"""Inspections in, overlay pictures in the journal's folder out, also those that an earlier life left undrawn."""

from __future__ import annotations

import json
import logging
from collections import deque

from edge import sem
from edge.errors import BackendError, ImageError, StateError
from edge.folder.file import read_file
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline, limits_of
from edge.journal import Undrawn
from edge.records import Inspection, Source
from edge.service.isolated import DEATHS
from edge.service.worker import Worker, printable
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

    What has a verdict from before the process ended, but no picture, is inspected anew; only the picture is kept.
    """

    def __init__(self, worker: Worker) -> None:
        """Looks at what is missing; draws nothing."""
        self._worker = worker
        self._undrawn = deque(worker.journal.pictures.undrawn())

    def __len__(self) -> int:
        """How many are still to be drawn."""
        return len(self._undrawn)

    def draw_next(self, pipeline: Pipeline) -> None:
        """Draw the next one, or give it up. Raises BackendError when the network is broken."""
        worker, undrawn = self._worker, self._undrawn.popleft()
        worker.beat()
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
