"""A quantised segmenter in, how far it moves the area that is found and what processor time it saves out.

`python -m training.score.area_gate int8.xml` runs it through the whole pipeline beside the shipped model in float32, both on
OpenVINO. Boxes may move by a pixel without harm; what users report is the area, so that is what the gate is on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from edge.backends.network import Network
from edge.backends.openvino_model import OpenVinoModel
from edge.config import InspectionSettings
from edge.inspection.pipeline import Pipeline
from edge.inspection.segment import views
from edge.models.card import load_card, resolve
from edge.records import Grey, Inspection, Micrograph, Source
from edge.samples import sample_micrographs
from training.draw.synthetic import render
from training.score.region_scores import pairs

MOST_MEAN_POINTS = 0.5
MOST_POINTS = 2.0
"""Percentage points of the field, of one image."""
SEED = 4200
RUNS = 15


@dataclass(frozen=True, slots=True)
class AreaParity:
    """How far a candidate's inspections are from the reference's.

    mean_points, worst_points: absolute difference of the area fraction, in percentage points.
    shift_points: the mean difference with its sign.  flips: images whose severity differs, however unsure it was.
    regions: of the reference.  found: of the candidate.  matched: pairs of them with the overlap of `region_scores.pairs`.
    """

    images: int
    mean_points: float
    worst_points: float
    shift_points: float
    flips: int
    regions: int
    found: int
    matched: int

    @property
    def passed(self) -> bool:
        """Whether the candidate may take the reference's place."""
        near = self.mean_points <= MOST_MEAN_POINTS and self.worst_points <= MOST_POINTS
        return self.images > 0 and near and not self.flips


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians in milliseconds: processor time of all threads, and by the clock."""

    processor_ms: float
    clock_ms: float


def drawn(count: int, seed: int = SEED, size_px: tuple[int, int] = (640, 480)) -> list[Micrograph]:
    """Micrographs of the transfer preset without data bars."""
    greys = (render(seed + number, size_px, bars=False).grey for number in range(count))
    return [Micrograph(grey, grey.shape[1], grey.shape[0], pixel_size_nm=None, pixel_size_source=None) for grey in greys]


def area_parity(inspected: Iterable[tuple[Inspection, Inspection]]) -> AreaParity:
    """What the pairs of inspections, the reference's and the candidate's of one image each, differ by."""
    points, flips, regions, found, matched = [], 0, 0, 0, 0
    for reference, candidate in inspected:
        points.append(100 * (candidate.measures.area_fraction - reference.measures.area_fraction))
        flips += _labels(reference) != _labels(candidate)
        regions += len(reference.regions)
        found += len(candidate.regions)
        matched += len(pairs(reference.regions, candidate.regions))
    off = np.abs(points) if points else np.zeros(1)
    shift = float(np.mean(points)) if points else 0.0
    return AreaParity(len(points), float(off.mean()), float(off.max()), shift, flips, regions, found, matched)


def inspect_both(candidate: Path, images: Sequence[Micrograph]) -> Iterator[tuple[Inspection, Inspection]]:
    """Each image with the shipped segmenter, and with the candidate in its place. Raises BackendError."""
    settings, source = InspectionSettings(), Source("gate", "gate", None)
    segmenter = resolve(settings.models.segmenter, "segment")

    def quantised(_backend: str, model: Path, precision: str) -> Network:
        return OpenVinoModel(candidate if model == segmenter else model, precision)

    def float32(_backend: str, model: Path, precision: str) -> Network:
        return OpenVinoModel(model, precision)

    with Pipeline(settings, open_network=float32) as ours, Pipeline(settings, open_network=quantised) as theirs:
        for one in images:
            yield ours.inspect(one, source), theirs.inspect(one, source)


def costs(reference: Path, candidate: Path, grey: Grey) -> tuple[Cost, Cost]:
    """What one image costs each network alone, in turns; the first two rounds, which compile, do not count."""
    card = load_card(reference, "segment")
    image = next(views(grey, card)).canvas[None, None]
    with OpenVinoModel(reference) as ours, OpenVinoModel(candidate) as theirs:
        took: dict[OpenVinoModel, list[tuple[float, float]]] = {ours: [], theirs: []}
        for number in range(RUNS + 2):
            for network in (ours, theirs) if number % 2 else (theirs, ours):
                clock, processor = time.perf_counter(), time.process_time()
                network.run(image)
                took[network].append((time.process_time() - processor, time.perf_counter() - clock))
    first, second = (Cost(*(1e3 * median(column) for column in zip(*rows[2:], strict=True))) for rows in took.values())
    return first, second


def _labels(inspection: Inspection) -> tuple[str | None, str | None] | None:
    """What is told, and what would have been without abstaining."""
    severity = inspection.severity
    return (severity.label, severity.answer.label) if severity else None


def main(arguments: Sequence[str] | None = None) -> int:
    """0 the candidate passes the gate, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m training.score.area_gate", description=__doc__)
    parser.add_argument("candidate", type=Path, metavar="MODEL", help="a quantised segmenter, ONNX or OpenVINO's XML")
    parser.add_argument("--drawn", type=int, default=24, metavar="N", help="drawn images beside the shipped ones (%(default)s)")
    chosen = parser.parse_args(arguments)
    images = [*sample_micrographs(), *drawn(chosen.drawn)]
    parity = area_parity(inspect_both(chosen.candidate, images))
    print(f"{'passes' if parity.passed else 'refused'}: {parity.images} images, {parity.flips} severities differ; area is off")
    print(f"by {parity.mean_points:.3f} points on average ({parity.shift_points:+.3f} with sign),")
    print(f"{parity.worst_points:.3f} at worst;")
    print(f"of {parity.regions} regions {parity.matched} are found by both, and {parity.found - parity.matched} by it alone")
    float32, quantised = costs(resolve("builtin", "segment"), chosen.candidate, images[0].grey)
    print(f"network alone: processor {float32.processor_ms:.1f} ms in float32, {quantised.processor_ms:.1f} ms in this;")
    print(f"by the clock {float32.clock_ms:.1f} and {quantised.clock_ms:.1f} ms")
    return int(not parity.passed)


if __name__ == "__main__":
    raise SystemExit(main())
