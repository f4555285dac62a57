"""Zeiss SmartSEM's TIFF tag 34118 (text, cp1252) in, `Metadata` out.

The text begins with nameless numbers, one a line; then each key (AP_MAG) is followed by a line "Mag =  10.00 K X".
"""

from __future__ import annotations

import re
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, is_corrected, kilovolts, length_nm, moment, normalize, positive, words

TAG: Final = 34118
VENDOR: Final = "Zeiss"
HEAD_PIXEL: Final = 3
"""Index of the nameless number that is a pixel in metres."""
DISPLAY_WIDTH: Final = 1024
"""Width in pixels of the display that *Pixel Size* and the nameless number speak of."""

_KILO = {"k": 1e3, "m": 1e6}


def recognises(evidence: Evidence) -> bool:
    """True when the tag is there."""
    return TAG in evidence.tags


def read(evidence: Evidence) -> Metadata:
    """Metadata of the tag.

    The pixel is *Image Pixel Size*. Where older software leaves that out, *Pixel Size* is that of another store
    resolution in some files; the field's width and the nameless number are not.
    """
    head, values = _parse(evidence.tags[TAG].decode("cp1252", "replace"))
    warnings: list[str] = []
    pixel_nm = length_nm(values.get("AP_IMAGE_PIXEL_SIZE")) or length_nm(values.get("IMAGE PIXEL SIZE"))
    if pixel_nm is None:
        pixel_nm, warning = _without_image_pixel_size(head, values, _stored_width(values) or evidence.width)
        warnings += [warning] if warning else []
    kv = kilovolts(values.get("AP_ACTUALKV") or values.get("AP_MANUALKV") or values.get("EHT"))
    stamp = f"{values.get('AP_DATE', '')} {values.get('AP_TIME', '')}"
    distance_nm = length_nm(values.get("AP_WD"))
    tilt_deg = angle_deg(values.get("AP_STAGE_AT_T"), "deg")
    switch = next((value for key, value in values.items() if "TILT_CORR" in key), None)
    correction = None if switch is None else switch.lower() in ("on", "yes")
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=_model(values.get("SV_SERIAL_NUMBER")) or words(values.get("DP_SEM")),
            captured_at=moment(stamp, ("%d %b %Y %H:%M:%S", "%d %b %Y %H:%M")),
            acceleration_kv=kv,
            magnification=_magnification(values.get("AP_MAG")),
            detector=words(values.get("DP_DETECTOR_CHANNEL")) or words(values.get("DP_DETECTOR_TYPE")),
            working_distance_mm=distance_nm / 1e6 if distance_nm else None,
            tilt_deg=tilt_deg,
            tilt_corrected=is_corrected(tilt_deg, correction, angle_deg(values.get("AP_TILT_ANGLE"), "deg")),
        ),
        pixel_nm=(pixel_nm, pixel_nm) if pixel_nm else None,
        image_width=_stored_width(values),
        warnings=tuple(warnings),
    )


def _parse(text: str) -> tuple[list[float], dict[str, str]]:
    """The nameless numbers, and values by key (AP_…, DP_…, SV_…) as "value unit"."""
    head: list[float] = []
    values: dict[str, str] = {}
    key = ""
    for raw in text.splitlines():
        line = normalize(raw)
        if re.fullmatch(r"[A-Z]{2}_[A-Z0-9_]+", line):
            key = line
        elif key and line:
            # "Date :25 Nov 2020" and "Time :10:12:13" have a colon, all others an equals sign.
            _, _, value = line.partition("=" if "=" in line else ":")
            values.setdefault(key, normalize(value))
            key = ""
        elif not values and line and (value_ := _float(line)) is not None:
            head.append(value_)
    return head, values


def _float(line: str) -> float | None:
    try:
        return float(line)
    except ValueError:
        return None


def _without_image_pixel_size(head: list[float], values: dict[str, str], width: int) -> tuple[float | None, str | None]:
    """Pixel in nm of a file without *Image Pixel Size*, and a doubt.

    RosettaSciIO's files have the nameless number, like *Pixel Size*, for a display 1024 wide; Gwyddion's have it for
    the stored pixels. Which it is shows by comparing the two; at 1024 stored pixels there is nothing to tell apart.
    """
    pixel_size = length_nm(values.get("AP_PIXEL_SIZE"))
    field = length_nm(values.get("AP_WIDTH"))
    first = head[HEAD_PIXEL] * 1e9 if len(head) > HEAD_PIXEL and head[HEAD_PIXEL] > 0 else None
    if field:
        return field / width, None
    if width == DISPLAY_WIDTH:
        if first and pixel_size and not _close(first, pixel_size):
            doubt = f"Pixel Size is {pixel_size:.6g} nm, the head of the tag {first:.6g} nm, which is used"
            return first, f"pixel_size_conflict: {doubt}"
        return first or pixel_size, None
    if first and pixel_size and _close(first, pixel_size):
        return first * DISPLAY_WIDTH / width, None
    if first and pixel_size and _close(first, pixel_size * DISPLAY_WIDTH / width):
        return first, None
    if first or pixel_size:
        return None, "pixel_size_unsure: Pixel Size may belong to another store resolution: pixel size unknown"
    return None, None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 0.02 * max(one, other)


def _stored_width(values: dict[str, str]) -> int | None:
    match = re.match(r"(\d+)\s*\*\s*(\d+)", values.get("DP_IMAGE_STORE", ""))
    return int(match.group(1)) if match else None


def _magnification(string: str | None) -> float | None:
    value = positive(string)
    if value is None:
        return None
    kilo = re.search(r"\d\s*([KM])\s*X?", string or "", re.IGNORECASE)
    return value * (_KILO[kilo.group(1).lower()] if kilo else 1)


def _model(serial: str | None) -> str | None:
    """ "ULTRA 55-36-06" is a model and a serial number joined by a hyphen."""
    return normalize(serial).split("-")[0].strip() or None if serial else None
