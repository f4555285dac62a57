"""Documents in; one row an inspection and one row a region out, as plain dictionaries with stable columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from edge.report.reading import Document

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = (
    *("inspection_id", "path", "ts", "label", "source", "abstained", "needs_review", "reasons", "confidence"),
    *("area_percent", "area_lo_percent", "area_hi_percent", "regions", "density_per_mm2", "area_um2", "largest_um2"),
    *("largest_cut", "annealing_min", "exposure_h", "coupon", "batch", "field", "field_selection"),
    *("pixel_size_nm", "pixel_size_source", "field_um2", "width_px", "height_px", "segmenter", "classifier", "taught"),
    *("settings_sha256", "image_sha256", "reviews"),
)
REGION_COLUMNS: Final = (
    *("inspection_id", "path", "index", "class", "score", "area_px", "area_um2", "diameter_um", "circularity"),
    *("touches_edge", "severity"),
)

OF_THE_ANALYSIS: Final = frozenset(
    "id ts_ms area area_fraction area_lo area_hi count region_diameters_um largest_um shapes counted_from_px counted_from_um".split()
)
"""Names that a process parameter cannot have besides those of `COLUMNS`."""

Row = dict[str, Any]


def rows(documents: tuple[Document, ...], joined: dict[str, Row]) -> list[Row]:
    """One row an inspection. joined: more columns by path, from `--samples`."""
    numbers, _ = path_columns(documents)
    return [_row(document, joined.get(str(document.said["image"].get("path")), {}), numbers) for document in documents]


def path_columns(documents: tuple[Document, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the path patterns name besides the columns that every table has: those that are numbers throughout, and the others.

    The first are process parameters.
    """
    found: dict[str, list[Any]] = {}
    for document in documents:
        for name, value in (document.said.get("sample") or {}).items():
            if name not in COLUMNS and value is not None:
                found.setdefault(str(name), []).append(value)
    taken = OF_THE_ANALYSIS
    numbers = tuple(n for n, values in found.items() if n not in taken and all(_number(value) is not None for value in values))
    return numbers, tuple(name for name in found if name not in numbers)


def _number(value: Any) -> float | None:
    """Of what a pattern found, which is text; None of what is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _row(document: Document, joined: Row, numbers: tuple[str, ...]) -> Row:
    said = document.said
    image, corrosion, severity = said["image"], said["corrosion"], said.get("severity") or {}
    model, sample = said.get("model") or {}, {**(said.get("sample") or {}), **joined}
    low, high = corrosion.get("area_fraction_interval") or (None, None)
    row = dict.fromkeys(COLUMNS)
    row |= {name: _number(value) if name in numbers else value for name, value in sample.items() if value is not None}
    return row | {
        "inspection_id": said.get("inspection_id"),
        "path": image.get("path"),
        "ts": said.get("ts"),
        "label": severity.get("label"),
        "source": severity.get("source"),
        "abstained": severity.get("abstained"),
        "needs_review": severity.get("needs_review"),
        "reasons": "; ".join(sentences(severity)),
        "confidence": severity.get("confidence"),
        "area_percent": percent(corrosion.get("area_fraction")),
        "area_lo_percent": percent(low),
        "area_hi_percent": percent(high),
        "regions": corrosion.get("region_count"),
        "density_per_mm2": corrosion.get("density_per_mm2"),
        "area_um2": corrosion.get("area_um2"),
        "largest_um2": corrosion.get("largest_um2"),
        "largest_cut": corrosion.get("largest_touches_edge"),
        "pixel_size_nm": image.get("pixel_size_nm"),
        "pixel_size_source": image.get("pixel_size_source"),
        "field_um2": image.get("field_um2"),
        "width_px": image.get("width_px"),
        "height_px": image.get("height_px"),
        "segmenter": _version(model.get("segmenter")),
        "classifier": _version(model.get("classifier")),
        "taught": (model.get("taught") or {}).get("sha256"),
        "settings_sha256": said.get("settings_sha256"),
        "image_sha256": image.get("sha256"),
        "reviews": len(document.reviews),
    }


def region_rows(documents: tuple[Document, ...]) -> list[Row]:
    """One row a region."""
    return [
        {
            "inspection_id": document.said.get("inspection_id"),
            "path": document.said["image"].get("path"),
            "index": region.get("index"),
            "class": region.get("class"),
            "score": region.get("score"),
            "area_px": region.get("area_px"),
            "area_um2": region.get("area_um2"),
            "diameter_um": region.get("equivalent_diameter_um"),
            "circularity": region.get("circularity"),
            "touches_edge": region.get("touches_edge"),
            "severity": (region.get("severity") or {}).get("label"),
        }
        for document in documents
        for region in document.said.get("regions") or ()
    ]


def percent(fraction: float | None) -> float | None:
    """Of a fraction, None of None."""
    return None if fraction is None else round(100 * fraction, 6)


def sentences(severity: Row) -> list[str]:
    """The reasons for review; each is a text or an object with one."""
    reasons = severity.get("reasons") or ()
    return [str(reason.get("message") or reason.get("code")) if isinstance(reason, dict) else str(reason) for reason in reasons]


def frame(documents: tuple[Document, ...], listed: list[Row]) -> pd.DataFrame:
    """The table that the analysis takes: numbers NaN where unknown, names None. Needs pandas."""
    import pandas as pd

    return pd.DataFrame([_numbers(document.said, row) for document, row in zip(documents, listed, strict=True)])


def _numbers(said: Row, row: Row) -> Row:
    corrosion, regions = said["corrosion"], said.get("regions") or ()
    counted = corrosion.get("counted_from") or {}
    whole = [region for region in regions if not region.get("touches_edge")]
    numbers = ("density_per_mm2", "annealing_min", "exposure_h", "pixel_size_nm", "field_um2", "width_px", "height_px")
    largest = [region["equivalent_diameter_um"] for region in regions if region.get("equivalent_diameter_um") is not None]
    return {
        **row,
        **{name: math.nan if row[name] is None else float(row[name]) for name in numbers},
        "id": row["inspection_id"],
        "ts_ms": said.get("ts_ms"),
        "area_fraction": corrosion["area_fraction"],
        "area_lo": math.nan if row["area_lo_percent"] is None else row["area_lo_percent"] / 100,
        "area_hi": math.nan if row["area_hi_percent"] is None else row["area_hi_percent"] / 100,
        "count": corrosion.get("region_count"),
        "region_diameters_um": [r["equivalent_diameter_um"] for r in whole if r.get("equivalent_diameter_um") is not None],
        "largest_um": max(largest, default=math.nan),
        "shapes": [(math.nan if r.get("circularity") is None else r["circularity"], _aspect(r)) for r in whole],
        "counted_from_px": math.nan if counted.get("px") is None else counted["px"],
        "counted_from_um": math.nan if counted.get("um") is None else counted["um"],
    }


def _aspect(region: Row) -> float:
    _, _, width, height = region["box_px"]
    return float(max(width, height) / max(min(width, height), 1))


def _version(model: Row | None) -> str | None:
    return None if model is None else f"{model.get('name')} {model.get('version')} {str(model.get('sha256'))[:12]}"
