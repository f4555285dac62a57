"""The .txt file that JEOL microscopes write beside the image in, `Metadata` out.

Lines are "$KEY value" or "$$KEY value". The pixel follows from the scale bar: $$SM_MICRON_MARKER (a length) over
$$SM_MICRON_BAR (pixels). $CM_FULL_SIZE is the image without the data bar, which may lie below it or inside it.
"""

from __future__ import annotations

import re

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import length_nm, moment, normalize, positive, stem, text, words

VENDOR = "JEOL"


def sidecar_names(name: str) -> tuple[str, ...]:
    """ "a.tif" → "a.txt"."""
    return (f"{stem(name)}.txt",)


def recognises(evidence: Evidence) -> bool:
    """True when the .txt file has JEOL's keys."""
    raw = evidence.sidecars.get(sidecar_names(evidence.name.lower())[0], b"")
    return "$CM_" in text(raw) or "$SM_MICRON" in text(raw)


def read(evidence: Evidence) -> Metadata:
    """Metadata of the .txt file."""
    values: dict[str, str] = {}
    for line in text(evidence.sidecars[sidecar_names(evidence.name.lower())[0]]).splitlines():
        if match := re.match(r"\s*\${1,2}(\w+)\s*(.*)", normalize(line)):
            values.setdefault(match.group(1), match.group(2).strip())
    marker_nm, bar_px = length_nm(values.get("SM_MICRON_MARKER")), positive(values.get("SM_MICRON_BAR"))
    pixel_nm = marker_nm / bar_px if marker_nm and bar_px else None
    size = re.match(r"(\d{1,7})\s+(\d{1,7})", values.get("CM_FULL_SIZE", ""))
    warnings: tuple[str, ...] = ()
    if values.get("SM_MICRON_MARKER") and pixel_nm is None:
        warnings = (f"scale_bar_unreadable: {values.get('SM_MICRON_MARKER')!r} over {values.get('SM_MICRON_BAR')!r} pixels",)
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(values.get("CM_INSTRUMENT")),
            captured_at=moment(
                f"{values.get('CM_DATE', '')} {values.get('CM_TIME', '')}", ("%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
            ),
            acceleration_kv=positive(values.get("CM_ACCEL_VOLT")),
            magnification=positive(values.get("CM_MAG")),
            detector=words(values.get("CM_SIGNAL")) or words(values.get("CM_DETECTOR")),
            working_distance_mm=positive(values.get("SM_WD")),
        ),
        pixel_nm=(pixel_nm, pixel_nm) if pixel_nm else None,
        source="sidecar",
        image_width=int(size.group(1)) or None if size else None,
        image_height=int(size.group(2)) or None if size else None,
        warnings=warnings,
    )
