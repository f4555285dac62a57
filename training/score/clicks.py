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
from edge.inspection.pixel_features import filter_features
from edge.inspection.segment import Found
from edge.inspection.taught import LOW_FLOOR, pixel_answer, taught_regions, uncertainty
from edge.inspection.taught_file import SCHEMA, Taught, TaughtFile, TaughtPixels
from edge.records import Grey, Mask, Regions
from edge.teach.examples import examples_of
from edge.teach.fit import fit_pixels, fit_regions
from edge.teach.reviews import read_reviews
from edge.teach.teach import BLOCKS
from training.data.options import Options
from training.score.baselines import covered
from training.score.score_folder import open_folder

STROKE_PX, BRUSH_PX, INSET_PX = 60, 4, 1.5
SAME: Final = 0.3
RECALL: Final = 0.8
GOOD: Final = 0.6
"""Area IoU from which a doubt is a false one."""


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
    return _iou(covered(regions, truth.shape), truth)


def _iou(one: Mask, two: Mask) -> float:
    either = int(np.count_nonzero(one | two))
    return int(np.count_nonzero(one & two)) / either if either else 1.0


def precision_at_recall(scores: NDArray[np.float32], right: NDArray[np.bool_], recall: float = RECALL) -> float:
    """Best precision at which at least this part of what is right among all found is kept."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    if not len(hits) or not hits[-1]:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    return float(precision[hits >= recall * hits[-1]].max())


def see(folder: Path, settings: CommandSettings, only: tuple[str, ...] = ()) -> list[Seen]:
    """Every labelled image of the folder, with what stage 1 finds from the low floor on. only: beginnings of names, if any."""
    data = open_folder(folder, Options(class_blind=True), clean=False)
    looking = change(settings, {"inspect": {"stages": "segment", "confidence": LOW_FLOOR}, "models": {"taught": ""}})
    seen = []
    with Pipeline(looking) as pipeline:
        for page, labelled in zip(data.pages, data.regions, strict=True):
            path = page.file.path
            if only and not path.stem.startswith(only):
                continue
            micrograph = sem.read(path.read_bytes(), path.name, {}, limits_of(looking))[0]
            truth = covered(labelled, micrograph.grey.shape)
            group = path.stem.split("_")[0]
            seen.append(Seen(path.stem, group, path, micrograph.grey, truth, labelled, pipeline.look(micrograph)))
            print(f"{path.name}: seen", file=sys.stderr, flush=True)
    return seen


def score(
    seen: Sequence[Seen],
    settings: CommandSettings,
    *,
    kind: str,
    clicks: int,
    seeds: int,
    teachers: Sequence[Seen],
) -> list[dict[str, Any]]:
    """One row for each image, and each taught image of another specimen and seed.

    No image is shown to the network again, and its filters are run once.
    """
    confidence = settings.inspect.confidence
    lessons = []
    for teacher in teachers:
        for seed in range(seeds):
            document = review_of(teacher, clicks, kind, np.random.default_rng(seed))
            file, why = taught_by(document, teacher, kind, confidence)
            lessons.append((teacher, seed, file))
            print(f"{teacher.name} seed {seed}: {why or 'taught'}", file=sys.stderr, flush=True)
    rows = []
    for other in seen:
        those = [lesson for lesson in lessons if lesson[0].group != other.group]
        planes = filter_features(other.grey) if kind == "pixels" and those else None
        for teacher, seed, file in those:
            told = {"taught_on": teacher.name, "seed": seed, "image": other.name, "taught": file is not None}
            rows.append({**told, **_row(file, other, confidence, planes)})
        if those:
            print(f"{other.name}: {summary(rows)}", file=sys.stderr, flush=True)
    return rows


def taught_by(document: dict[str, Any], teacher: Seen, kind: str, confidence: float) -> tuple[TaughtFile | None, str]:
    """What one review of a seen image teaches, as `edge-teach` would; or None, and why."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "reviews.jsonl")
        lines.write_text(json.dumps(document) + "\n")
        reviews = read_reviews(lines)
    features = teacher.found.features
    assert features is not None
    example = examples_of(reviews, teacher.grey, teacher.found.regions, features, confidence=confidence)
    classes = teacher.found.regions.class_names
    part = fit_pixels([example], classes) if kind == "pixels" else fit_regions([example], features.channels)
    if part is None or part.taught is None:
        return None, part.why if part else "nothing was clicked"
    file = TaughtFile(
        schema=SCHEMA,
        segmenter=None,
        classifier=None,
        reviews=1,
        images=(example.sha256,),
        provisional=True,
        how=BLOCKS,
        before={kind: part.before},
        after={kind: part.after},
        regions=part.taught if kind == "regions" else None,
        pixels=part.taught if kind == "pixels" else None,
    )
    return file, ""


