"""Images and two folders of models in, one picture that shows what each of them says of every image out.

For looking at: whoever replaces models should see on real images what has changed, not only read it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

import edge
from edge.errors import EdgeError

PAIRS_A_ROW: Final = 2
GAP_PX: Final = 6
Picture = NDArray[np.uint8]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture; 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m training.score.before_after",
        description="Draw what two folders of models find in the same images, side by side.",
        epilog="example: python -m training.score.before_after --before old --after new --out both.jpg images/*.png",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    for name in ("before", "after"):
        parser.add_argument(f"--{name}", required=True, type=Path, metavar="DIR", help="holds segmenter.onnx, classifier.onnx")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="a .png or .jpg file")
    parser.add_argument("--side", type=int, default=480, metavar="PX", help="longer side of an image (%(default)s)")
    arguments = parser.parse_args(argv)
    try:
        pictures = [drawn(arguments.images, folder, arguments.side) for folder in (arguments.before, arguments.after)]
    except EdgeError as error:
        print(error, file=sys.stderr)
        return 1
    pairs = [side_by_side(one, other) for one, other in zip(*pictures, strict=True)]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 72] if arguments.out.suffix in (".jpg", ".jpeg") else []
    if not cv2.imwrite(str(arguments.out), sheet(pairs, PAIRS_A_ROW), quality):
        print(f"cannot write {arguments.out}", file=sys.stderr)
        return 1
    print(arguments.out)
    return 0


def drawn(images: Sequence[Path], models: Path, side_px: int) -> list[Picture]:
    """BGR pictures with outlines and verdict, by the models in a folder. Raises EdgeError."""
    with edge.Inspector(segmenter=models / "segmenter.onnx", classifier=models / "classifier.onnx") as inspector:
        found = [edge.draw(inspector.inspect(image), side_px) for image in images]
    return [np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8) for picture in found]


def side_by_side(one: Picture, other: Picture) -> Picture:
    """Two pictures on white, the first one on the left."""
    return sheet([one, other], 2)


def sheet(pictures: Sequence[Picture], columns: int) -> Picture:
    """Pictures on white, `columns` a row, each row as high as its highest."""
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    width = max(sum(picture.shape[1] + GAP_PX for picture in row) for row in rows)
    height = sum(max(picture.shape[0] for picture in row) + GAP_PX for row in rows)
    whole = np.full((height, width, 3), 255, np.uint8)
    y = 0
    for row in rows:
        x = 0
        for picture in row:
            whole[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            x += picture.shape[1] + GAP_PX
        y += max(picture.shape[0] for picture in row) + GAP_PX
    return whole


if __name__ == "__main__":
    sys.exit(main())
