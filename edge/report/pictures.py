"""Documents with their overlays in; small pictures for a page, as data addresses with their texts, out.

An overlay is shrunk, its outlines are drawn anew at the size that is shown, and it gets a scale bar of that size. Its strip of
text is left away: the page says the same. The heat map lies over a copy of half the width, for it has no detail.
"""

from __future__ import annotations

import base64
import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.inspection.overlay import (
    FONT,
    INK_BGR,
    LONGEST_PX,
    SEVERITY_BGR,
    STRIP_BGR,
    UNRATED_BGR,
    encode,
    four_figures,
    scale_bar,
)
from edge.report.reading import Document, Rings

Which = Literal["all", "doubtful", "none"]
Picture = NDArray[np.uint8]

QUALITY: Final = 65
STRENGTH: Final = 0.45
"""How much of a pixel the warmest place of the heat map covers."""
WIDEST_PX: Final = 900
NARROWEST_PX: Final = 400
AT_WIDEST: Final = 100
"""So many pictures are embedded at the full width; more of them get narrower, so that a browser opens the page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and its heat map, as addresses; what each shows, in words.  heat: None where stage 2 was not asked.

    width_px, height_px: at which both are shown.
    """

    width_px: int
    height_px: int
    picture: str
    says: str
    heat: str | None
    heat_says: str


def width_for(pictures: int) -> int:
    """How wide pictures are when nothing is asked for: their number times their area stays the same above 100."""
    return round(min(float(WIDEST_PX), max(NARROWEST_PX, WIDEST_PX * math.sqrt(AT_WIDEST / max(1, pictures)))))


def wanted(document: Document, which: Which) -> bool:
    """Whether this document's picture is shown; doubtful is what has a reason for review."""
    return document.picture is not None and (
        which == "all" or (which == "doubtful" and bool((document.said.get("severity") or {}).get("reasons")))
    )


