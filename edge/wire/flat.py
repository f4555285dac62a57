"""A document in, one flat row out: what stands in a table, an image a row, and how a value stands there.

The names are those of `edge.summary/2` where it has the figure, units in the names. A failure has a row too: what was not
found out is None, and `error_code` and `error_message` say why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COLUMNS: Final[tuple[str, ...]] = (
    *("path", "page", "inspection_id", "ts", "severity_state", "severity", "severity_class", "severity_confidence"),
    *("severity_guess", "severity_reason", "severity_source", "abstained", "needs_review"),
    *("area_fraction", "area_fraction_lo", "area_fraction_hi", "region_count", "regions_below", "area_um2"),
    *("density_per_mm2", "largest_um2", "largest_touches_edge", "equivalent_diameter_mean_um", "equivalent_diameter_p50_um"),
    *("equivalent_diameter_p95_um", "equivalent_diameter_max_um", "annealing_min", "exposure_h", "width_px", "height_px"),
    *("pixel_size_nm", "pixel_size_source", "field_um2", "in_domain", "sharpness", "warnings", "total_ms", "backend"),
    *("segmenter_version", "classifier_version", "taught_sha256", "settings_sha256", "image_sha256"),
    *("error_code", "error_message"),
)
"""In this order; later versions add columns at the end."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With these a spreadsheet takes a text for a formula."""


def cell(value: object) -> str:
    """A value as it stands in the file: nothing for None, and no text that a spreadsheet would compute."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value).replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(_FORMULA) else text


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """A row with all of COLUMNS of a parsed `edge.inspection/2` or `edge.failure/1`: numbers, texts, true, false, None."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    image = document["image"]
    row.update(path=image["path"], ts=document["ts"], image_sha256=image["sha256"])
    if "error" in document:
        row.update(severity_state="failed", error_code=document["error"]["code"], error_message=document["error"]["message"])
        return row
    for name in ("page", "width_px", "height_px", "pixel_size_nm", "pixel_size_source", "field_um2"):
        row[name] = image[name]
    sample, model, quality = document["sample"], document["model"], document["quality"]
    row.update(annealing_min=sample["annealing_min"], exposure_h=sample["exposure_h"])
    row.update(inspection_id=document["inspection_id"], settings_sha256=document["settings_sha256"])
    row.update(in_domain=quality["in_domain"], sharpness=quality["sharpness"], warnings="; ".join(quality["warnings"]))
    row.update(total_ms=document["timing_ms"]["total"], backend=model["backend"])
    for stage in ("segmenter", "classifier"):
        row[f"{stage}_version"] = (model[stage] or {}).get("version")
    row["taught_sha256"] = (model["taught"] or {}).get("sha256")
    return row | _severity(document["severity"]) | _corrosion(document["corrosion"])


def _severity(severity: Mapping[str, Any] | None) -> dict[str, Any]:
    if severity is None:
        return {"severity_state": "not_run", "abstained": False}
    guess = severity["guess"] or {}
    return {
        "severity_state": "abstained" if severity["abstained"] else "judged",
        "severity": severity["label"],
        "severity_class": severity["class"],
        "severity_confidence": severity["confidence"],
        "severity_guess": guess.get("class") or guess.get("label"),
        "severity_reason": "; ".join(severity["reasons"]),
        "severity_source": severity["source"],
        "abstained": severity["abstained"],
        "needs_review": severity["needs_review"],
    }


def _corrosion(corrosion: Mapping[str, Any] | None) -> dict[str, Any]:
    if corrosion is None:
        return {}
    names = ("area_fraction", "region_count", "regions_below", "area_um2", "density_per_mm2", "largest_um2")
    row = {name: corrosion[name] for name in (*names, "largest_touches_edge")}
    row["area_fraction_lo"], row["area_fraction_hi"] = corrosion["area_fraction_interval"] or (None, None)
    for name, value in (corrosion["equivalent_diameter_um"] or {}).items():
        row[f"equivalent_diameter_{name}_um"] = value
    return {name: value for name, value in row.items() if name in COLUMNS}
