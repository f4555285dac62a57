"""The inspection on the wire: units, what is null when, and that nothing can make it anything but strict JSON."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from edge.records import Inspection
from edge.wire import schema
from tests.wire.examples import classified_only, encoded, example, inspections, segmented_only, summarised, uncalibrated


def test_measures_are_in_the_units_that_their_names_say() -> None:
    corrosion = encoded(example())["corrosion"]
    assert corrosion["area_um2"] == pytest.approx(205 * 0.25**2, rel=1e-5)
    assert corrosion["density_per_mm2"] == pytest.approx(2 / (50 * 25 / 1e6), rel=1e-5)
    assert corrosion["largest_um2"] == pytest.approx(196 * 0.25**2, rel=1e-5)
    assert corrosion["equivalent_diameter_um"]["max"] == pytest.approx(15.797 * 0.25, rel=1e-5)


def test_the_field_of_view_leaves_out_the_data_bar() -> None:
    image = encoded(example())["image"]
    assert image["field_um2"] == pytest.approx(50 * 25)
    assert (image["width_px"], image["height_px"], image["databar_px"]) == (200, 120, 20)
    assert image["smallest_region_um"] == pytest.approx(2.0)


def test_an_uncalibrated_image_gives_nulls_and_keeps_its_pixels() -> None:
    message = encoded(uncalibrated())
    assert {message["corrosion"][name] for name in ("area_um2", "density_per_mm2", "largest_um2")} == {None}
    assert message["corrosion"]["equivalent_diameter_um"] is None
    assert message["image"]["field_um2"] is message["image"]["smallest_region_um"] is None
    assert message["regions"][0]["area_um2"] is message["regions"][0]["equivalent_diameter_um"] is None
    assert message["regions"][0]["area_px"] == 196


def test_without_the_first_stage_there_is_no_corrosion_and_no_region() -> None:
    message = encoded(classified_only())
    assert message["corrosion"] is None
    assert message["regions"] == []
    assert summarised(classified_only())["region_count"] is None


def test_without_the_second_stage_there_is_no_severity() -> None:
    assert encoded(segmented_only())["severity"] is None
    assert summarised(segmented_only())["severity_index"] is None


def test_an_image_without_corrosion_says_so_in_numbers() -> None:
    clean = dataclasses.replace(classified_only(), models=example().models)
    corrosion = encoded(clean)["corrosion"]
    assert (corrosion["area_fraction"], corrosion["region_count"], corrosion["density_per_mm2"]) == (0, 0, 0)
    assert corrosion["largest_um2"] is corrosion["equivalent_diameter_um"] is None


def test_a_time_without_a_zone_stays_without_one() -> None:
    image = encoded(example())["image"]
    assert (image["captured_at"], image["captured_tz"]) == ("2024-04-30T09:15:00", None)


def test_a_number_that_the_verdict_rests_on_must_be_one() -> None:
    broken = dataclasses.replace(example(), severity=dataclasses.replace(example().severity, confidence=math.nan))  # type: ignore[type-var]
    with pytest.raises(ValueError, match="confidence"):
        encoded(broken)


def test_each_warning_is_said_once() -> None:
    assert encoded(example())["quality"]["warnings"] == ["the last rows are black", "low contrast"]


INSPECTION = Draft202012Validator(schema.json_schema("inspection"))

SUMMARY = Draft202012Validator(schema.json_schema("summary"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(inspections())
def test_whatever_is_found_becomes_strict_json_of_its_schema(inspection: Inspection) -> None:
    INSPECTION.validate(encoded(inspection))
    SUMMARY.validate(summarised(inspection))
