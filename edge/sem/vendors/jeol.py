"""The .txt file that JEOL microscopes write beside the image in, `Metadata` out.

Lines are "$KEY value" or "$$KEY value". The pixel is the field of view, CM_FIELD_OF_VIEW, over CM_IMAGE_SIZE. Else it is the
length of the scale bar, SM_MICRON_MARKER, over its pixels, SM_MICRON_BAR, which are rounded. CM_IMAGE_SIZE and
CM_FULL_SIZE are the image without the data bar, which may lie below it or inside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, length_nm, moment, normalize, positive, stem, text, words

VENDOR = "JEOL"
CLOSE_WITHIN: Final = 0.01


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
    size = _size(values, "CM_IMAGE_SIZE") or _size(values, "CM_FULL_SIZE")
    pixel_nm, warnings = _pixel(values)
    tilt_deg, doubts = _tilt(values.get("CM_STAGE_POSITION") or values.get("CM_STAGE_POS") or "")
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(values.get("CM_INSTRUMENT")),
            captured_at=moment(
                f"{values.get('CM_DATE', '')} {values.get('CM_TIME', '')}", ("%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
            ),
            acceleration_kv=positive(values.get("CM_ACCEL_VOLT")),
            magnification=positive(values.get("CM_MAG")),
            detector=words(values.get("CM_SIGNAL")) or words(values.get("CM_DETECTOR")) or words(values.get("SM_DETECTOR")),
            working_distance_mm=positive(values.get("SM_WD")),
            tilt_deg=tilt_deg,
        ),
        pixel_nm=pixel_nm,
        source="sidecar",
        image_width=size[0] if size else None,
        image_height=size[1] if size else None,
        warnings=warnings + doubts,
    )


def _tilt(position: str) -> tuple[float | None, tuple[str, ...]]:
    """Tilt of the stage in degrees, from "X=… T=…", or from x, y, z and two angles.

    Which of the two is the tilt and which the rotation is not documented. A stage tilts by no more than a right angle.
    """
    if named := re.search(r"\bT\s*=\s*([-+]?[\d.,]+)", position):
        return angle_deg(named.group(1), "deg"), ()
    angles = [angle_deg(part, "deg") for part in position.split()[3:5]]
    possible = {angle for angle in angles if angle is not None and abs(angle) <= 90} if len(angles) == 2 else set()
    if len(possible) == 2:
        return None, (f"tilt_unsure: of the stage's angles {angles[0]} and {angles[1]} one is the tilt: it is unknown",)
    return next(iter(possible), None), ()


def _size(values: Mapping[str, str], key: str) -> tuple[int, int] | None:
    match = re.match(r"(\d{1,7})\s+(\d{1,7})", values.get(key, ""))
    size = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    return size if all(size) else None


def _pixel(values: Mapping[str, str]) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Width and height of a pixel in nm, and a doubt; None where field and scale bar contradict each other."""
    marker, bar = values.get("SM_MICRON_MARKER"), values.get("SM_MICRON_BAR")
    marker_nm, bar_px = length_nm(marker), positive(bar)
    by_bar = marker_nm / bar_px if marker_nm and bar_px else None
    by_field = _by_field(values)
    if by_field and by_bar and bar_px:
        # The bar is a whole number of pixels, so a short one is a coarse ruler.
        if any(abs(side - by_bar) > (CLOSE_WITHIN + 1 / bar_px) * by_bar for side in by_field):
            doubt = f"the field of view says {by_field[0]:.6g} nm, the scale bar {by_bar:.6g} nm: pixel size unknown"
            return None, (f"pixel_size_conflict: {doubt}",)
        return by_field, ()
    if by_field or by_bar:
        return by_field or ((by_bar, by_bar) if by_bar else None), ()
    return None, (f"scale_bar_unreadable: {marker!r} over {bar!r} pixels",) if marker else ()


def _by_field(values: Mapping[str, str]) -> tuple[float, float] | None:
    size = _size(values, "CM_IMAGE_SIZE")
    lengths = [length_nm(part) for part in re.findall(r"[\d.,]+\s*[^\s\d]+", values.get("CM_FIELD_OF_VIEW", ""))]
    if size is None or len(lengths) != 2 or lengths[0] is None or lengths[1] is None:
        return None
    return lengths[0] / size[0], lengths[1] / size[1]
