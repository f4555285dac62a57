"""Seeds, real images and two models in, what the edge's own pipeline measures and answers of each field out, once for all fits.

Drawn fields of both generators, the same under other settings, drawn corrosion on real grounds, growing scenes, and
images of other materials. Nothing here is fitted; `training.learn.fields` does that from the file that is kept.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.backends.network import Network
from edge.backends.table import open_network
from edge.config import CommandSettings, change
from edge.inspection.describe import describe
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspection.region_severity import MEASURES, region_measures
from edge.records import SEVERITIES, Grey, Inspection, Mask, Micrograph, Source
from training.draw.blend import blended, without_marked
from training.draw.relief import render_relief
from training.draw.synthetic import Scene, render
from training.learn.segmenter_mix import REAL_SETS, labelled_images
from training.score import perturb
from training.score.grown import FRACTIONS, grown_scenes
from training.score.region_scores import pairs

SIZES_PX = ((640, 480), (512, 384), (640, 480), (800, 600))
GROWN_SIZE_PX = (512, 384)
VIEWED_EVERY = 3
CROPS = 4
REGIONS = 32
NEVER_LEARNT = "clean"
SIZE_PX = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Job:
    """One field to inspect.

    kind: painted, relief, blended, control (drawn corrosion on grounds that are never fitted on), grown, grown_relief,
    foreign, held_out or clean.  what: seed of a drawing, or number of the crop of an image, 0 the whole.
    view: a name of `perturb.VIEWS`.  path: of the real image or ground.
    """

    kind: str
    what: int
    view: str = ""
    path: str = ""
    mask: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """N inspected fields. numbers: float64 [N, F], by `names`, of `edge.inspection.describe`.

    logits: float64 [N, C].  embeddings: float32 [N, D].  truths: float64 [N, 3], area fraction, regions in the frame, largest
    area over the field; NaN where nothing is known.  severities: int64 [N], -1 unknown.
    regions: float32 [N, 32, M], `region_measures` of the largest, NaN where there is none.
    region_truths: int64 [N, 32], the severity of each found region in the drawing, -1 where it is none of it.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.float64]
    logits: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    truths: NDArray[np.float64]
    severities: NDArray[np.int64]
    regions: NDArray[np.float32]
    region_truths: NDArray[np.int64]
    kinds: NDArray[np.str_]
    whats: NDArray[np.int64]
    views: NDArray[np.str_]
    groups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, chosen: NDArray[np.bool_]) -> Records:
        """The chosen fields alone."""
        return Records(self.names, *(getattr(self, name)[chosen] for name in _ARRAYS))

    def number(self, name: str) -> NDArray[np.float64]:
        """float64 [N]."""
        return self.numbers[:, self.names.index(name)]

    def save(self, path: Path) -> None:
        """One compressed .npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, names=np.array(self.names), **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: Path) -> Records:
        """What `save` wrote."""
        with np.load(path) as held:
            return cls(tuple(held["names"].tolist()), *(held[name] for name in _ARRAYS))


_ARRAYS = (
    "numbers",
    "logits",
    "embeddings",
    "truths",
    "severities",
    "regions",
    "region_truths",
    "kinds",
    "whats",
    "views",
    "groups",
)


def jobs(seed: int, fields: int, grown: int, real: Path | None, oxide: Path | None) -> list[Job]:
    """What is inspected. fields: of each generator.  grown: scenes of each.

    real: superalloy/, nanocomposite/, clean/.  oxide: images/ with sections; the first half of its specimens is fitted on.
    """
    found = [Job(kind, seed + index) for index in range(fields) for kind in ("painted", "relief")]
    names = list(perturb.VIEWS)
    found += [
        Job(kind, seed + index, names[index // VIEWED_EVERY % len(names)])
        for index in range(0, fields, VIEWED_EVERY)
        for kind in ("painted", "relief")
    ]
    found += [Job(kind, seed + 50_000 + index) for index in range(grown) for kind in ("grown", "grown_relief")]
    learnt, held_out, grounds, clean = _real_files(real, oxide)
    found += [Job("foreign", crop, path=path) for path in learnt for crop in range(CROPS)]
    found += [Job("held_out", 0, path=path) for path in held_out] + [Job("clean", 0, path=path) for path in clean]
    many = fields // 5 if grounds else 0
    found += [Job("blended", seed + 70_000 + n, "", *grounds[n % len(grounds)]) for n in range(many)]
    found += [Job("control", seed + 80_000 + n, path=clean[n % len(clean)]) for n in range(min(many, 60) if clean else 0)]
    return found


def _real_files(real: Path | None, oxide: Path | None) -> tuple[list[str], list[str], list[tuple[str, str]], list[str]]:
    """Images learnt from, held out, the former with their masks, and clean ones."""
    learnt, held_out, grounds, clean = [], [], [], []
    if real is not None:
        for one in REAL_SETS:
            grounds += [(str(path), str(path.with_name(f"{path.stem}_mask.png"))) for path, *_ in labelled_images(real, one)]
            names = {path for path, _ in grounds}
            every = (path for path in sorted((real / one.folder).glob("*")) if not path.stem.endswith("_mask"))
            held_out += [str(path) for path in every if str(path) not in names]
        learnt += [path for path, _ in grounds]
        clean = [str(path) for path in sorted((real / NEVER_LEARNT).glob("*.png"))]
    if oxide is not None:
        paths = sorted((oxide / "images").glob("*"))
        specimens = sorted({path.name.rpartition("_")[0] for path in paths})
        first = set(specimens[: (len(specimens) + 1) // 2])
        learnt += [str(path) for path in paths if path.name.rpartition("_")[0] in first]
        held_out += [str(path) for path in paths if path.name.rpartition("_")[0] not in first]
    return learnt, held_out, grounds, clean


def collect(models: Path, todo: Sequence[Job], processes: int) -> Records:
    """Inspect every job with the models of a folder, on so many processes. Raises ModelError or BackendError."""
    parts = [list(todo[first::processes]) for first in range(processes)]
    if processes == 1:
        rows = [_inspected(models, parts[0])]
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            rows = pool.map(partial(_inspected, models), parts, chunksize=1)
    each = [row for part in rows for row in part]
    names = tuple(each[0]["numbers"])
    columns: dict[str, Any] = {
        "numbers": np.array([[row["numbers"][name] for name in names] for row in each], np.float64),
        **{name: np.array([row[name] for row in each]) for name in _ARRAYS if name != "numbers"},
    }
    return Records(names, *(columns[name] for name in _ARRAYS))


def settings_of(models: Path) -> CommandSettings:
    """The default settings, with the models of a folder, on one core."""
    named = {
        "segmenter": str(models / "segmenter.onnx"),
        "classifier": str(models / "classifier.onnx"),
        "backend": "onnxruntime",
    }
    return change(CommandSettings(), {"inspect": {"region_crops": 0}, "models": named})


class _Listening:
    """A network that keeps what the classifier answered last."""

    def __init__(self, network: Network, heard: dict[str, NDArray[Any]]) -> None:
        self._network, self._heard = network, heard

    def run(self, image: NDArray[np.uint8]) -> Any:
        outputs = self._network.run(image)
        if "logits" in outputs:
            self._heard.update({name: outputs[name][0].copy() for name in ("logits", "embedding")})
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __enter__(self) -> _Listening:
        self._network.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        self._network.__exit__(*how)


def _inspected(models: Path, part: Sequence[Job]) -> list[dict[str, Any]]:
    cv2.setNumThreads(1)
    heard: dict[str, NDArray[Any]] = {}

    def listening(backend: str, path: Path, precision: str) -> Network:
        return cast(Network, _Listening(open_network(backend, path, precision), heard))

    rows = []
    with Pipeline(settings_of(models), open_network=listening) as pipeline:
        for job in part:
            for grey, truth, scene in _pictures(job):
                micrograph = Micrograph(np.ascontiguousarray(grey), grey.shape[1], grey.shape[0])
                if job.view:
                    micrograph = perturb.view(micrograph, job.view)
                seen = pipeline.inspect(micrograph, Source(job.kind, job.kind, None))
                numbers = describe(seen.regions, seen.measures, micrograph.grey, seen.quality)
                rows.append(
                    {
                        "numbers": numbers,
                        "logits": heard["logits"].astype(np.float64),
                        "embeddings": heard["embedding"].astype(np.float32),
                        "kinds": job.kind,
                        "whats": job.what,
                        "views": job.view,
                        "groups": Path(job.path).name or str(job.what),
                        **_regions(micrograph.grey, seen, scene),
                        **truth,
                    }
                )
    return rows


def _regions(grey: Grey, seen: Inspection, scene: Scene | None) -> dict[str, Any]:
    """What is measured of the largest found regions, and what they are in the drawing."""
    rows = np.full((REGIONS, len(MEASURES) - 2), np.nan, np.float32)
    truths = np.full(REGIONS, -1, np.int64)
    if scene is not None and len(seen.regions):
        measured = region_measures(grey, seen.regions, seen.measures.area_px, seen.measures.area_fraction, REGIONS)
        rows[: len(measured)] = measured
        for true, found in pairs(scene.regions, seen.regions):
            if found < REGIONS:
                truths[found] = SEVERITIES.index(scene.region_severities[true])
    return {"regions": rows, "region_truths": truths}


def _pictures(job: Job) -> Iterator[tuple[Grey, dict[str, Any], Scene | None]]:
    """The images of a job with what is true of them; those of a growing scene in the order of their growth.

    The scene comes with drawings whose single regions are judged.
    """
    size = SIZES_PX[job.what % len(SIZES_PX)]
    if job.kind in ("grown", "grown_relief"):
        for scene in grown_scenes(job.what, GROWN_SIZE_PX, relief=job.kind == "grown_relief"):
            yield scene.grey, _truth(scene, severity=False), None
    elif job.kind in ("painted", "relief"):
        scene = (render if job.kind == "painted" else render_relief)(job.what, size)
        yield scene.grey, _truth(scene), None if job.view else scene
    elif job.kind in ("blended", "control"):
        ground = _read(job.path)
        if job.mask:
            ground = without_marked(ground, _mask_of(job.mask, ground.shape))
        scene = (render if job.what % 2 else render_relief)(job.what, size, bars=False)
        yield blended(scene, ground), _truth(scene), None
    else:
        grey = _read(job.path)
        nothing = {"truths": np.full(3, np.nan), "severities": -1}
        yield (grey if job.what == 0 else _crop(grey, job.what)), nothing, None


def _truth(scene: Scene, *, severity: bool = True) -> dict[str, Any]:
    boxes = scene.regions.boxes_px
    areas = [int(mask.sum()) for mask in scene.regions.masks]
    counted = int(np.count_nonzero((boxes[:, 0] > 0) & (boxes[:, 1] > 0)))
    of_field = np.array([scene.area_fraction, counted, max(areas, default=0) / scene.grey.size], np.float64)
    return {"truths": of_field, "severities": SEVERITIES.index(scene.severity) if severity else -1}


def _read(path: str) -> Grey:
    """As the edge reads it, without its data bar."""
    return sem.read(Path(path).read_bytes(), Path(path).name, {}, limits_of(CommandSettings()), None)[0].grey


def _mask_of(path: str, shape: tuple[int, ...]) -> Mask:
    mask = cast(Grey, cv2.imread(path, cv2.IMREAD_GRAYSCALE))
    return np.asarray(mask[: shape[0], : shape[1]] > 0, np.bool_)


def _crop(grey: Grey, number: int) -> Grey:
    """Another part of the image each time, half to nearly all of it, at times mirrored."""
    rng = np.random.default_rng([number, *grey.shape])
    height, width = (round(side * rng.uniform(0.5, 0.9)) for side in grey.shape)
    top, left = (int(rng.integers(all_of - part + 1)) for all_of, part in zip(grey.shape, (height, width), strict=True))
    part = grey[top : top + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if number % 2 else part[::-1])


def steps_of(records: Records) -> list[Records]:
    """The growing scenes of the records, each in the order of its growth."""
    growing = [kind.startswith("grown") for kind in records.kinds.tolist()]
    found: dict[tuple[str, int], list[int]] = {}
    for index in np.flatnonzero(growing).tolist():
        found.setdefault((str(records.kinds[index]), int(records.whats[index])), []).append(index)
    every = np.arange(len(records))
    return [records.where(np.isin(every, of)) for of in found.values() if len(of) == len(FRACTIONS)]
