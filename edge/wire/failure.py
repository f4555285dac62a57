"""A failure in, its `edge.failure/1` out, with a hint where to look; and the tombstone of a verdict that cannot be sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from edge.config import DeviceSettings
from edge.errors import FailureCode
from edge.records import Failure
from edge.wire import documents
from edge.wire.encode import VerdictKind, device_fields, milliseconds, serialise, shorten, timestamp

_TOMBSTONE: Final = b'{"schema":"edge.tombstone/1"'

_HINTS: Final[Mapping[FailureCode, str]] = {
    "empty": "Look at the file on the microscope's computer: the export may have been stopped, or its disk may be full.",
    "not_an_image": "Look at what writes into the folder, or narrow watch.patterns.",
    "truncated": "Export the image again; if files arrive slowly, raise watch.incomplete_s.",
    "damaged": "Open the file in the microscope's own software and export it again.",
    "too_large": "If this size is intended, raise the setting that the message names.",
    "unsupported": "Export the image as a grey or colour TIFF, PNG, BMP or JPEG.",
    "unreadable": "Look at the file's permissions and at the share or disk: the service's user must be able to read it.",
    "not_a_file": "Look at what lies in the folder under this name.",
    "outside_folder": "Copy the file into the watched folder in place of the link.",
    "still_changing": "Look at what keeps writing to the file; it is inspected again when it changes.",
    "crashed": "Keep the file and the service's log, and report both.",
    "internal": "The service's log has the traceback: report it with the file.",
}


def encode_failure(failure: Failure, *, failure_id: str, epoch: str | None, seq: int | None, device: DeviceSettings) -> bytes:
    """An `edge.failure/1`. Raises ValueError when `failure.code` is none of `edge.errors.FAILURE_CODES`."""
    source = failure.source
    # A record's code is any text; the document refuses what is none of the codes.
    error = documents.ErrorFields(code=cast(FailureCode, failure.code), message=failure.message)
    return serialise(
        documents.FailureDocument(
            schema_="edge.failure/1",
            failure_id=failure_id,
            epoch=epoch,
            seq=seq,
            ts=timestamp(failure.made_at),
            ts_ms=milliseconds(failure.made_at),
            device=device_fields(device),
            image=documents.FailedImageFields(
                name=source.name, path=source.path, sha256=source.sha256, revision=source.revision, run=source.run
            ),
            error=error,
            hint=_HINTS[error.code],
        )
    )


def encode_tombstone(
    *, seq: int, epoch: str | None, kind: VerdictKind, verdict_id: str, reason: str, device: DeviceSettings, at: datetime
) -> bytes:
    """An `edge.tombstone/1`, in the place of a verdict that the broker refused for good at `at`."""
    return serialise(
        documents.TombstoneDocument(
            schema_="edge.tombstone/1",
            epoch=epoch,
            seq=seq,
            ts=timestamp(at),
            ts_ms=milliseconds(at),
            device=device_fields(device),
            kind=kind,
            verdict_id=verdict_id,
            reason=shorten(reason, 500),
        )
    )


def is_tombstone(payload: bytes) -> bool:
    """Whether a stored message is already a tombstone."""
    return payload.startswith(_TOMBSTONE)
