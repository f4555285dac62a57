"""A rival pipeline in a process of its own and ours in, how many times as fast ours is out.

The rival (`python -m training.score.rival`) answers one line of JSON with one line of JSON. Blocks of both, a round over all
images each, follow each other in turns (ours, rival, rival, ours …), so that what slows the machine slows both. Both read
the same files: the images as 8-bit TIFF without data bar, so that both networks see the same pixels.

Two ratios come out, which mean different things. "same_networks": the rival runs the very networks that ours runs, on the
same inputs, so that what is compared is engineering. "as_shipped": the rival also judges each of the regions that ours
judges, the way the paper does, by its classifier on the region's crop; so the choice of models counts, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.backends.network import cores
from edge.commands.bench.scenarios import Bench, ImageTiming
from edge.commands.bench.statistics import ratio_of_pairs
from edge.config import CommandSettings, InspectionSettings
from edge.errors import BackendError, ConfigError
from edge.models.card import resolve as resolve_model
from edge.records import Inspection

KINDS = {"ultralytics": "torch", "ultralytics-onnx": "onnx"}
"""What runs the rival's networks, by the name of the rival."""
NEEDED = ("torch", "ultralytics", "timm", "onnx")
"""What the extra `training` brings and a rival needs."""
CURE = "pip install 'sem-corrosion-edge[training]'; --rival-python names a Python that has them"
SCOPES = {
    "same_networks": "file read to both stages' answers, the same two networks on the same inputs; ours also measures and "
    "judges every region, the rival does not",
    "as_shipped": "the same and the severities of as many single regions: ours as it is shipped, the rival by its classifier "
    "on the crop of each",
}
"""What each ratio covers."""
SEVERITY_OF = "the answers of both classifiers for the same field, before measures weigh in ours"
"""What `severity_agreement` compares; `verdict_agreement` compares what ours says in the end."""
STAGES = ("read", "decode", "letterbox", "segment", "masks", "crops", "classify")
"""What both have; the rival reads and decodes in one call, which counts as decode."""
SAME_BOX = 0.5
LEAST_PAIRS = 4
LEAST_AGREEMENT = 0.9
"""Part of the regions that both find; below it the two do not do the same work."""

Box = Sequence[float]


