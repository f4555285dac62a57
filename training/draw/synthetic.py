"""A seed in, a secondary-electron micrograph of corroded metal with the exact outline of every region out.

Real annotated micrographs are few (the paper has 117), so first models learn from drawn ones. A scene is drawn in the
order of its history: how far corrosion went (`kinetics`), what the coupon and the microscope are like (`appearance`), the bare
metal and what only looks like corrosion (`metal`), the corrosion (`corrosion`), the image (`microscope`).

Two presets. `transfer`: every image another metal under another microscope, for models that have to work on images they
never saw. `paper`: the experiment of the paper drawn again, 3 annealing times × 4 exposures, 117 images of 48 coupons.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.records import SEVERITIES, Grey, Regions, SeverityLabel
from training.draw import kinetics
from training.draw.appearance import Appearance, next_image, paper, wide
from training.draw.canvas import ATTACK, CLASSES, PIT, PRODUCT, SMALLEST_REGION_PX2, Canvas
from training.draw.corrosion import corrode
from training.draw.kinetics import ANNEALING_MIN, EXPOSURES_H, Growth, any_growth, degree_severity
from training.draw.metal import draw_above, draw_below, draw_surface
from training.draw.microscope import amplified, photograph

__all__ = [
    "ATTACK",
    "CLASSES",
    "GENERATOR",
    "PAPER_CLASSES",
    "PAPER_IMAGES",
    "PAPER_SEED",
    "PIT",
    "PRODUCT",
    "SMALLEST_REGION_PX2",
    "TRANSFER_SEED",
    "Scene",
    "paper_scenes",
    "render",
    "render_coupon",
    "render_fraction",
    "write_data_set",
    "write_paper_set",
    "yolo_labels",
]

GENERATOR = 2  # counts up when the same seed gives other pixels
TRANSFER_SEED = 100_000
PAPER_SEED = 1978  # last digits of the paper's DOI
PAPER_IMAGES = 117
COUPONS = 4  # of each of the paper's conditions
PAPER_CLASSES = tuple(f"AN_{minutes:.0f}" for minutes in ANNEALING_MIN)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One drawn micrograph and the truth about it.

    grey: uint8 [H, W].  regions: the truth in the form of a prediction, scores all 1.
    degrees: float32 [N], how deep each region has grown, 0…1.  coupon: the physical sample, one group in a split.
    severity: from the exposure, as in the paper's section 3.3; metal that was never exposed (0 h) counts as low.
    """

    grey: Grey
    regions: Regions
    degrees: NDArray[np.float32]
    severity: SeverityLabel
    growth: Growth
    coupon: str
    seed: int
    name: str

    @property
    def annealing_min(self) -> float:
        """Minutes."""
        return self.growth.annealing_min

    @property
    def exposure_h(self) -> float:
        """Hours; 0 where the metal was never exposed."""
        return self.growth.exposure_h

    @property
    def area_fraction(self) -> float:
        """Corroded part of the field of view, 0…1 (regions do not overlap)."""
        return float(sum(int(mask.sum()) for mask in self.regions.masks)) / self.grey.size

    @property
    def region_severities(self) -> tuple[SeverityLabel, ...]:
        """What each region is by itself, from its own degree: the truth for the weak verdicts on crops."""
        return tuple(degree_severity(float(value)) for value in self.degrees)


def render(
    seed: int, size_px: tuple[int, int] = (640, 480), severity: SeverityLabel | None = None, *, bars: bool = True
) -> Scene:
    """Draw one scene of the transfer preset; the same arguments give the same pixels.

    size_px: width, height.  severity: drawn evenly when None.  bars: whether some images have a data bar or overlay.
    """
    rng = np.random.default_rng([seed, 0x5E3])
    severity, growth = any_growth(rng, severity)
    name = f"{_condition(growth)}_{seed % 100000:03d}"
    appearance = wide(rng)
    return _draw(rng, appearance if bars else replace(appearance, bar=False), growth, size_px, severity, str(seed), seed, name)


def render_fraction(seed: int, fraction: float, size_px: tuple[int, int] = (640, 480)) -> Scene:
    """Draw one scene of the transfer preset with a given corroded part, 0…`kinetics.MOST_FRACTION`.

    The metal, the microscope and where corrosion begins follow from the seed alone, so that one scene can be seen to grow.
    The severity of the scene means nothing.
    """
    rng = np.random.default_rng([seed, 0x6C0])
    appearance = replace(wide(rng), bar=False)
    growth = Growth(90.0, 504.0)
    growth = replace(growth, image_factor=fraction / growth.law_fraction)
    own = np.random.default_rng([seed, 0xC0]), np.random.default_rng([seed, 0x1A])
    return _draw(rng, appearance, growth, size_px, "moderate", str(seed), seed, f"grown_{seed}", own)


