"""`edge-train regions`: both generators in, the weights that judge single regions out."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.options import Commands, count


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "regions",
        help="weights that judge single regions, from drawn scenes; needs no torch",
        epilog="example: edge-train regions --out models/regions.json",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="for [models] regions")
    parser.add_argument("--scenes", type=count, default=700, metavar="N", help="of each generator (%(default)s)")
    parser.add_argument("--test-scenes", type=count, default=160, metavar="N", help="of each, to score on (%(default)s)")
    parser.add_argument("--model-version", default="0.1.0", metavar="V", help="written into the file (%(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, command: str) -> int:
    """Draw, fit, score and write; prints each score."""
    from training.learn.region_weights import make

    weights = make(arguments.out, arguments.model_version, arguments.scenes, arguments.test_scenes, command)
    for name, score in weights.scores.items():
        print(f"{name} {score['value']}")
    print(arguments.out)
    return 0
