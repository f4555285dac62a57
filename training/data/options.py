"""What the user of `edge-train prepare` chooses in, the reasons why it cannot be done out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.errors import ConfigError
from training.labels.formats import LabelKind
from training.labels.masks import MaskRule


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose. test, val: parts of the images, 0 for none.  folds: 0 for none.

    labels_from: folder of the labels and their classes.txt, where they are not with the images.
    augment: images made of each image that is learnt from, itself included; 1 for no varied copies.
    classes: names in the order of their numbers; empty for what the labels, classes.txt or COCO's categories say.
    class_blind: classes are not compared, so numbers need no names, and masks that may be read in two ways are classes.
    classes_by: "annealing" names every region by the annealing of its image, AN_60 …, as the paper does (section 3.2).
    """

    labels: LabelKind | Literal["auto"] = "auto"
    labels_from: Path | None = None
    folds: int = 4
    test: float = 0.1
    val: float = 0.1
    augment: int = 4
    seed: int = 0
    classes: tuple[str, ...] = ()
    mask_rule: MaskRule | Literal["auto"] = "auto"
    classes_by: Literal["labels", "annealing"] = "labels"
    class_blind: bool = False


def check_options(data: Path, out: Path, options: Options) -> None:
    """Raises ConfigError with everything about the options and the two folders that cannot be."""
    problems = []
    if not data.is_dir():
        problems.append(f"{data} is no folder")
    if options.labels_from is not None and not options.labels_from.is_dir():
        problems.append(f"{options.labels_from} is no folder")
    if (data / "dataset.json").is_file():
        problems.append(f"{data} is prepared already: its varied copies would be taken for pictures of their own")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problems.append(f"{out} is there already and not empty: name another folder or remove it")
    if options.folds < 0 or options.folds == 1:
        problems.append("--folds must be 0 (none), or 2 or more")
    if min(options.test, options.val) < 0 or options.test + options.val >= 0.9:
        problems.append("--test and --val must be parts from 0, together below 0.9")
    if options.augment < 1:
        problems.append("--augment must be 1 (no varied copies) or more")
    if len(set(options.classes)) < len(options.classes):
        problems.append("--classes names a class twice")
    if options.classes and options.classes_by == "annealing":
        problems.append("--classes-by annealing makes the names itself: leave --classes out")
    if problems:
        raise ConfigError("; ".join(problems))
