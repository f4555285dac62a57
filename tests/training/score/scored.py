"""Small labelled folders, and one of them scored with the shipped models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.config import load_for_command
from tests.training.labelled_images import as_png
from training.data.options import Options
from training.score.score_folder import FolderScore, open_folder, score_folder

WIDTH, HEIGHT = 120, 90


def make_folder(folder: Path, images: int = 3, *, masks: bool = True) -> Path:
    """Textured images with one dark disc each, and masks of the discs."""
    (folder / "images").mkdir(parents=True)
    drawn = {}
    for number in range(images):
        noise = np.random.default_rng(number).normal(140, 30, (HEIGHT, WIDTH))
        grey = np.clip(cv2.GaussianBlur(noise, (0, 0), 1.5) * 1.2 - 20, 0, 255).astype(np.uint8)
        disc = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (40 + 10 * number, 45), 14, (1,), -1)
        grey[disc > 0] = grey[disc > 0] // 4
        cv2.imwrite(str(folder / "images" / f"coupon{number}_1.png"), grey)
        drawn[f"coupon{number}_1"] = disc > 0
    if masks:
        as_png(drawn, folder)
    return folder


def scored(folder: Path, *, clean: bool = False, views: bool = False, **inspect: Any) -> FolderScore:
    toml = folder.parent / f"{folder.name}.toml"
    lines = "\n".join(
        f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in inspect.items()
    )
    toml.write_text(f'[models]\nbackend = "onnxruntime"\n[inspect]\n{lines}\n', encoding="utf-8")
    data = open_folder(folder, Options(class_blind=True), clean=clean)
    settings = load_for_command(toml, {})
    return score_folder(folder, data, settings, views=views, command="edge-train score", tell=lambda done, of: None)
