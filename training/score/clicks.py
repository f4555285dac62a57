"""A labelled folder in; how good the edge is on other specimens after a few simulated clicks on one image out.

The person that is simulated knows the mask and clicks on one image: half of the clicks on what is corroded, half on what is
not. Pixels: a click is one brush stroke, up to 60 px long and 8 px wide. It begins in a region chosen by chance, with the
root of its area as weight, and wanders inside it. Regions: a click marks one found region, chosen by chance, as right
where its mask overlaps the truth by an IoU of 0.3, else as not corrosion.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.config import CommandSettings, change, load_for_command
from edge.inspection.measure import chosen
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspection.segment import Found
from edge.inspection.taught import LOW_FLOOR, taught_regions
from edge.inspection.taught_file import Taught, TaughtFile
from edge.records import Grey, Mask, Regions
from edge.teach.reviews import read_reviews
from edge.teach.teach import teach
from training.data.options import Options
from training.score.baselines import covered
from training.score.score_folder import open_folder

STROKE_PX, BRUSH_PX, INSET_PX = 60, 4, 1.5
SAME: Final = 0.3
RECALL: Final = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One labelled image with what stage 1 finds in it."""

    name: str
    group: str
    path: Path
    grey: Grey
    truth: Mask
    labelled: Regions
    found: Found


def stroke(inside: Mask, rng: np.random.Generator) -> tuple[list[list[float]], int]:
    """Points and radius of one brush stroke inside a mask that is True somewhere."""
    distance = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    count, labels = cv2.connectedComponents(inside.astype(np.uint8))
    places = np.argwhere(distance >= 2)
    if not len(places):
        places = np.argwhere(inside)
    own = labels[places[:, 0], places[:, 1]]
    weights = np.sqrt(np.bincount(own, minlength=count))
    start = places[own == rng.choice(count, p=weights / weights.sum())]
    y, x = start[rng.integers(len(start))].astype(float)
    heading, path = rng.uniform(0, 2 * np.pi), [[x, y]]
    for _ in range(STROKE_PX):
        for attempt in range(12):
            turned = heading + rng.normal() * 0.3 * (1 + attempt)
            to_x, to_y = x + np.cos(turned), y + np.sin(turned)
            row, column = round(to_y), round(to_x)
            within = 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1]
            if within and distance[row, column] >= INSET_PX:
                break
        else:
            break
        heading, x, y = turned, to_x, to_y
        path.append([round(x, 1), round(y, 1)])
    least = min(float(distance[round(b), round(a)]) for a, b in path)
    return path, max(1, int(min(BRUSH_PX, least)))


