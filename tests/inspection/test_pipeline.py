"""Both stages together, with the shipped models."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edge import sem
from edge.backends import table
from edge.backends.network import Network
from edge.folder.file import read_file
from edge.inspection import overlay, parity
from edge.inspection.pipeline import Pipeline
from edge.inspector import encode, source_of
from edge.models.card import GREY_WINDOW_RULE
from edge.records import ABSTAINING, REASONS, Grey, Inspection, Micrograph, code_of
from edge.samples import sample_files, sample_micrographs
from tests.conftest import SOURCE, micrograph, pitted, settings_for
from tests.inspection.conftest import inspected, sample


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """With the default settings but for a low threshold, so that there are regions."""
    settings = settings_for(tmp_path_factory.mktemp("pipeline") / "export", inspect={"confidence": 0.05})
    with Pipeline(settings) as opened:
        yield opened


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


def reasons(inspection: Inspection) -> list[str]:
    assert inspection.severity is not None
    return [code_of(reason) for reason in inspection.severity.reasons]


def salted(share: float) -> Grey:
    random = np.random.default_rng(0)
    return np.where(random.random((480, 640)) < share, random.integers(0, 256, (480, 640)), 255).astype(np.uint8)


@pytest.mark.parametrize(
    "grey",
    [
        np.zeros((480, 640), np.uint8),
        np.full((480, 640), 255, np.uint8),
        np.full((960, 1280), 90, np.uint8),
        np.linspace(0, 255, 640).astype(np.uint8)[None].repeat(480, 0),
        salted(0.001),
    ],
    ids=["black", "white", "grey", "gradient", "99.9 % saturated"],
)
def test_an_image_with_nothing_to_see_gets_no_severity_and_its_reason_first(pipeline: Pipeline, grey: Grey) -> None:
    inspection = pipeline.inspect(micrograph(grey), SOURCE)
    severity = inspection.severity
    assert severity is not None
    assert severity.abstained
    assert severity.needs_review
    assert (severity.label, severity.confidence, severity.probabilities, severity.prediction_set) == (None,) * 4
    assert sum(severity.answer.probabilities.values()) == pytest.approx(1)
    assert reasons(inspection)[0] == "no_contrast"
    assert severity.said == "not judged (no_contrast)"


def test_no_contrast_is_said_where_stage_2_is_not_asked(tmp_path: Path) -> None:
    inspection = inspected(tmp_path, micrograph(np.zeros((480, 640), np.uint8)), inspect={"stages": "segment"})
    assert inspection.severity is None
    assert "no_contrast" in {code_of(warning) for warning in inspection.quality.warnings}


def test_what_is_unlike_the_training_images_gets_no_severity_and_keeps_its_regions(pipeline: Pipeline) -> None:
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:480, 0:640]
    foreign = ((columns // 40 + rows // 40) % 2 * 200 + 20 + random.integers(0, 20, (480, 640))).astype(np.uint8)
    for x, y in random.integers(40, 440, (12, 2)).tolist():
        cv2.circle(foreign, (x, y), 18, 0, -1)
    inspection = pipeline.inspect(micrograph(foreign), SOURCE)
    assert reasons(inspection)[0] == "out_of_domain"
    assert inspection.severity is not None
    assert inspection.severity.abstained
    assert len(inspection.regions) > 0
    assert inspection.measures.area_fraction > 0
    assert set(inspection.region_severities) == {None}


@pytest.mark.parametrize("code", REASONS)
def test_of_a_files_doubts_some_ask_for_review_and_some_leave_no_severity(pipeline: Pipeline, code: str) -> None:
    """The sample itself is judged without a doubt of these kinds."""
    doubtful = replace(sample(), warnings=(f"{code}: because of this",))
    inspection = pipeline.inspect(doubtful, SOURCE)
    assert inspection.severity is not None
    assert inspection.severity.needs_review
    assert f"{code}: because of this" in inspection.severity.reasons
    assert inspection.severity.abstained == (code in ABSTAINING)
    assert (set(inspection.region_severities) == {None}) == (code in ABSTAINING)


def test_a_warning_that_is_no_reason_asks_for_nothing(pipeline: Pipeline) -> None:
    plain = pipeline.inspect(sample(), SOURCE)
    warned = pipeline.inspect(replace(sample(), warnings=("coloured: it is",)), SOURCE)
    assert plain.severity is not None
    assert warned.severity is not None
    assert warned.severity.reasons == plain.severity.reasons
    assert "coloured: it is" in warned.quality.warnings


def test_a_tilt_is_a_reason_only_where_um2_would_be_given(tmp_path: Path) -> None:
    tilt = "tilted: by 52 degrees"
    uncalibrated = replace(sample(), warnings=(tilt,), pixel_size_nm=None, pixel_size_source=None)
    assert "tilted" not in reasons(inspected(tmp_path, uncalibrated))
    assert "tilted" not in reasons(inspected(tmp_path, replace(sample(), warnings=(tilt,)), inspect={"stages": "classify"}))


class Told:
    """A classifier that gives one answer to everything, and knows no domain."""

    name, precision = "told", "float32"

    def __init__(self, logits: list[float], network: Network) -> None:
        self._logits, self._network = logits, network

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        outputs = dict(self._network.run(inputs))
        if "logits" in outputs:
            outputs["logits"] = np.array([self._logits] * len(outputs["logits"]), np.float32)
        return outputs

    def close(self) -> None:
        self._network.close()

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def told(tmp_path: Path, logits: list[float], image: Micrograph, **wanted: object) -> Inspection:
    def open_network(backend: str, path: Path, precision: str) -> Network:
        return cast(Network, Told(logits, table.open_network(backend, path, precision)))

    with Pipeline(settings_for(tmp_path / "export", inspect=dict(wanted)), open_network=open_network) as pipeline:
        return pipeline.inspect(image, SOURCE)


def test_stages_that_contradict_each_other_give_no_severity(tmp_path: Path) -> None:
    bare = micrograph(pitted(pits=0))
    full = np.ascontiguousarray(np.tile(sample().grey[:200, :300], (2, 2)))
    nothing_found = told(tmp_path, [0, 0, 9], bare, confidence=0.99)
    assert "stages_conflict" in reasons(nothing_found)
    assert nothing_found.severity is not None
    assert nothing_found.severity.abstained
    assert nothing_found.severity.answer.label == "severe"
    agreed = told(tmp_path, [9, 0, 0], bare, confidence=0.99)
    assert "stages_conflict" not in reasons(agreed)
    much = told(tmp_path, [9, 0, 0], micrograph(full), confidence=0.001)
    assert ("stages_conflict" in reasons(much)) == (much.measures.area_fraction > 0.25)


def test_regions_below_the_least_diameter_are_in_no_figure(tmp_path: Path) -> None:
    image = replace(sample(), pixel_size_nm=100.0, pixel_size_source="metadata")
    whole = inspected(tmp_path, image, inspect={"confidence": 0.1, "stages": "segment"})
    diameters = whole.measures.equivalent_diameter_px
    least = float(np.median(diameters)) + 0.01
    kept = int(np.count_nonzero(diameters >= least))
    assert 0 < kept < len(diameters)
    for wanted in (
        {"min_diameter_px": least},
        {"min_diameter_um": least / 10},
        {"min_diameter_px": least, "min_diameter_um": least / 100},
        {"min_diameter_px": 0.5, "min_diameter_um": least / 10},
    ):
        part = inspected(tmp_path, image, inspect={"confidence": 0.1, "stages": "segment", **wanted})
        assert (len(part.regions), part.regions.below) == (kept, len(diameters) - kept)
        assert len(part.region_severities) == len(part.measures.area_px) == kept
        assert part.measures.counted_from_px == pytest.approx(least)
        assert part.measures.counted_from_um == pytest.approx(least / 10)
        assert part.measures.area_fraction < whole.measures.area_fraction
        assert sum(one.count for one in part.measures.by_class.values()) == kept


def test_without_a_scale_the_least_diameter_in_pixels_counts_alone_with_a_warning(tmp_path: Path) -> None:
    image = replace(sample(), pixel_size_nm=None, pixel_size_source=None)
    inspection = inspected(tmp_path, image, inspect={"min_diameter_px": 3, "min_diameter_um": 1000})
    assert (inspection.measures.counted_from_px, inspection.measures.counted_from_um) == (3.0, None)
    assert any(warning.startswith("min_diameter_px_alone: ") for warning in inspection.quality.warnings)
    silent = inspected(tmp_path, image, inspect={"min_diameter_px": 3})
    assert not any(warning.startswith("min_diameter_px_alone: ") for warning in silent.quality.warnings)


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
    diameters = sorted(region["equivalent_diameter_um"] for region in regions if not region["touches_edge"])
    assert len(regions) > 1
    assert corrosion["region_count"] == len(regions)
    assert image["field_um2"] == pytest.approx(rows * columns * um * um, rel=1e-5)
    assert corrosion["area_fraction"] == pytest.approx(union.sum() / (rows * columns), rel=1e-5)
    assert corrosion["area_um2"] == pytest.approx(union.sum() * um * um, rel=1e-5)
    assert corrosion["largest_um2"] == max(region["area_um2"] for region in regions)
    in_frame = [region for region in regions if region["box_px"][0] > 0 and region["box_px"][1] > 0]
    assert corrosion["density_per_mm2"] == pytest.approx(len(in_frame) / (image["field_um2"] * 1e-6), rel=1e-5)
    by_class = corrosion["by_class"].values()
    assert sum(one["count"] for one in by_class) == len(regions)
    assert sum(one["density_per_mm2"] for one in by_class) == pytest.approx(corrosion["density_per_mm2"], rel=1e-4)
    assert max(one["largest_um2"] or 0 for one in by_class) == corrosion["largest_um2"]
    assert sum(one["area_fraction"] for one in by_class) >= corrosion["area_fraction"] * (1 - 1e-5)
    found = corrosion["equivalent_diameter_um"]
    rank = 0.95 * (len(diameters) - 1)
    below, above = diameters[int(rank)], diameters[min(int(rank) + 1, len(diameters) - 1)]
    assert found["p95"] == pytest.approx(below + (above - below) * (rank - int(rank)), rel=1e-5)
    assert found["p50"] == pytest.approx(statistics.median(diameters), rel=1e-5)
    assert found["mean"] == pytest.approx(statistics.fmean(diameters), rel=1e-5)
    assert found["max"] == diameters[-1]


def test_what_follows_is_launched_ahead_and_changes_no_inspection(pipeline: Pipeline) -> None:
    images = [sample_micrographs()[0], micrograph(pitted(320, 256)), micrograph(pitted(1500, 400, 3)), sample_micrographs()[1]]
    alone = [pipeline.inspect(image, SOURCE) for image in images]
    for following in ([*images[1:], None], [images[0], images[3], None, None]):  # as told, and otherwise than told
        for image, after, wanted in zip(images, following, alone, strict=True):
            found = pipeline.inspect(image, SOURCE, following=after)
            assert np.array_equal(found.regions.boxes_px, wanted.regions.boxes_px)
            assert np.array_equal(found.regions.scores, wanted.regions.scores)
            assert all(map(np.array_equal, found.regions.masks, wanted.regions.masks))
            assert found.severity is not None
            assert wanted.severity is not None
            assert found.severity.probabilities == wanted.severity.probabilities
