"""XML of <MementoItem> elements that Thermo Fisher Helios 5 writes into TIFF tag 34682 in place of INI text in; `Metadata` out.

Each item has a name, a unit such as MementoItemUnitMeter, and a value or a section of further items. The pixel is the
section PixelSize. How large the image was is not read: which item says so is not documented.
"""

from __future__ import annotations

import re
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, positive, text, words
from edge.sem.vendors.thermofisher import INI_TAGS, VENDOR

METRE: Final = "MementoItemUnitMeter"
ANGLES: Final = {"MementoItemUnitRadian": "rad", "MementoItemUnitDegree": "deg"}
SAME_WITHIN: Final = 0.01
MAX_SECTION: Final = 1 << 16
"""Characters of a section that are looked at; a leaf has some hundreds."""
MAX_ATTRIBUTES: Final = 1000
"""Characters of an element's attributes; without a limit, many openings without an end take the square of their number."""


def recognises(evidence: Evidence) -> bool:
    """True when the tag of the INI text holds this XML."""
    return "<MementoItem" in _xml(evidence)


def read(evidence: Evidence) -> Metadata:
    """Metadata of the XML; several pixel sizes that differ are none."""
    xml = _xml(evidence)
    pixels = [
        (across * 1e9, down * 1e9)
        for section in _sections(xml, "PixelSize")
        if (across := positive(_value(section, "Width", METRE))) and (down := positive(_value(section, "Height", METRE)))
    ]
    agree = all(_close(one, other) for pixel in pixels for one, other in zip(pixel, pixels[0], strict=True))
    warnings: tuple[str, ...] = ()
    if not pixels:
        warnings = ("pixel_size_unreadable: PixelSize has no width and height in metres: pixel size unknown",)
    elif not agree:
        warnings = (f"pixel_size_conflict: {len(pixels)} pixel sizes differ: pixel size unknown",)
    models = (words(_value(section, "Type")) for section in _sections(xml, "System"))
    return Metadata(
        acquisition=Acquisition(vendor=VENDOR, model=next(models, None), tilt_deg=_tilt(xml)),
        pixel_nm=pixels[0] if pixels and agree else None,
        warnings=warnings,
    )


def _tilt(xml: str) -> float | None:
    """Tilt of the stage in degrees, of whichever name, where its unit is an angle's; several that differ are none."""
    found = {
        round(angle, 2)
        for section in _sections(xml, "Stage")
        for name in ("Tilt", "TiltAlpha", "Alpha", "T")
        for unit, short in ANGLES.items()
        if (angle := angle_deg(_value(section, name, unit), short)) is not None
    }
    return found.pop() if len(found) == 1 else None


def _sections(xml: str, name: str) -> list[str]:
    """What follows each item of this name, up to the end of the first section that closes."""
    found = re.finditer(rf"<Name>\s{{0,9}}{name}\s{{0,9}}</Name>", xml)
    return [
        xml[match.end() : match.end() + MAX_SECTION].partition("</MementoItemSection>")[0]
        for match, _ in zip(found, range(16), strict=False)
    ]


def _value(section: str, name: str, unit: str | None = None) -> str | None:
    blank, some = r"\s{0,200}", f"{{0,{MAX_ATTRIBUTES}}}"
    match = re.search(
        rf"<Name>{blank}{name}{blank}</Name>{blank}<MementoItemUnit>{blank}(\w{some}){blank}</MementoItemUnit>{blank}"
        rf"<anyType(?:\s[^<>]{some})?>([^<]{some})</anyType>",
        section,
    )
    return match.group(2) if match and unit in (None, match.group(1)) else None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= SAME_WITHIN * max(one, other)


def _xml(evidence: Evidence) -> str:
    return next((text(evidence.tags[tag]) for tag in INI_TAGS if tag in evidence.tags), "")
