"""What a person clicked about one inspection in, a whole `edge.review/1` for the daemon out."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from edge.config import DeviceSettings
from edge.errors import ReviewError
from edge.teach.reviews import check_regions, parse_review
from edge.wire.encode import milliseconds, timestamp

_CLICKED: Final = ("regions", "missed", "brushed", "complete", "severity", "note", "supersedes", "withdrawn")

_MODELS: Final = ("segmenter", "classifier", "regions", "taught")


def compose(
    clicked: Mapping[str, Any], document: Mapping[str, Any], reviewer: str, device: DeviceSettings
) -> tuple[str, bytes]:
    """The id and the line of a review. Raises ReviewError with a sentence for what does not fit the inspection.

    clicked: the marks, in pixels of the image as stored.  document: the inspection that was looked at.
    reviewer: who is logged in; what the browser says of that does not count.
    """
    if unknown := sorted(set(clicked) - {*_CLICKED, "inspection_id"}):
        raise ReviewError(f"{unknown[0]!r} is no part of a review")
    image, model, at = document["image"], document["model"], datetime.fromtimestamp(time.time(), timezone.utc)
    review = {
        "schema": "edge.review/1",
        "review_id": str(uuid.uuid4()),
        "ts": timestamp(at),
        "ts_ms": milliseconds(at),
        "device": {"site": device.site, "area": device.area, "id": device.id},
        "reviewer": reviewer,
        "inspection_id": document["inspection_id"],
        "image": {name: image[name] for name in ("name", "path", "sha256", "page", "revision")},
        "model": {
            name: model[name]["sha256"] if model.get(name) else None
            for name in ("segmenter", "classifier", "regions", "taught")
        },
        "regions": [],
        "missed": [],
        "brushed": [],
        "complete": False,
        "severity": None,
        "supersedes": None,
        "withdrawn": False,
        "note": None,
        **{name: clicked[name] for name in _CLICKED if name in clicked},
    }
    line = json.dumps(review, ensure_ascii=False).encode("utf-8", "backslashreplace")
    checked = parse_review(line, "the review")
    check_regions(checked, [region["box_px"] for region in document["regions"]])
    return checked.review_id, line