def _row(file: TaughtFile | None, other: Seen, confidence: float, planes: NDArray[np.float32] | None) -> dict[str, Any]:
    found = other.found
    plain = chosen(found.regions, np.flatnonzero(found.regions.scores >= confidence))
    before, regions = plain, plain
    doubts: tuple[str, ...] = ()
    right = is_right(other)
    ranked = found.regions.scores
    if file is not None:
        assert found.features is not None
        every, doubts = taught_regions(Taught(file, ""), other.grey, found.regions, found.features, 0.0, planes)
        regions = chosen(every, np.flatnonzero(every.scores >= confidence))
        if file.pixels is None:
            ranked, right = every.scores, is_right(other, every)
    return {
        "before": area_iou(before, other.truth),
        "after": area_iou(regions, other.truth),
        "doubt": bool(doubts),
        "why": "; ".join(doubts),
        "precision_before": precision_at_recall(found.regions.scores, is_right(other)),
        "precision_after": precision_at_recall(ranked, right),
        **(_signals(file.pixels, other, plain, planes) if file is not None and file.pixels is not None else {}),
    }


def _signals(part: TaughtPixels, other: Seen, plain: Regions, planes: NDArray[np.float32] | None) -> dict[str, float]:
    """What could tell that taught pixels are wrong here, and how good they would be: to choose the rule of doubt by.

    iou: of the taught pixels alone.  agreed: their IoU with the network's regions.  shares of the image, 0…1.
    """
    assert other.found.features is not None
    logits = pixel_answer(part, other.grey, other.found.regions, other.found.features, planes).logits
    height, width = other.truth.shape
    said = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR) > 0
    network = covered(plain, other.truth.shape)
    return {
        "pixels_iou": _iou(said, other.truth),
        "pixels_agreed": _iou(said, network),
        "pixels_area": float(said.mean()),
        "network_area": float(network.mean()),
        "true_area": float(other.truth.mean()),
        "uncertain": uncertainty(logits),
        "most_uncertain": part.most_uncertain,
        "area_least": part.area_range[0],
        "area_most": part.area_range[1],
    }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """In one line."""

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in rows]))

    low = [row for row in rows if row["after"] < 0.3]
    good = [row for row in rows if row["after"] >= GOOD]
    return (
        f"{len(rows)} pairs: area IoU {mean('before'):.3f} -> {mean('after'):.3f}, "
        f"least {min(row['after'] for row in rows):.3f}; "
        f"doubted {mean('doubt'):.2f}; below 0.3: {len(low)}, of these without a doubt {sum(not row['doubt'] for row in low)}; "
        f"from {GOOD} on: {len(good)}, of these doubted {sum(row['doubt'] for row in good)}; "
        f"precision at recall 0.80 {mean('precision_before'):.3f} -> {mean('precision_after'):.3f}"
    )


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
    parser.add_argument(
        "--held-out", default="", metavar="NAME,…", help="these are told apart, by the beginning of their names"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's TOML file: its models and settings count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="gets every pair")
    arguments = parser.parse_args(argv)
    settings = load_for_command(arguments.config)
    wanted = tuple(name for name in arguments.only.split(",") if name)
    seen = see(arguments.folder, settings, wanted)
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
    held_out = tuple(name for name in arguments.held_out.split(",") if name)
    for name, wanted_out in (("held out", True), ("the others", False)) if held_out else ():
        half = [row for row in rows if row["image"].startswith(held_out) == wanted_out]
        if half:
            print(f"{name}: {summary(half)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
