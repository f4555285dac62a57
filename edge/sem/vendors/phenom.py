"""XML of Thermo Fisher Phenom desktop microscopes, in TIFF tag 34683 or inside or behind a JPEG, in; `Metadata` out.

Units stand in an attribute of each element, <pixelWidth unit="nm">. databarHeight is the bar, inside the stored image.
The XML does not say how large the image was, so a copy of another size is not revealed by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import length_nm, number, text, whole, words, xml_attribute, xml_text
from edge.sem.structure import TRAILER

TAG: Final = 34683
VENDOR: Final = "Thermo Fisher (Phenom)"
ROOT: Final = b"<FeiImage"
CHUNKS: Final = (TRAILER, "COM", *(f"APP{number}" for number in range(16)))
VOLTS: Final = {"V": 1e-3, "kV": 1.0}


def recognises(evidence: Evidence) -> bool:
    """True when the XML has Phenom's root element; Thermo Fisher's other microscopes write another one there."""
    return bool(_xml(evidence))


def read(evidence: Evidence) -> Metadata:
    """Metadata of the XML; a number without a unit is none."""
    xml = _xml(evidence)
    across, down, distance_nm = (_length(xml, name) for name in ("pixelWidth", "pixelHeight", "workingDistance"))
    volts, volt = number(xml_text(xml, "highVoltage")), VOLTS.get(xml_attribute(xml, "unit", "highVoltage") or "")
    warnings = () if across else ("pixel_size_unreadable: pixelWidth has no length with a unit: pixel size unknown",)
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(xml_text(xml, "instrument", "edition")),
            acceleration_kv=abs(volts) * volt if volts and volt else None,
            detector=words(xml_text(xml, "acquisition", "scan", "detector")),
            working_distance_mm=distance_nm / 1e6 if distance_nm else None,
        ),
        pixel_nm=(across, down or across) if across else None,
        bar_rows=whole(xml_text(xml, "databarHeight")),
        warnings=warnings,
    )


def _length(xml: str, name: str) -> float | None:
    return length_nm(xml_text(xml, name), xml_attribute(xml, "unit", name))


def _xml(evidence: Evidence) -> str:
    """The root element to its end, which may be cut off; "" when it is nowhere."""
    for raw in _places(evidence):
        string = text(raw)
        start = string.find(ROOT.decode())
        if start >= 0 and string[start + len(ROOT) :][:1] in tuple(" \t\r\n>"):
            end = string.find("</FeiImage>", start)
            return string[start:end] if end >= 0 else string[start:]
    return ""


def _places(evidence: Evidence) -> Iterator[bytes]:
    if TAG in evidence.tags:
        yield evidence.tags[TAG]
    for chunk in CHUNKS:
        for raw in evidence.chunk(chunk):
            if (start := raw.find(ROOT)) >= 0:  # pixels of a preview or other bytes may stand before it
                yield raw[start:]