def render_coupon(
    annealing_min: float,
    exposure_h: float,
    coupon: int,
    image: int,
    size_px: tuple[int, int] = (640, 480),
    seed: int = PAPER_SEED,
) -> Scene:
    """Draw one image of one coupon of the paper's preset; the coupon decides its appearance, the image its place on it.

    coupon, image: numbers from 1.  Raises ValueError for conditions that are not the paper's.
    """
    if annealing_min not in ANNEALING_MIN or exposure_h not in EXPOSURES_H:
        raise ValueError(f"annealing must be one of {ANNEALING_MIN} min, exposure one of {EXPOSURES_H} h")
    key = [seed, round(annealing_min), round(exposure_h), coupon]
    of_coupon = np.random.default_rng([*key, 0xC0])
    appearance = paper(of_coupon, annealing_min)
    coupon_factor = kinetics.scatter(of_coupon, kinetics.COUPON_SCATTER)
    rng = np.random.default_rng([*key, image, 0x1A])
    growth = Growth(annealing_min, exposure_h, coupon_factor, kinetics.scatter(rng, kinetics.IMAGE_SCATTER))
    group = f"{_condition(growth)}_K{coupon}"
    severity = next(label for label, hours in kinetics.SEVERITY_EXPOSURES_H.items() if exposure_h in hours)
    return _draw(rng, next_image(appearance, rng), growth, size_px, severity, group, seed, f"{group}_{image}")


