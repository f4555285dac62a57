"""`edge-train annotate`: images in, masks made without a person out."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "annotate",
        help="label images without a person",
        epilog="example: edge-train annotate my-images --out data/automatic --report",
    )
    parser.add_argument("images", type=Path, metavar="IMAGES", help="an image, or a folder that is searched for images")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets masks/*.npy and quality.csv")
    parser.add_argument(
        "--min-diameter-px", type=float, default=6.0, metavar="N", help="of a disc of the region's area (%(default)g)"
    )
    parser.add_argument(
        "--polarity",
        choices=("auto", "dark", "bright", "both"),
        default="auto",
        help="regions against the ground (%(default)s)",
    )
    parser.add_argument("--report", action="store_true", help="also write report.html, a page of outlines, worst first")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="LABELS",
        help="folder of labels made by hand (.npy, .png, .txt): also write against.json",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, _command: str) -> int:
    """Annotate; 1 when a file could not be read."""
    from training.labels.annotate_folder import annotate_folder
    from training.labels.compare import describe
    from training.labels.rules import Rules

    rules = Rules(arguments.min_diameter_px, arguments.polarity)
    done = annotate_folder(arguments.images, arguments.out, rules, report=arguments.report, against=arguments.against)
    print(f"{done.regions} regions in {done.images} images; {done.failed} files failed")
    if done.agreement:
        print(f"{done.compared} images with labels. {describe(done.agreement)}")
    print(arguments.out)
    return 1 if done.failed else 0
