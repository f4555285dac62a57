"""A classifier's ONNX file and micrographs in, its quantised copy for OpenVINO out, which judges regions.

NNCF chooses the ranges (post-training quantisation): weights and activations of the convolutions get 8 bits, each output
channel of a weight its own scale. The first convolution stays in float32: its input is what the microscope saw, and
without rounding it a fifth as many labels changed (docs/models/export.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import __version__
from edge.backends.int8_copy import Agreement, Passport, copy_paths, read_copy
from edge.backends.quiet import without_openvino_telemetry
from edge.errors import ConfigError, ModelError
from edge.inspection.classify import crop_region, field_of_view, softmax
from edge.inspection.parity import FLIP_MARGIN
from edge.inspection.segment import Segmenter
from edge.models.card import ModelCard, load_card
from edge.records import Grey

LEAST_REGIONS = 60
HELD_OUT = 3
"""One region in so many measures the copy instead of calibrating it."""
MOST_FLIPS = 0.08
MOST_MEAN_DIFFERENCE = 0.04

Stack = NDArray[np.uint8]
"""[N, side, side]."""


@dataclass(frozen=True, slots=True)
class Views:
    """What stage 2 sees of some images: their fields of view, and regions of them.

    The copy judges regions alone; the fields widen its ranges.
    """

    fields: Stack
    regions: Stack


def stage_two_views(images: Iterable[Grey], segmenter: Segmenter, card: ModelCard) -> Views:
    """The field of view of each image, the largest region that stage 1 finds in it, and one from the middle of the list."""
    side = card.input_px
    fields, regions = [], []
    for grey in images:
        fields.append(field_of_view(grey, side))
        boxes = segmenter.find(grey)[0].boxes_px
        chosen = boxes[sorted({0, len(boxes) // 2})] if len(boxes) else boxes
        regions += [crop_region(grey, box, card.crop_margin, side) for box in chosen]
    return Views(*(np.array(part, np.uint8).reshape(-1, side, side) for part in (fields, regions)))


def export_int8(model: Path, views: Views, calibrated_on: str) -> Passport:
    """Write the quantised copy of `model` beside it, with its passport.

    views: one region in three measures, the others and the fields calibrate.  calibrated_on: for the passport.
    What was there before stays when this fails. Raises ConfigError and ModelError; ImportError without nncf or openvino.
    """
    card = load_card(model, "classify")
    if len(views.regions) < LEAST_REGIONS:
        raise ConfigError(f"{len(views.regions)} regions are too few to calibrate on: at least {LEAST_REGIONS}")
    with without_openvino_telemetry():
        import nncf
        import openvino

    held_out = np.arange(len(views.regions)) % HELD_OUT == 0
    reference = openvino.convert_model(model)  # which joins x · sigmoid(x) to one operation, as read_model does not
    copy = _quantised(reference, np.concatenate([views.fields, views.regions[~held_out]]))
    wanted = softmax(_logits(reference, views.regions) / card.calibration.temperature)
    logits = _logits(copy, views.regions)
    temperature = _like(wanted[~held_out], logits[~held_out], card.calibration.temperature)
    agreement = _agreement(wanted[held_out], softmax(logits[held_out] / temperature))
    reason = refusal(agreement)
    if reason:
        raise ModelError(f"the int8 copy of {model} is not used: {reason}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.xml"
        openvino.save_model(copy, path, compress_to_fp16=False)
        graph, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    passport = Passport(
        model_sha256=card.sha256,
        xml_sha256=hashlib.sha256(graph).hexdigest(),
        bin_sha256=hashlib.sha256(weights).hexdigest(),
        made_with={"edge": __version__, "nncf": str(nncf.__version__), "openvino": str(openvino.__version__)},
        calibrated_on=calibrated_on,
        agreement=agreement,
        temperature=temperature,
    )
    _install(model, graph, weights, passport)
    return passport


def add_scores(model: Path, scores: Mapping[str, Any]) -> None:
    """Put what the copy beside `model` reaches on regions of known severity into its passport. Raises BackendError."""
    graph, weights, passport = read_copy(model)
    _install(model, graph, weights, passport.model_copy(update={"scores": dict(scores)}))


def refusal(agreement: Agreement) -> str | None:
    """Why a copy that agrees with float32 so far may not be used at all; None when it may."""
    if agreement.flips > MOST_FLIPS * agreement.views:
        return (
            f"{agreement.flips} of {agreement.views} labels changed that float32 was sure of by more than "
            f"{agreement.flip_margin:g} (at most {MOST_FLIPS:.0%})"
        )
    if agreement.mean_difference > MOST_MEAN_DIFFERENCE:
        return f"probabilities differ by {agreement.mean_difference:.3f} on average (at most {MOST_MEAN_DIFFERENCE:g})"
    return None


def _quantised(reference: Any, views: Stack) -> Any:
    with without_openvino_telemetry():
        import nncf

    stem = next(node for node in reference.get_ordered_ops() if node.get_type_name() == "Convolution")
    with contextlib.redirect_stdout(sys.stderr):  # its progress
        return nncf.quantize(
            reference.clone(),
            nncf.Dataset(list(views[:, None, None]), lambda view: {"image": view}),
            subset_size=len(views),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=[stem.get_friendly_name()]),
        )


def _logits(network: Any, views: Stack) -> NDArray[np.float64]:
    """float64 [N, C] of one view after the other: of batches of any size, a quantised model gives the same for all."""
    with without_openvino_telemetry():
        import openvino

    network = network.clone()
    network.reshape([1, 1, *views.shape[1:]])
    compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    output = compiled.output("logits")
    return np.concatenate([np.array(compiled({"image": view[None, None]})[output], np.float64) for view in views])


def _like(wanted: NDArray[np.float64], logits: NDArray[np.float64], temperature: float) -> float:
    """The temperature with which these logits [N, C] come nearest to the probabilities wanted. No labels are needed."""
    from scipy.optimize import minimize_scalar

    def surprise(tried: float) -> float:
        return -float((wanted * np.log(softmax(logits / tried) + 1e-12)).sum(axis=1).mean())

    found = minimize_scalar(surprise, bounds=(temperature / 2, temperature * 2), method="bounded")
    return round(float(found.x), 4)


def _agreement(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Agreement:
    """Of probabilities [N, C]."""
    best = np.sort(ours, axis=1)
    changed = ours.argmax(axis=1) != theirs.argmax(axis=1)
    differences = np.abs(ours - theirs)
    return Agreement(
        views=len(ours),
        changed=int(changed.sum()),
        flips=int((changed & (best[:, -1] - best[:, -2] > FLIP_MARGIN)).sum()),
        flip_margin=FLIP_MARGIN,
        mean_difference=round(float(differences.mean()), 5),
        largest_difference=round(float(differences.max()), 5),
    )


def _install(model: Path, graph: bytes, weights: bytes, passport: Passport) -> None:
    """The passport last: until then it does not fit the other two, and the edge refuses all three."""
    page = passport.model_dump_json(by_alias=True, indent=1) + "\n"
    for path, content in zip(copy_paths(model), (graph, weights, page.encode("ascii")), strict=True):
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(content)
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise ModelError(f"cannot write {path}: {error.strerror or error}") from error