@dataclass(frozen=True, slots=True)
class Contest:
    """What came of it.

    ours_ms, theirs_ms: of each pair of blocks.  theirs_regions_ms: what the rival took for single regions beside that.
    crops: regions that it judged, a block.  stages: mean milliseconds of an image, ours and theirs.
    agreement: of the regions, see `agreement`.  regions: found by ours and by theirs.
    same_answer: part of the fields for which both classifiers answer the same.  same_verdict: part for which our verdict,
    in which measures weigh, is the rival's answer.
    ready: the rival's device, versions and threads.  cores_used: by ours and by theirs while they ran.
    """

    name: str
    ready: Mapping[str, Any]
    images: int
    ours_ms: tuple[float, ...]
    theirs_ms: tuple[float, ...]
    theirs_regions_ms: tuple[float, ...]
    crops: int
    precision: str
    stages: Mapping[str, tuple[float | None, float | None]]
    agreement: float
    same_answer: float
    same_verdict: float
    regions: tuple[int, int]
    cores_used: tuple[float, float]
    threads: int
    device: str

    @property
    def theirs_shipped_ms(self) -> tuple[float, ...]:
        """Of each block of theirs, single regions judged."""
        return tuple(one + other for one, other in zip(self.theirs_ms, self.theirs_regions_ms, strict=True))

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document; what stands beside `same_networks` and `as_shipped` is of the former."""
        same, shipped = self._compared("same_networks", self.theirs_ms), self._compared("as_shipped", self.theirs_shipped_ms)
        return {
            "name": self.name,
            **same,
            "same_networks": same,
            "as_shipped": shipped,
            "precision": {"ours": self.precision, "rival": self.ready.get("precision", "float32")},
            "block_pairs": len(self.ours_ms),
            "images_a_block": self.images,
            "regions_an_image": round(self.regions[0] / self.images, 2),
            "regions_judged_an_image": round(self.crops / self.images, 2),
            "blocks_ms": {
                "ours": _rounded(self.ours_ms),
                "rival": _rounded(self.theirs_ms),
                "rival_as_shipped": _rounded(self.theirs_shipped_ms),
            },
            "stages": {
                name: {
                    "ours_ms": _rounded_or_none(one),
                    "rival_ms": _rounded_or_none(other),
                    "ratio": round(other / one, 3) if one and other else None,
                }
                for name, (one, other) in self.stages.items()
            },
            "same_work": {
                "region_agreement": round(self.agreement, 4),
                "severity_agreement": round(self.same_answer, 4),
                "severity_agreement_of": SEVERITY_OF,
                "verdict_agreement": round(self.same_verdict, 4),
                "regions_found": {"ours": self.regions[0], "rival": self.regions[1]},
            },
            "threads": self.threads,
            "cores_used": {"ours": round(self.cores_used[0], 3), "rival": round(self.cores_used[1], 3)},
            "rival": dict(self.ready),
        }

    def _compared(self, scope: str, theirs_ms: Sequence[float]) -> dict[str, Any]:
        """Our throughput over theirs, both, and what they cover."""
        ratio, count = ratio_of_pairs(theirs_ms, self.ours_ms).document(), len(self.ours_ms) * self.images
        return {
            "throughput_ratio": ratio["value"],
            "throughput_ratio_95": [ratio["low_95"], ratio["high_95"]],
            "scope": SCOPES[scope],
            "throughput": {
                "ours": round(count * 1e3 / sum(self.ours_ms), 3),
                "rival": round(count * 1e3 / sum(theirs_ms), 3),
            },
        }

    def warnings(self) -> list[str]:
        """What speaks against the ratio."""
        warnings = []
        if self.agreement < LEAST_AGREEMENT:
            warnings.append(
                f"the rival finds other regions ({self.agreement:.0%} are found by both): "
                "name the checkpoints from which our models were exported, or none"
            )
        if self.ready.get("device") != self.device:
            warnings.append(f"the rival runs on {self.ready.get('device')}, ours on {self.device}: the devices are compared")
        if self.same_answer < LEAST_AGREEMENT:
            warnings.append(f"the two classifiers answer differently for {1 - self.same_answer:.0%} of the fields")
        return warnings


@dataclass
class _Turns:
    """What blocks of both have given so far, in the order in which they ran."""

    ours_ms: list[float] = field(default_factory=list)
    timings: list[ImageTiming] = field(default_factory=list)
    cpu_s: float = 0.0
    wall_s: float = 0.0
    theirs_ms: list[float] = field(default_factory=list)
    theirs_regions_ms: list[float] = field(default_factory=list)
    answers: list[Mapping[str, Any]] = field(default_factory=list)

    def run_ours(self, bench: Bench, images: Sequence[Path]) -> None:
        """One block of ours. Raises ImageError or BackendError."""
        cpu, started = time.process_time(), time.perf_counter()
        block = [bench.inspect(path)[0] for path in images]
        self.cpu_s += time.process_time() - cpu
        self.wall_s += time.perf_counter() - started
        self.timings += block
        self.ours_ms.append(sum(timing.until_measured() for timing in block))

    def run_theirs(self, rival: Rival) -> None:
        """One block of the rival's. Raises BackendError."""
        self.answers.append(rival.ask({"do": "block"}))
        self.theirs_ms.append(sum(one["total"] for one in self.answers[-1]["samples"]))
        self.theirs_regions_ms.append(sum(one["regions"] for one in self.answers[-1]["samples"]))

    def stages(self) -> dict[str, tuple[float | None, float | None]]:
        """Mean milliseconds of an image, ours and theirs."""
        theirs = [one for answer in self.answers for one in answer["samples"]]
        return {
            stage: (_mean(one.stages[stage] for one in self.timings), _mean(one.get(stage) for one in theirs))
            for stage in STAGES
        }

    def cores_used(self) -> tuple[float, float]:
        """By ours and by theirs while they ran."""
        theirs = sum(answer["cpu_s"] for answer in self.answers) / sum(answer["wall_s"] for answer in self.answers)
        return self.cpu_s / self.wall_s, theirs


def compete(
    name: str,
    bench: Bench,
    settings: CommandSettings,
    paths: Sequence[Path],
    folder: Path,
    duration_s: float,
    *,
    segmenter: Path,
    classifier: Path,
    python: str | None = None,
) -> Contest:
    """Run both in turns until ours has had `duration_s`. folder: gets the images as both read them.

    Raises BackendError with the rival's words when it cannot run, ImageError.
    """
    shared = write_shared(bench, paths, folder)
    threads = cores()
    options = {
        "engine": KINDS[name],
        "segmenter": str(segmenter),
        "classifier": str(classifier),
        "threads": threads,
        "confidence": settings.inspect.confidence,
        "iou": settings.inspect.iou,
        "region_crops": settings.inspect.region_crops,
        "images": [str(path) for path in shared],
        "folder": str(folder),
    }
    turns = _Turns()
    with rival_process(options, python) as rival:
        ready = rival.ask({"do": "block"})["ready"]  # warm: every image was seen when it answers
        found = bench.warm_up(shared)
        while len(turns.ours_ms) < LEAST_PAIRS or sum(turns.ours_ms) < duration_s * 1e3 or len(turns.ours_ms) % 2:
            if len(turns.ours_ms) % 2 == 0:
                turns.run_ours(bench, shared)
                turns.run_theirs(rival)
            else:
                turns.run_theirs(rival)
                turns.run_ours(bench, shared)
    last = turns.answers[-1]
    pairs = [(_boxes(inspections), _array(one["boxes"])) for inspections, one in zip(found, last["samples"], strict=True)]
    return Contest(
        name=name,
        ready={**ready, "threads": last["threads"]},
        images=len(shared),
        ours_ms=tuple(turns.ours_ms),
        theirs_ms=tuple(turns.theirs_ms),
        theirs_regions_ms=tuple(turns.theirs_regions_ms),
        crops=sum(min(len(one["boxes"]), settings.inspect.region_crops) for one in last["samples"]),
        precision=bench.models.precision,
        stages=turns.stages(),
        agreement=agreement(pairs),
        same_answer=_same([bench.field_answer(path) for path in shared], last["samples"]),
        same_verdict=_same([_verdict(inspections) for inspections in found], last["samples"]),
        regions=(sum(len(one) for one, _ in pairs), sum(len(other) for _, other in pairs)),
        cores_used=turns.cores_used(),
        threads=threads,
        device="cuda" if bench.models.backend == "tensorrt" else "cpu",
    )


