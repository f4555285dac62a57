"""Fields with exact truth in; how often severities are right after a simulated reviewer judged a few of them, out.

The reviewer follows a rule of a plant's own and says the class of so many fields, drawn by chance; all other fields are judged.
Rules on drawn fields: the true area (2 %, 8 %), and the largest region (the 40 % and 75 % quantiles). On a folder with masks:
"fine" and "coarse", parted at the median of the largest region.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import CommandSettings, change, load_for_command
from edge.inspection.pipeline import FieldSeen, Pipeline
from edge.inspection.taught_severity import by_taught, measured_with
from edge.records import SEVERITIES, Grey, Micrograph
from edge.teach.severity import LabelledField, Learnt, fit_severity
from training.data.options import Options
from training.draw.relief import render_relief
from training.draw.synthetic import render
from training.score.score_folder import open_folder

SEED, SIZE_PX = 930_000, (640, 480)
AREAS: Final = (0.02, 0.08)
OWN: Final = ("fine", "coarse")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What speaks for one field, and its truth. area, largest: of the field.  group: specimen, or the scene itself."""

    group: str
    seen: FieldSeen
    area: float
    largest: float


def drawn(count: int, settings: CommandSettings) -> Iterator[Field]:
    """So many scenes, of either generator in turn."""
    with Pipeline(settings) as pipeline:
        for number in range(count):
            scene = (render_relief if number % 2 else render)(SEED + number // 2, SIZE_PX)
            areas = [int(np.count_nonzero(mask)) for mask in scene.regions.masks]
            seen = pipeline.field(_micrograph(scene.grey))
            yield Field(f"drawn {number}", seen, scene.area_fraction, max(areas, default=0) / scene.grey.size)


def labelled(folder: Path, settings: CommandSettings) -> Iterator[Field]:
    """Every image of a folder with masks; the name up to its last _ is the specimen."""
    data = open_folder(folder, Options(class_blind=True), clean=False)
    with Pipeline(settings) as pipeline:
        for page, regions in zip(data.pages, data.regions, strict=True):
            grey = np.asarray(cv2.imread(str(page.file.path), cv2.IMREAD_GRAYSCALE), np.uint8)
            areas = [int(np.count_nonzero(mask)) for mask in regions.masks]
            seen = pipeline.field(_micrograph(grey))
            yield Field(page.file.path.stem.rpartition("_")[0], seen, sum(areas) / grey.size, max(areas, default=0) / grey.size)


def verdicts(fields: Sequence[Field], rule: str) -> list[str]:
    """What the reviewer says of each: by "area", "largest", or "size" with classes of its own."""
    largest = np.array([one.largest for one in fields])
    if rule == "area":
        return [SEVERITIES[int(np.digitize(one.area, AREAS))] for one in fields]
    if rule == "largest":
        return [SEVERITIES[int(level)] for level in np.digitize(largest, np.quantile(largest, (0.4, 0.75)))]
    return [OWN[int(level)] for level in np.digitize(largest, [np.median(largest)])]


def score(
    fields: Sequence[Field], said: Sequence[str], labels: int, draw: int, settings: CommandSettings
) -> dict[str, Any] | None:
    """One draw of so many labels, judged on fields of other specimens; None where the words teach too little to be judged.

    before: right untaught, for classes of one's own by always saying the commonest. What is not written changes nothing.
    """
    order = np.random.default_rng([SEED, draw]).permutation(len(fields))
    taught_on = order[:labels].tolist()
    groups = {fields[index].group for index in taught_on}
    others = [index for index in order[labels:].tolist() if fields[index].group not in groups]
    examples = [LabelledField(f"{index:064x}", said[index], fields[index].seen) for index in taught_on]
    learnt = fit_severity(examples, measured_with(settings))
    if learnt is None or not learnt.after or not others:
        return None
    words = [said[index] for index in taught_on]
    own = said[0] not in SEVERITIES
    commonest = max(sorted(set(words)), key=words.count)
    truth = [said[index] for index in others]
    untaught = [commonest if own else fields[index].seen.untaught.answer.label or "" for index in others]
    before = _right(untaught, truth)
    row: dict[str, Any] = {"labels": labels, "draw": draw, "written": learnt.taught is not None, "before": before}
    return {**row, **_after(learnt, [fields[index].seen for index in others], truth, before)}


def _after(learnt: Learnt, seen: Sequence[FieldSeen], truth: Sequence[str], before: float) -> dict[str, Any]:
    estimate = learnt.after["accuracy"]
    if learnt.taught is None:
        return {"after": before, "estimate": estimate, "abstained": None, "in_set": None, "set_size": None}
    answers = [by_taught(learnt.taught, one.numbers, one.embedding, one.untaught) for one in seen]
    given = [one.guess or one for one in answers]
    sets = [
        (word in one.prediction_set, len(one.prediction_set))
        for one, word in zip(answers, truth, strict=True)
        if one.prediction_set
    ]
    return {
        "after": _right([one.own_class or one.label or "" for one in given], truth),
        "estimate": estimate,
        "abstained": float(np.mean([one.abstained for one in answers])),
        "in_set": float(np.mean([held for held, _ in sets])) if sets else None,
        "set_size": float(np.mean([size for _, size in sets])) if sets else None,
    }


def summary(rows: Sequence[Mapping[str, Any] | None]) -> str:
    """Of the draws with so many labels, in one line."""
    told = [row for row in rows if row is not None]
    if not told:
        return f"{len(rows)} draws, all with too few of a class"

    def mean(name: str) -> str:
        values = [row[name] for row in told if row[name] is not None]
        return f"{np.mean(values):.2f}" if values else "-"

    worse = sum(row["after"] < row["before"] - 0.02 for row in told)
    return (
        f"{len(rows)} draws, {len(rows) - len(told)} with too few, {sum(row['written'] for row in told)} written, "
        f"{worse} of them worse: "
        f"right {mean('before')} -> {mean('after')} (by leaving images out {mean('estimate')}), abstained {mean('abstained')}, "
        f"prediction sets hold it {mean('in_set')}, size {mean('set_size')}"
    )


def _right(answers: Sequence[str], truth: Sequence[str]) -> float:
    return float(np.mean([answer == word for answer, word in zip(answers, truth, strict=True)]))


def _micrograph(grey: NDArray[np.uint8]) -> Micrograph:
    pixels: Grey = np.ascontiguousarray(grey)
    return Micrograph(pixels, pixels.shape[1], pixels.shape[0])


def main(argv: Sequence[str] | None = None) -> int:
    """Print what a few words give."""
    parser = argparse.ArgumentParser(
        prog="python -m training.score.severity_words",
        description="How often severities are right after a simulated reviewer judged a few fields.",
        epilog="example: python -m training.score.severity_words --drawn 120 --rule largest --labels 6 12 30",
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="images with masks; without it fields are drawn")
    parser.add_argument("--drawn", type=int, default=120, metavar="N", help="fields that are drawn (%(default)s)")
    parser.add_argument("--rule", choices=("area", "largest", "size"), default="largest", help="(%(default)s)")
    parser.add_argument("--labels", type=int, nargs="+", default=[6, 12, 30], metavar="N", help="fields reviewed (6 12 30)")
    parser.add_argument("--draws", type=int, default=5, metavar="N", help="(%(default)s)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's TOML file: its models and settings count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="gets every draw")
    arguments = parser.parse_args(argv)
    loaded = load_for_command(arguments.config)
    settings = change(loaded, {"models": {"taught": ""}, "severity": {"rule": "model"}, "inspect": {"region_crops": 0}})
    found = labelled(arguments.folder, settings) if arguments.folder else drawn(arguments.drawn, settings)
    fields = list(found)
    said = verdicts(fields, arguments.rule)
    every = []
    for labels in arguments.labels:
        rows = [score(fields, said, labels, draw, settings) for draw in range(arguments.draws)]
        every += [row for row in rows if row is not None]
        print(f"{arguments.rule}, {labels} labels: {summary(rows)}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
