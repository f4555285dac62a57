"""Thermo Fisher (FEI) TIFF tags in, `Metadata` out: INI text in tag 34682 or 34680, newer files also XML in 34683.

Lengths are in metres, voltages in volts, angles in radians. [Image] ResolutionX and ResolutionY are the scanned image; a
data bar is added below it, whatever DatabarHeight says (0 is written over real bars).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import angle_deg, ini, is_corrected, local_moment, moment, positive, text, whole, words, xml_text

INI_TAGS: Final = (34682, 34680)
XML_TAG: Final = 34683
VENDOR: Final = "Thermo Fisher (FEI)"
DAY_S: Final = 86400
ION_COLUMN_DEG: Final = 52.0
"""Between the electron and the ion column of all microscopes of this house that have both."""

Sections = Mapping[str, Mapping[str, str]]


def recognises(evidence: Evidence) -> bool:
    """True when one of the tags is there.

    Whatever the dialect of the XML in 34683: a family that writes another one there stands before this one.
    """
    return any(tag in evidence.tags for tag in (*INI_TAGS, XML_TAG))


def read(evidence: Evidence) -> Metadata:
    """Metadata of the tags; the INI text wins over the XML, which has more digits but is rarer."""
    sections = next((ini(text(evidence.tags[tag])) for tag in INI_TAGS if tag in evidence.tags), {})
    xml = text(evidence.tags.get(XML_TAG, b""))
    beam = sections.get("Beam", {})
    column = sections.get(beam.get("Beam", "EBeam"), {})
    scan = {**sections.get(beam.get("Scan", "EScan"), {}), **{k: v for k, v in sections.get("Scan", {}).items() if v}}
    image = sections.get("Image", {})
    width = whole(image.get("ResolutionX")) or whole(xml_text(xml, "ImageSize", "X"))
    height = whole(image.get("ResolutionY")) or whole(xml_text(xml, "ImageSize", "Y"))
    field_m = positive(scan.get("HorFieldsize")) or positive(column.get("HFW"))
    volts = positive(beam.get("HV")) or positive(column.get("HV")) or positive(xml_text(xml, "AccelerationVoltage"))
    canvas_m = positive(image.get("MagCanvasRealWidth"))
    distance_m = positive(column.get("WD")) or positive(xml_text(xml, "WorkingDistance"))
    taken, warnings = _taken(sections, xml)
    tilt_deg, tilt_corrected = _tilt(sections, column, xml)
    pixel_m = _pixel_m(scan, column, xml, width, height)
    # Philips' XL series, of the same house, has [DatabarData] and no [Scan]: no pixel, but nothing is damaged.
    if not sections.get("Scan") and not sections.get("DatabarData") and not xml:
        warnings = (*warnings, "metadata_damaged: the microscope's text has no [Scan] section")
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(sections.get("System", {}).get("SystemType")) or words(xml_text(xml, "InstrumentClass")),
            captured_at=taken,
            acceleration_kv=volts / 1000 if volts else None,
            # The magnification in the data bar is that of a print as wide as the "canvas".
            magnification=float(f"{canvas_m / field_m:.5g}") if canvas_m and field_m else None,
            detector=words(sections.get("Detectors", {}).get("Name")) or words(xml_text(xml, "DetectorName")),
            working_distance_mm=distance_m * 1000 if distance_m else None,
            tilt_deg=tilt_deg,
            tilt_corrected=tilt_corrected,
        ),
        pixel_nm=(pixel_m[0] * 1e9, pixel_m[1] * 1e9) if pixel_m else None,
        image_width=width,
        image_height=height,
        bar_rows=whole(sections.get("PrivateFei", {}).get("DatabarHeight")) if not height else None,
        warnings=warnings,
    )


def _pixel_m(
    scan: Mapping[str, str], column: Mapping[str, str], xml: str, width: int | None, height: int | None
) -> tuple[float, float] | None:
    across, down = positive(scan.get("PixelWidth")), positive(scan.get("PixelHeight"))
    if across is None:
        across, down = positive(xml_text(xml, "PixelSize", "X")), positive(xml_text(xml, "PixelSize", "Y"))
    if across is None and width:
        field = positive(scan.get("HorFieldsize")) or positive(column.get("HFW"))
        vertical = positive(scan.get("VerFieldsize")) or positive(column.get("VFW"))
        across = field / width if field else None
        down = vertical / height if vertical and height else None
    return (across, down or across) if across else None


def _tilt(sections: Sections, column: Mapping[str, str], xml: str) -> tuple[float | None, bool | None]:
    """Degrees between the beam that scanned and the specimen's normal, and whether the scan was stretched for it.

    A holder that is tilted in itself adds to the stage. The correction has an angle of its own: that of a cross-section's
    face, for instance, is none of the surface.
    """
    stage = sections.get("Stage", {})
    alpha = _angle(
        stage.get("StageT"), stage.get("StageTa"), column.get("StageTa"), xml_text(xml, "StagePosition", "Tilt", "Alpha")
    )
    beta = _angle(stage.get("StageTb"), column.get("StageTb"), xml_text(xml, "StagePosition", "Tilt", "Beta")) or 0.0
    holder = _angle(column.get("PreTilt"), stage.get("SpecTilt")) or 0.0
    on = words(column.get("TiltCorrectionIsOn")) or words(xml_text(xml, "SampleTiltCorrectionOn"))
    correction = None if on is None else on.lower() in ("yes", "on", "true", "1")
    if alpha is None:
        return None, correction
    alpha += holder
    ion = sections.get("Beam", {}).get("Beam", "").startswith("IBeam") or xml_text(xml, "BeamType") == "Ion"
    if ion:
        alpha = ION_COLUMN_DEG - alpha
    tilt = math.degrees(math.acos(math.cos(math.radians(alpha)) * math.cos(math.radians(beta)))) if beta else alpha
    return tilt, is_corrected(tilt, correction, _angle(column.get("TiltCorrectionAngle")))


def _angle(*radians: str | None) -> float | None:
    """Degrees of the first that is an angle."""
    return next((angle for text in radians if (angle := angle_deg(text, "rad")) is not None), None)


def _taken(sections: Sections, xml: str) -> tuple[datetime | None, tuple[str, ...]]:
    """When the image was taken, and doubts: [User] Date follows the locale of the microscope's Windows, the others do not."""
    sure = moment((xml_text(xml, "AcquisitionDatetime") or "")[:19], ("%Y-%m-%dT%H:%M:%S",)) or moment(
        sections.get("PrivateFei", {}).get("TimeOfCreation"), ("%d.%m.%Y %H:%M:%S",)
    )
    user = sections.get("User", {})
    date = user.get("Date", "")
    local, doubts = local_moment(date, user.get("Time", ""))
    if sure is None:
        return local, doubts
    if local and abs((local - sure).total_seconds()) > DAY_S:
        return sure, (f"date_conflict: the file says {sure.date()} and {date}: the former is used",)
    return sure, ()
