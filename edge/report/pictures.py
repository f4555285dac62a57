"""An overlay and a heat map in; small WebP pictures for a page, as data addresses, out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

QUALITY: Final = 70
STRENGTH: Final = 0.45
"""How much of a pixel the warmest place of the heat map covers."""


def embedded(path: Path, said: dict[str, Any], width_px: int) -> tuple[str, str | None] | None:
    """The overlay and, where stage 2 was asked, its heat map drawn over it; None when the file is no picture."""
    try:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    if picture is None:
        return None
    if picture.shape[1] > width_px:
        height = max(1, round(picture.shape[0] * width_px / picture.shape[1]))
        picture = cv2.resize(picture, (width_px, height), interpolation=cv2.INTER_AREA)
    cam = (said.get("severity") or {}).get("cam")
    return _address(picture), _address(_warmed(picture, cam, said["image"])) if cam else None


def _warmed(picture: Any, cam: list[list[float]], image: dict[str, Any]) -> Any:
    """The image part of the overlay under the heat map; the strip below it is left away."""
    width = picture.shape[1]
    height = image["height_px"] - (image.get("databar_px") or 0)
    shown = min(picture.shape[0], max(1, round(height * width / image["width_px"])))
    warmth = np.clip(cv2.resize(np.asarray(cam, np.float32), (width, shown), interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = cv2.applyColorMap((warmth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (STRENGTH * warmth)[..., None]
    return (picture[:shown] * (1 - share) + colours * share).astype(np.uint8)


def _address(picture: Any) -> str:
    _, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode("ascii")
