"""A file's bytes or what came of them in; out comes until when it is worth waiting for more.

A file whose writer was seen to be done is judged at once; what is doubtful in it is said in its verdict, and a later change is
a new revision. Where nobody saw that (a network share, no events, a file from an earlier life) doubtful bytes may be bytes to
come. Every wait counts from the last change, but for a file that cannot be read: that says nothing of its age.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from edge import sem
from edge.config import WatchSettings
from edge.errors import ImageError
from edge.folder.file import FileBusyError
from edge.records import FileBytes, Inspection, Micrograph
from edge.service.shared import Arrival

UNFINISHED_CODES: Final = frozenset({"truncated", "damaged", "empty", "not_an_image"})
"""Codes of failures that a file has, too, while it is being written."""
UNFINISHED_WARNINGS: Final = frozenset({"zero_rows", "damaged", "metadata_cut"})
"""Codes of warnings about what may still be filled in."""
READ_AGAIN_S: Final = 5.0
"""So long is a file left alone that could not be read."""


def before_decoding(watch: WatchSettings, arrival: Arrival, file: FileBytes, name: str) -> float | None:
    """Until when, monotonic seconds, more bytes or a sidecar may come, as far as the structure tells; None if not.

    What is provably not whole is waited for whoever closed it: its verdict would be a failure in any case.
    """
    if arrival.old:
        return None
    longest_s = 0.0
    state = sem.completeness(file.data).state
    if state is sem.FileState.INCOMPLETE or (state is sem.FileState.ZERO_TAIL and not arrival.closed):
        longest_s = watch.incomplete_s
    if watch.sidecar_wait_s > longest_s and not file.sidecars and sem.needs_sidecar(file.data, name):
        longest_s = watch.sidecar_wait_s
    return arrival.changed_at + longest_s if longest_s else None


def after_decoding(
    watch: WatchSettings,
    arrival: Arrival,
    outcome: Sequence[Micrograph] | Sequence[Inspection] | ImageError,
    data: bytes = b"",
) -> float | None:
    """Until when, monotonic seconds, what is doubtful in the pixels may still be filled in; None if it is not doubtful.

    data: of the file, where they are at hand: black rows of some formats cannot be rows to come.
    """
    if isinstance(outcome, ImageError) and outcome.code == "still_changing":
        # Whoever closed it before. It is read again soon, because its time of modification need not tell.
        return min(time.monotonic() + max(watch.settle_s, 0.2), arrival.changed_at + watch.incomplete_s)
    if arrival.old or arrival.closed:
        return None
    if isinstance(outcome, ImageError):
        doubtful = outcome.code in UNFINISHED_CODES
    else:
        pages = [one.micrograph if isinstance(one, Inspection) else one for one in outcome]
        codes = {warning.partition(":")[0] for page in pages for warning in page.warnings}
        doubtful = bool(codes & UNFINISHED_WARNINGS)
        if codes & UNFINISHED_WARNINGS == {"zero_rows"} and data:
            doubtful = not sem.black_is_black(data)
    return arrival.changed_at + watch.incomplete_s if doubtful else None


def may_be_read_soon(watch: WatchSettings, arrival: Arrival) -> bool:
    """Whether what cannot be read now, the file or one beside it, is better waited for."""
    return arrival.refused_at is None or time.monotonic() < arrival.refused_at + watch.incomplete_s


def while_busy(watch: WatchSettings, arrival: Arrival, outcome: object) -> tuple[float | None, Arrival]:
    """Until when, monotonic seconds, a file that cannot be read is left alone, None if that is over; how it came, then.

    However old it is: a share that fails for a moment fails for all that is being read.
    """
    if not isinstance(outcome, FileBusyError):
        return None, arrival
    now = time.monotonic()
    refused = replace(arrival, refused_at=now) if arrival.refused_at is None else arrival
    assert refused.refused_at is not None
    until = min(now + READ_AGAIN_S, refused.refused_at + watch.incomplete_s)
    return (until if until > now else None), refused
