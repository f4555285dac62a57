"""An inspection in, the picture that a person can check it against out."""

from __future__ import annotations

from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import EdgeError
from edge.records import Inspection

Picture = NDArray[np.uint8]

LONGEST_PX = 1600
NARROWEST_PX = 360
"""A narrower picture is widened on its right, so that the strip below stays readable."""
SEVERITY_BGR = {"low": (110, 190, 60), "moderate": (40, 165, 240), "severe": (80, 80, 255)}
UNRATED_BGR = (220, 160, 60)
INK_BGR = (245, 245, 245)
STRIP_BGR = (38, 32, 28)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(inspection: Inspection, longest_px: int = LONGEST_PX) -> Picture:
    """The micrograph with every region outlined in the colour of its severity, above a strip that says the verdict.

    Returns uint8 [h, w, 3] in BGR, the micrograph at its top left, shrunk to `longest_px` if it is longer. Regions without
    a severity of their own are blue.
    """
    grey = inspection.micrograph.grey
    scale = min(1.0, longest_px / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    base = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    picture = cast(Picture, cv2.cvtColor(base, cv2.COLOR_GRAY2BGR))
    _draw_regions(picture, inspection, scale)
    spare = max(0, NARROWEST_PX - picture.shape[1])
    picture = cast(Picture, cv2.copyMakeBorder(picture, 0, 0, 0, spare, cv2.BORDER_CONSTANT, value=STRIP_BGR))
    return np.vstack([picture, _strip(inspection, picture.shape[1], scale)])


def encode(picture: Picture, kind: Literal["png", "webp"], quality: int = 80) -> bytes:
    """PNG (exact) or WebP (at quality 80 a tenth of the size).

    WebP by its quickest method, a quarter of the time that OpenCV's takes and a quarter more bytes: every inspection waits
    for its picture.
    """
    if kind == "webp":
        import imagecodecs

        return bytes(imagecodecs.webp_encode(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), level=quality, lossless=False, method=0))
    done, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise EdgeError(f"OpenCV cannot write a PNG of {picture.shape}")
    return encoded.tobytes()


def four_figures(value: float) -> str:
    """A measure as people read it: four significant figures, no exponent where whole numbers do."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{float(f'{value:.4g}'):,.0f}"


def _draw_regions(picture: Picture, inspection: Inspection, scale: float) -> None:
    """Fill faintly, then outline; smaller regions are drawn over larger ones."""
    shift = 3  # cv2 takes fixed-point coordinates with this many fractional bits.
    shapes = []
    for severity, outline, holes in zip(
        inspection.region_severities, inspection.measures.outlines_px, inspection.measures.holes_px, strict=True
    ):
        colour = SEVERITY_BGR[severity.label] if severity else UNRATED_BGR
        rings = [np.rint(((ring + 0.5) * scale - 0.5) * (1 << shift)).astype(np.int32) for ring in (outline, *holes)]
        shapes.append((colour, rings))
    tinted = picture.copy()
    for colour, rings in shapes:
        cv2.fillPoly(tinted, rings, colour, cv2.LINE_8, shift)
    cv2.addWeighted(tinted, 0.22, picture, 0.78, 0, dst=picture)
    for colour, rings in shapes:
        cv2.polylines(picture, rings, True, colour, 1, cv2.LINE_AA, shift)


def _strip(inspection: Inspection, width: int, scale: float) -> Picture:
    """Verdict, measures and a scale bar, in as many lines as the width needs."""
    letter = 0.5 if width >= 480 else 0.38
    line_px = 22 if width >= 480 else 17
    lines = _wrapped([*_verdict(inspection), *_doubts(inspection)], width - 16, letter)
    bar = scale_bar(inspection.micrograph.pixel_size_um, width, scale)
    strip = np.full((line_px * (len(lines) + (1 if bar else 0)) + 12, width, 3), STRIP_BGR, np.uint8)
    y = line_px
    for text, colour in lines:
        cv2.putText(strip, text, (8, y), FONT, letter, colour, 1, cv2.LINE_AA)
        y += line_px
    if bar:
        length, text = bar
        cv2.rectangle(strip, (8, y - 9), (8 + length, y - 4), INK_BGR, -1)
        cv2.putText(strip, text, (16 + length, y - 1), FONT, letter, INK_BGR, 1, cv2.LINE_AA)
    return strip


def _verdict(inspection: Inspection) -> list[tuple[str, tuple[int, int, int]]]:
    parts = []
    severity = inspection.severity
    if severity:
        parts.append((severity.said.upper(), SEVERITY_BGR[severity.label] if severity.label else UNRATED_BGR))
    if inspection.models.segmenter:
        measures = inspection.measures
        found = f"{len(inspection.regions)} regions, {measures.area_fraction:.2%} of the area"
        pixel_um = inspection.micrograph.pixel_size_um
        if pixel_um and len(inspection.regions):
            found += f", largest {four_figures(measures.area_px[0] * pixel_um**2)} um2"
            found += " (cut by the edge)" * bool(measures.touches_edge[0])
        parts.append((found, INK_BGR))
    parts.append((_ascii(inspection.source.name), (190, 190, 190)))
    return parts


def _doubts(inspection: Inspection) -> list[tuple[str, tuple[int, int, int]]]:
    """Every reason for review and every warning, once each."""
    reasons = inspection.severity.reasons if inspection.severity else ()
    doubts = [*(f"review: {reason}" for reason in reasons)]
    doubts += [f"note: {warning}" for warning in inspection.quality.warnings if warning not in reasons]
    if inspection.micrograph.pixel_size_nm is None:
        doubts.append("note: the length of a pixel is unknown, so nothing is given in um")
    return [(_ascii(text), (120, 200, 250)) for text in doubts]


def _wrapped(
    parts: list[tuple[str, tuple[int, int, int]]], width: int, letter: float
) -> list[tuple[str, tuple[int, int, int]]]:
    lines = []
    for text, colour in parts:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".strip()
            if line and cv2.getTextSize(longer, FONT, letter, 1)[0][0] > width:
                lines.append((line, colour))
                longer = word
            line = longer
            while fits := _fitting(line, width, letter):
                lines.append((line[:fits], colour))
                line = line[fits:]
        lines.append((line, colour))
    return lines


def _fitting(word: str, width: int, letter: float) -> int:
    """How many characters of a word that is too wide fit into a line; 0 when all do."""
    if cv2.getTextSize(word, FONT, letter, 1)[0][0] <= width:
        return 0
    return max(1, next(n for n in range(len(word)) if cv2.getTextSize(word[: n + 1], FONT, letter, 1)[0][0] > width))


def scale_bar(pixel_um: float | None, width: int, scale: float) -> tuple[int, str] | None:
    """Length in picture pixels and label of a round scale bar of about a fifth of the width."""
    if pixel_um is None:
        return None
    shown_um = pixel_um / scale
    target = width / 5 * shown_um
    power = 10 ** np.floor(np.log10(target))
    length_um = float(max(step * power for step in (1, 2, 5) if step * power <= target))
    text = (
        f"{length_um:g} um"
        if 0.1 <= length_um < 1000
        else f"{length_um * 1e3:g} nm"
        if length_um < 1
        else f"{length_um / 1e3:g} mm"
    )
    return round(length_um / shown_um), text


def _ascii(text: str) -> str:
    """Text that OpenCV's stroke fonts can draw."""
    return text.replace("µ", "u").replace("²", "2").encode("ascii", "replace").decode()
