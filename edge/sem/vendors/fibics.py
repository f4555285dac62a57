"""XML of Fibics Atlas, which scans for Zeiss and other microscopes, in TIFF tag 51023 in; `Metadata` out.

<Ux>, <Uy> is the step in µm from one pixel to the next in a row, <Vx>, <Vy> that from one row to the next, turned as the
scan is. FOV_X and FOV_Y are the field, in the unit of their attribute; <Image> has the size in pixels.
"""

from __future__ import annotations

import math
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, length_nm, number, text, whole, words, xml_attribute, xml_text

TAG: Final = 51023
VENDOR: Final = "Fibics"
SAME_WITHIN: Final = 0.01
UM: Final = 1e3

Pixel = tuple[float, float]


def recognises(evidence: Evidence) -> bool:
    """True when the tag's XML has this maker's root element."""
    return "<Fibics" in _xml(evidence)


def read(evidence: Evidence) -> Metadata:
    """Metadata of the XML; where the steps and the field contradict each other, the pixel is unknown."""
    xml = _xml(evidence)
    width, height = (whole(xml_text(xml, "Image", name)) for name in ("Width", "Height"))
    steps, field = _by_steps(xml), _by_field(xml, width, height)
    pixel_nm = steps or field
    tilt_deg = next((angle for name in ("Tilt", "T") if (angle := _stage_angle(xml, name)) is not None), None)
    warnings: tuple[str, ...] = ()
    if steps and field and not all(_close(one, other) for one, other in zip(steps, field, strict=True)):
        doubt = f"the steps say {steps[0]:.6g} x {steps[1]:.6g} nm, the field of view {field[0]:.6g} x {field[1]:.6g} nm"
        pixel_nm, warnings = None, (f"pixel_size_conflict: {doubt}: pixel size unknown",)
    elif pixel_nm is None:
        warnings = ("pixel_size_unreadable: neither steps nor a field of view with a unit: pixel size unknown",)
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(xml_text(xml, "Image", "Machine")),
            detector=words(xml_text(xml, "Image", "Detector")) or words(xml_text(xml, "Detector")),
            tilt_deg=tilt_deg,
        ),
        pixel_nm=pixel_nm,
        image_width=width,
        image_height=height,
        warnings=warnings,
    )


def _by_steps(xml: str) -> Pixel | None:
    """Lengths of the two steps; None when one is missing or zero, or when they are not at right angles."""
    parts = [number(xml_text(xml, "Scan", name)) for name in ("Ux", "Uy", "Vx", "Vy")]
    ux, uy, vx, vy = (part if part is not None else math.nan for part in parts)
    across, down = math.hypot(ux, uy), math.hypot(vx, vy)
    upright = across > 0 and down > 0 and abs(ux * vx + uy * vy) <= SAME_WITHIN * across * down
    return (across * UM, down * UM) if upright else None


def _by_field(xml: str, width: int | None, height: int | None) -> Pixel | None:
    wide, high = (
        length_nm(xml_text(xml, "Scan", name), xml_attribute(xml, "units", "Scan", name)) for name in ("FOV_X", "FOV_Y")
    )
    return (wide / width, high / height) if wide and high and width and height else None


def _stage_angle(xml: str, name: str) -> float | None:
    return angle_deg(xml_text(xml, "Stage", name), xml_attribute(xml, "units", "Stage", name))


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_WITHIN * max(one, other)


def _xml(evidence: Evidence) -> str:
    return text(evidence.tags.get(TAG, b""))
