"""The .txt file that Hitachi microscopes write beside the image in, `Metadata` out.

One section, [SemImageFile], of Key=Value lines; UTF-16, cp932 or Latin text, keys perhaps in full-width characters.
PixelSize is in nanometres. DataSize is the stored image, data bar included. ImageName is often not the file's name.
"""

from __future__ import annotations

import re

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, ini, kilovolts, length_nm, local_moment, normalize, positive, stem, text, words

VENDOR = "Hitachi"


def sidecar_names(name: str) -> tuple[str, ...]:
    """ "a.tif" → "a.txt"."""
    return (f"{stem(name)}.txt",)


def _sidecar(evidence: Evidence) -> str:
    return text(evidence.sidecars.get(sidecar_names(evidence.name.lower())[0], b""))


def recognises(evidence: Evidence) -> bool:
    """True when the .txt file has Hitachi's section or its keys."""
    string = normalize(_sidecar(evidence))
    return "[semimagefile]" in string.lower() or ("InstructName=" in string and "PixelSize=" in string)


def read(evidence: Evidence) -> Metadata:
    """Metadata of the .txt file."""
    values = {key: value for section in ini(_sidecar(evidence)).values() for key, value in section.items()}
    pixel_nm = length_nm(values.get("PixelSize"), unit="nm")
    size = re.match(r"(\d{1,7})\s*[xX*]\s*(\d{1,7})", values.get("DataSize", ""))
    distance_nm = length_nm(values.get("WorkingDistance"), unit="um")
    taken, warnings = local_moment(values.get("Date", ""), values.get("Time", ""))
    tilt_deg = angle_deg(values.get("StagePositionT"), "deg")
    if values.get("StagePositionT") and (tilt_deg is None or abs(tilt_deg) > 90):
        tilt_deg = None
        warnings += (f"tilt_unsure: StagePositionT is {values['StagePositionT']}: the tilt is unknown",)
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(values.get("InstructName")) or words(values.get("InstrumentName")),
            captured_at=taken,
            acceleration_kv=kilovolts(values.get("AcceleratingVoltage")) or None,
            magnification=positive(values.get("Magnification")),
            detector=words(values.get("SignalName")),
            working_distance_mm=distance_nm / 1e6 if distance_nm else None,
            tilt_deg=tilt_deg,
        ),
        pixel_nm=(pixel_nm, pixel_nm) if pixel_nm else None,
        source="sidecar",
        image_width=int(size.group(1)) or None if size else None,
        image_height=int(size.group(2)) or None if size else None,
        warnings=warnings,
    )