def in_order(documents: Iterable[Document], which: Which, width_px: int) -> Iterator[tuple[Document, Shown | None]]:
    """Each document with what is shown of it, drawn on all cores; few are held at a time."""
    workers = min(8, cpu_count() or 1)
    waiting: deque[tuple[Document, Future[Shown | None] | None]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for document in documents:
            waiting.append((document, pool.submit(shown, document, width_px) if wanted(document, which) else None))
            if len(waiting) > 3 * workers:
                first, drawn = waiting.popleft()
                yield first, None if drawn is None else drawn.result()
        for first, drawn in waiting:
            yield first, None if drawn is None else drawn.result()


def shown(document: Document, width_px: int) -> Shown | None:
    """The picture of one document and, where stage 2 was asked, its heat map; None when its file is no picture."""
    said = document.said
    picture = None if document.picture is None else _micrograph(document.picture, said["image"])
    if picture is None:
        return None
    if picture.shape[1] > width_px:
        height = max(1, round(picture.shape[0] * width_px / picture.shape[1]))
        picture = np.asarray(cv2.resize(picture, (width_px, height), interpolation=cv2.INTER_AREA), np.uint8)
    heat = _warmed(picture, (said.get("severity") or {}).get("cam"))
    scale = picture.shape[1] / said["image"]["width_px"]
    bar = scale_bar(pixel_um(said["image"]), picture.shape[1], scale)
    _outline(picture, document, scale)
    if bar:
        _draw_bar(picture, *bar)
    says = _says(said, bar[1] if bar else None)
    height, width = picture.shape[:2]
    return Shown(width, height, _address(picture), says, *((None, "") if heat is None else (_address(heat), _heat_says(said))))


def pixel_um(image: dict[str, Any]) -> float | None:
    """The length of a stored pixel that areas were calculated with; None where no µm² are given.

    From the field of view: unlike `pixel_size_nm` it is null where the specimen was tilted.
    """
    field, pixels = image.get("field_um2"), image["width_px"] * (image["height_px"] - (image.get("databar_px") or 0))
    return float((field / pixels) ** 0.5) if field and pixels > 0 else None


def _micrograph(overlay: Path, image: dict[str, Any]) -> Picture | None:
    """The overlay without its strip and without what widens a narrow one; None when the file is no picture."""
    try:
        data = np.frombuffer(overlay.read_bytes(), np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        return None
    if found is None:
        return None
    width, height = image["width_px"], image["height_px"] - (image.get("databar_px") or 0)
    scale = min(1.0, LONGEST_PX / max(width, height), found.shape[1] / width)
    return np.asarray(found[: max(1, round(height * scale)), : max(1, round(width * scale))], np.uint8)


def _outline(picture: Picture, document: Document, scale: float) -> None:
    """Draw every region in the colour of its severity, one pixel thin, holes too."""
    shift = 3  # cv2 takes fixed-point coordinates with this many fractional bits.
    for region, rings in zip(document.said.get("regions") or (), document.outlines, strict=False):
        colour = SEVERITY_BGR.get(str((region.get("severity") or {}).get("label")), UNRATED_BGR)
        cv2.polylines(picture, _fixed(rings, scale, shift), True, colour, 1, cv2.LINE_AA, shift)


def _fixed(rings: Rings, scale: float, shift: int) -> list[NDArray[np.int32]]:
    return [np.rint(((ring + 0.5) * scale - 0.5) * (1 << shift)).astype(np.int32) for ring in rings]


def _draw_bar(picture: Picture, length_px: int, text: str) -> None:
    """A scale bar in the lower left, on ground of its own, so that it is seen on any specimen and read on paper."""
    letter = max(0.38, picture.shape[1] / 1000)
    stroke, thick = max(1, round(2 * letter)), max(4, round(10 * letter))
    (wide, tall), below = cv2.getTextSize(text, FONT, letter, stroke)
    foot = picture.shape[0] - 6
    line = foot - thick - below - 2
    picture[max(0, line - tall - 6) :, : max(length_px, wide) + 16] = STRIP_BGR
    cv2.rectangle(picture, (8, foot - thick), (7 + length_px, foot), INK_BGR, -1)
    cv2.putText(picture, text, (8, line), FONT, letter, INK_BGR, stroke, cv2.LINE_AA)
    if text.endswith("um"):  # the fonts of OpenCV have no µ
        left = 8 + cv2.getTextSize(text[:-2], FONT, letter, stroke)[0][0] + round(4 * letter)
        ends = (left, line - round(10 * letter)), (left, line + round(8 * letter))
        cv2.line(picture, *ends, INK_BGR, stroke, cv2.LINE_AA)


def _warmed(picture: Picture, cam: Any) -> Picture | None:
    """The picture at half its width under the heat map; None where there is none."""
    try:
        heat = np.asarray(cam, np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    if heat.ndim != 2 or not heat.size or not np.isfinite(heat).all():
        return None
    heat = np.clip(heat, 0, 1).astype(np.float32)
    width, height = max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    warmth = np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = cv2.applyColorMap((warmth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (STRENGTH * warmth)[..., None]
    return (small * (1 - share) + colours * share).astype(np.uint8)


def _says(said: dict[str, Any], bar: str | None) -> str:
    """What a picture shows, for those who do not see it."""
    image, regions, corrosion = said["image"], said.get("regions") or (), said["corrosion"]
    um = pixel_um(image)
    height = image["height_px"] - (image.get("databar_px") or 0)
    size = f", {four_figures(image['width_px'] * um)} × {four_figures(height * um)} µm" if um else ""
    many = f"{len(regions)} region{'s' * (len(regions) != 1)} outlined"
    area = corrosion.get("area_fraction")
    part = "" if area is None else f", {area:.2%} of the area"
    length = f"The scale bar is {bar.replace('um', 'µm')} long." if bar else "The scale is unknown."
    return f"Micrograph {image.get('path') or image.get('name')}{size}: {many}{part}. {length}"


def _heat_says(said: dict[str, Any]) -> str:
    severity = said.get("severity") or {}
    name = said["image"].get("path") or said["image"].get("name")
    heat = np.asarray(severity["cam"], np.float64)
    where = ""
    if float(np.ptp(heat)) > 0:
        row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
        down = ("top", "middle", "bottom")[int(3 * (row + 0.5) / heat.shape[0])]
        across = ("left", "centre", "right")[int(3 * (column + 0.5) / heat.shape[1])]
        where = f", most of all at the {down} {across}"
    answer = severity.get("label") or "the network's answer"
    return f"Heat map over {name}: bright where the image speaks for {answer}{where}."


def _address(picture: Picture) -> str:
    return "data:image/webp;base64," + base64.b64encode(encode(picture, "webp", QUALITY)).decode("ascii")
