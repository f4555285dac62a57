"""`edge-train synthesize`: seeds in, drawn micrographs with exact labels out."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import ConfigError
from training.cli.options import Commands, count, size


def add(commands: Commands) -> None:
    """Add the subcommand with its options."""
    parser = commands.add_parser(
        "synthesize",
        help="draw micrographs with exact labels",
        epilog="examples: edge-train synthesize --preset paper --out data/paper; "
        "edge-train synthesize --out data/synthetic --images 200 --seed 1 --size 640x480",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets images/, labels/, truth/, samples.csv")
    parser.add_argument(
        "--preset",
        choices=("transfer", "relief", "paper"),
        default="transfer",
        help="transfer: any metal under any microscope, painted; relief: the same from a height field; "
        "paper: 3 annealing times x 4 exposures, 117 images (%(default)s)",
    )
    parser.add_argument("--images", type=count, metavar="N", help="how many; the paper's preset has 117")
    parser.add_argument("--seed", type=int, metavar="S", help="of the first image, the next has S + 1 (the preset's own)")
    parser.add_argument("--size", type=size, default=(640, 480), metavar="WxH", help="in pixels (640x480)")
    parser.add_argument(
        "--classes",
        choices=("annealing", "morphology"),
        help="of the labels; annealing (AN_60 …) is for the paper's preset alone, and its default",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="an HTML page to look at them, outlines drawn in")
    parser.add_argument("--beside", type=Path, metavar="DIR", help="real images, shown on the page beside the drawn ones")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, _command: str) -> int:
    """Draw them, and the page when asked."""
    if arguments.beside is not None and arguments.page is None:
        raise ConfigError("--beside: name the page too, with --page FILE")
    _draw(arguments)
    print(arguments.out)
    if arguments.page is not None:
        from training.score.side_by_side import write_page

        write_page(arguments.page, arguments.out, arguments.beside)
        print(arguments.page)
    return 0


def _draw(arguments: argparse.Namespace) -> None:
    """The paper's preset has its own number, seed and classes."""
    from training.draw import relief, synthetic

    if arguments.preset == "paper":
        if arguments.images not in (None, synthetic.PAPER_IMAGES):
            raise ConfigError(f"--images: the paper's preset has {synthetic.PAPER_IMAGES} images; leave the option out")
        seed = synthetic.PAPER_SEED if arguments.seed is None else arguments.seed
        classes = synthetic.CLASSES if arguments.classes == "morphology" else synthetic.PAPER_CLASSES
        synthetic.write_paper_set(arguments.out, arguments.size, seed, classes)
    else:
        if arguments.images is None:
            raise ConfigError("--images: say how many images to draw")
        if arguments.classes == "annealing":
            raise ConfigError("--classes annealing: only the paper's preset has annealing times that can be seen")
        physics = arguments.preset == "relief"
        usual = relief.RELIEF_SEED if physics else synthetic.TRANSFER_SEED
        write = relief.write_relief_set if physics else synthetic.write_data_set
        write(arguments.out, arguments.images, usual if arguments.seed is None else arguments.seed, arguments.size)
