"""Stage 2: crops, calibration, prediction sets and doubt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import BackendError, ModelError
from edge.inspection.classify import Classifier, crop_region, domain_distance, field_of_view
from edge.models.card import (
    Calibration,
    DomainStatistics,
    FieldFit,
    FittedWith,
    ForeignFit,
    ForeignNumber,
    SeverityFit,
)
from tests.conftest import pitted
from tests.inspection.test_segment import CARD

DOMAIN = DomainStatistics(
    deviations=(1.0,) * 4,
    mean=(0.0,) * 4,
    components=((1.0, 0, 0, 0),),
    scales=(2.0,),
    residual_scale=1.0,
    threshold=3.0,
    quantile=0.995,
)
CLASSIFIER = CARD.model_copy(
    update={
        "task": "classify",
        "classes": ("low", "moderate", "severe"),
        "input_px": 224,
        "crop_margin": 0.25,
        "calibration": Calibration(conformal_quantile=0.6, conformal_coverage=0.9, domain=DOMAIN),
    }
)


class Told:
    """Answers the logits and embedding that it was given."""

    name, precision = "told", "float32"

    def __init__(self, logits: list[float], embedding: tuple[float, ...] = (0.0,) * 4) -> None:
        self.logits, self.embedding = logits, embedding
        self.batches: list[NDArray[np.uint8]] = []

    def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        self.batches.append(image)
        n = len(image)
        cam = np.zeros((n, 3, 7, 7), np.float32)
        cam[:, :, 2, 3] = 5
        cam[:, :, 4, 4] = -3
        return {
            "logits": np.tile(np.array(self.logits, np.float32), (n, 1)),
            "cam": cam,
            "embedding": np.tile(np.array(self.embedding, np.float32), (n, 1)),
        }

    def close(self) -> None: ...

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_the_field_goes_through_the_network_alone() -> None:
    network = Told([0, 1, 5])
    assert Classifier(network, CLASSIFIER).assess(pitted()).label == "severe"
    assert [batch.shape for batch in network.batches] == [(1, 1, 224, 224)]


@pytest.mark.parametrize("output", ["logits", "cam", "embedding"])
def test_a_network_whose_answers_are_not_numbers_is_to_blame_and_not_the_image(output: str) -> None:
    class Broken(Told):
        def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
            outputs = super().run(image)
            outputs[output][-1] = np.nan
            return outputs

    with pytest.raises(BackendError, match=f"outputs {output} are not numbers"):
        Classifier(Broken([0, 1, 5]), CLASSIFIER).assess(pitted())


def test_the_temperature_softens_the_probabilities() -> None:
    soft = CLASSIFIER.model_copy(update={"calibration": CLASSIFIER.calibration.model_copy(update={"temperature": 4.0})})
    sharp = Classifier(Told([0, 0, 4]), CLASSIFIER).assess(pitted())
    softened = Classifier(Told([0, 0, 4]), soft).assess(pitted())
    assert softened.confidence < sharp.confidence
    assert sum(softened.probabilities.values()) == pytest.approx(1)


def test_an_ambiguous_field_has_a_prediction_set_of_several_and_needs_review() -> None:
    severity = Classifier(Told([0, 2, 2]), CLASSIFIER).assess(pitted())
    assert severity.prediction_set == ("moderate", "severe")
    assert severity.needs_review
    assert severity.reasons[0].startswith("ambiguous:")


def test_the_prediction_set_is_never_empty() -> None:
    strict = CLASSIFIER.model_copy(
        update={"calibration": CLASSIFIER.calibration.model_copy(update={"conformal_quantile": 0.1})}
    )
    severity = Classifier(Told([0.0, 0.0, 0.1]), strict).assess(pitted())
    assert severity.prediction_set == ("severe",)


def test_out_of_domain_there_is_no_prediction_set_and_the_reason_says_so() -> None:
    severity = Classifier(Told([0, 0, 9], (40.0, 0, 0, 0)), CLASSIFIER).assess(pitted())
    assert not severity.in_domain
    assert severity.prediction_set is None
    assert severity.reasons[0].startswith("out_of_domain:")


@pytest.mark.parametrize("distance", [1.0, 4.0])
def test_the_domain_ratio_is_above_1_out_of_the_domain(distance: float) -> None:
    severity = Classifier(Told([0, 1, 5], (distance * DOMAIN.scales[0], 0, 0, 0)), CLASSIFIER).assess(pitted())
    assert severity.domain_ratio == pytest.approx(distance / DOMAIN.threshold)
    assert severity.in_domain == (distance <= DOMAIN.threshold)


def test_the_heat_map_is_between_0_and_1_with_its_peak_where_the_class_score_is() -> None:
    severity = Classifier(Told([0, 0, 9]), CLASSIFIER).assess(pitted())
    assert severity.cam.max() == severity.cam[2, 3] == 1
    assert severity.cam.min() == 0


def test_the_domain_distance_counts_scales_and_residue() -> None:
    embedding = np.array([[2.0, 0, 0, 0], [0, 1.0, 1.0, 1.0]], np.float32)
    assert domain_distance(embedding, DOMAIN) == pytest.approx([1, 1])


@pytest.mark.parametrize("box", [(0, 0, 10, 10), (630, 470, 10, 10), (0, 0, 640, 480), (300, 200, 3, 90), (639, 0, 1, 1)])
def test_a_crop_is_square_whatever_the_box(box: tuple[int, int, int, int]) -> None:
    crop = crop_region(pitted(), box, 0.25, 224)
    assert crop.shape == (224, 224)
    assert crop.dtype == np.uint8


def test_a_crop_keeps_the_region_in_the_middle() -> None:
    grey = np.zeros((400, 400), np.uint8)
    grey[190:210, 190:210] = 255
    crop = crop_region(grey, (190, 190, 20, 20), 0.5, 224)
    assert crop[112, 112] == 255
    assert crop[2, 2] == 0


def test_the_field_of_view_is_squashed_to_the_networks_square() -> None:
    assert field_of_view(pitted(), 224).shape == (224, 224)
    assert field_of_view(np.zeros((1, 1), np.uint8), 224).shape == (224, 224)


def test_a_classifier_with_other_classes_is_refused() -> None:
    with pytest.raises(ModelError, match="rusty"):
        Classifier(Told([0]), CLASSIFIER.model_copy(update={"classes": ("rusty",)}))


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[int, int, tuple[int, int, int, int]]:
    """Height and width of an image, and a box in it."""
    height, width = (draw(st.one_of(st.integers(1, 40), st.integers(1, 3000))) for _ in range(2))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return height, width, (x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))


@given(boxes_in_images())
def test_any_box_in_any_image_gives_a_crop_that_holds_all_of_it(scene: tuple[int, int, tuple[int, int, int, int]]) -> None:
    height, width, (x, y, w, h) = scene
    grey = np.full((height, width), 255, np.uint8)
    grey[y : y + h, x : x + w] = 0
    crop = crop_region(grey, (x, y, w, h), 0.25, 64)
    assert crop.shape == (64, 64)
    side = max(32, round(max(w, h) * 1.5))
    dark = (255 - crop.astype(float)).sum() / 255 * (side / 64) ** 2
    # Where the square is larger than the image, its edge is repeated, so there can only be more of the box.
    assert dark > 0.8 * w * h - 4


@given(st.lists(st.floats(-500, 500), min_size=3, max_size=3))
def test_probabilities_are_a_distribution_whatever_the_logits(logits: list[float]) -> None:
    severity = Classifier(Told(logits), CLASSIFIER).assess(np.zeros((8, 8), np.uint8))
    values = np.array(list(severity.probabilities.values()))
    exponent = np.exp(np.float32(logits).astype(np.float64) - max(np.float32(logits).astype(np.float64)))
    assert np.allclose(values, exponent / exponent.sum(), atol=1e-12)
    assert severity.prediction_set is not None
    assert severity.label in severity.prediction_set
    expected = {name for name, value in severity.probabilities.items() if 1 - value <= 0.6} | {severity.label}
    assert set(severity.prediction_set) == expected


def test_the_domain_distance_is_that_of_the_farther_of_components_and_rest() -> None:
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(10, 10)))[0]
    scales = np.array([5.0, 2.0] + [0.5] * 8)
    domain = DomainStatistics(
        mean=tuple(range(10)),
        deviations=(2.0,) * 10,
        components=tuple(map(tuple, basis[:2].tolist())),
        scales=(5.0, 2.0),
        residual_scale=0.5,
        threshold=1.0,
        quantile=0.9,
    )
    offsets = random.normal(size=(200, 10)) * scales
    z = np.square(offsets / scales)
    expected = np.sqrt(np.maximum(z[:, :2].mean(axis=1), z[:, 2:].mean(axis=1)))
    found = domain_distance((2 * offsets @ basis + np.arange(10)).astype(np.float32), domain)
    assert np.allclose(found, expected, rtol=1e-4)


def fitted_card(limit: float = 0.0) -> Any:
    """A classifier's card with a fit: the area decides the severity, and fields of much area are foreign."""
    field = FieldFit(
        fitted_with=FittedWith(segmenter_sha256="0" * 64, confidence=0.25, iou=0.7),
        severity=SeverityFit(weights={"network": 0.1, "area": 20.0}, limits=(4.0, 8.0), conformal_quantile=0.5),
        foreign=ForeignFit(
            numbers={"area": ForeignNumber(mean=0.3, deviation=0.1, weight=1.0, weight_of_square=0.0)}, offset=-4.0, limit=limit
        ),
    )
    return CLASSIFIER.model_copy(update={"calibration": CLASSIFIER.calibration.model_copy(update={"field": field})})


@pytest.mark.parametrize(("area", "label"), [(0.05, "low"), (0.3, "moderate"), (0.6, "severe")])
def test_the_severity_follows_what_was_measured(area: float, label: str) -> None:
    severity = Classifier(Told([0, 0, 1]), fitted_card()).assess(pitted(), {"area": area})
    assert severity.label == label
    assert severity.prediction_set == (label,)


def test_without_measures_the_network_judges_alone() -> None:
    severity = Classifier(Told([0, 0, 9]), fitted_card()).assess(pitted())
    assert severity.label == "severe"


def test_a_field_unlike_those_learnt_from_is_foreign_and_the_reason_names_what_is_strange() -> None:
    severity = Classifier(Told([0, 0, 1]), fitted_card()).assess(pitted(), {"area": 0.9})
    assert not severity.in_domain
    assert severity.domain_ratio is not None
    assert severity.domain_ratio > 1
    assert severity.prediction_set is None
    assert severity.reasons[0].startswith("out_of_domain: ")
    assert "the corroded area fraction (0.81" in severity.reasons[0]
