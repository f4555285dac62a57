"""What a person clicked in, a whole `edge.review/1` of an inspection for the daemon out; and what the page shows of reviews."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Final

from edge.config import DeviceSettings
from edge.errors import ReviewError
from edge.teach.reviews import (
    Brushed,
    Missed,
    RegionVerdict,
    Review,
    check_clicks,
    check_regions,
    disagreements,
    latest,
    parse_review,
)
from edge.web.source import Facts
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
        "model": {name: model[name]["sha256"] if model.get(name) else None for name in _MODELS},
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
    check_regions(checked, [region["box_px"] for region in document.get("regions") or []])
    check_clicks([checked], "the page")
    _check_places(checked, image["width_px"], image["height_px"])
    if not (_says_something(checked) or checked.withdrawn):
        raise ReviewError("nothing is marked: a review says at least one thing")
    return checked.review_id, line


def _check_places(review: Review, width: int, height: int) -> None:
    """Raises ReviewError for a mark that lies outside of the image."""
    marked = [point for one in review.brushed for point in one.points_px]
    for one in review.missed:
        marked += [one.point_px] if one.point_px else one.outline_px or []
        marked += [(one.box_px[0], one.box_px[1])] if one.box_px else []
    if not isinstance(review.complete, bool):
        left, top, wide, high = review.complete.box_px
        marked += [(left, top), (left + wide, top + high)]
    for x, y in marked:
        if not (0 <= x <= width and 0 <= y <= height):
            raise ReviewError(f"a mark at {x:g}, {y:g} lies outside of the image, which has {width} x {height} pixels")


def _says_something(review: Review) -> bool:
    return bool(review.regions or review.missed or review.brushed or review.complete or review.severity or review.note)


# What was said


def reviewed(reviews: Iterable[Review]) -> Facts | None:
    """What the reviews of one inspection come to; None without one that counts."""
    counting = [one for one in latest(reviews) if not one.withdrawn]
    if not counting:
        return None
    last = max(counting, key=lambda one: one.ts_ms)
    return {
        "verdict": last.severity.verdict if last.severity else None,
        "reviewer": last.reviewer,
        "ts_ms": last.ts_ms,
        "disagree": bool(disagreements(counting)),
        "struck": sum(region.verdict == "not_corrosion" for region in last.regions),
        "missed": len(last.missed),
    }


def said(review: Review) -> Facts:
    """A review as the page shows it."""
    return {
        "review_id": review.review_id,
        "reviewer": review.reviewer,
        "ts_ms": review.ts_ms,
        "withdrawn": review.withdrawn,
        "supersedes": review.supersedes,
        "severity": review.severity.verdict if review.severity else None,
        "regions": [_asked(region) for region in review.regions],
        "missed": [_asked(one) for one in review.missed],
        "brushed": [_asked(one) for one in review.brushed],
        "complete": review.complete if isinstance(review.complete, bool) else asdict(review.complete),
        "note": review.note,
    }


def _asked(mark: RegionVerdict | Missed | Brushed) -> Facts:
    """A mark as it would be handed over again."""
    parts = {"class" if name == "class_name" else name: value for name, value in asdict(mark).items()}
    return {name: value for name, value in parts.items() if value is not None}
