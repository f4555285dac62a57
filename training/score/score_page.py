"""The score of a folder and pictures of its worst images in, one HTML file that needs nothing beside it out."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Grey, Inspection, Regions
from training.score.baselines import covered
from training.score.evaluation_html import FRAME, STYLE, percent, table
from training.score.field_scores import FieldScore

SIDE_PX: Final = 420
"""Longer side of a picture."""
TRUTH_BGR: Final = (60, 190, 70)
FOUND_BGR: Final = (40, 120, 255)
TITLES: Final = {
    "edge": "this edge",
    "otsu_polarity_known": "Otsu, told which side",
    "otsu_dark": "Otsu, the dark side",
    "otsu_bright": "Otsu, the bright side",
    "local_threshold": "local threshold, both sides",
    "otsu_of_distance": "Otsu on the distance to a local median",
}
_WORST_FIRST: Final = (
    "Image, labelled (green), found (orange). Worst first: least area IoU, and where nothing is labelled, most area found."
)
_MORE_STYLE: Final = """
.three { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem; margin: .4rem 0 1.6rem; }
.three figure { margin: 0; } .three img { width: 100%; }
"""


@dataclass(frozen=True, slots=True)
class Panels:
    """One image to look at. pictures: JPEG of the image, the labelled and the found regions.  title: what to know of it."""

    title: str
    pictures: tuple[bytes, bytes, bytes]


def draw_panels(name: str, field: FieldScore, inspection: Inspection, truth: Regions) -> Panels:
    """Three pictures of one image side by side, with how far labels and findings agree."""
    grey = inspection.micrograph.grey
    iou = "" if field.iou is None else f"area IoU {field.iou:.2f}, "
    title = (
        f"{name}: {iou}labelled {field.truth_fraction:.1%}, found {field.found_fraction:.1%}; "
        f"{len(field.true_hit)} regions labelled, {len(field.found_hit)} found, {int(field.true_hit.sum())} of both"
    )
    if inspection.severity is not None:
        title += f"; severity: {inspection.severity.said}"
    empty = np.zeros(grey.shape, np.bool_)
    pictures = (
        _picture(grey, empty, TRUTH_BGR),
        _picture(grey, covered(truth, grey.shape), TRUTH_BGR),
        _picture(grey, covered(inspection.regions, grey.shape), FOUND_BGR),
    )
    return Panels(title, pictures)


def page(document: Mapping[str, Any], worst: Sequence[Panels]) -> str:
    """The page. document: `edge.score/1`."""
    title = f"How good is the edge on {document['folder']}?"
    body = [f"<h1>{escape(title)}</h1>", _head(document)]
    if document["edge"]:
        body += [_areas(document), _regions(document), _sizes(document["by_size"]), _intervals(document["intervals"])]
    body += [_severity(document["severity"]), _perturbed(document["perturbed"])]
    if worst:
        body += ["<h2>The worst images</h2>", f"<p>{_WORST_FIRST}</p>"]
        body += [_three(one) for one in worst]
    body.append(_each(document["each"]))
    return FRAME.format(title=escape(title), style=STYLE + _MORE_STYLE, body="\n".join(part for part in body if part))


def _head(document: Mapping[str, Any]) -> str:
    used = [one for one in (document["models"]["segmenter"], document["models"]["classifier"]) if one]
    models = ", ".join(f"{escape(one['name'])} {escape(one['version'])} ({one['sha256'][:12]})" for one in used)
    notes = [*document["warnings"], *(f"not scored: {one['image']}: {one['why']}" for one in document["failed"])]
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    count = f"{document['images']} images of {document['specimens']} specimens"
    return (
        f"<p>{count}. {models}; {escape(document['models']['backend'])}, confidence {document['confidence']:g}.</p>"
        f"<p><code>{escape(document['command'])}</code></p>" + (f'<ul class="note">{listed}</ul>' if listed else "")
    )


def _areas(document: Mapping[str, Any]) -> str:
    names = ("area_iou", "area_bias", "area_absolute_error", "area_relative_bias", "area_found", "area_labelled")
    columns = ("", "area IoU", "bias", "absolute error", "bias, relative", "found", "labelled")
    rows = [[TITLES.get(what, what), *(cell(of[name]) for name in names)] for what, of in _judges(document)]
    worst = document["worst"]["area_iou"]
    sentence = f"<p>Worst area IoU: {percent(worst['value'])} ({escape(worst['image'])}).</p>" if worst else ""
    return (
        "<h2>Area</h2><p>Per cent; in brackets the 95 % interval from drawing images with replacement.</p>"
        + table("", columns, rows)
        + sentence
    )


def _regions(document: Mapping[str, Any]) -> str:
    columns = ("", "recall", "precision", "false a field", "outline error, px", "outline offset, px")
    rows = []
    for what, of in _judges(document):
        plain = [cell(of[name], 1.0) for name in ("false_regions", "outline_px", "outline_offset_px")]
        rows.append([TITLES.get(what, what), cell(of["region_recall"]), cell(of["region_precision"]), *plain])
    edge = document["edge"]
    caption = f"{edge['region_recall']['n']} labelled regions, {edge['region_precision']['n']} found"
    return "<h2>Regions</h2>" + table(caption, columns, rows)


def _judges(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("edge", document["edge"]), *document["thresholds"].items()]


def _sizes(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = []
    for row in rows:
        high = row["below_px"]
        name = f"{row['from_px']:g} and more" if high is None else f"{row['from_px']:g} to {high:g}"
        cells.append([name, str(row["labelled"]), percent(row["recall"]), str(row["found"]), percent(row["precision"])])
    return table("By diameter, px of the image", ("", "labelled", "recall", "found", "precision"), cells)


def _intervals(of: Mapping[str, Any]) -> str:
    title = "<h2>Intervals</h2>"
    if not of["with_intervals"]:
        return title + f"<p>None of {of['images']} images has intervals.</p>"
    names = {"area_fraction": "area fraction", "density_per_mm2": "regions in a mm²", "largest_px": "largest region, px"}
    rows = []
    for key, name in names.items():
        one = of[key]
        ends = one["interval_95"]
        width = "–" if one["median_width"] is None else f"{one['median_width']:.3g}"
        counts = [str(one[count]) for count in ("n", "held", "true_below", "true_above")]
        rows.append([name, *counts, cell({"value": one["coverage"], "interval_95": ends}), width])
    columns = ("", "images", "truth inside", "below", "above", "inside, %", "median width")
    caption = f"{of['with_intervals']} of {of['images']} images have intervals; {percent(of['level'])} % should hold the truth"
    return title + table(caption, columns, rows)


def _severity(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return ""
    counts = [[name, str(of["labels"][name]), str(of["labels_without_doubt"][name])] for name in SEVERITIES]
    counts.append(["not judged", str(of["abstained"]), ""])
    right = of["accuracy"]
    sentence = "No severity is known, so none can be called right."
    if right["n"]:
        ends = right["interval_95"]
        sentence = (
            f"{percent(right['value'])} % of {right['n']} labels are right (95 % interval {percent(ends[0])} to "
            f"{percent(ends[1])}); with its guesses {percent(of['accuracy_of_answers']['value'])} % of {of['known']}."
        )
    reasons = ", ".join(f"{escape(code)} {count}" for code, count in of["reasons"].items()) or "none"
    return (
        "<h2>Severity</h2>"
        + table(f"{of['images']} fields", ("", "fields", "of these without any doubt"), counts)
        + f"<p>{sentence} Reasons to have a person look: {reasons}.</p>"
    )


def _perturbed(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return ""
    spread, flips = of["area_spread"], of["severity_flips"]
    rows = [
        [knob, percent(one["area_spread_mean"]), percent(one["severity_flips"]), percent(one["withheld_part"])]
        for knob, one in of["by_knob"].items()
    ]
    rows.append(["all", percent(spread["mean"]), percent(flips["part"]), percent(flips["withheld_part"])])
    columns = ("knob", "spread of the area (SD, relative)", "severity flips", "label given or withheld")
    return (
        "<h2>Under an operator's other settings</h2>"
        + table(f"{of['images']} images, {len(of['views'])} views each, per cent", columns, rows)
        + f"<p>Wanted: spread at most {percent(spread['limit'])}, flips at most {percent(flips['limit'])}. "
        f"Worst spread {percent(spread['worst'])}; {percent(spread['within_limit'])} of {spread['images']} images within.</p>"
    )


def _each(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = []
    for row in rows:
        said = row.get("severity") or {}
        known = [percent(row.get(name)) for name in ("area_iou", "area_labelled", "area_found")]
        counts = [str(row.get(name, "–")) for name in ("labelled", "found", "right")]
        cells.append([escape(row["image"]), *known, *counts, said.get("label") or ("not judged" if said else "–")])
    columns = ("", "area IoU", "labelled, %", "found, %", "regions labelled", "found", "right", "severity")
    return f"<h2>Every image</h2><details><summary>{len(rows)} images</summary>{table('', columns, cells)}</details>"


def _three(one: Panels) -> str:
    kinds = ("image", "labelled", "found")
    figures = "".join(
        f'<figure><img alt="{kind}" src="data:image/jpeg;base64,{base64.b64encode(picture).decode("ascii")}"></figure>'
        for kind, picture in zip(kinds, one.pictures, strict=True)
    )
    return f'<p>{escape(one.title)}</p><div class="three">{figures}</div>'


def cell(number: Mapping[str, Any], times: float = 100.0) -> str:
    """A number of the document with its interval, in per cent by default; a dash where it is not defined."""
    if number["value"] is None:
        return "–"
    text = f"<b>{times * number['value']:.1f}</b>"
    ends = number["interval_95"]
    return text if ends is None else text + f' <span class="small">[{times * ends[0]:.1f}, {times * ends[1]:.1f}]</span>'


def _picture(grey: Grey, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> bytes:
    """JPEG: the mask tinted and outlined over the image, at most `SIDE_PX` on its longer side."""
    scale = min(1.0, SIDE_PX / max(grey.shape))
    size = tuple(max(1, round(side * scale)) for side in grey.shape[::-1])
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    shown = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    over = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    tint = (0.75 * shown + 0.25 * np.array(colour)).astype(np.uint8)
    shown = np.where(over[..., None] > 0, tint, shown)
    outlines, _ = cv2.findContours(over, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, outlines, -1, colour, 1)
    return bytes(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
