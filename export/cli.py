"""What people type to turn weights into what runs beside the microscope: `edge-export`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.arguments import new_parser, status_of_training
from edge.errors import EdgeError
from export import tensorrt_cli


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edge-export`; 0 done, 1 a model could not be exported or differs from its weights, 2 wrong usage."""
    parser = new_parser(
        "edge-export",
        "Trained weights to the files that run at the edge.",
        "edge-export onnx --segmenter runs/segmenter.pt --classifier runs/classifier.pt --out edge/models",
    )
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
    onnx.set_defaults(run=_onnx)

    parity = commands.add_parser(
        "parity",
        help="prove that an ONNX file says what its weights say",
        description="Compare the trained torch network with NAME.onnx on every installed backend, in float32, image by image.",
        epilog="example: edge-export parity --checkpoint runs/segmenter.pt --onnx models/segmenter.onnx --images exports/",
    )
    parity.add_argument("--checkpoint", type=Path, required=True, metavar="W.pt", help="what the file was exported from")
    parity.add_argument("--onnx", type=Path, required=True, metavar="NAME.onnx", help="the file, its card beside it")
    parity.add_argument("--images", type=Path, metavar="PATH", help="an image or a folder of them (the shipped samples)")
    parity.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, and the verdict to stdout")
    parity.set_defaults(run=_parity)

    tensorrt_cli.add_parser(commands)

    triton = commands.add_parser(
        "triton",
        help="models to a repository for Triton Inference Server",
        description="Write a folder for each model: NAME-HASH/config.pbtxt and NAME-HASH/1/model.onnx; asked by hash.",
        epilog="example: edge-export triton --out repository",
    )
    triton.add_argument("--segmenter", default="builtin", metavar="NAME", help="builtin, or an .onnx file (%(default)s)")
    triton.add_argument("--classifier", default="builtin", metavar="NAME", help="builtin, or an .onnx file (%(default)s)")
    triton.add_argument("--out", type=Path, required=True, metavar="DIR", help="the repository; other models there stay")
    triton.set_defaults(run=_triton)

    arguments = parser.parse_args(argv)
    if arguments.command == "onnx" and arguments.segmenter is None and arguments.classifier is None:
        parser.error("nothing to export: name --segmenter, --classifier or both")
    return status_of_training("edge-export", arguments.command, lambda: arguments.run(arguments))


def _onnx(arguments: argparse.Namespace) -> int:
    from export.checkpoint import Checkpoint
    from export.to_onnx import export_classifier, export_segmenter

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


def _triton(arguments: argparse.Namespace) -> int:
    from edge.models.card import resolve
    from export.to_triton import write

    print(write(resolve(arguments.segmenter, "segment"), "segment", arguments.out))
    print(write(resolve(arguments.classifier, "classify"), "classify", arguments.out))
    return 0


def _parity(arguments: argparse.Namespace) -> int:
    from export.checkpoint import Checkpoint
    from export.parity import compare_export

    found = compare_export(Checkpoint.load(arguments.checkpoint), arguments.onnx, arguments.images)
    for name, reason in found.unreadable.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    text = json.dumps(found.document(), indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")
        print(found.verdict())
    else:
        print(text)
        print(found.verdict(), file=sys.stderr)
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
