"""`edge-train segmenter`: a data set in, the weights of stage 1 out."""

from __future__ import annotations

import argparse
import sys

from training.cli.options import Commands, add_training_options, count, folders_of_folds


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "segmenter",
        help="stage 1: YOLOv8n-seg, or another segmenter of ultralytics",
        epilog="examples: edge-train segmenter --data data/ready --weights coco --epochs 50 --imgsz 640 --out runs/segmenter; "
        "edge-train segmenter --data data/ready --preset short --fold all --out runs/folds",
    )
    add_training_options(parser, "FILE|RUN|shipped|coco|none", "coco")
    parser.add_argument("--model", default="yolov8n-seg", metavar="NAME", help="or yolov8s-seg, yolo11n-seg … (%(default)s)")
    parser.add_argument(
        "--preset",
        choices=("paper", "short"),
        help="paper: 200 epochs at 640 px, for a GPU; short: 30 at 320 px, for a CPU",
    )
    parser.add_argument("--imgsz", type=count, metavar="PX", help="side of the training images (640)")
    parser.add_argument("--resume", action="store_true", help="go on where a run into the same --out was cut off")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Train, a run for each fold that was asked for."""
    from training.learn.segmenter import PRESETS, Recipe, progress, train

    preset = PRESETS[arguments.preset] if arguments.preset else {}
    recipe = Recipe(
        model=arguments.model,
        weights=arguments.weights,
        epochs=arguments.epochs or preset.get("epochs", 50),
        imgsz=arguments.imgsz or preset.get("imgsz", 640),
        seed=arguments.seed,
    )
    for fold, out in folders_of_folds(arguments):
        reached = progress(out) if arguments.resume else None
        if reached == "finished":
            print(f"{out / 'segmenter.pt'} is finished: nothing to resume", file=sys.stderr)
            continue
        if reached == "none":
            print(f"no whole epoch in {out} to go on from: training begins", file=sys.stderr)
        train(arguments.data, out, recipe, command, fold, resume=arguments.resume)
        print(out / "segmenter.pt")
    return 0
