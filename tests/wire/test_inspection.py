"""The inspection on the wire: units, what is null when, and that nothing can make it anything but strict JSON."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from edge.records import ClassMeasures, Inspection
from edge.wire import schema
from tests.wire.examples import (
    abstained,
    classified_only,
    encoded,
    example,
    inspections,
    limited,
    limited_alone,
    segmented_only,
    summarised,
    tilted,
    uncalibrated,
    unmeasured,
)


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


def test_a_density_counts_no_region_that_touches_the_left_or_upper_edge() -> None:
    measures = dataclasses.replace(example().measures, in_frame=np.array([True, False]))
    corrosion = encoded(dataclasses.replace(example(), measures=measures))["corrosion"]
    assert corrosion["density_per_mm2"] == pytest.approx(1 / (50 * 25 / 1e6), rel=1e-5)
    assert corrosion["region_count"] == 2


def test_each_class_has_measures_of_its_own() -> None:
    by_class = {"pit": ClassMeasures(0.01, 3, 2, 196), "attack": ClassMeasures(0.0, 0, 0, None)}
    measures = dataclasses.replace(example().measures, by_class=by_class)
    found = encoded(dataclasses.replace(example(), measures=measures))["corrosion"]["by_class"]
    assert found["pit"] == {"area_fraction": 0.01, "count": 3, "density_per_mm2": 1600.0, "largest_um2": 12.25}
    assert found["attack"] == {"area_fraction": 0.0, "count": 0, "density_per_mm2": 0.0, "largest_um2": None}


def test_sizes_are_those_of_whole_regions_and_a_cut_largest_one_is_said() -> None:
    cut = dataclasses.replace(example().measures, touches_edge=np.array([True, False]))
    corrosion = encoded(dataclasses.replace(example(), measures=cut))["corrosion"]
    assert corrosion["equivalent_diameter_um"]["max"] == pytest.approx(3.385 * 0.25, rel=1e-5)
    assert corrosion["largest_um2"] == pytest.approx(196 * 0.25**2, rel=1e-5)
    assert corrosion["largest_touches_edge"] is True
    all_cut = dataclasses.replace(cut, touches_edge=np.array([True, True]))
    assert encoded(dataclasses.replace(example(), measures=all_cut))["corrosion"]["equivalent_diameter_um"] is None


def test_what_counts_and_how_much_does_not_is_said() -> None:
    regions = dataclasses.replace(example().regions, below=7)
    corrosion = encoded(dataclasses.replace(example(), regions=regions))["corrosion"]
    assert (corrosion["counted_from"], corrosion["regions_below"]) == ({"px": 2.0, "um": 0.5}, 7)


def test_an_uncorrected_tilt_above_five_degrees_gives_no_um2_and_keeps_the_length_of_a_pixel() -> None:
    message = encoded(tilted())
    assert {message["corrosion"][name] for name in ("area_um2", "density_per_mm2", "largest_um2")} == {None}
    assert message["corrosion"]["equivalent_diameter_um"] is message["image"]["field_um2"] is None
    assert message["regions"][0]["area_um2"] is message["regions"][0]["equivalent_diameter_um"] is None
    assert message["corrosion"]["by_class"]["corrosion"]["density_per_mm2"] is None
    assert (message["image"]["tilt_deg"], message["image"]["pixel_size_nm"]) == (52.0, 250.0)


@pytest.mark.parametrize("changed", [{"tilt_corrected": True}, {"tilt_deg": 5.0}, {"tilt_deg": -4.0}, {"tilt_deg": None}])
def test_a_small_or_corrected_tilt_changes_nothing(changed: dict[str, object]) -> None:
    assert encoded(tilted(**changed))["corrosion"]["area_um2"] is not None


def test_an_abstained_severity_has_no_label_and_a_guess_with_its_reason() -> None:
    judged, message = encoded(example()), encoded(abstained())
    severity = message["severity"]
    assert {severity[name] for name in ("label", "confidence", "probabilities", "prediction_set", "class")} == {None}
    assert severity["guess"] == {name: judged["severity"][name] for name in ("label", "confidence", "probabilities", "class")}
    assert (severity["abstained"], severity["needs_review"]) == (True, True)
    assert [reason.partition(":")[0] for reason in severity["reasons"]] == ["no_contrast"]
    assert message["corrosion"] == judged["corrosion"]
    assert [region["outline_px"] for region in message["regions"]] == [one["outline_px"] for one in judged["regions"]]
    assert {region["severity"] for region in message["regions"]} == {None}


def test_a_judged_severity_has_no_guess_and_says_where_it_comes_from() -> None:
    severity = encoded(example())["severity"]
    assert (severity["abstained"], severity["guess"], severity["source"]) == (False, None, "model")
    region = encoded(example())["regions"][0]
    assert region["severity"] == {"label": "severe", "confidence": 0.6, "weak": True, "basis": "exposure"}
    assert region["score"] == region["score_network"] == 0.91


def test_a_severity_by_limits_is_a_label_beside_what_the_network_said() -> None:
    severity, network = encoded(limited())["severity"], encoded(example())["severity"]
    assert (severity["label"], severity["source"], severity["abstained"], severity["guess"]) == (
        "severe",
        "limits",
        False,
        None,
    )
    assert (severity["confidence"], severity["probabilities"], severity["prediction_set"]) == (None, None, None)
    assert severity["network"] == {name: network[name] for name in ("label", "confidence", "probabilities", "class")}
    assert severity["cam"] == network["cam"]
    assert network["network"] is None


def test_limits_need_no_network_and_leave_a_label_as_guess_where_they_cannot_judge() -> None:
    alone = encoded(limited_alone())
    assert (alone["severity"]["label"], alone["severity"]["network"], alone["severity"]["cam"]) == ("severe", None, [])
    assert alone["model"]["classifier"] is None
    severity = encoded(unmeasured())["severity"]
    assert (severity["label"], severity["abstained"]) == (None, True)
    assert severity["guess"] == {"label": "severe", "confidence": None, "probabilities": None, "class": None}


def test_intervals_are_in_the_units_of_their_measures_and_null_without_a_scale() -> None:
    ends = {"area_fraction_interval": (0.01, 0.02), "counted_interval": (1.0, 4.0), "largest_px_interval": (160.0, 240.0)}
    whole = example()
    measured = dataclasses.replace(whole, measures=dataclasses.replace(whole.measures, **ends))  # type: ignore[arg-type]
    corrosion, flat = encoded(measured)["corrosion"], summarised(measured)
    assert corrosion["area_fraction_interval"] == [flat["area_fraction_lo"], flat["area_fraction_hi"]] == [0.01, 0.02]
    assert corrosion["largest_um2_interval"] == [10.0, 15.0]  # 1/16 µm² a pixel
    assert corrosion["density_per_mm2_interval"] == [800.0, 3200.0]  # of 0.00125 mm²
    bare = encoded(dataclasses.replace(measured, micrograph=uncalibrated().micrograph))["corrosion"]
    assert bare["area_fraction_interval"] == [0.01, 0.02]
    assert bare["largest_um2_interval"] is bare["density_per_mm2_interval"] is None


def test_a_reason_whose_code_is_not_in_the_list_is_refused() -> None:
    odd = dataclasses.replace(example().severity, reasons=("whatever: it is",))  # type: ignore[type-var]
    with pytest.raises(ValueError, match="reasons"):
        encoded(dataclasses.replace(example(), severity=odd))


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
