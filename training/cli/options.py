"""What is typed after an option in, its value out; and the options that both trainings have.

The functions are named for what they read, since argparse shows their names: "invalid count value".
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TypeAlias

from edge.errors import ConfigError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_training_options(parser: argparse.ArgumentParser, weights: str, begin: str) -> None:
    """What both trainings have in common. weights: what --weights may be.  begin: its default."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data set: images/, labels/, samples.csv")
    parser.add_argument("--weights", default=begin, metavar=weights, help="where training begins (%(default)s)")
    parser.add_argument("--epochs", type=count, metavar="N", help="passes over the images")
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="gets the weights (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(%(default)s)")
    parser.add_argument(
        "--fold",
        type=fold,
        metavar="K|all",
        help="of a prepared data set: learn from the others, score on this one; into OUT/fold0, OUT/fold1, …",
    )


def fold(text: str) -> int | str:
    """A fold's number, or all."""
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError("a fold is a number from 0, or all")
    return text if text == "all" else int(text)


def folders_of_folds(arguments: argparse.Namespace) -> list[tuple[int | None, Path]]:
    """The folds that were asked for, and the folder of each; (None, OUT) without folds."""
    if arguments.fold is None:
        return [(None, arguments.out)]
    from training.data.dataset import open_data_set

    folds = open_data_set(arguments.data).folds
    if not folds:
        raise ConfigError(f"{arguments.data} has no folds: make them with edge-train prepare --folds 4")
    wanted = range(folds) if arguments.fold == "all" else [arguments.fold]
    return [(number, arguments.out / f"fold{number}") for number in wanted]


def named_run(text: str) -> tuple[str, Path]:
    """NAME=RUN as name and folder."""
    name, equals, folder = text.partition("=")
    if not equals or not folder or not re.fullmatch(r"[\w.+-]+", name):
        raise argparse.ArgumentTypeError(f"{text!r}: write it like manual=runs/manual")
    return name, Path(folder)


def count(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def whole_number(text: str) -> int:
    """A whole number from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def weight(text: str) -> float:
    """A finite number from 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def part(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return value


def size(text: str) -> tuple[int, int]:
    """WxH as width and height in pixels, each at least 64."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 640x480") from error
    if min(width, height) < 64:
        raise argparse.ArgumentTypeError("each side must have at least 64 pixels")
    return width, height
