"""`edge-train prepare`: labelled images in, a checked, split and augmented data set out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training.cli.options import Commands, count


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "prepare",
        help="check, split and augment labelled images",
        epilog="example: edge-train prepare my-images --out data/mine --classes pit product --seed 1",
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="images/ with labels/, masks/ or a COCO file; samples.csv")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="gets images/, labels/, samples.csv, dataset.json"
    )
    parser.add_argument(
        "--labels",
        choices=("auto", "yolo", "labelme", "coco", "png", "npy", "reviews"),
        default="auto",
        help="kind (%(default)s)",
    )
    parser.add_argument(
        "--labels-from", type=Path, metavar="DIR", help="folder of labels/ or masks/, where they are not in DATA"
    )
    parser.add_argument("--folds", type=int, default=4, metavar="K", help="for cross-validation, 0 for none (%(default)s)")
    parser.add_argument("--test", type=float, default=0.1, metavar="PART", help="part of the images (%(default)s)")
    parser.add_argument("--val", type=float, default=0.1, metavar="PART", help="part of the images (%(default)s)")
    parser.add_argument(
        "--augment",
        type=count,
        default=4,
        metavar="N",
        help="images made of each training image, itself included (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")
    parser.add_argument("--classes", nargs="+", default=(), metavar="NAME", help="in the order of their numbers")
    parser.add_argument(
        "--mask-rule",
        choices=("auto", "binary", "class", "instance"),
        default="auto",
        help="what the values of PNG and NPY masks mean (%(default)s)",
    )
    parser.add_argument(
        "--classes-by",
        choices=("labels", "annealing"),
        default="labels",
        help="annealing: name each region by the annealing of its image, as the paper does (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Prepare the data set and print what it holds."""
    from training.data.options import Options
    from training.data.prepare import prepare

    options = Options(
        labels=arguments.labels,
        labels_from=arguments.labels_from,
        folds=arguments.folds,
        test=arguments.test,
        val=arguments.val,
        augment=arguments.augment,
        seed=arguments.seed,
        classes=tuple(arguments.classes),
        mask_rule=arguments.mask_rule,
        classes_by=arguments.classes_by,
    )
    prepared = prepare(arguments.data, arguments.out, options, command)
    for line in prepared.warnings:
        print(f"to be known: {line}", file=sys.stderr)
    print(prepared.describe())
    print(prepared.folder)
    return 0
