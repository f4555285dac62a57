"""A verdict as it was sent in, one flat row for lists and plots out. Pure; what is not known is None."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

Row = dict[str, Any]

LONGEST_REASONS: Final = 20
WHY_FORGOTTEN: Final = "why is no longer kept: inspect the image again"


def row_of(sent: bytes | None, *, verdict_id: str, kind: str, path: str, revision: int, run: int, made_at: float) -> Row:
    """The row of one verdict. sent: its message, None where it is no longer kept.  made_at: seconds since 1970.

    A message that cannot be read, of another version or damaged, gives the row of a forgotten one.
    """
    document = parsed(sent)
    if document is None:
        row = unknown_row(kind)
        row["forgotten"] = True
    else:
        try:
            row = inspection_row(document) if kind == "inspection" else failure_row(document)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            row = {**unknown_row(kind), "forgotten": True}
    if row["forgotten"] and kind == "failure":
        row.update(code="forgotten", message=WHY_FORGOTTEN)
    name = path.rpartition("/")[2]
    row.update(id=verdict_id, path=path, name=name, revision=revision, run=run, ts_ms=round(made_at * 1000))
    row["place"] = f"{path}\0{row['page']}"
    return row


def parsed(sent: bytes | None) -> dict[str, Any] | None:
    """The message as an object, None where it is none."""
    try:
        document = json.loads(sent) if sent is not None else None
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def inspection_row(document: Mapping[str, Any]) -> Row:
    """The row of an `edge.inspection`. Raises KeyError, TypeError where it is none."""
    image, severity, corrosion = document["image"], document["severity"], document["corrosion"]
    model, sample = document["model"], dict(document["sample"])
    row = unknown_row("inspection")
    row.update(
        epoch=document.get("epoch"),
        seq=document.get("seq"),
        ts_ms=int(document["ts_ms"]),
        path=str(image["path"]),
        name=str(image["name"]),
        sha256=image["sha256"],
        page=int(image["page"]),
        revision=image["revision"],
        run=image["run"],
        state="not_run",
        pixel_size_nm=_number(image["pixel_size_nm"]),
        field_um2=_number(image["field_um2"]),
        annealing_min=_number(sample.pop("annealing_min", None)),
        exposure_h=_number(sample.pop("exposure_h", None)),
        sample={str(name): value for name, value in sample.items() if isinstance(value, str | int | float | bool)},
        segmenter=_sha256(model["segmenter"]),
        classifier=_sha256(model["classifier"]),
        taught=_sha256(model.get("taught")),
        settings_sha256=document["settings_sha256"],
        total_ms=_number(document["timing_ms"]["total"]),
        warnings=[str(text) for text in document["quality"]["warnings"]][:LONGEST_REASONS],
    )
    if severity is not None:
        row.update(
            state="abstained" if severity.get("abstained") else "judged",
            label=severity["label"],
            own_class=severity.get("class"),
            confidence=_number(severity["confidence"]),
            prediction_set=severity["prediction_set"],
            needs_review=bool(severity["needs_review"]),
            reasons=[str(reason) for reason in severity["reasons"]][:LONGEST_REASONS],
            source=severity.get("source"),
        )
    if corrosion is not None:
        lo, hi = corrosion.get("area_fraction_interval") or (None, None)
        density_lo, density_hi = corrosion.get("density_per_mm2_interval") or (None, None)
        largest = _number(corrosion["largest_um2"])
        row.update(
            area_fraction=_number(corrosion["area_fraction"]),
            area_lo=_number(lo),
            area_hi=_number(hi),
            density_per_mm2=_number(corrosion["density_per_mm2"]),
            density_lo=_number(density_lo),
            density_hi=_number(density_hi),
            largest_um2=largest,
            largest_um=None if largest is None else round(math.sqrt(4 * largest / math.pi), 4),
            region_count=corrosion["region_count"],
            counted_from_px=_number((corrosion.get("counted_from") or {}).get("px")),
        )
    return row


def failure_row(document: Mapping[str, Any]) -> Row:
    """The row of an `edge.failure`. Raises KeyError, TypeError where it is none."""
    image, error = document["image"], document["error"]
    row = unknown_row("failure")
    row.update(
        epoch=document.get("epoch"),
        seq=document.get("seq"),
        ts_ms=int(document["ts_ms"]),
        path=str(image.get("path") or image["name"]),
        name=str(image["name"]),
        sha256=image.get("sha256"),
        revision=image.get("revision", 1),
        run=image.get("run", 1),
        state="failed",
        needs_review=True,
        code=str(error["code"]),
        message=str(error["message"]),
    )
    return row


def unknown_row(kind: str) -> Row:
    """A row in which nothing is known yet."""
    return {
        "kind": kind,
        "epoch": None,
        "seq": None,
        "sha256": None,
        "page": 0,
        "label": None,
        "own_class": None,
        "state": "failed" if kind == "failure" else "not_run",
        "confidence": None,
        "prediction_set": None,
        "needs_review": False,
        "reasons": [],
        "warnings": [],
        "source": None,
        **dict.fromkeys(("area_fraction", "area_lo", "area_hi", "density_per_mm2", "density_lo", "density_hi")),
        **dict.fromkeys(("largest_um2", "largest_um", "region_count", "counted_from_px", "pixel_size_nm", "field_um2")),
        **dict.fromkeys(("annealing_min", "exposure_h", "segmenter", "classifier", "taught", "settings_sha256", "total_ms")),
        "sample": {},
        "code": None,
        "message": None,
        "forgotten": False,
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e300 else None  # a NaN is not smaller either


def _sha256(model: Any) -> str | None:
    return str(model["sha256"]) if model else None
