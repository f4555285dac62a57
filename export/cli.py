"""What people type to turn weights into what runs beside the microscope: `edge-export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import EdgeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edge-export`; 0 done, 1 a model could not be exported, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="edge-export", description="Trained weights to the files that run at the edge.")
    commands = parser.add_subparsers(dest="command", required=True)
    onnx = commands.add_parser(
        "onnx",
        help="weights to ONNX with a card",
        description="Write NAME.onnx and NAME.json for each checkpoint; refuse one that onnxruntime computes differently.",
        epilog="example: edge-export onnx --segmenter runs/segmenter.pt --classifier runs/classifier.pt --out edge/models",
    )
    onnx.add_argument("--segmenter", type=Path, metavar="W.pt", help="checkpoint of edge-train segmenter, or of ultralytics")
    onnx.add_argument("--classifier", type=Path, metavar="W.pt", help="checkpoint of edge-train classifier")
    onnx.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the .onnx files and their cards")
    onnx.add_argument("--model-version", default="0.1.0", metavar="V", help="version written into the cards (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.segmenter is None and arguments.classifier is None:
        parser.error("nothing to export: name --segmenter, --classifier or both")
    return _onnx(arguments)


def _onnx(arguments: argparse.Namespace) -> int:
    try:
        from export.to_onnx import Checkpoint, export_classifier, export_segmenter
    except ImportError as error:
        print(f"edge-export onnx needs torch: install sem-corrosion-edge[training] ({error})", file=sys.stderr)
        return 2
    failed = False
    jobs = (("segment", arguments.segmenter, export_segmenter), ("classify", arguments.classifier, export_classifier))
    for task, weights, export in jobs:
        if weights is None:
            continue
        try:
            checkpoint = Checkpoint.load(weights)
            if checkpoint.task != task:
                print(f"{weights} is a model to {checkpoint.task}, not to {task}", file=sys.stderr)
                return 2
            print(export(checkpoint, arguments.out, version=arguments.model_version))
        except EdgeError as error:
            print(f"{weights}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
