"""`edge-train score`: a labelled folder in, how good the edge is on it out; needs nothing but the edge itself."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cli.options import Commands

if TYPE_CHECKING:
    from edge.config import CommandSettings
    from training.score.score_folder import LabelledPages


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "score",
        help="how good the edge is on labelled images of your own; needs no torch",
        epilog="examples: edge-train score my-images --page score.html; "
        "edge-train score my-images --config /etc/sem-corrosion-edge/config.toml --json score.json --perturb; "
        "edge-train score nothing-corroded --clean",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images with labels of any kind that prepare reads")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's TOML file: its models and settings count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="gets all numbers and every image, edge.score/1")
    parser.add_argument("--page", type=Path, metavar="FILE", help="gets one HTML file with the worst images")
    parser.add_argument(
        "--perturb", action="store_true", help="also under other brightness, contrast, focus, noise and magnification"
    )
    parser.add_argument(
        "--sweep", action="store_true", help="stage 1 alone at confidences from 0.1 to 0.6, to choose inspect.confidence by"
    )
    parser.add_argument("--clean", action="store_true", help="nothing is corroded in any image: there are no labels")
    parser.add_argument(
        "--labels",
        choices=("auto", "yolo", "labelme", "coco", "png", "npy", "reviews"),
        default="auto",
        help="kind (%(default)s)",
    )
    parser.add_argument(
        "--labels-from", type=Path, metavar="DIR", help="folder of labels/ or masks/, where they are not in FOLDER"
    )
    parser.add_argument("--classes", nargs="+", default=(), metavar="NAME", help="of the labels, in the order of their numbers")
    parser.add_argument(
        "--mask-rule",
        choices=("auto", "binary", "class", "instance"),
        default="auto",
        help="what the values of PNG and NPY masks mean (%(default)s)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Score the folder and print what it came to; 1 when an image could not be inspected."""
    from edge.config import load_for_command
    from edge.errors import ConfigError, EdgeError
    from training.data.options import Options
    from training.score import score_page
    from training.score.score_folder import open_folder, score_folder
    from training.score.score_text import describe

    if arguments.sweep and (arguments.page or arguments.perturb):
        raise ConfigError("--sweep gives a table and --json: leave out --page and --perturb")
    for path in (arguments.json, arguments.page):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"{path.absolute().parent} is no folder: make it first, or name another file")
    settings = load_for_command(arguments.config)
    options = Options(
        labels=arguments.labels,
        labels_from=arguments.labels_from,
        classes=tuple(arguments.classes),
        mask_rule=arguments.mask_rule,
        class_blind=True,
    )
    data = open_folder(arguments.folder, options, clean=arguments.clean)
    for line in data.warnings:
        print(f"to be known: {line}", file=sys.stderr)
    if arguments.sweep:
        return _sweep(arguments, data, settings)
    score = score_folder(arguments.folder, data, settings, views=arguments.perturb, command=command, tell=_tell)
    for one in score.document["failed"]:
        print(f"FAILED {one['image']}: {one['why']}", file=sys.stderr)
    try:
        if arguments.json is not None:
            arguments.json.write_text(_json(score.document), encoding="utf-8")
        if arguments.page is not None:
            arguments.page.write_text(score_page.page(score.document, score.worst), encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"cannot write the score: {error}") from error
    print(describe(score.document))
    return 1 if score.failed else 0


def _sweep(arguments: argparse.Namespace, data: LabelledPages, settings: CommandSettings) -> int:
    from edge.errors import EdgeError
    from training.score import sweep

    document = sweep.sweep(data, settings, sweep.CONFIDENCES, _tell)
    for one in document["failed"]:
        print(f"FAILED {one['image']}: {one['why']}", file=sys.stderr)
    try:
        if arguments.json is not None:
            arguments.json.write_text(_json(document), encoding="utf-8")
    except OSError as error:
        raise EdgeError(f"cannot write the sweep: {error}") from error
    print(sweep.describe(document))
    return 1 if document["failed"] else 0


def _json(document: dict[str, Any]) -> str:
    import json

    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _tell(done: int, of: int) -> None:
    """On a terminal a line that counts; elsewhere a line at every tenth part."""
    if sys.stderr.isatty():
        bar = "#" * (24 * done // of)
        print(f"\r{bar:<24} {done} of {of} images", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif 10 * done // of > 10 * (done - 1) // of:
        print(f"{done} of {of} images", file=sys.stderr, flush=True)