def write_shared(bench: Bench, paths: Sequence[Path], folder: Path) -> list[Path]:
    """The first page of each image as both contestants read it: 8-bit TIFF, uncompressed, without data bar."""
    shared = []
    for number, path in enumerate(paths):
        target = folder / f"{number:04d}.tif"
        if not cv2.imwrite(str(target), bench.decode(path).pages[0].grey, [cv2.IMWRITE_TIFF_COMPRESSION, 1]):
            raise BackendError(f"cannot write {target}")
        shared.append(target)
    return shared


def agreement(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
    """Part of the regions of both sides that have a partner on the other side, boxes with an IoU of at least `SAME_BOX`.

    pairs: boxes x, y, width, height as [N, 4] and [M, 4] for each image. 1 when nobody found anything.
    """
    matched = total = 0
    for one, other in pairs:
        total += len(one) + len(other)
        ious = _ious(one, other)
        while ious.size and ious.max() >= SAME_BOX:
            row, column = np.unravel_index(int(ious.argmax()), ious.shape)
            ious[row, :] = ious[:, column] = 0.0
            matched += 2
    return matched / total if total else 1.0


class Rival:
    """The rival's end of the pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """One line there, one line back. Raises BackendError with what the rival answered."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BackendError(f"the rival has ended ({error})") from error
        line = self._process.stdout.readline()
        if not line:
            raise BackendError(f"the rival has ended with status {self._process.wait()}: it needs {', '.join(NEEDED)}: {CURE}")
        answer = dict(json.loads(line))
        if "error" in answer:
            raise BackendError(f"the rival cannot run: {answer['error']}")
        return answer


@contextmanager
def rival_process(options: Mapping[str, Any], python: str | None = None) -> Iterator[Rival]:
    """The rival, started with its options; it ends when its input does."""
    packages = os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [python or sys.executable, "-W", "ignore", "-m", "training.score.rival", json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": packages},
    )
    try:
        yield Rival(process)
    finally:
        assert process.stdin is not None
        try:
            process.stdin.close()
        except OSError:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def require_weights(
    settings: InspectionSettings, segmenter: Path | None, classifier: Path | None, python: str | None
) -> tuple[Path, Path]:
    """The weights for a rival: checkpoints that are named, else the models of the settings, which it reads its own from.

    Raises ConfigError for a file that is not there, and where this Python lacks what a rival needs and no other is named.
    """
    for path, option in ((segmenter, "--checkpoint"), (classifier, "--classifier-checkpoint")):
        if path is not None and not path.is_file():
            raise ConfigError(f"{option} {path}: there is no such file")
    if python is None and (missing := [name for name in NEEDED if find_spec(name) is None]):
        raise ConfigError(f"a rival needs {', '.join(missing)}: {CURE}")
    models = settings.models
    return segmenter or resolve_model(models.segmenter, "segment"), classifier or resolve_model(models.classifier, "classify")


def _verdict(inspections: Sequence[Inspection]) -> str | None:
    severity = inspections[0].severity
    return severity.answer.label if severity else None


def _same(ours: Sequence[str | None], theirs: Sequence[Mapping[str, Any]]) -> float:
    """Part of the images with a severity from both for which it is the same; 1 when there is none."""
    same = [one == other["severity"] for one, other in zip(ours, theirs, strict=True) if one and other["severity"]]
    return float(np.mean(same)) if same else 1.0


def _boxes(inspections: Sequence[Inspection]) -> NDArray[np.float64]:
    return inspections[0].regions.boxes_px.astype(np.float64)


def _array(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _ious(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    starts = np.maximum(one[:, None, :2], other[None, :, :2])
    ends = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    shared = np.prod(np.maximum(ends - starts, 0), axis=2)
    union = np.prod(one[:, 2:], axis=1)[:, None] + np.prod(other[:, 2:], axis=1)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def _rounded_or_none(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
