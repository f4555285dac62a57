"""The content of a LabelMe file in, the pixels of its regions out.

A polygon holds the pixels whose centre lies inside, (0, 0) being the top left corner of the top left pixel.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import cv2
import numpy as np

from training.labels.image_labels import Finding, ImageLabels, LabelledRegion
from training.labels.pixels import cut, fill, outside_findings, size_findings, united


def read_labelme(content: dict[str, Any], name: str, width_px: int, height_px: int) -> ImageLabels:
    """LabelMe: polygons, rectangles, circles and masks; shapes of one label and group_id are one region."""
    findings = size_findings(content.get("imageWidth"), content.get("imageHeight"), name, width_px, height_px)
    joined: dict[tuple[str, Any], list[LabelledRegion]] = {}
    for index, shape in enumerate(content.get("shapes") or []):
        label = str(shape.get("label"))
        where = f"{name} shape {index + 1} ({label})"
        try:
            piece, problems = _labelme_shape(shape, label, where, width_px, height_px)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, binascii.Error, cv2.error) as error:
            findings.append(Finding(f"a damaged LabelMe shape ({type(error).__name__})", where))
            continue
        findings += problems
        group = shape.get("group_id")
        key = (label, ("alone", index) if group is None else group)
        if piece is not None:
            joined.setdefault(key, []).append(piece)
    return ImageLabels(tuple(united(pieces) for pieces in joined.values()), tuple(findings))


def _labelme_shape(
    shape: dict[str, Any], label: str, where: str, width_px: int, height_px: int
) -> tuple[LabelledRegion | None, list[Finding]]:
    kind = shape.get("shape_type") or "polygon"
    points = np.array(shape["points"], np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("points that are no numbers")
    if kind == "mask":
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise ValueError("a mask that is no PNG")
        x, y = (int(value) for value in np.round(points[0]))
        return cut(label, x, y, pixels > 0, width_px, height_px), outside_findings(points, where, width_px, height_px)
    if kind == "circle":
        centre, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
        points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    elif kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    elif kind not in ("polygon", "rectangle"):
        return None, [Finding(f"a LabelMe shape of type {kind}, which is no region (draw a polygon, or remove it)", where)]
    if len(points) < 3:
        return None, [Finding("an outline of fewer than three points", where)]
    return fill(label, points, width_px, height_px), outside_findings(points, where, width_px, height_px)
