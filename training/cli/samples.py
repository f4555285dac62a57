"""`edge-train samples`: the demo's sample micrographs out."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.options import Commands


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "samples", help="write the demo's sample micrographs", epilog="example: edge-train samples --out edge/samples"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets eight image files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, _command: str) -> int:
    """Write them and print their paths."""
    from training.draw.samples import write_samples

    print("\n".join(str(path) for path in write_samples(arguments.out)))
    return 0