def paper_scenes(size_px: tuple[int, int] = (640, 480), seed: int = PAPER_SEED) -> Iterator[Scene]:
    """The 117 images of the paper's preset, condition by condition: nine conditions with 10 images, three with 9."""
    for number, (minutes, hours) in enumerate((minutes, hours) for minutes in ANNEALING_MIN for hours in EXPOSURES_H):
        images = PAPER_IMAGES // 12 + (number % 4 != 3)
        for index in range(images):
            yield render_coupon(minutes, hours, index % COUPONS + 1, index // COUPONS + 1, size_px, seed)


def _condition(growth: Growth) -> str:
    """A name of the paper's kind, such as AN_60_7days."""
    hours = growth.exposure_h
    return f"AN_{growth.annealing_min:.0f}_" + (f"{hours:.0f}h" if hours < 24 else f"{hours / 24:.0f}days")


def _draw(
    rng: np.random.Generator,
    appearance: Appearance,
    growth: Growth,
    size_px: tuple[int, int],
    severity: SeverityLabel,
    coupon: str,
    seed: int,
    name: str,
    own: tuple[np.random.Generator, np.random.Generator] | None = None,
) -> Scene:
    """own: chance of the corrosion and of what comes after it; without, all follows from `rng`, and nothing stays the same."""
    canvas = Canvas(rng, appearance, *size_px)
    draw_surface(canvas)
    draw_below(canvas)
    bare = canvas.grey.copy()
    canvas.rng = own[0] if own else rng
    corrode(canvas, growth)
    canvas.rng = own[1] if own else rng
    middle = float(np.median(canvas.grey))
    canvas.forget_invisible(amplified(appearance, bare, middle), amplified(appearance, canvas.grey, middle))
    draw_above(canvas)
    grey = photograph(canvas)
    regions, degrees = canvas.regions()
    return Scene(grey, regions, degrees, severity, growth, coupon, seed, name)


# --- a data set on disk ----------------------------------------------------------------------------------------------


def yolo_labels(regions: Regions, width_px: int, height_px: int) -> str:
    """YOLO-seg text: a line `class x y x y …` per region, coordinates as parts of the image's size."""
    lines = []
    for (x, y, _, _), class_id, mask in zip(regions.boxes_px, regions.class_ids, regions.masks, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        outline = max(contours, key=cv2.contourArea).reshape(-1, 2).astype(np.float64)
        if len(outline) < 3:
            continue
        # pixel centres, so that the polygon neither grows nor shifts
        points = (outline + (float(x), float(y)) + 0.5) / (width_px, height_px)
        lines.append(f"{int(class_id)} " + " ".join(f"{value:.5f}" for value in points.ravel()))
    return "\n".join(lines) + ("\n" if lines else "")


def write_data_set(folder: Path, images: int, seed: int = TRANSFER_SEED, size_px: tuple[int, int] = (640, 480)) -> None:
    """Write `images` scenes of the transfer preset with seeds seed, seed + 1, …, in the layout of `write_scenes`.

    Severities take turns, so that the classes are even.
    """
    scenes = (render(seed + index, size_px, SEVERITIES[index % len(SEVERITIES)]) for index in range(images))
    write_scenes(folder, scenes, CLASSES, "transfer", seed)


def write_paper_set(
    folder: Path, size_px: tuple[int, int] = (640, 480), seed: int = PAPER_SEED, classes: Sequence[str] = PAPER_CLASSES
) -> None:
    """Write the paper's preset in the layout of `write_scenes`. classes: the annealing times, or `CLASSES`."""
    write_scenes(folder, paper_scenes(size_px, seed), tuple(classes), "paper", seed)


def write_scenes(folder: Path, scenes: Iterable[Scene], classes: tuple[str, ...], preset: str, seed: int) -> None:
    """Write a data set; existing files of the same names are replaced.

    images/*.png, labels/*.txt (YOLO-seg), samples.csv, classes.txt: the layout that training reads.
    truth/*.png: uint16, the number of each pixel's region from 1, exact where a polygon cannot be.
    truth.json: the law, its true parameters for every image, class and degree of every region.
    classes: `CLASSES`, or `PAPER_CLASSES` to call every region by the annealing of its image, as the paper does.
    """
    if classes not in (CLASSES, PAPER_CLASSES):
        raise ValueError(f"classes must be {CLASSES} or {PAPER_CLASSES}")
    for name in ("images", "labels", "truth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = ["image,annealing_min,exposure_h,severity,group"]
    truths = []
    for scene in scenes:
        stem = scene.name if preset == "paper" else f"{scene.name}_s{scene.seed}"
        height, width = scene.grey.shape
        _write_png(folder / "images" / f"{stem}.png", scene.grey)
        _write_png(folder / "truth" / f"{stem}.png", _numbered(scene.regions, width, height))
        text = yolo_labels(_labelled(scene, classes), width, height)
        (folder / "labels" / f"{stem}.txt").write_text(text, encoding="ascii")
        rows.append(f"{stem}.png,{scene.annealing_min:.0f},{scene.exposure_h:.0f},{scene.severity},{scene.coupon}")
        truths.append(_truth(scene, f"{stem}.png"))
    (folder / "samples.csv").write_text("\n".join(rows) + "\n", encoding="ascii")
    (folder / "classes.txt").write_text("\n".join(classes) + "\n", encoding="ascii")
    head = {"schema": "synthetic.truth/1", "generator": GENERATOR, "preset": preset, "seed": seed, "law": _law()}
    text = json.dumps({**head, "class_names": CLASSES, "images": truths}, separators=(",", ":"))
    (folder / "truth.json").write_text(text + "\n", encoding="ascii")


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _labelled(scene: Scene, classes: tuple[str, ...]) -> Regions:
    regions = scene.regions
    if classes == CLASSES:
        return regions
    ids = np.full(len(regions), ANNEALING_MIN.index(scene.annealing_min), np.int32)
    return Regions(regions.boxes_px, regions.scores, ids, regions.masks, classes)


def _numbered(regions: Regions, width: int, height: int) -> NDArray[np.uint16]:
    numbers = np.zeros((height, width), np.uint16)
    for number, ((x, y, w, h), mask) in enumerate(zip(regions.boxes_px, regions.masks, strict=True), start=1):
        numbers[y : y + h, x : x + w][mask] = number
    return numbers


def _law() -> dict[str, Any]:
    return {
        "formula": "A_start + A_limit(T) * (1 - exp(-(t / tau(T)) ** n))",
        "start_fraction": kinetics.START_FRACTION,
        "limit_fraction": {f"{minutes:.0f}": value for minutes, value in kinetics.LIMIT_FRACTION.items()},
        "time_constant_h": {f"{minutes:.0f}": value for minutes, value in kinetics.TIME_CONSTANT_H.items()},
        "avrami_exponent": kinetics.AVRAMI_EXPONENT,
        "coupon_scatter": kinetics.COUPON_SCATTER,
        "image_scatter": kinetics.IMAGE_SCATTER,
    }


def _truth(scene: Scene, image: str) -> dict[str, Any]:
    growth = {key: round(value, 5) for key, value in asdict(scene.growth).items()}
    return {
        "image": image,
        "coupon": scene.coupon,
        "severity": scene.severity,
        **growth,
        "law_fraction": round(scene.growth.law_fraction, 5),
        "target_fraction": round(scene.growth.target_fraction, 5),
        "drawn_fraction": round(scene.area_fraction, 5),
        "region_class": scene.regions.class_ids.tolist(),
        "region_degree": [round(float(value), 3) for value in scene.degrees],
        "region_area_px": [int(mask.sum()) for mask in scene.regions.masks],
    }
