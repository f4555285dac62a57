"""Images in, the clicks that would teach most out: what `edge-teach next` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config import CommandSettings
from edge.errors import ImageError
from edge.folder.file import read_file
from edge.inspection.pipeline import Pipeline, limits_of
from edge.inspector import precision_for, source_of
from edge.records import Inspection, code_of
from edge.teach.asking import Question, questions


@dataclass(frozen=True, slots=True)
class _Failed:
    path: Path
    why: str


def run(images: Iterable[tuple[Path, str]], settings: CommandSettings, *, clicks: int, as_json: bool) -> int:
    """Print so many clicks, the most useful first; 1 when an image cannot be read, 2 when there is none."""
    inspections: list[Inspection] = []
    failed: list[_Failed] = []
    images = list(images)
    limits = limits_of(settings)
    with Pipeline(settings, precision=precision_for(settings)) as pipeline:
        for path, called in images:
            try:
                file = read_file(path, limits.max_bytes)
                inspections += pipeline.inspect_file(file, source_of(path.name, called, file.sha256))
            except ImageError as error:
                failed.append(_Failed(path, error.message))
    for one in failed:
        print(f"edge-teach next: {one.path}: {one.why}", file=sys.stderr)
    if not inspections and not failed:
        looked_for = ", ".join(settings.watch.patterns)
        print(
            f"edge-teach next: no image found under the paths named: folders are looked through for {looked_for}",
            file=sys.stderr,
        )
        return 2
    asked = questions(inspections, clicks)
    unsure = [one.source.path for one in inspections if any(code_of(w) == "taught_unsure" for w in one.quality.warnings)]
    print(_json(asked, unsure) if as_json else describe(asked, unsure))
    return 1 if failed else 0


def describe(asked: Sequence[Question], unsure: Sequence[str]) -> str:
    """For people."""
    lines = [f"{path}: brush corroded and background here, what was taught does not hold" for path in unsure]
    lines += [f"{one.path}: region {one.index} at {list(one.box_px)} has score {one.score:.2f}: right or not?" for one in asked]
    return "\n".join(lines or ["nothing to ask: no region was found; brush what was missed"])


def _json(asked: Sequence[Question], unsure: Sequence[str]) -> str:
    clicks = [
        {
            "image": {"path": one.path, "sha256": one.sha256, "page": one.page},
            "index": one.index,
            "box_px": list(one.box_px),
            "score": round(one.score, 4),
        }
        for one in asked
    ]
    return json.dumps({"schema": "edge.next/1", "clicks": clicks, "brush": list(unsure)}, ensure_ascii=False)
