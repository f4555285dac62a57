"""What people type to make data and weights: `edge-train`, a file a subcommand.

Nothing heavy is imported before a subcommand runs, so that help is there at once.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Final

from edge.arguments import new_parser, status_of_training
from training.cli import annotate, classifier, evaluate, prepare, samples, score, segmenter, synthesize

SUBCOMMANDS: Final = (synthesize, prepare, annotate, samples, segmenter, classifier, evaluate, score)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edge-train`; 0 done, 1 training failed, 2 wrong usage or unusable data."""
    arguments = _parser().parse_args(argv)
    command = shlex.join(["edge-train", *(sys.argv[1:] if argv is None else argv)])
    return status_of_training("edge-train", arguments.command, lambda: arguments.run(arguments, command))


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "edge-train", "Labels and images to trained weights.", "edge-train segmenter --data data/ready --out runs/segmenter"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for subcommand in SUBCOMMANDS:
        subcommand.add(commands)
    return parser
