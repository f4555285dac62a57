"""The score of a folder in, a few lines for people out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.score.score_page import TITLES


def describe(document: Mapping[str, Any]) -> str:
    """What is asked for first, a line each. document: `edge.score/1`."""
    lines = [
        f"{document['images']} images of {document['specimens']} specimens, labels: {document['labels']['kind'] or 'none'}"
    ]
    edge = document["edge"]
    if edge:
        if edge["area_iou"]["value"] is not None:
            worst = document["worst"]["area_iou"]
            lines.append(f"area IoU        {_shown(edge['area_iou'])}, worst {worst['value']:.3f} ({worst['image']})")
            others = [(TITLES.get(name, name), of["area_iou"]["value"]) for name, of in document["thresholds"].items()]
            lines.append("beside it       " + "; ".join(f"{name} {value:.3f}" for name, value in others if value is not None))
        lines += [
            f"area            bias {_points(edge['area_bias'])}, absolute error {_points(edge['area_absolute_error'])}; "
            f"found {_percent(edge['area_found'])}, labelled {_percent(edge['area_labelled'])}",
            f"regions         recall {_shown(edge['region_recall'])} of {edge['region_recall']['n']}, "
            f"precision {_shown(edge['region_precision'])} of {edge['region_precision']['n']}; "
            f"{_shown(edge['false_regions'], 1)} false a field",
        ]
        most = document["worst"]["area_found"]
        if edge["area_iou"]["value"] is None and most["value"]:
            lines.append(f"worst           {most['value']:.2%} of the area found ({most['image']})")
        if edge["outline_px"]["value"] is not None:
            lines.append(
                f"outlines        {_shown(edge['outline_px'], 2)} px from the labelled, "
                f"{edge['outline_offset_px']['value']:+.2f} px outside"
            )
        lines.append(_intervals(document["intervals"]))
    lines += _severity(document["severity"]) + _perturbed(document["perturbed"])
    return "\n".join(lines)


def _intervals(of: Mapping[str, Any]) -> str:
    if not of["with_intervals"]:
        return f"intervals       none of {of['images']} images has one"
    names = {"area_fraction": "area", "density_per_mm2": "density", "largest_px": "largest region"}
    held = (f"{name} in {of[key]['held']} of {of[key]['n']}" for key, name in names.items() if of[key]["n"])
    return (
        f"intervals       hold the labelled {', '.join(held)} ({of['level']:.0%} wanted); "
        f"{of['with_intervals']} of {of['images']} images have them"
    )


def _severity(of: Mapping[str, Any] | None) -> list[str]:
    if of is None:
        return []
    labels = ", ".join(f"{name} {count} ({of['labels_without_doubt'][name]})" for name, count in of["labels"].items())
    lines = [f"severity        {labels} (without any doubt); not judged {of['abstained']} of {of['images']}"]
    right = of["accuracy"]
    if right["n"]:
        low, high = right["interval_95"]
        lines.append(
            f"                {right['value']:.1%} right of {right['n']} judged (95 % interval {low:.1%} to {high:.1%})"
        )
    return lines


def _perturbed(of: Mapping[str, Any] | None) -> list[str]:
    if of is None:
        return []
    spread, flips = of["area_spread"], of["severity_flips"]
    area = (
        "not defined, too little is found" if spread["mean"] is None else f"{spread['mean']:.1%}, worst {spread['worst']:.1%}"
    )
    lines = [f"other settings  spread of the area {area} (wanted: at most {spread['limit']:.0%})"]
    if flips["part"] is not None:
        lines.append(
            f"                severity flips {flips['part']:.1%} of {flips['pairs']} (wanted: at most {flips['limit']:.0%})"
        )
    if flips["withheld_part"] is not None:
        lines.append(f"                a label given or withheld otherwise in {flips['withheld_part']:.1%}")
    return lines


def _shown(number: Mapping[str, Any], digits: int = 3) -> str:
    """Value and interval."""
    if number["value"] is None:
        return "–"
    ends = number["interval_95"]
    text = f"{number['value']:.{digits}f}"
    return text if ends is None else f"{text} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def _points(number: Mapping[str, Any]) -> str:
    """In percentage points, with the interval."""
    if number["value"] is None:
        return "–"
    ends = number["interval_95"]
    text = f"{100 * number['value']:+.2f}"
    return f"{text} points" if ends is None else f"{text} points [{100 * ends[0]:+.2f}, {100 * ends[1]:+.2f}]"


def _percent(number: Mapping[str, Any]) -> str:
    return "–" if number["value"] is None else f"{number['value']:.2%}"
