"""A data set's folder in, its image files, its label files and the rows of its samples.csv out."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from edge.errors import ConfigError
from training.data.options import Options
from training.labels.formats import FORMATS, LabelKind, load_json
from training.labels.image_labels import Finding, ImageLabels

IMAGE_SUFFIXES: Final = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
LABEL_FOLDERS: Final = ("labels", "masks", "annotations")
REVIEWS: Final = "reviews.jsonl"
"""In a folder that `edge-review export` wrote."""
MASK_ENDING: Final = "_mask"
"""NAME_mask.png beside NAME.png or NAME.jpg, or in a folder of masks, is the mask of NAME."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file. key: its path below the folder of images, with `/` and without its suffix."""

    path: Path
    key: str

    @property
    def relative(self) -> str:
        """The path below the folder of images."""
        return self.key + self.path.suffix


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """Where the labels of a data set are. files: by key, see `ImageFile`.  coco: the parsed file.

    drawn, classes: of reviews, see `read_reviews.with_reviews`: the labels of each page by key, and the names of classes.
    """

    kind: LabelKind | None
    files: Mapping[str, Path] = field(default_factory=dict)
    coco: Mapping[str, Any] = field(default_factory=dict)
    coco_name: str = ""
    drawn: Mapping[str, ImageLabels] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


def find_images(data: Path) -> tuple[ImageFile, ...]:
    """All images below images/, or those directly in the folder when it has no images/; masks beside them are none."""
    root = data / "images"
    paths = root.rglob("*") if root.is_dir() else data.glob("*")
    pictures = sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and _is_file(path))
    there = {path.with_suffix("") for path in pictures}
    found = [path for path in pictures if _masked(path.with_suffix("")) not in there]
    if not found:
        raise ConfigError(f"no images in {root if root.is_dir() else data}: put them into {root} ({', '.join(IMAGE_SUFFIXES)})")
    base = root if root.is_dir() else data
    return tuple(ImageFile(path, path.relative_to(base).with_suffix("").as_posix()) for path in found)


def _masked(stem: Path) -> Path | None:
    """What the mask of this path without suffix belongs to; None where its name is not that of a mask."""
    name = stem.name.removesuffix(MASK_ENDING)
    return stem.with_name(name) if name and name != stem.name else None


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def read_sample_rows(data: Path, files: Sequence[ImageFile], findings: list[Finding]) -> dict[str, dict[str, str]]:
    """Rows of samples.csv by the images' path or name; {} when there is none."""
    path = data / "samples.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            read = csv.DictReader(stream)
            columns = read.fieldnames or ()
            rows = [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in read]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        findings.append(Finding(f"samples.csv cannot be read ({error})", ""))
        return {}
    if "image" not in columns:
        findings.append(Finding("samples.csv has no column `image`", ""))
        return {}
    names = {file.relative for file in files} | {file.path.name for file in files}
    findings += [
        Finding("samples.csv names an image that is not there", row["image"]) for row in rows if row["image"] not in names
    ]
    repeated = [name for name, count in Counter(row["image"] for row in rows).items() if count > 1]
    findings += [Finding("samples.csv has several rows for an image", name) for name in repeated]
    by_name = {row["image"]: row for row in rows}
    missing = [file.relative for file in files if file.relative not in by_name and file.path.name not in by_name]
    findings += [Finding("samples.csv has no row for an image", name, fatal=False) for name in missing]
    return by_name


