"""TESCAN's TIFF tag 50431 or the .hdr file beside the image in, `Metadata` out.

Both hold the same Key=Value lines, the file in [MAIN] and [SEM] sections, the tag in length-prefixed ones after a
JPEG 2000 preview. Lengths are in metres, voltages in volts, angles in degrees.
ImageStripSize rows at the bottom are the data bar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, ini, is_corrected, moment, positive, stem, text, whole, words

TAG: Final = 50431
VENDOR: Final = "TESCAN"
_LINE = re.compile(rb"([A-Z][A-Za-z0-9]{1,40})=([^\r\n\0]{0,400})(?=[\r\n])")


def sidecar_names(name: str) -> tuple[str, ...]:
    """ "a.tif" → "a-tif.hdr" (current software) and "a.hdr"."""
    return (f"{stem(name)}-{name.rpartition('.')[2]}.hdr", f"{stem(name)}.hdr")


def recognises(evidence: Evidence) -> bool:
    """True when the tag is there or an .hdr file with a pixel size or a TESCAN device is."""
    return TAG in evidence.tags or bool(_sidecar(evidence))


def read(evidence: Evidence) -> Metadata:
    """Metadata of tag and sidecar; the tag wins for what it has."""
    tag = {key.decode("ascii"): text(value) for key, value in reversed(_LINE.findall(_text_part(evidence.tags.get(TAG, b""))))}
    sidecar = _sidecar(evidence)
    values = {**sidecar, **{key: value for key, value in tag.items() if value}}
    across, down = positive(values.get("PixelSizeX")), positive(values.get("PixelSizeY"))
    volts = positive(values.get("HV")) or positive(values.get("AcceleratorVoltage"))
    distance_m = positive(values.get("WD"))
    tilt_deg, correction_deg = (angle_deg(values.get(key), "deg") for key in ("StageTilt", "TiltCorrection"))
    correction = None if correction_deg is None else correction_deg != 0
    from_tag = positive(tag.get("PixelSizeX")) is not None
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(values.get("Device")),
            captured_at=moment(f"{values.get('Date', '')} {values.get('Time', '')}", ("%Y-%m-%d %H:%M:%S",)),
            acceleration_kv=volts / 1000 if volts else None,
            magnification=positive(values.get("Magnification")),
            detector=words(values.get("Detector")) or words(values.get("Detector0")),
            working_distance_mm=distance_m * 1000 if distance_m else None,
            tilt_deg=tilt_deg,
            tilt_corrected=is_corrected(tilt_deg, correction, correction_deg),
        ),
        pixel_nm=(across * 1e9, (down or across) * 1e9) if across else None,
        source="metadata" if from_tag else "sidecar",
        bar_rows=whole(values.get("ImageStripSize")),
    )


def _text_part(raw: bytes) -> bytes:
    start = raw.find(b"AccFrames=")
    return raw[start:] if start >= 0 else raw


def _sidecar(evidence: Evidence) -> Mapping[str, str]:
    for name in sidecar_names(evidence.name.lower()):
        sections = ini(text(evidence.sidecars.get(name, b"")))
        main = sections.get("MAIN", {})
        if "PixelSizeX" in main or "TESCAN" in main.get("Device", ""):
            return {**sections.get("SEM", {}), **sections.get("FIB", {}), **main}
    return {}
