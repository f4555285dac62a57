"""Seeds and, where there are some, real images with masks in, the data set that the shipped segmenter learns from out.

Of four drawn images three come from the relief generator and one from the painting one, unless asked otherwise. The
relief's corroded part is drawn evenly over its logarithm and its magnification varies, so that regions from 6 px to half
the image occur. Real images are cut into squares at several magnifications. Only the specimens of `REAL_SETS` are used, the
others stay to be measured on.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Grey, Mask, Regions
from training.draw.canvas import CLASSES, PIT, PRODUCT
from training.draw.relief import MOST_FRACTION, render_relief
from training.draw.synthetic import render, yolo_labels

PAINTED_EVERY = 4
CLEAN_PART = 0.1
LEAST_FRACTION, ZOOMS = 0.003, (0.6, 2.2)
REAL_SCALES = (0.4, 1.6)
SMALLEST_PX2 = 20


@dataclass(frozen=True, slots=True)
class RealSet:
    """A folder of images NAME.png or .jpg with NAME_mask.png beside them.

    class_id: what its regions are called.  specimens: beginnings of the names that may be learnt from.
    """

    folder: str
    class_id: int
    specimens: tuple[str, ...]


REAL_SETS = (
    RealSet("superalloy", PIT, ("spot2_", "spot4_", "spot6_", "45kx", "lshr", "me3")),
    RealSet("nanocomposite", PRODUCT, ("10", "5")),
)


def write_mixture(
    folder: Path,
    images: int,
    seed: int,
    side_px: int,
    real: Path | None = None,
    real_images: int = 0,
    painted_every: int = PAINTED_EVERY,
) -> None:
    """Write `images` drawn images and `real_images` squares of real ones, in YOLO-seg layout; existing files are replaced.

    real: the folder that holds `REAL_SETS`.  painted_every: one drawn image of so many is painted, the others are reliefs.
    Raises ConfigError where `real` does not hold them.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    drawn = partial(_draw_one, folder, seed, side_px, painted_every)
    with multiprocessing.get_context("spawn").Pool() as pool:
        groups = pool.map(drawn, range(images), chunksize=8)
    if real is not None:
        groups += _write_real(folder, real, real_images, seed, side_px)
    rows = [f"{name},{group}" for name, group in groups]
    (folder / "samples.csv").write_text("\n".join(["image,group", *rows]) + "\n", encoding="utf-8")
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="ascii")


def drawn_image(seed: int, side_px: int, painted_every: int = PAINTED_EVERY) -> tuple[Grey, Regions]:
    """One drawn image of the mixture, uint8 [side, side], and its regions."""
    if seed % painted_every == 0:
        scene = render(seed, (side_px, side_px))
        return scene.grey, scene.regions
    rng = np.random.default_rng([seed, 0x3117])
    fraction = float(np.exp(rng.uniform(np.log(LEAST_FRACTION), np.log(MOST_FRACTION))))
    fraction = 0.0 if rng.random() < CLEAN_PART else fraction
    zoom = float(np.exp(rng.uniform(*np.log(ZOOMS))))
    scene = render_relief(seed, (side_px, side_px), fraction=fraction, zoom=zoom)
    return scene.grey, scene.regions


def _draw_one(folder: Path, seed: int, side_px: int, painted_every: int, index: int) -> tuple[str, str]:
    cv2.setNumThreads(1)
    grey, regions = drawn_image(seed + index, side_px, painted_every)
    name = f"drawn_{seed + index}"
    _write(folder, name, grey, regions)
    return f"{name}.png", name


def _write(folder: Path, name: str, grey: Grey, regions: Regions) -> None:
    height, width = grey.shape
    (folder / "images" / f"{name}.png").write_bytes(cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
    (folder / "labels" / f"{name}.txt").write_text(yolo_labels(regions, width, height), encoding="ascii")


# --- real images -----------------------------------------------------------------------------------------------------


def _write_real(folder: Path, real: Path, count: int, seed: int, side_px: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng([seed, 0x4EA1])
    rows = []
    sources = [list(labelled_images(real, one)) for one in REAL_SETS]
    for index in range(count):
        number = index % len(sources)
        path, grey, mask = sources[number][int(rng.integers(len(sources[number])))]
        part, marked = _square(rng, grey, mask, side_px)
        name = f"real_{seed}_{index}"
        _write(folder, name, part, regions_of(marked, REAL_SETS[number].class_id))
        rows.append((f"{name}.png", f"{path.parent.name}-{path.stem}"))
    return rows


def labelled_images(real: Path, source: RealSet) -> Iterator[tuple[Path, Grey, Mask]]:
    """The images of the specimens that may be learnt from, uint8 [H, W], with their masks. Raises ConfigError if none."""
    found = 0
    for path in sorted((real / source.folder).glob("*")):
        mask_path = path.with_name(f"{path.stem}_mask.png")
        if not (path.name.startswith(source.specimens) and mask_path.is_file()):
            continue
        grey, mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
        if grey is None or mask is None or grey.shape != mask.shape:
            raise ConfigError(f"{path} and {mask_path.name} are not an image and a mask of the same size")
        found += 1
        yield path, cast(Grey, grey), mask > 0
    if not found:
        raise ConfigError(f"{real / source.folder} holds no image NAME with NAME_mask.png of {', '.join(source.specimens)}")


def _square(rng: np.random.Generator, grey: Grey, mask: Mask, side_px: int) -> tuple[Grey, Mask]:
    """A square of `side_px`, from a random place at a random magnification, turned and flipped."""
    smallest = side_px / min(grey.shape)
    scale = float(np.exp(rng.uniform(np.log(max(REAL_SCALES[0], min(smallest, 1.0))), np.log(REAL_SCALES[1]))))
    scale = max(scale, smallest)
    size = (max(side_px, round(grey.shape[1] * scale)), max(side_px, round(grey.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(grey, size, interpolation=how)
    marked = cv2.resize(mask.astype(np.float32), size, interpolation=how) > 0.5
    x, y = (int(rng.integers(longest - side_px + 1)) for longest in size)
    part, marks = scaled[y : y + side_px, x : x + side_px], marked[y : y + side_px, x : x + side_px]
    turns = int(rng.integers(4))
    part, marks = np.rot90(part, turns), np.rot90(marks, turns)
    if rng.random() < 0.5:
        part, marks = part[:, ::-1], marks[:, ::-1]
    return np.ascontiguousarray(part, np.uint8), np.ascontiguousarray(marks)


def regions_of(mask: Mask, class_id: int) -> Regions:
    """The connected parts of a mask as regions of one class; specks are left out."""
    _, found, measured, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    parts, stats = np.asarray(found, np.int32), np.asarray(measured, np.int32)
    kept = [number for number in range(1, len(stats)) if stats[number, cv2.CC_STAT_AREA] >= SMALLEST_PX2]
    return Regions(
        boxes_px=stats[kept, :4].reshape(-1, 4),
        scores=np.ones(len(kept), np.float32),
        class_ids=np.full(len(kept), class_id, np.int32),
        masks=_masks(parts, stats[kept, :4], kept),
        class_names=CLASSES,
    )


def _masks(parts: NDArray[np.int32], boxes: NDArray[np.int32], numbers: Sequence[int]) -> tuple[Mask, ...]:
    return tuple(parts[y : y + h, x : x + w] == number for (x, y, w, h), number in zip(boxes.tolist(), numbers, strict=True))
