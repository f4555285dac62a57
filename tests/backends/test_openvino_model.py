"""OpenVINO: what a quantised copy says beside float32, and what the parity gate learns from this backend."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edge.backends import int8_copy, openvino_model
from edge.backends.int8_copy import copy_paths, has_dot_products, read_copy
from edge.backends.openvino_model import OpenVinoModel, fingerprint, lower_precisions
from edge.backends.table import open_network
from edge.errors import BackendError
from edge.inspection.classify import softmax
from edge.inspection.parity import MOST_REGION_CHANGES
from edge.inspection.pipeline import Pipeline
from edge.inspection.segment import Segmenter
from edge.models.card import BUILTIN_FOLDER, load_card
from edge.samples import sample_micrographs
from export import to_int8
from tests.conftest import SOURCE, settings_for

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"
SEGMENTER = BUILTIN_FOLDER / "segmenter.onnx"


@pytest.fixture
def dot_products() -> None:
    pytest.importorskip("openvino")
    if not has_dot_products():
        pytest.skip("this processor has no dot products of bytes, and the edge would not take the copy")


@pytest.mark.usefixtures("dot_products")
def test_the_shipped_copy_says_of_regions_what_float32_says() -> None:
    card, finder = load_card(CLASSIFIER, "classify"), BUILTIN_FOLDER / "segmenter.onnx"
    with open_network("openvino", finder) as network:
        segmenter = Segmenter(network, load_card(finder, "segment"), confidence=0.25, iou=0.7)
        views = to_int8.stage_two_views((one.grey for one in sample_micrographs()), segmenter, card).regions[:, None]
    with OpenVinoModel(CLASSIFIER) as reference, OpenVinoModel(CLASSIFIER, "int8") as copy:
        assert (reference.precision, copy.precision) == ("float32", "int8")
        assert copy.temperature is not None
        ours = softmax(reference.run(views)["logits"] / card.calibration.temperature)
        theirs = softmax(copy.run(views)["logits"] / copy.temperature)
    assert np.ptp(theirs, axis=0).max() > 0.2, "the same answer for every region"
    assert np.abs(ours - theirs).mean() < 0.05
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 1 - MOST_REGION_CHANGES


@pytest.mark.usefixtures("dot_products")
def test_the_fields_severity_is_that_of_float32_to_the_last_digit() -> None:
    settings = settings_for(BUILTIN_FOLDER, models={"backend": "openvino"})
    micrograph = sample_micrographs()[1]
    with Pipeline(settings) as reference, Pipeline(settings, precision="int8") as faster:
        ours, theirs = reference.inspect(micrograph, SOURCE), faster.inspect(micrograph, SOURCE)
    assert ours.severity is not None
    assert theirs.severity is not None
    assert ours.severity.probabilities == pytest.approx(theirs.severity.probabilities, abs=1e-5)
    assert ours.severity.domain_ratio == pytest.approx(theirs.severity.domain_ratio, abs=1e-5)
    np.testing.assert_array_equal(ours.regions.boxes_px, theirs.regions.boxes_px)
    assert [verdict is None for verdict in ours.region_severities] == [verdict is None for verdict in theirs.region_severities]


@pytest.mark.usefixtures("dot_products")
def test_an_inspection_says_what_ran(model: Path) -> None:
    settings = settings_for(model.parent, models={"backend": "openvino", "classifier": str(model)})
    _, _, passport = read_copy(model)
    with Pipeline(settings, precision="int8") as pipeline:
        inspection = pipeline.inspect(sample_micrographs()[0], SOURCE)
    assert inspection.models.precision == "float32/int8"
    assert inspection.models.engine_sha256 == passport.bin_sha256
    assert inspection.severity is not None
    assert sum(inspection.severity.probabilities.values()) == pytest.approx(1)


@pytest.mark.usefixtures("dot_products")
def test_a_damaged_copy_is_a_backend_error(model: Path) -> None:
    copy_paths(model)[1].write_bytes(b"")
    settings = settings_for(model.parent, models={"backend": "openvino", "classifier": str(model)})
    with pytest.raises(BackendError, match="int8"):
        Pipeline(settings, precision="int8")


@pytest.mark.parametrize(
    ("bfloat16", "dot_products", "models", "expected"),
    [
        (True, True, [SEGMENTER, CLASSIFIER], ["bfloat16", "int8"]),
        (True, True, [SEGMENTER], ["bfloat16"]),
        (False, True, [CLASSIFIER], ["int8"]),
        (False, False, [CLASSIFIER], []),
    ],
)
def test_what_runs_faster_depends_on_processor_and_copies(
    monkeypatch: pytest.MonkeyPatch, bfloat16: bool, dot_products: bool, models: list[Path], expected: list[str]
) -> None:
    monkeypatch.setattr(openvino_model, "has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(int8_copy, "has_dot_products", lambda: dot_products)
    assert lower_precisions(models) == expected


def test_another_copy_has_another_fingerprint_in_int8_alone(model: Path) -> None:
    pytest.importorskip("openvino")
    page = copy_paths(model)[2]
    before = [fingerprint([SEGMENTER, model], precision) for precision in ("bfloat16", "int8")]
    page.write_text(page.read_text() + "\n")
    after = [fingerprint([SEGMENTER, model], precision) for precision in ("bfloat16", "int8")]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_machine_without_openvino_is_advised_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not openvino_model.has_bfloat16()
    with pytest.raises(BackendError, match=r"pip install 'sem-corrosion-edge\[openvino\]'"):
        OpenVinoModel(CLASSIFIER)
