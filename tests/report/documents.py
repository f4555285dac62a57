"""Documents as the product writes them, made small by hand for tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.report.reading import Document, Source


def inspection(path: str = "AN_60_7days_001.tif", *, number: int = 1, scale: bool = True, **sample: float) -> dict[str, Any]:
    """An `edge.inspection/2` with one region."""
    um = {"area_um2": 4.0, "equivalent_diameter_um": 2.26} if scale else {"area_um2": None, "equivalent_diameter_um": None}
    return {
        "schema": "edge.inspection/2",
        "inspection_id": f"id-{number}",
        "ts": "2026-01-02T03:04:05Z",
        "ts_ms": 1767323045000 + number,
        "image": {
            "name": path.rsplit("/", 1)[-1],
            "path": path,
            "sha256": f"{number:064x}",
            "width_px": 100,
            "height_px": 90,
            "databar_px": 10,
            "pixel_size_nm": 100.0 if scale else None,
            "pixel_size_source": "metadata" if scale else None,
            "field_um2": 80.0 if scale else None,
        },
        "sample": {"annealing_min": 60.0, "exposure_h": 168.0, **sample},
        "severity": {
            "label": "moderate",
            "confidence": 0.7,
            "prediction_set": ["low", "moderate"],
            "source": "model",
            "abstained": False,
            "needs_review": True,
            "reasons": ["ambiguous: two labels"],
            "cam": [[0.0, 1.0]],
        },
        "corrosion": {
            "area_fraction": 0.05,
            "area_fraction_interval": [0.04, 0.07],
            "region_count": 1,
            "counted_from": {"px": 0.0, "um": None},
            "density_per_mm2": 12500.0 if scale else None,
            "area_um2": um["area_um2"],
        },
        "regions": [
            {"index": 0, "class": "pit", "score": 0.8, "box_px": [1, 2, 20, 10], "area_px": 400, **um, "circularity": 0.7}
        ],
        "model": {"segmenter": {"name": "segmenter", "version": "1", "sha256": "ab" * 32}, "backend": "openvino"},
        "settings_sha256": "cd" * 32,
    }


def failure(number: int = 9) -> dict[str, Any]:
    """An `edge.failure/1`."""
    image = {"name": "cut.tif", "path": "cut.tif", "sha256": None}
    error = {"code": "unreadable", "message": "the file ends early"}
    return {"schema": "edge.failure/1", "failure_id": f"f-{number}", "ts_ms": number, "image": image, "error": error}


def source(*said: dict[str, Any], picture: Path | None = None, reviews: tuple[dict[str, Any], ...] = ()) -> Source:
    """Inspections alone."""
    return Source("a test", tuple(Document(one, picture, reviews) for one in said), ())


def picture(folder: Path) -> Path:
    """A file that stands for an overlay."""
    path = folder / "overlay.png"
    cv2.imwrite(str(path), np.full((100, 200, 3), 90, np.uint8))
    return path
