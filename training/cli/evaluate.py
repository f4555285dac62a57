"""`edge-train evaluate`: a prepared data set and trained runs in, the paper's tables and figures out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.errors import ConfigError
from training.cli.options import Commands, count, named_run


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "evaluate",
        help="the paper's tables and figures for a prepared data set and trained runs",
        epilog="example: edge-train evaluate --data data/ready --segmenter manual=runs/manual "
        "--segmenter automated=runs/automated --classifier efficientnet_b0=runs/b0 --classifier resnet18=runs/r18 --out report",
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="READY", help="made by edge-train prepare; its labels count"
    )
    for stage in ("segmenter", "classifier"):
        parser.add_argument(
            f"--{stage}",
            type=named_run,
            action="append",
            default=[],
            metavar="NAME=RUN",
            help=f"folder with fold0/{stage}.pt, fold1/{stage}.pt … or {stage}.pt, scored on the test part; may be repeated",
        )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets evaluation.json, index.html, plots")
    parser.add_argument("--imgsz", type=count, metavar="PX", help="side of the images for segmenters (that of training)")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="truth.json of drawn images, for the area against exposure")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Evaluate, write the report and print the numbers that are asked for first."""
    runs = [*arguments.segmenter, *arguments.classifier]
    if not runs:
        raise ConfigError("nothing to evaluate: give --segmenter NAME=RUN, --classifier NAME=RUN, or both")
    if len({name for name, _ in runs}) < len(runs):
        raise ConfigError("two runs have one name: the name before = must differ")
    from training.score.evaluate import evaluate
    from training.score.evaluation import describe
    from training.score.evaluation_page import write

    segmenters, classifiers = dict(arguments.segmenter), dict(arguments.classifier)
    evaluation = evaluate(arguments.data, segmenters, classifiers, command, arguments.imgsz, arguments.truth)
    page = write(evaluation, arguments.out)
    for line in evaluation.warnings:
        print(f"to be known: {line}", file=sys.stderr)
    print(describe(evaluation))
    print(page)
    return 0
