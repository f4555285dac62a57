"""The severity that follows from measures and a plant's own limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.config import SeveritySettings
from edge.errors import ConfigError
from edge.inspection.limits import by_limits, require_known_classes
from edge.inspection.measure import measure
from edge.inspection.pipeline import Pipeline
from edge.inspector import encode
from edge.models.card import load_card, resolve
from edge.records import ABSTAINING, REVIEWED, Acquisition, Grey, Inspection, Micrograph, Regions, Severity, code_of
from tests.conftest import SOURCE, micrograph, settings_for
from tests.inspection.conftest import inspected, sample

GREY: Grey = np.zeros((200, 200), np.uint8)
"""At 1000 nm a pixel, 0.04 mm²."""

AREA = {"moderate": {"area_fraction": 0.02}, "severe": {"area_fraction": 0.1}}
ALL_REACHED = {"severe": {"area_fraction": 1e-9}}


def squares(*sides_px: int, classes: tuple[int, ...] = (), left: int = 5, **others: Any) -> Regions:
    """Squares one below the other, largest first; `pit` unless a class is named."""
    tops = np.cumsum([5, *(side + 2 for side in sides_px)])[:-1]
    boxes = [[left, top, side, side] for top, side in zip(tops.tolist(), sides_px, strict=True)]
    return Regions(
        np.array(boxes, np.int32).reshape(-1, 4),
        np.ones(len(sides_px), np.float32),
        np.array(classes or (0,) * len(sides_px), np.int32),
        tuple(np.ones((side, side), bool) for side in sides_px),
        ("pit", "product"),
        **others,
    )


def judged(regions: Regions, image: Micrograph | None = None, /, *, intervals: Any = None, **limits: Any) -> Severity:
    image = image or micrograph(GREY, 1000.0)
    measures = replace(measure(regions, GREY.shape, image.drawn_px), **(intervals or {}))
    return by_limits(SeveritySettings(rule="limits", **limits), regions, measures, image, None)


def codes(severity: Severity) -> list[str]:
    return [code_of(reason) for reason in severity.reasons]


@pytest.mark.parametrize(
    ("side", "label"), [(1, "low"), (28, "low"), (29, "moderate"), (63, "moderate"), (64, "severe"), (150, "severe")]
)
def test_an_area_has_the_severity_whose_limit_it_reaches(side: int, label: str) -> None:
    severity = judged(squares(side), **AREA)
    assert (severity.label, severity.source, severity.abstained, severity.needs_review) == (label, "limits", False, False)
    assert (severity.confidence, severity.probabilities, severity.prediction_set, severity.guess) == (None,) * 4
    assert severity.said == f"{label} (limits)"


def test_nothing_found_is_low() -> None:
    assert judged(squares(), **AREA).label == "low"


@pytest.mark.parametrize(
    ("limit", "reached"),
    [
        ({"area_fraction": 0.025}, True),  # 1000 of 40,000 px
        ({"area_fraction": 0.02501}, False),
        ({"density_per_mm2": 250}, True),  # ten in 0.04 mm²
        ({"density_per_mm2": 251}, False),
        ({"largest_um": 11.2838}, True),  # of 100 µm²
        ({"largest_um": 11.2839}, False),
        ({"area_fraction": 1, "density_per_mm2": 1, "largest_um": 100}, True),
        ({"area_fraction": 1, "density_per_mm2": 1e6, "largest_um": 100}, False),
    ],
)
def test_a_limit_is_reached_by_what_equals_it_and_any_one_is_enough(limit: dict[str, float], reached: bool) -> None:
    ten = squares(*(10,) * 10)
    assert judged(ten, severe=limit).label == ("severe" if reached else "low")
    assert judged(ten, moderate=limit).label == ("moderate" if reached else "low")


def test_a_density_counts_by_the_frame_and_the_largest_may_be_cut() -> None:
    cut = squares(40, 40, left=0)
    assert judged(cut, severe={"density_per_mm2": 1}).label == "low"
    assert judged(cut, severe={"largest_um": 40}).label == "severe"


@pytest.mark.parametrize(
    ("limit", "pit", "product"),
    [
        ({"area_fraction": 0.01}, "severe", "low"),
        ({"density_per_mm2": 40}, "low", "severe"),
        ({"largest_um": 20}, "severe", "low"),
    ],
)
def test_limits_of_one_class_measure_that_class_alone(limit: dict[str, float], pit: str, product: str) -> None:
    """One large pit, two small products."""
    mixed = squares(30, 5, 5, classes=(0, 1, 1))
    assert judged(mixed, severe={**limit, "class": "pit"}).label == pit
    assert judged(mixed, severe={**limit, "class": "product"}).label == product


def test_each_severity_may_look_at_a_class_of_its_own() -> None:
    limits = {"moderate": {"area_fraction": 0.001, "class": "product"}, "severe": {"area_fraction": 0.02, "class": "pit"}}
    assert judged(squares(30, classes=(1,)), **limits).label == "moderate"
    assert judged(squares(30, classes=(0,)), **limits).label == "severe"
    assert judged(squares(20, classes=(0,)), **limits).label == "low"


@pytest.mark.parametrize("image", [micrograph(GREY, None), replace(micrograph(GREY), acquisition=Acquisition(tilt_deg=52))])
@pytest.mark.parametrize("limit", [{"density_per_mm2": 1e-9}, {"largest_um": 1e6}])
def test_what_cannot_be_measured_leaves_no_label_where_it_could_change_it(image: Micrograph, limit: dict[str, float]) -> None:
    severity = judged(squares(30), image, moderate={"area_fraction": 0.02}, severe=limit)
    assert (severity.abstained, severity.label, codes(severity)) == (True, None, ["limit_unmeasured"])
    assert severity.guess is not None
    assert (severity.guess.label, severity.guess.confidence, severity.guess.probabilities) == ("moderate", None, None)
    assert next(iter(limit)) in severity.reasons[0]
    assert ("tilt" in severity.reasons[0]) == (image.pixel_size_nm is not None)


def test_what_cannot_be_measured_is_no_matter_where_it_changes_nothing() -> None:
    bare = micrograph(GREY, None)
    known = {"area_fraction": 0.1}
    assert judged(squares(80), bare, moderate={"largest_um": 1}, severe=known).label == "severe"
    assert judged(squares(80), bare, severe={**known, "largest_um": 99}).label == "severe"
    assert judged(squares(), bare, severe={"largest_um": 1, "density_per_mm2": 1}).label == "low"
    of_product = {"largest_um": 1, "density_per_mm2": 1, "class": "product"}
    assert judged(squares(80), bare, severe=of_product).label == "low"
    assert judged(squares(80), bare, **AREA).label == "severe"


@pytest.mark.parametrize(
    ("limits", "intervals", "straddled"),
    [
        (AREA, {"area_fraction_interval": (0.03, 0.09)}, 0),
        (AREA, {"area_fraction_interval": (0.019, 0.09)}, 1),
        (AREA, {"area_fraction_interval": (0.03, 0.1)}, 1),
        (AREA, {"area_fraction_interval": (0.01, 0.2)}, 2),
        ({"severe": {"density_per_mm2": 30}}, {"counted_interval": (0.0, 2.0)}, 1),
        ({"severe": {"density_per_mm2": 60}}, {"counted_interval": (0.0, 2.0)}, 0),
        ({"severe": {"largest_um": 60}}, {"largest_px_interval": (1000.0, 3000.0)}, 1),
        ({"severe": {"largest_um": 70}}, {"largest_px_interval": (1000.0, 3000.0)}, 0),
        ({"severe": {"largest_um": 60, "area_fraction": 0.01}}, {"largest_px_interval": (1000.0, 3000.0)}, 0),
        ({"severe": {"largest_um": 60, "class": "pit"}}, {"largest_px_interval": (1000.0, 3000.0)}, 0),
    ],
)
def test_an_interval_that_holds_a_limit_asks_for_review_where_it_could_change_the_label(
    limits: dict[str, Any], intervals: dict[str, Any], straddled: int
) -> None:
    severity = judged(squares(44), intervals=intervals, **limits)  # 4.84 %, 49.6 µm across, 25 per mm²
    assert codes(severity) == ["limit_straddled"] * straddled
    assert severity.needs_review == bool(straddled)
    assert severity.label is not None


def test_more_regions_than_are_kept_may_reach_a_limit_of_area_or_density() -> None:
    many = squares(30, truncated=True)
    assert codes(judged(many, **AREA)) == ["limit_straddled"]
    assert codes(judged(many, severe={"density_per_mm2": 1e6})) == ["limit_straddled"]
    assert codes(judged(many, severe={"largest_um": 100})) == []
    assert codes(judged(many, severe={"area_fraction": 0.01})) == []


def test_a_class_that_the_segmenter_never_finds_is_refused_by_name(tmp_path: Path) -> None:
    card = load_card(resolve("builtin", "segment"), "segment")
    limits = {"severe": {"area_fraction": 0.1, "class": "pitt"}}
    with pytest.raises(ConfigError, match=r"severity\.severe\.class.*'pitt'.*pit"):
        require_known_classes(SeveritySettings(rule="limits", **limits), card)
    with pytest.raises(ConfigError, match="pitt"):
        Pipeline(settings_for(tmp_path / "export", severity={"rule": "limits", **limits}))
    require_known_classes(SeveritySettings(rule="model", **limits), card)


@pytest.fixture(scope="module", params=["both", "segment"])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """With and without a network of severity."""
    settings = settings_for(
        tmp_path_factory.mktemp("limits") / "export",
        severity={"rule": "limits", **AREA},
        inspect={"stages": request.param, "confidence": 0.05},
    )
    with Pipeline(settings) as opened:
        yield opened


def verdict(inspection: Inspection) -> Severity:
    assert inspection.severity is not None
    return inspection.severity


def test_the_label_is_the_same_with_and_without_a_network_and_follows_what_is_published(limited: Pipeline) -> None:
    inspection = limited.inspect(sample(), SOURCE)
    document = json.loads(encode(inspection, settings_for(Path("/a")).device))
    severity, area = document["severity"], document["corrosion"]["area_fraction"]
    assert severity["label"] == ("severe" if area >= 0.1 else "moderate" if area >= 0.02 else "low")
    asked = inspection.models.classifier is not None
    assert (severity["network"] is not None, bool(severity["cam"])) == (asked, asked)
    assert (severity["source"], severity["confidence"], severity["guess"]) == ("limits", None, None)


def test_what_the_network_makes_of_an_image_changes_no_label_by_limits(limited: Pipeline) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640)).astype(np.uint8)
    inspection = limited.inspect(micrograph(noise), SOURCE)
    severity = verdict(inspection)
    assert severity.label is not None
    assert "ambiguous" not in codes(severity)
    assert ("out_of_domain" in codes(severity)) == (inspection.quality.in_domain is False)


@pytest.mark.parametrize("code", ["out_of_domain", "stages_conflict"])
def test_a_doubt_of_what_was_measured_leaves_the_label_of_limits_and_asks_for_review(code: str) -> None:
    network = Severity("low", 0.8, {"low": 0.8, "severe": 0.2}, None, False, (), True, np.zeros((0, 0), np.float32))
    doubted = network.doubted([f"{code}: why"])
    assert doubted.abstained
    image, regions = micrograph(GREY, 1000.0), squares(64)
    limits = SeveritySettings.model_validate({"rule": "limits", **AREA})
    severity = by_limits(limits, regions, measure(regions, GREY.shape), image, doubted)
    assert (severity.label, severity.needs_review, severity.reasons) == ("severe", True, (f"{code}: why",))


@pytest.mark.parametrize("code", ["no_contrast", "text_on_image"])
def test_a_picture_that_cannot_be_judged_gets_no_label_by_limits_either(limited: Pipeline, code: str) -> None:
    assert code in ABSTAINING
    inspection = limited.inspect(replace(sample(), warnings=(f"{code}: so it is",)), SOURCE)
    severity = verdict(inspection)
    assert (severity.abstained, severity.label, codes(severity)) == (True, None, [code])
    assert severity.guess is not None
    assert set(inspection.region_severities) == {None}


def test_an_empty_picture_gets_no_label_by_limits(limited: Pipeline) -> None:
    severity = verdict(limited.inspect(micrograph(np.zeros((480, 640), np.uint8)), SOURCE))
    assert codes(severity)[0] == "no_contrast"
    assert severity.said == "not judged (no_contrast)"


@pytest.mark.parametrize("code", ["damaged", "zero_rows", "scale_doubtful", "blurred"])
def test_a_doubtful_picture_is_judged_by_limits_and_reviewed(limited: Pipeline, code: str) -> None:
    assert code in REVIEWED
    severity = verdict(limited.inspect(replace(sample(), warnings=(f"{code}: so it is",)), SOURCE))
    assert (severity.abstained, severity.needs_review, codes(severity)) == (False, True, [code])


def test_regions_too_small_to_count_reach_no_limit(tmp_path: Path) -> None:
    limits = {"severity": {"rule": "limits", **ALL_REACHED}}
    assert verdict(inspected(tmp_path, sample(), **limits)).label == "severe"
    assert verdict(inspected(tmp_path, sample(), **limits, inspect={"min_diameter_px": 5000})).label == "low"
