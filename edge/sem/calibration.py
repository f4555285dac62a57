"""A micrograph whose scale is the microscope's in, the same with the scale that a calibration found out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Final

from edge.records import Micrograph

VALID_DAYS: Final = 366
"""A year after a calibration its age becomes a warning."""


def calibrated(micrograph: Micrograph, *, factor: float, uncertainty: float | None, checked: date | None) -> Micrograph:
    """The micrograph with the true pixel size, and how uncertain a length is.

    factor: true length over the length that the microscope writes. So it multiplies a scale from metadata or a sidecar, and
    never one that a person configured.
    uncertainty: relative, of a length.  checked: the day of the calibration; a year later it becomes the warning `scale_old`.
    """
    size = micrograph.pixel_size_nm
    if size is None:
        return micrograph
    warnings = micrograph.warnings
    if micrograph.pixel_size_source != "config":
        size *= factor
        taken = micrograph.acquisition.captured_at or datetime.now(timezone.utc)
        if checked and (taken.date() - checked).days > VALID_DAYS:
            warnings += (f"scale_old: the magnification was checked on {checked}, over a year before this image",)
    return replace(micrograph, pixel_size_nm=size, scale_uncertainty=uncertainty, warnings=warnings)
