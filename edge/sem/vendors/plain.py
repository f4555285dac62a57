"""Any other image in; a pixel size out only where the file names a unit: ImageJ's or OME's metadata, or a PNG's sCAL.

TIFF resolution tags, PNG pHYs and JPEG density are the print or screen resolution of whatever exported the file: they
are never taken for a pixel size.
"""

from __future__ import annotations

import re
from typing import Final

from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import NM, positive, text

DESCRIPTION: Final = 270
DECIMAL: Final = r"\+?\d{0,30}\.?\d{0,30}(?:[eE][-+]?\d{1,3})?"
X_RESOLUTION, Y_RESOLUTION = 282, 283


def recognises(evidence: Evidence) -> bool:
    """Always true: the last row of the table."""
    return True


def read(evidence: Evidence) -> Metadata:
    """Pixel size from ImageJ or OME metadata or a PNG's sCAL, else nothing."""
    description = text(evidence.tags.get(DESCRIPTION, b""))
    if description.startswith("ImageJ="):
        return Metadata(pixel_nm=_imagej(description, evidence))
    if "<OME" in description:
        return Metadata(pixel_nm=_ome(description))
    return Metadata(pixel_nm=_scal(evidence))


def _scal(evidence: Evidence) -> tuple[float, float] | None:
    """The chunk sCAL of the PNG extensions: a byte, 1 for metres; width and height of a pixel as texts, a zero between."""
    for content in evidence.chunk("sCAL"):
        across, _, down = (part.decode("latin-1") for part in content[1:].partition(b"\0"))
        if content[:1] == b"\1" and re.fullmatch(DECIMAL, across) and re.fullmatch(DECIMAL, down):
            wide, high = positive(across), positive(down)
            return (wide * NM["m"], high * NM["m"]) if wide and high else None
    return None


def _imagej(description: str, evidence: Evidence) -> tuple[float, float] | None:
    match = re.search(r"^unit=(\S+)", description, re.MULTILINE)
    unit = match.group(1).replace("\\u00B5", "µ").replace("\\u00b5", "µ").lower() if match else ""
    across, down = (evidence.numbers.get(tag, (0.0,))[0] for tag in (X_RESOLUTION, Y_RESOLUTION))
    if unit not in NM or across <= 0 or re.search(r"^yunit=", description, re.MULTILINE):
        return None
    return NM[unit] / across, NM[unit] / (down if down > 0 else across)


def _ome(description: str) -> tuple[float, float] | None:
    def attribute(name: str) -> str | None:
        match = re.search(rf'\b{name}="([^"]*)"', description)
        return match.group(1) if match else None

    sizes = []
    for axis in "XY":
        size = positive(attribute(f"PhysicalSize{axis}"))
        unit = (attribute(f"PhysicalSize{axis}Unit") or "µm").lower()
        if size is None or unit not in NM:
            return None
        sizes.append(size * NM[unit])
    return sizes[0], sizes[1]