def review_of(one: Seen, clicks: int, kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """What the simulated person says of one image: an `edge.review/1`."""
    document: dict[str, Any] = {
        "schema": "edge.review/1",
        "review_id": f"{one.name}",
        "ts_ms": 0,
        "reviewer": "simulated",
        "image": {"name": one.path.name, "path": one.path.name, "sha256": _sha256(one.path), "page": 0, "revision": 1},
        "regions": [],
        "missed": [],
        "brushed": [],
        "complete": False,
    }
    if kind == "pixels":
        for turn in range(clicks):
            points, radius = stroke(~one.truth if turn % 2 else one.truth, rng)
            name = "background" if turn % 2 else "corrosion"
            document["brushed"].append({"class": name, "points_px": points, "radius_px": radius})
        return document
    right = is_right(one)
    for wanted in (True, False):
        those = np.flatnonzero(right == wanted)
        for index in rng.choice(those, min(len(those), clicks // 2), replace=False).tolist():
            box = one.found.regions.boxes_px[index].tolist()
            document["regions"].append({"index": index, "box_px": box, "verdict": "right" if wanted else "not_corrosion"})
    return document


def is_right(one: Seen, regions: Regions | None = None) -> NDArray[np.bool_]:
    """Whether each found region overlaps one of the truth by an IoU of `SAME`."""
    regions = one.found.regions if regions is None else regions
    labels = np.zeros(one.truth.shape, np.int32)
    for number, ((x, y, w, h), mask) in enumerate(zip(one.labelled.boxes_px.tolist(), one.labelled.masks, strict=True), 1):
        labels[y : y + h, x : x + w][mask] = number
    areas = np.bincount(labels.ravel(), minlength=len(one.labelled) + 1)
    right = np.zeros(len(regions), np.bool_)
    for index, ((x, y, w, h), mask) in enumerate(zip(regions.boxes_px.tolist(), regions.masks, strict=True)):
        shared = np.bincount(labels[y : y + h, x : x + w][mask], minlength=len(areas))
        shared[0] = 0
        best = int(shared.argmax())
        right[index] = shared[best] > SAME * (np.count_nonzero(mask) + areas[best] - shared[best])
    return right


def area_iou(regions: Regions, truth: Mask) -> float:
    """Of the union of the regions with the truth; 1 where both are empty."""
    union = covered(regions, truth.shape)
    either = int(np.count_nonzero(union | truth))
    return int(np.count_nonzero(union & truth)) / either if either else 1.0


def precision_at_recall(scores: NDArray[np.float32], right: NDArray[np.bool_], recall: float = RECALL) -> float:
    """Best precision at which at least this part of what is right among all found is kept."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    if not len(hits) or not hits[-1]:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    return float(precision[hits >= recall * hits[-1]].max())


def see(folder: Path, settings: CommandSettings) -> list[Seen]:
    """Every labelled image of the folder, with what stage 1 finds from the low floor on."""
    data = open_folder(folder, Options(class_blind=True), clean=False)
    looking = change(settings, {"inspect": {"stages": "segment", "confidence": LOW_FLOOR}, "models": {"taught": ""}})
    seen = []
    with Pipeline(looking) as pipeline:
        for page, labelled in zip(data.pages, data.regions, strict=True):
            path = page.file.path
            micrograph = sem.read(path.read_bytes(), path.name, {}, limits_of(looking))[0]
            truth = covered(labelled, micrograph.grey.shape)
            group = path.stem.split("_")[0]
            seen.append(Seen(path.stem, group, path, micrograph.grey, truth, labelled, pipeline.look(micrograph)))
            print(f"{path.name}: seen", file=sys.stderr, flush=True)
    return seen


def score(
    seen: Sequence[Seen], settings: CommandSettings, *, kind: str, clicks: int, seeds: int, teachers: Sequence[Seen]
) -> list[dict[str, Any]]:
    """One row for each taught image, seed and image of another specimen."""
    rows = []
    confidence = settings.inspect.confidence
    for teacher in teachers:
        for seed in range(seeds):
            document = review_of(teacher, clicks, kind, np.random.default_rng(seed))
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "reviews.jsonl")
                file.write_text(json.dumps(document) + "\n")
                lesson = teach(read_reviews(file), teacher.path.parent, settings)
            told = {"taught_on": teacher.name, "seed": seed}
            others = [other for other in seen if other.group != teacher.group]
            rows += [{**told, "image": other.name, **_row(lesson.file, other, confidence)} for other in others]
            _tell(rows, f"{teacher.name} seed {seed}: {'; '.join(lesson.told) or 'taught'}")
    return rows


def _row(file: TaughtFile | None, other: Seen, confidence: float) -> dict[str, Any]:
    found = other.found
    plain = chosen(found.regions, np.flatnonzero(found.regions.scores >= confidence))
    before, regions = plain, plain
    doubts: tuple[str, ...] = ()
    right = is_right(other)
    ranked = found.regions.scores
    if file is not None:
        assert found.features is not None
        every, doubts = taught_regions(Taught(file, ""), other.grey, found.regions, found.features, 0.0)
        regions = chosen(every, np.flatnonzero(every.scores >= confidence))
        if file.pixels is None:
            ranked, right = every.scores, is_right(other, every)
    return {
        "before": area_iou(before, other.truth),
        "after": area_iou(regions, other.truth),
        "doubt": bool(doubts),
        "precision_before": precision_at_recall(found.regions.scores, is_right(other)),
        "precision_after": precision_at_recall(ranked, right),
    }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """In one line."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows]))

    low = [row for row in rows if row["after"] < 0.3]
    return (
        f"{len(rows)} pairs: area IoU {mean('before'):.3f} -> {mean('after'):.3f}, "
        f"least {min(row['after'] for row in rows):.3f}; "
        f"doubted {mean('doubt'):.2f}; below 0.3: {len(low)}, of these without a doubt {sum(not row['doubt'] for row in low)}; "
        f"precision at recall 0.80 {mean('precision_before'):.3f} -> {mean('precision_after'):.3f}"
    )


def _tell(rows: Sequence[dict[str, Any]], done: str) -> None:
    print(f"{done}: {summary(rows)}", file=sys.stderr, flush=True)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Print what a few clicks give."""
    parser = argparse.ArgumentParser(
        prog="python -m training.score.clicks",
        description="How good the edge is on other specimens after simulated clicks on one image.",
        epilog="example: python -m training.score.clicks real/superalloy --kind pixels --clicks 10 --seeds 5",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images with masks; the name up to _ is the specimen")
    parser.add_argument("--kind", choices=("pixels", "regions"), default="pixels", help="(%(default)s)")
    parser.add_argument("--clicks", type=int, default=10, metavar="N", help="on one image (%(default)s)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="(%(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="teach on every Nth image (%(default)s)")
    parser.add_argument("--only", default="", metavar="NAME,…", help="specimens, by the beginning of their names")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's TOML file: its models and settings count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="gets every pair")
    arguments = parser.parse_args(argv)
    settings = load_for_command(arguments.config)
    wanted = tuple(name for name in arguments.only.split(",") if name)
    seen = [one for one in see(arguments.folder, settings) if not wanted or one.name.startswith(wanted)]
    rows = score(
        seen,
        settings,
        kind=arguments.kind,
        clicks=arguments.clicks,
        seeds=arguments.seeds,
        teachers=seen[:: arguments.every],
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