def find_labels(data: Path, files: Sequence[ImageFile], options: Options, findings: list[Finding]) -> LabelFiles:
    """The label files of the kind asked for, or of the only kind there is."""
    found: dict[LabelKind, dict[str, Path]] = {}
    coco: dict[str, Any] = {}
    keys = {file.key for file in files} | {PurePosixPath(file.key).name for file in files}
    images = {file.path for file in files}
    roots = [data / name for name in LABEL_FOLDERS if (data / name).is_dir()]
    beside = data / "images" if (data / "images").is_dir() else data
    for root in (*roots, beside, data):
        paths = root.glob("*") if root == data else root.rglob("*")
        for path in sorted(path for path in paths if _is_file(path) and path not in images):
            key = _label_key(path, root, keys)
            kind, content = _kind_of(path, key, inside=root in roots, keys=keys, root=root)
            if kind == "coco":
                coco[path.name] = content
            elif kind is not None:
                found.setdefault(kind, {}).setdefault(key, path)
    shown = {kind: f"{kind} ({len(paths)} files)" for kind, paths in found.items()}
    if coco:
        shown["coco"] = f"coco ({', '.join(coco)})"
    if (data / REVIEWS).is_file():
        shown["reviews"] = f"reviews ({REVIEWS})"
    if options.labels == "auto" and len(shown) > 1:
        raise ConfigError(f"{data} holds labels of several kinds: {', '.join(shown.values())}; choose one with --labels")
    if options.labels == "auto" and not shown:
        findings.append(Finding("no labels found: only the classifier can learn from this", "", fatal=False))
        return LabelFiles(None)
    kind = next(iter(shown)) if options.labels == "auto" else options.labels
    if kind not in shown:
        raise ConfigError(f"{data} holds no labels of kind {kind}, but {', '.join(shown.values()) or 'none at all'}")
    if kind == "coco":
        return LabelFiles(kind, coco=_one_coco(coco), coco_name=", ".join(coco))
    return LabelFiles(kind, found.get(kind, {}))


def _label_key(path: Path, root: Path, keys: set[str]) -> str:
    """The path below `root` without suffix, and without the ending of a mask where that names an image."""
    stem = path.relative_to(root).with_suffix("")
    image = _masked(stem)
    if stem.as_posix() not in keys and image is not None and (image.as_posix() in keys or image.name in keys):
        return image.as_posix()
    return stem.as_posix()


def _kind_of(path: Path, key: str, inside: bool, keys: set[str], root: Path) -> tuple[LabelKind | None, Any]:
    """Kind of a label file, and COCO's content. inside: it lies in a folder of labels, so it must be one."""
    suffix = path.suffix.lower()
    named = inside or key in keys or key.rpartition("_page")[0] in keys
    if suffix in FORMATS["yolo"].suffixes and named and path.name not in ("classes.txt", "README.txt") and root.name != "masks":
        return "yolo", None
    if suffix in FORMATS["npy"].suffixes and named:
        return "npy", None
    ended = key != path.relative_to(root).with_suffix("").as_posix()
    if suffix in FORMATS["png"].suffixes and ((inside and root.name == "masks") or ended):
        return "png", None
    if suffix in FORMATS["coco"].suffixes and (named or "coco" in path.name.lower() or "annotation" in path.name.lower()):
        try:
            content = load_json(path)
        except ConfigError:
            if key in keys:
                return "labelme", None  # it will fail again and be reported beside whatever else is wrong
            raise
        if isinstance(content, dict) and "shapes" in content:
            return "labelme", None
        if isinstance(content, dict) and "images" in content and "annotations" in content:
            return "coco", content
        if inside:
            raise ConfigError(f"{path} is neither LabelMe's nor COCO's JSON: remove it, or export it as one of them")
    return None, None


def _one_coco(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Several COCO files as one. Raises ConfigError when their categories differ."""
    categories = {json.dumps(content.get("categories"), sort_keys=True) for content in contents.values()}
    if len(categories) > 1:
        raise ConfigError(f"the COCO files {', '.join(contents)} have different categories")
    images: list[Any] = []
    annotations: list[Any] = []
    for number, (name, content) in enumerate(contents.items()):
        try:
            images += [{**image, "id": (number, image["id"])} for image in content["images"]]
            annotations += [{**one, "image_id": (number, one["image_id"])} for one in content["annotations"]]
        except (TypeError, KeyError) as error:
            raise ConfigError(f"{name} is damaged: images need an id, annotations an image_id ({error})") from error
    return {"images": images, "annotations": annotations, "categories": next(iter(contents.values())).get("categories") or []}
