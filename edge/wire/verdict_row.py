"""A verdict in, a flat row of it out: the keys of `edge.summary/2`, then what a table needs beside them.

A failure has a row too. What is not known is None.
"""

from __future__ import annotations

import json
from typing import Any, Final

from edge.config import DeviceSettings
from edge.records import Inspection
from edge.wire.channel import Numbered
from edge.wire.encode import display_path, field_names, milliseconds, shorten, timestamp
from edge.wire.inspection_documents import SummaryDocument
from edge.wire.summary import encode_summary

COLUMNS: Final[tuple[str, ...]] = (*field_names(SummaryDocument), "path", "failure_id", "error_code", "error_message")
"""In this order."""
LONGEST_TEXT: Final = 1000


def row_of(numbered: Numbered, device: DeviceSettings) -> dict[str, Any]:
    """A row with all of COLUMNS: numbers, texts, None. The same numbers as in the summary."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    verdict, epoch, seq = numbered.verdict, numbered.epoch, numbered.seq
    row["path"] = display_path(verdict.source.path)
    if isinstance(verdict, Inspection):
        summary = encode_summary(verdict, inspection_id=numbered.verdict_id, epoch=epoch, seq=seq, device=device)
        row.update(json.loads(summary))
        return row
    return row | {
        "schema": "edge.failure/1",
        "epoch": epoch,
        "seq": seq,
        "ts": timestamp(verdict.made_at),
        "ts_ms": milliseconds(verdict.made_at),
        "site": device.site,
        "area": device.area,
        "device_id": device.id,
        "image_name": shorten(verdict.source.name, 120),
        "image_revision": verdict.source.revision,
        "image_run": verdict.source.run,
        "severity_state": "failed",
        "failure_id": numbered.verdict_id,
        "error_code": verdict.code,
        "error_message": shorten(verdict.message, LONGEST_TEXT),
    }
