"""Both stages together, with the shipped models."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import overlay, parity
from edge.backends import choice
from edge.model_card import GREY_WINDOW_RULE
from edge.pipeline import Pipeline
from edge.records import Inspection, Micrograph
from tests.conftest import SOURCE, micrograph, pitted, settings_for


def inspected(tmp_path: Path, image: Micrograph, **sections: dict[str, object]) -> Inspection:
    with Pipeline(settings_for(tmp_path / "export", **sections)) as pipeline:
        return pipeline.inspect(image, SOURCE)


def sample() -> Micrograph:
    return max(parity.sample_micrographs(), key=lambda one: one.pixel_size_nm or 0)


def test_a_shipped_sample_has_regions_a_severity_and_micrometres(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, sample())
    assert len(inspection.regions) > 0
    assert inspection.severity is not None
    assert sum(inspection.severity.probabilities.values()) == pytest.approx(1)
    assert inspection.micrograph.pixel_size_nm is not None
    assert inspection.timing.segment > 0
    assert inspection.timing.classify > 0


def test_both_backends_give_the_same_inspections(tmp_path: Path) -> None:
    if len(choice.installed()) < 2:
        pytest.skip("only one backend is installed")
    first, second = (settings_for(tmp_path / "export", models={"backend": name}) for name in choice.installed()[:2])
    with Pipeline(first) as reference, Pipeline(second) as candidate:
        outcome = parity.compare(reference, candidate, parity.sample_micrographs())
    assert outcome.mean_mask_iou > 0.995
    assert outcome.flips == 0
    assert outcome.largest_probability_difference < 1e-3


@pytest.mark.parametrize("stages", ["segment", "classify"])
def test_one_stage_can_run_alone(tmp_path: Path, stages: str) -> None:
    inspection = inspected(tmp_path, sample(), inspect={"stages": stages})
    assert (inspection.models.segmenter is None) == (stages == "classify")
    assert (inspection.severity is None) == (stages == "segment")
    assert (len(inspection.regions) > 0) == (stages == "segment")


@pytest.mark.parametrize(
    "grey",
    [np.zeros((1, 1), np.uint8), np.zeros((480, 640), np.uint8), np.full((3, 2000), 255, np.uint8), pitted(97, 61)],
    ids=["one pixel", "black", "a line", "odd sizes"],
)
def test_any_image_can_be_inspected_and_drawn(tmp_path: Path, grey: np.ndarray) -> None:
    inspection = inspected(tmp_path, micrograph(grey))
    assert overlay.draw(inspection).shape[1] == min(grey.shape[1], overlay.LONGEST_PX)


def test_a_black_image_needs_review_with_its_reason(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, micrograph(np.zeros((480, 640), np.uint8)))
    assert inspection.severity is not None
    assert inspection.severity.needs_review
    assert any(reason.startswith("flat:") for reason in inspection.severity.reasons)


def test_a_large_image_resolves_smaller_regions_than_its_whole_could(tmp_path: Path) -> None:
    large = inspected(tmp_path, micrograph(pitted(1500, 1400)))
    whole = inspected(tmp_path, micrograph(pitted(1500, 1400)), inspect={"tile": "off"})
    assert large.smallest_region_px is not None
    assert whole.smallest_region_px is not None
    assert large.smallest_region_px < whole.smallest_region_px


def test_the_sample_is_read_from_the_path(tmp_path: Path) -> None:
    assert inspected(tmp_path, sample()).sample["annealing_min"] is None


def test_the_overlay_has_the_colour_of_the_regions_severity(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, sample())
    picture = overlay.draw(inspection).astype(int)
    colourful = np.ptp(picture[: inspection.micrograph.height_px], axis=2) > 60
    assert colourful.any()
    decoded = cv2.imdecode(np.frombuffer(overlay.encode(overlay.draw(inspection), "webp"), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == picture.shape


def test_the_shipped_cards_name_the_grey_window_of_this_version() -> None:
    from edge.model_card import load_card, resolve

    assert load_card(resolve("builtin", "segment"), "segment").grey_window == GREY_WINDOW_RULE
    assert load_card(resolve("builtin", "classify"), "classify").grey_window == GREY_WINDOW_RULE
