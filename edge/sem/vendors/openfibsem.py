"""The JSON that OpenFIBSEM writes into the ImageDescription of a TIFF in, `Metadata` out.

Lengths are in metres, voltages in volts, the stage's angles in radians, those of columns and holders in degrees. Older files
have the settings of the image at the top, newer ones under "image".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from edge.records import Acquisition
from edge.sem.evidence import Evidence
from edge.sem.metadata import Metadata
from edge.sem.parse import text, words

DESCRIPTION: Final = 270
VENDOR: Final = "OpenFIBSEM"
ELECTRON, ION = "ELECTRON", "ION"


def recognises(evidence: Evidence) -> bool:
    """True when the description is an object that has a pixel size and the state of a microscope."""
    string = text(evidence.tags.get(DESCRIPTION, b"")).lstrip()
    return string.startswith("{") and '"pixel_size"' in string and ('"microscope_state"' in string or '"beam_type"' in string)


def read(evidence: Evidence) -> Metadata:
    """Metadata of the JSON; one that is damaged raises, and counts as such."""
    document = json.loads(text(evidence.tags[DESCRIPTION]))
    beam_type = str(_at(document, "image", "beam_type") or _at(document, "beam_type") or "").upper()
    column = {ELECTRON: "electron", ION: "ion"}.get(beam_type, "electron")
    beam, detector = (_at(document, "microscope_state", f"{column}_{part}") for part in ("beam", "detector"))
    across, down = (_positive(_at(document, "pixel_size", axis)) for axis in "xy")
    volts, distance_m = _positive(_at(beam, "voltage")), _positive(_at(beam, "working_distance"))
    width, height = _size(_at(document, "image", "resolution") or _at(document, "resolution"))
    tilt_deg, warnings = _tilt(document, beam_type)
    if not (across and down):
        warnings += ("pixel_size_unreadable: pixel_size has no x and y above zero: pixel size unknown",)
    return Metadata(
        acquisition=Acquisition(
            vendor=VENDOR,
            model=words(_string(_at(document, "system", "info", "model"))),
            acceleration_kv=volts / 1000 if volts else None,
            detector=words(_string(_at(detector, "type"))),
            working_distance_mm=distance_m * 1000 if distance_m else None,
            tilt_deg=tilt_deg,
        ),
        pixel_nm=(across * 1e9, down * 1e9) if across and down else None,
        image_width=width,
        image_height=height,
        warnings=warnings,
    )


def _tilt(document: object, beam_type: str) -> tuple[float | None, tuple[str, ...]]:
    """Degrees between beam and specimen, where neither the holder nor an unknown column stands between them."""
    stage = _number(_at(document, "microscope_state", "stage_position", "t"))
    holder = _number(_at(document, "system", "stage", "shuttle_pre_tilt"))
    columns = [_number(_at(document, "system", name, "column_tilt")) for name in ("electron", "ion")]
    if stage is None or abs(stage) > math.pi:
        return None, ()
    column = (columns[0] or 0.0) if beam_type == ELECTRON else columns[1] if beam_type == ION else None
    if holder or column is None:
        return None, ("tilt_unsure: how the holder and the column are tilted decides, and is not sure: the tilt is unknown",)
    return math.degrees(stage) - column, ()


def _at(document: object, *path: str) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def _number(value: object) -> float | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]


def _positive(value: object) -> float | None:
    found = _number(value)
    return found if found is not None and found > 0 else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _size(value: object) -> tuple[int | None, int | None]:
    sides = [_positive(side) for side in value] if isinstance(value, list) and len(value) == 2 else []
    return (int(sides[0]), int(sides[1])) if len(sides) == 2 and sides[0] and sides[1] else (None, None)
