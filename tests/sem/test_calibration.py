"""The scale that a calibration of the magnification found out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pytest

from edge.records import Acquisition, Micrograph, PixelSizeSource
from edge.sem.calibration import calibrated


def micrograph(source: PixelSizeSource | None = "metadata", taken: datetime | None = None) -> Micrograph:
    grey = np.zeros((4, 6), np.uint8)
    size = None if source is None else 100.0
    return Micrograph(grey, 6, 4, pixel_size_nm=size, pixel_size_source=source, acquisition=Acquisition(captured_at=taken))


@pytest.mark.parametrize("source", ["metadata", "sidecar"])
def test_the_factor_multiplies_the_length_that_the_microscope_writes(source: PixelSizeSource) -> None:
    found = calibrated(micrograph(source), factor=1.03, uncertainty=0.01, checked=None)
    assert found.pixel_size_nm == pytest.approx(103)
    assert found.scale_uncertainty == 0.01
    assert found.pixel_size_source == source


def test_a_scale_that_a_person_configured_is_not_corrected() -> None:
    found = calibrated(micrograph("config"), factor=1.03, uncertainty=0.01, checked=date(2000, 1, 1))
    assert (found.pixel_size_nm, found.scale_uncertainty, found.warnings) == (100.0, 0.01, ())


def test_without_a_scale_there_is_nothing_to_be_uncertain_of() -> None:
    found = calibrated(micrograph(None), factor=1.03, uncertainty=0.01, checked=date(2000, 1, 1))
    assert (found.pixel_size_nm, found.scale_uncertainty, found.warnings) == (None, None, ())


def test_without_a_calibration_nothing_changes() -> None:
    found = calibrated(micrograph(), factor=1.0, uncertainty=None, checked=None)
    assert (found.pixel_size_nm, found.scale_uncertainty, found.warnings) == (100.0, None, ())


@pytest.mark.parametrize(("year", "warned"), [(2025, True), (2024, False), (2023, False)])
def test_a_calibration_over_a_year_before_the_image_is_a_doubt(year: int, warned: bool) -> None:
    image = micrograph(taken=datetime(year, 7, 1))  # noqa: DTZ001 - as a microscope writes it
    found = calibrated(image, factor=1.0, uncertainty=None, checked=date(2024, 1, 1))
    assert [warning.partition(":")[0] for warning in found.warnings] == ["scale_old"] * warned


def test_without_a_date_in_the_image_today_counts() -> None:
    assert calibrated(micrograph(), factor=1.0, uncertainty=None, checked=date(2001, 1, 1)).warnings


def test_what_was_calibrated_stays_as_it_was() -> None:
    image = replace(micrograph(), warnings=("one: doubt",))
    calibrated(image, factor=2.0, uncertainty=None, checked=date(2001, 1, 1))
    assert (image.pixel_size_nm, image.warnings) == (100.0, ("one: doubt",))
