"""The .txt file that JEOL microscopes write beside the image in, what it says out.

Lines are "$KEY value" or "$$KEY value". The pixel follows from the scale bar: $$SM_MICRON_MARKER (a length) over
$$SM_MICRON_BAR (pixels). $CM_FULL_SIZE is the image without the data bar, which may lie below it or inside it.
"""

from __future__ import annotations

import re

from edge.records import Acquisition
from edge.sem.metadata import Evidence, Said, length_nm, moment, plain, positive, stem, text, words

VENDOR = "JEOL"


def sidecar_names(name: str) -> tuple[str, ...]:
    """ "a.tif" → "a.txt"."""
    return (f"{stem(name)}.txt",)


def recognises(evidence: Evidence) -> bool:
    """True when the .txt file has JEOL's keys."""
    raw = evidence.sidecars.get(sidecar_names(evidence.name.lower())[0], b"")
    return "$CM_" in text(raw) or "$SM_MICRON" in text(raw)


def read(evidence: Evidence) -> Said:
    """What the .txt file says."""
    said: dict[str, str] = {}
    for line in text(evidence.sidecars[sidecar_names(evidence.name.lower())[0]]).splitlines():
        if match := re.match(r"\s*\${1,2}(\w+)\s*(.*)", plain(line)):
            said.setdefault(match.group(1), match.group(2).strip())
    marker_nm, bar_px = length_nm(said.get("SM_MICRON_MARKER")), positive(said.get("SM_MICRON_BAR"))
    pixel_nm = marker_nm / bar_px if marker_nm and bar_px else None
    size = re.match(r"(\d{1,7})\s+(\d{1,7})", said.get("CM_FULL_SIZE", ""))
    warnings: tuple[str, ...] = ()
    if said.get("SM_MICRON_MARKER") and pixel_nm is None:
        warnings = (f"scale_bar_unreadable: {said.get('SM_MICRON_MARKER')!r} over {said.get('SM_MICRON_BAR')!r} pixels",)
    return Said(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(said.get("CM_INSTRUMENT")),
            captured_at=moment(
                f"{said.get('CM_DATE', '')} {said.get('CM_TIME', '')}", ("%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
            ),
            acceleration_kv=positive(said.get("CM_ACCEL_VOLT")),
            magnification=positive(said.get("CM_MAG")),
            detector=words(said.get("CM_SIGNAL")) or words(said.get("CM_DETECTOR")),
            working_distance_mm=positive(said.get("SM_WD")),
        ),
        pixel_nm=(pixel_nm, pixel_nm) if pixel_nm else None,
        source="sidecar",
        image_width=int(size.group(1)) or None if size else None,
        image_height=int(size.group(2)) or None if size else None,
        warnings=warnings,
    )
