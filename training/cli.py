"""What people type to make data and weights: `edge-train`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import ConfigError, EdgeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run `edge-train`; 0 done, 1 training failed, 2 wrong usage or unusable data."""
    arguments = _parser().parse_args(argv)
    command = shlex.join(["edge-train", *(sys.argv[1:] if argv is None else argv)])
    try:
        return int(arguments.run(arguments, command))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"edge-train {arguments.command} needs more: install sem-corrosion-edge[training] ({error})", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-train", description="Labels and images to trained weights.")
    commands = parser.add_subparsers(dest="command", required=True)

    synthesize = commands.add_parser(
        "synthesize",
        help="draw micrographs with exact labels",
        epilog="example: edge-train synthesize --out data/synthetic --images 200 --seed 1 --size 640x480",
    )
    synthesize.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets images/, labels/ and samples.csv")
    synthesize.add_argument("--images", type=_count, required=True, metavar="N", help="how many")
    synthesize.add_argument("--seed", type=int, default=0, metavar="S", help="of the first image, the next has S + 1")
    synthesize.add_argument("--size", type=_size, default=(640, 480), metavar="WxH", help="in pixels (640x480)")
    synthesize.set_defaults(run=_synthesize)

    samples = commands.add_parser(
        "samples", help="write the demo's sample micrographs", epilog="example: edge-train samples --out edge/samples"
    )
    samples.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets eight image files")
    samples.set_defaults(run=_samples)

    segmenter = commands.add_parser(
        "segmenter",
        help="stage 1: YOLOv8n-seg",
        epilog="example: edge-train segmenter --data data/synthetic --weights coco --epochs 50 --imgsz 640 --out runs",
    )
    _training_arguments(segmenter, "FILE|coco|none", "coco", epochs=50)
    segmenter.add_argument("--imgsz", type=_count, default=640, metavar="PX", help="side of the training images (%(default)s)")
    segmenter.set_defaults(run=_segmenter)

    classifier = commands.add_parser(
        "classifier",
        help="stage 2: EfficientNet-B0 or ResNet18",
        epilog="example: edge-train classifier --data data/synthetic --weights imagenet --epochs 20 --out runs",
    )
    _training_arguments(classifier, "FILE|imagenet|none", "imagenet", epochs=20)
    classifier.add_argument(
        "--architecture", choices=("efficientnet_b0", "resnet18"), default="efficientnet_b0", help="(%(default)s)"
    )
    classifier.set_defaults(run=_classifier)
    return parser


def _training_arguments(parser: argparse.ArgumentParser, weights: str, begin: str, epochs: int) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set: images/, labels/, samples.csv")
    parser.add_argument("--weights", default=begin, metavar=weights, help="where training begins (%(default)s)")
    parser.add_argument("--epochs", type=_count, default=epochs, metavar="N", help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="gets the weights (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 640x480") from error
    if min(width, height) < 64:
        raise argparse.ArgumentTypeError("each side must have at least 64 pixels")
    return width, height


def _synthesize(arguments: argparse.Namespace, _command: str) -> int:
    from training.synthetic import write_data_set

    write_data_set(arguments.out, arguments.images, arguments.seed, arguments.size)
    print(arguments.out)
    return 0


def _samples(arguments: argparse.Namespace, _command: str) -> int:
    from training.samples import write_samples

    print("\n".join(str(path) for path in write_samples(arguments.out)))
    return 0


def _segmenter(arguments: argparse.Namespace, command: str) -> int:
    from training.train_segmenter import train

    train(arguments.data, arguments.out, arguments.weights, arguments.epochs, arguments.imgsz, arguments.seed, command)
    print(arguments.out / "segmenter.pt")
    return 0


def _classifier(arguments: argparse.Namespace, command: str) -> int:
    from training.train_classifier import train

    train(
        arguments.data,
        arguments.out,
        arguments.weights,
        arguments.epochs,
        arguments.seed,
        command,
        arguments.architecture,
    )
    print(arguments.out / "classifier.pt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
