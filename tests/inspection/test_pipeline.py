"""Both stages together, with the shipped models."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from edge import sem
from edge.backends import table
from edge.folder.file import read_file
from edge.inspection import overlay, parity
from edge.inspection.pipeline import Pipeline
from edge.inspector import encode, source_of
from edge.models.card import GREY_WINDOW_RULE
from edge.samples import sample_files, sample_micrographs
from tests.conftest import micrograph, pitted, settings_for
from tests.inspection.conftest import inspected, sample


def test_a_shipped_sample_has_regions_a_severity_and_micrometres(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, sample())
    assert len(inspection.regions) > 0
    assert inspection.severity is not None
    assert sum(inspection.severity.probabilities.values()) == pytest.approx(1)
    assert inspection.micrograph.pixel_size_nm is not None
    assert inspection.timing.segment > 0
    assert inspection.timing.classify > 0


def test_both_backends_give_the_same_inspections(tmp_path: Path) -> None:
    if len(table.installed()) < 2:
        pytest.skip("only one backend is installed")
    first, second = (settings_for(tmp_path / "export", models={"backend": name}) for name in table.installed()[:2])
    with Pipeline(first) as reference, Pipeline(second) as candidate:
        outcome = parity.compare(reference, candidate, sample_micrographs())
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
    width = min(max(grey.shape[1], overlay.NARROWEST_PX), overlay.LONGEST_PX)
    assert overlay.draw(inspection).shape[1] == width


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


def test_the_shipped_cards_name_the_grey_window_of_this_version() -> None:
    from edge.models.card import load_card, resolve

    assert load_card(resolve("builtin", "segment"), "segment").grey_window == GREY_WINDOW_RULE
    assert load_card(resolve("builtin", "classify"), "classify").grey_window == GREY_WINDOW_RULE


def test_the_document_of_a_shipped_sample_adds_up(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "export", inspect={"confidence": 0.1})
    path = max(sample_files(), key=lambda file: sem.read(file.read_bytes(), file.name)[0].pixel_size_nm or 0)
    with Pipeline(settings) as pipeline:
        source = source_of(path.name, path.name, None)
        (inspection,) = pipeline.inspect_file(read_file(path, 1 << 30), source)
    document = json.loads(encode(inspection, settings.device))
    image, corrosion, regions = document["image"], document["corrosion"], document["regions"]
    um = image["pixel_size_nm"] / 1000
    rows, columns = image["height_px"] - image["databar_px"], image["width_px"]
    union = np.zeros((rows, columns), bool)
    for region, mask in zip(regions, inspection.regions.masks, strict=True):
        x, y, w, h = region["box_px"]
        union[y : y + h, x : x + w] |= mask
        assert region["area_px"] == np.count_nonzero(mask)
        assert region["area_um2"] == pytest.approx(region["area_px"] * um * um, rel=1e-5)
        assert region["equivalent_diameter_um"] == pytest.approx(2 * np.sqrt(region["area_um2"] / np.pi), rel=1e-5)
    diameters = sorted(region["equivalent_diameter_um"] for region in regions)
    assert len(regions) > 1
    assert corrosion["region_count"] == len(regions)
    assert image["field_um2"] == pytest.approx(rows * columns * um * um, rel=1e-5)
    assert corrosion["area_fraction"] == pytest.approx(union.sum() / (rows * columns), rel=1e-5)
    assert corrosion["area_um2"] == pytest.approx(union.sum() * um * um, rel=1e-5)
    assert corrosion["largest_um2"] == max(region["area_um2"] for region in regions)
    assert corrosion["density_per_mm2"] == pytest.approx(len(regions) / (image["field_um2"] * 1e-6), rel=1e-5)
    found = corrosion["equivalent_diameter_um"]
    rank = 0.95 * (len(diameters) - 1)
    below, above = diameters[int(rank)], diameters[min(int(rank) + 1, len(diameters) - 1)]
    assert found["p95"] == pytest.approx(below + (above - below) * (rank - int(rank)), rel=1e-5)
    assert found["p50"] == pytest.approx(statistics.median(diameters), rel=1e-5)
    assert found["mean"] == pytest.approx(statistics.fmean(diameters), rel=1e-5)
    assert found["max"] == diameters[-1]
