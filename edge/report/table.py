"""Documents in; one row an inspection and one row a region out, as plain dictionaries with stable columns.

What `edge-inspect --csv` has too bears the same name and holds the same: `edge.wire.flat`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from edge.report.reading import Document
from edge.wire import flat

if TYPE_CHECKING:
    import pandas as pd

OF_THE_SAMPLE: Final = ("coupon", "batch", "field", "field_selection")
COLUMNS: Final = (
    *(name for name in flat.COLUMNS if name not in ("error_code", "error_message")),  # a failure has no row here
    *OF_THE_SAMPLE,
    *("segmenter", "classifier", "reviews"),
)
REGION_COLUMNS: Final = (
    *("inspection_id", "path", "index", "class", "score", "area_px", "area_um2", "equivalent_diameter_um", "circularity"),
    *("touches_edge", "severity"),
)
TEXTS: Final = frozenset(
    (
        *("path", "inspection_id", "ts", "severity_state", "severity", "severity_class", "severity_guess", "severity_reason"),
        *("severity_source", "pixel_size_source", "warnings", "backend", "segmenter_version", "classifier_version", "class"),
        *("taught_sha256", "settings_sha256", "image_sha256", *OF_THE_SAMPLE, "segmenter", "classifier"),
    )
)
FLAGS: Final = frozenset(("abstained", "needs_review", "largest_touches_edge", "touches_edge", "in_domain"))
WHOLE: Final = frozenset(("page", "region_count", "regions_below", "width_px", "height_px", "index", "reviews"))
"""What is no number with a fraction, so that a Parquet file has the same types whatever is known."""
OF_THE_ANALYSIS: Final = frozenset(
    (
        *("id", "ts_ms", "area", "count", "region_diameters_um", "largest_um", "largest_cut", "shapes", "taught"),
        *("counted_from_px", "counted_from_um"),
    )
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
    numbers = tuple(n for n, values in found.items() if n not in taken and all(finite(value) is not None for value in values))
    return numbers, tuple(name for name in found if name not in numbers)


def finite(value: Any) -> float | None:
    """A number, also one that stands in a text as a pattern found it; None of what is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _row(document: Document, joined: Row, numbers: tuple[str, ...]) -> Row:
    said = document.said
    image, quality, model = said["image"], said.get("quality") or {}, said.get("model") or {}
    sample = {**(said.get("sample") or {}), **joined}
    row: Row = dict.fromkeys(COLUMNS)
    for name, value in sample.items():
        if value is not None and (name in OF_THE_SAMPLE or name not in COLUMNS):
            number = name in numbers or (isinstance(value, float) and name not in OF_THE_SAMPLE)
            row[name] = finite(value) if number else str(value)
    for name in ("annealing_min", "exposure_h"):
        row[name] = None if sample.get(name) is None else float(sample[name])
    for name in ("path", "page", "width_px", "height_px", "pixel_size_nm", "pixel_size_source", "field_um2"):
        row[name] = image.get(name)
    row.update({name: said.get(name) for name in ("inspection_id", "ts", "settings_sha256")}, image_sha256=image.get("sha256"))
    row.update(in_domain=quality.get("in_domain"), sharpness=quality.get("sharpness"), backend=model.get("backend"))
    row.update(warnings="; ".join(quality.get("warnings") or ()), total_ms=(said.get("timing_ms") or {}).get("total"))
    for stage in ("segmenter", "classifier"):
        row[f"{stage}_version"] = (model.get(stage) or {}).get("version")
        row[stage] = _version(model.get(stage))
    row.update(taught_sha256=(model.get("taught") or {}).get("sha256"), reviews=len(document.reviews))
    return row | _severity(said.get("severity")) | _corrosion(said["corrosion"])


def _severity(severity: Row | None) -> Row:
    if severity is None:
        return {"severity_state": "not_run", "abstained": False}
    guess = severity.get("guess") or {}
    return {
        "severity_state": "abstained" if severity.get("abstained") else "judged",
        "severity": severity.get("label"),
        "severity_class": severity.get("class"),
        "severity_confidence": severity.get("confidence"),
        "severity_guess": guess.get("class") or guess.get("label"),
        "severity_reason": "; ".join(sentences(severity)),
        "severity_source": severity.get("source"),
        "abstained": severity.get("abstained"),
        "needs_review": severity.get("needs_review"),
    }


def _corrosion(corrosion: Row) -> Row:
    names = ("area_fraction", "region_count", "regions_below", "area_um2", "density_per_mm2", "largest_um2")
    row = {name: corrosion.get(name) for name in (*names, "largest_touches_edge")}
    row["area_fraction_lo"], row["area_fraction_hi"] = corrosion.get("area_fraction_interval") or (None, None)
    diameters = corrosion.get("equivalent_diameter_um") or {}
    return row | {f"equivalent_diameter_{name}_um": diameters.get(name) for name in ("mean", "p50", "p95", "max")}


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
            "equivalent_diameter_um": region.get("equivalent_diameter_um"),
            "circularity": region.get("circularity"),
            "touches_edge": region.get("touches_edge"),
            "severity": (region.get("severity") or {}).get("label"),
        }
        for document in documents
        for region in document.said.get("regions") or ()
    ]


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
    numbers = ("area_fraction", "density_per_mm2", "annealing_min", "exposure_h", "pixel_size_nm", "field_um2")
    largest = [region["equivalent_diameter_um"] for region in regions if region.get("equivalent_diameter_um") is not None]
    return {
        **row,
        **{name: math.nan if row[name] is None else float(row[name]) for name in numbers},
        "id": row["inspection_id"],
        "ts_ms": said.get("ts_ms"),
        "taught": row["taught_sha256"],
        "largest_cut": row["largest_touches_edge"],
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
