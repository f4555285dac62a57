"""The private tags of a TIFF that Gatan's DigitalMicrograph exports in, `Metadata` out.

65003 and 65004 are the units across and down, as text; 65009 and 65010 the lengths of a pixel in them. The tags of the third
axis and of the intensities are not looked at. How large the image was does not stand there.
"""

from __future__ import annotations

from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import NM, normalize, text

UNITS: Final = (65003, 65004)
LENGTHS: Final = (65009, 65010)
VENDOR: Final = "Gatan"


def recognises(evidence: Evidence) -> bool:
    """True when both a unit and a length are there; other software uses single tags of these numbers."""
    return UNITS[0] in evidence.tags and LENGTHS[0] in evidence.numbers


def read(evidence: Evidence) -> Metadata:
    """Metadata of the tags; a pixel in counts or in reciprocal lengths, as of a diffraction pattern, is none."""
    across, down = (_side(evidence, *tags) for tags in zip(LENGTHS, UNITS, strict=True))
    if LENGTHS[1] not in evidence.numbers and UNITS[1] not in evidence.tags:
        down = across
    units = [normalize(text(evidence.tags.get(tag, b""))) for tag in UNITS]
    doubt = f"pixel_size_unreadable: DigitalMicrograph's units are {units[0]!r} and {units[1]!r}: pixel size unknown"
    return Metadata(
        acquisition=Acquisition(vendor=VENDOR),
        pixel_nm=(across, down) if across and down else None,
        warnings=() if across and down else (doubt,),
    )


def _side(evidence: Evidence, length: int, unit: int) -> float | None:
    """In nm; None without a length above zero, or without a unit of length."""
    value = evidence.numbers.get(length, (0.0,))[0]
    nm = NM.get(normalize(text(evidence.tags.get(unit, b""))).lower())
    return value * nm if nm and value > 0 else None
