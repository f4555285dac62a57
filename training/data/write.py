"""A plan of pages, regions, parts and folds in, the data set's folder out: images, varied copies, labels and dataset.json."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edge import __version__
from edge.inspection.segment import no_regions
from edge.records import SEVERITIES, Grey, Regions
from training.data.augment import draw_variation, vary
from training.data.check import count_regions
from training.data.dataset import OUTLINES, PARTS, UNKNOWN, Part, hash_of
from training.data.options import Options
from training.data.read_images import Page, grey_of
from training.labels.formats import LabelKind
from training.labels.masks import MaskRule
from training.labels.yolo import yolo_text

SCHEMA: Final = "edge.dataset/1"
COLUMNS: Final = ("image", "annealing_min", "exposure_h", "severity", "group", "part", "fold", "origin")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """All that is decided before anything is written. regions: one a page, or () without labels."""

    pages: tuple[Page, ...]
    regions: tuple[Regions, ...]
    classes: tuple[str, ...]
    kind: LabelKind | None
    rule: MaskRule | None
    parts: tuple[Part, ...]
    folds: tuple[int | None, ...]
    warnings: tuple[str, ...]


def write(out: Path, data: Path, plan: Plan, options: Options, command: str) -> dict[str, Any]:
    """Write everything beside `out` first and move it there at the end; returns the content of dataset.json."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        folder.chmod(0o755)
        (folder / "images").mkdir()
        (folder / "labels").mkdir()
        rows: list[dict[str, Any]] = []
        for index, page in enumerate(plan.pages):
            grey = grey_of(page)
            regions = plan.regions[index] if plan.regions and page.outlined else None
            row = _row(page, plan.parts[index], plan.folds[index])
            _write_image(folder, page.name, grey, regions)
            rows.append({"image": f"{page.name}.png", **row})
            for copy in range(1, options.augment if plan.parts[index] != "test" else 1):
                name = f"{page.name}_varied{copy}"
                number = int(hashlib.sha256(page.name.encode()).hexdigest()[:8], 16)
                variation = draw_variation(np.random.default_rng([options.seed, copy, number]), page.width_px, page.height_px)
                varied, moved = vary(grey, regions or no_regions(plan.classes), variation)
                _write_image(folder, name, varied, None if regions is None else moved)
                rows.append({"image": f"{name}.png", **row, "origin": f"{page.name}.png"})
        with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as stream:
            columns = COLUMNS if all(page.outlined for page in plan.pages) else (*COLUMNS, OUTLINES)
            writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: str(row["image"])))
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in plan.classes), encoding="utf-8")
        record = _record(folder, data, plan, options, command)
        (folder / "dataset.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return record


def _row(page: Page, part: Part, fold: int | None) -> dict[str, Any]:
    numbers = {"annealing_min": page.annealing_min, "exposure_h": page.exposure_h}
    return {
        **{key: "" if value is None else f"{value:g}" for key, value in numbers.items()},
        "severity": page.severity or "",
        "group": page.group,
        "part": part,
        "fold": "" if fold is None else fold,
        **({} if page.outlined else {OUTLINES: UNKNOWN}),
    }


def _write_image(folder: Path, name: str, grey: Grey, regions: Regions | None) -> None:
    (folder / "images" / f"{name}.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    if regions is not None:
        text = yolo_text(regions, grey.shape[1], grey.shape[0])
        (folder / "labels" / f"{name}.txt").write_text(text, encoding="ascii")


def _record(folder: Path, data: Path, plan: Plan, options: Options, command: str) -> dict[str, Any]:
    """What was made from what and how; the same input and options give the same content."""
    import sklearn

    images = sorted((folder / "images").glob("*.png"))
    severities = Counter(str(page.severity or "unknown") for page in plan.pages)
    per_part = {name: [index for index, part in enumerate(plan.parts) if part == name] for name in PARTS}
    per_fold = {
        f"fold {number}": [index for index, fold in enumerate(plan.folds) if fold == number] for number in range(options.folds)
    }
    return {
        "schema": SCHEMA,
        "sha256": hash_of(folder, images),
        "made_from": data.resolve().name,
        "command": command,
        "versions": {"sem-corrosion-edge": __version__, "scikit-learn": sklearn.__version__, "opencv": cv2.__version__},
        "options": {**asdict(options), "labels_from": options.labels_from.resolve().name if options.labels_from else None},
        "labels": {"kind": plan.kind, "mask_rule": plan.rule},
        "classes": list(plan.classes),
        "counts": {
            "images": len(plan.pages),
            "varied_copies": len(images) - len(plan.pages),
            "groups": len({page.group for page in plan.pages}),
            "severities": {name: severities[name] for name in (*SEVERITIES, "unknown") if severities[name]},
            "regions": count_regions(plan.regions, plan.classes),
        },
        "parts": {name: _part_record(plan, members) for name, members in per_part.items()},
        "folds": {name: _part_record(plan, members) for name, members in per_fold.items()},
        "warnings": list(plan.warnings),
        "sources": [
            {
                "image": f"{page.name}.png",
                "file": page.file.relative,
                "page": page.number,
                "sha256": page.file_sha256,
                "databar_px": page.stored_height_px - page.height_px,
                "grey_window": list(page.grey_window),
                **({} if page.crop_px is None else {"crop_px": list(page.crop_px)}),
                **({} if page.outlined else {OUTLINES: UNKNOWN}),
            }
            for page in plan.pages
        ],
    }


def _part_record(plan: Plan, members: Sequence[int]) -> dict[str, Any]:
    """Images, varied copies not counted, and groups of one part or fold."""
    severities = Counter(str(plan.pages[index].severity or "unknown") for index in members)
    return {
        "images": len(members),
        "groups": sorted({plan.pages[index].group for index in members}),
        "severities": {name: severities[name] for name in (*SEVERITIES, "unknown") if severities[name]},
        "regions": count_regions([plan.regions[index] for index in members] if plan.regions else [], plan.classes),
    }
