"""A drawn data set and a folder of real images in, one HTML page that shows them in turns out.

What leaps to the eye there is what a network can learn instead of corrosion.
"""

from __future__ import annotations

import base64
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Grey
from export.micrographs import read_micrographs
from training.draw.canvas import CLASSES
from training.score.evaluation_html import FRAME, STYLE

SIDE_PX: Final = 420
MOST_IMAGES: Final = 60
COLOURS_BGR: Final = ((60, 190, 70), (0, 150, 255), (255, 110, 90))
_MORE_STYLE: Final = """
.pair { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; margin: .4rem 0 1rem; }
.pair figure { margin: 0; }
"""


def write_page(page: Path, drawn: Path, beside: Path | None) -> None:
    """Write the page. drawn: a data set of `edge-train synthesize`.  beside: a folder of real images, or None.

    At most `MOST_IMAGES` of each are shown. Raises ConfigError where a folder has no image that can be read.
    """
    pictures = sorted((drawn / "images").glob("*.png"))[:MOST_IMAGES]
    if not pictures:
        raise ConfigError(f"{drawn / 'images'} holds no drawn image")
    real: list[tuple[str, Grey]] = []
    if beside is not None:
        found, _ = read_micrographs(beside)
        real = [(Path(name).name, micrograph.grey) for name, micrograph in found if "_mask." not in name][:MOST_IMAGES]
        if not real:
            raise ConfigError(f"{beside} holds no image that can be read")
    rows = [_row(one, other, drawn) for one, other in zip_longest(pictures, real)]
    title = "Drawn micrographs" + (" beside real ones" if real else "")
    names = ", ".join(CLASSES)
    text = f"<p>Drawn, its truth ({names}: green, orange, blue){', then a real one' if real else ''}.</p>"
    body = f"<h1>{title}</h1>{text}" + "\n".join(rows)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(FRAME.format(title=title, style=STYLE + _MORE_STYLE, body=body), encoding="utf-8")


def _row(drawn: Path | None, real: tuple[str, Grey] | None, folder: Path) -> str:
    figures = []
    if drawn is not None:
        grey = cv2.imread(str(drawn), cv2.IMREAD_COLOR)
        if grey is None:
            raise ConfigError(f"{drawn} cannot be decoded")
        shown = np.asarray(grey, np.uint8)
        label = folder / "labels" / f"{drawn.stem}.txt"
        figures += [_figure(drawn.name, shown), _figure("its truth", _outlined(shown, label))]
    if real is not None:
        figures.append(_figure(real[0], np.asarray(cv2.cvtColor(real[1], cv2.COLOR_GRAY2BGR), np.uint8)))
    return f'<div class="pair">{"".join(figures)}</div>'


def _outlined(image: NDArray[np.uint8], label: Path) -> NDArray[np.uint8]:
    """BGR with the outlines of a YOLO-seg file."""
    shown = image.copy()
    height, width = image.shape[:2]
    for line in label.read_text(encoding="ascii").splitlines():
        class_id, *numbers = line.split()
        points = np.array([float(number) for number in numbers]).reshape(-1, 2) * (width, height) - 0.5
        cv2.polylines(shown, [np.round(points).astype(np.int32)], True, COLOURS_BGR[int(class_id) % len(COLOURS_BGR)], 1)
    return np.asarray(shown, np.uint8)


def _figure(caption: str, image: NDArray[np.uint8]) -> str:
    scale = min(1.0, SIDE_PX / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()).decode("ascii")
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'
