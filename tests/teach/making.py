"""Images with dark spots and reviews of them, for tests of teaching."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Spots = list[tuple[int, int, int]]


def _placed(seed: int, count: int) -> Spots:
    rng = np.random.default_rng(seed)
    cells = rng.permutation(48)[:count].tolist()
    return [(20 + 40 * (cell % 8), 20 + 40 * (cell // 8), int(rng.integers(7, 14))) for cell in cells]


def spotted(seed: int, dark: int = 14, bright: int = 0) -> tuple[NDArray[np.uint8], Spots]:
    """A uint8 [240, 320] ground with noise, dark spots and bright ones; and the dark ones as x, y, radius."""
    grey = np.full((240, 320), 150, np.float32)
    spots = _placed(seed, dark + bright)
    for number, (x, y, radius) in enumerate(spots):
        cv2.circle(grey, (x, y), radius, 60.0 if number < dark else 235.0, -1)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.2) + np.random.default_rng(seed).normal(0, 6, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), spots[:dark]


def decoys(seed: int, dark: int, bright: int) -> Spots:
    """The bright spots of `spotted`."""
    return _placed(seed, dark + bright)[dark:]


def truth_of(spots: Spots, shape: tuple[int, ...] = (240, 320)) -> NDArray[np.bool_]:
    """bool [H, W]."""
    mask = np.zeros(shape, np.uint8)
    for x, y, radius in spots:
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def write_image(folder: Path, name: str, grey: NDArray[np.uint8]) -> str:
    """Write a PNG; returns the SHA-256 of its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode(".png", grey)[1].tobytes()
    (folder / name).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def review(name: str, sha256: str, **content: Any) -> dict[str, Any]:
    """A valid `edge.review/1` with this content."""
    return {
        "schema": "edge.review/1",
        "review_id": f"of {name}",
        "ts": "2026-01-01T00:00:00.000Z",
        "ts_ms": 1767225600000,
        "reviewer": "tester",
        "image": {"name": name, "path": name, "sha256": sha256, "page": 0, "revision": 1},
        **content,
    }


def brushed(spots: Spots) -> list[dict[str, Any]]:
    """A stroke through each dark spot, and one through the ground below each."""
    marks = []
    for x, y, radius in spots:
        marks.append({"class": "pit", "points_px": [[x - 3, y], [x + 3, y]], "radius_px": radius - 4})
        row = y + 20 if y + 20 < 238 else y - 20
        marks.append({"class": "background", "points_px": [[x - 15, row], [x + 15, row]], "radius_px": 2})
    return marks


def brushed_away(spots: Spots) -> list[dict[str, Any]]:
    """A stroke of background through each spot."""
    return [{"class": "background", "points_px": [[x - 3, y], [x + 3, y]], "radius_px": radius - 4} for x, y, radius in spots]


def write_reviews(path: Path, *reviews: dict[str, Any]) -> Path:
    """One a line."""
    path.write_text("".join(json.dumps(one) + "\n" for one in reviews))
    return path
