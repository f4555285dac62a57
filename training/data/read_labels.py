"""Label files of one kind and the pages of a data set in, the regions of each page and the names of their classes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.records import Regions
from training.data.find import ImageFile, LabelFiles
from training.data.options import Options
from training.data.read_images import Page
from training.labels.coco import read_coco
from training.labels.formats import FORMATS, ImageSize, ReadFile
from training.labels.image_labels import Finding, ImageLabels
from training.labels.masks import MaskRule, load_mask, mask_rule
from training.labels.regions import make_regions
from training.labels.yolo import MOST_CLASS_NUMBER

_Read = Callable[[Page, str], ImageLabels]


def read_labels(
    data: Path, files: Sequence[ImageFile], pages: Sequence[Page], labels: LabelFiles, options: Options, findings: list[Finding]
) -> tuple[tuple[str, ...], tuple[Regions, ...], MaskRule | None]:
    """Class names, the regions of each page, () without labels, and what the values of masks mean."""
    if labels.kind is None:
        return options.classes or ("corrosion",), (), None
    named = options.classes or _class_names(data)
    rule = _rule(labels, named, options, findings) if labels.kind in ("png", "npy") else None
    used: tuple[str, ...] = ()
    read_file = FORMATS[labels.kind].read
    if labels.kind == "reviews":
        used, keys, read = labels.classes, tuple(labels.drawn), _drawn_reader(labels.drawn)
        named = ()
    elif read_file is None:
        used, keys, read = _coco_reader(labels, findings)
    else:
        keys, read = tuple(labels.files), _file_reader(labels.files, read_file, rule)
    unreadable = {file.key for file in files} - {page.file.key for page in pages}
    chosen = _match(pages, tuple(key for key in keys if key not in unreadable), labels, findings)
    labelled = [_read_one(read, page, chosen.get(page.key)) for page in pages]
    for page, found in zip(pages, labelled, strict=True):
        if found is None and page.outlined:
            what = "labels are missing (where nothing is corroded, say so by an empty label file)"
            findings.append(Finding(what, page.key))
        elif found is not None and not found.regions and not found.findings:
            findings.append(Finding("no regions: counts as free of corrosion", page.name, fatal=False))
    findings += [finding for found in labelled if found is not None for finding in found.findings]
    used_labels = {one.label for found in labelled if found is not None for one in found.regions}
    classes = named or used or _names_in_labels(used_labels, [] if options.class_blind else findings)
    regions = []
    for page, found in zip(pages, labelled, strict=True):
        made, noted = make_regions(found.regions if found else (), classes, page.width_px, page.height_px, page.name)
        regions.append(made)
        findings += noted
    return classes, tuple(regions), rule


def classes_by_annealing(
    pages: Sequence[Page], regions: tuple[Regions, ...], findings: list[Finding]
) -> tuple[tuple[str, ...], tuple[Regions, ...]]:
    """Class names, shortest annealing first, and the regions with these classes."""
    unknown = [
        Finding("the annealing time is not known, so there is no class", page.key)
        for page in pages
        if page.annealing_min is None
    ]
    findings += unknown
    if unknown:
        return ("corrosion",), regions
    minutes = sorted({page.annealing_min for page in pages if page.annealing_min is not None})
    names = tuple(f"AN_{value:g}" for value in minutes)
    numbers = [minutes.index(page.annealing_min or 0.0) for page in pages]
    return names, tuple(
        replace(one, class_ids=np.full(len(one), number, np.int32), class_names=names)
        for one, number in zip(regions, numbers, strict=bool(regions))
    )


def _read_one(read: _Read, page: Page, key: str | None) -> ImageLabels | None:
    """None without labels. What other software writes into JSON has no end, so any surprise in it is a finding."""
    if key is None:
        return None
    try:
        return read(page, key)
    except (ConfigError, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return ImageLabels(findings=(Finding("labels cannot be read", f"{page.key} ({error})"),))


def _class_names(data: Path) -> tuple[str, ...]:
    for path in (data / "classes.txt", data / "labels" / "classes.txt"):
        if path.is_file():
            return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return ()


def _names_in_labels(labels: set[str | int], findings: list[Finding]) -> tuple[str, ...]:
    """Class names from the labels themselves: their names in order of the alphabet, or one name for the only number."""
    names = sorted(label for label in labels if isinstance(label, str))
    numbers = sorted(label for label in labels if isinstance(label, int))
    if numbers and numbers != [0]:
        shown = ", ".join(map(str, numbers))
        findings.append(Finding(f"class numbers {shown} without names: give --classes NAME NAME …, or a classes.txt", ""))
        return tuple(f"class {number}" for number in range(min(numbers[-1], MOST_CLASS_NUMBER) + 1))
    return tuple(names) or ("corrosion",)


def _match(pages: Sequence[Page], keys: Sequence[str], labels: LabelFiles, findings: list[Finding]) -> dict[str, str]:
    """Which labels belong to each page, by path or, where that says nothing, by name; both by key."""
    by_name: dict[str, list[str]] = {}
    for key in keys:
        by_name.setdefault(PurePosixPath(key).name, []).append(key)
    chosen: dict[str, str] = {}
    for page in pages:
        alike = by_name.get(PurePosixPath(page.key).name, [])
        if page.key in keys:
            chosen[page.key] = page.key
        elif len(alike) == 1:
            chosen[page.key] = alike[0]
        elif page.file.key in keys:
            what = "labels for an image of several pages do not say which page: end their names in _page1, _page2, …"
            findings.append(Finding(what, page.file.relative))
            chosen[page.file.key] = page.file.key
    counts = Counter(chosen.values())
    findings += [Finding("labels that fit several images", _shown(key, labels)) for key, count in counts.items() if count > 1]
    findings += [Finding("labels of no image", _shown(key, labels)) for key in keys if key not in counts]
    return chosen


def _shown(key: str, labels: LabelFiles) -> str:
    return labels.files[key].name if key in labels.files else f"{key} in {labels.coco_name}"


def _coco_reader(labels: LabelFiles, findings: list[Finding]) -> tuple[tuple[str, ...], tuple[str, ...], _Read]:
    """Class names, keys of the images listed, and how to read one of them."""
    try:
        categories = sorted(labels.coco["categories"], key=lambda category: int(category["id"]))
        names = {category["id"]: str(category["name"]) for category in categories}
        images = {_key_of(str(image["file_name"])): image for image in labels.coco["images"]}
    except (KeyError, TypeError, ValueError) as error:
        problem = f"images need file_name, categories id and name ({error})"
        raise ConfigError(f"{labels.coco_name} is no COCO file: {problem}") from error
    annotations: dict[Any, list[dict[str, Any]]] = {}
    for annotation in labels.coco["annotations"]:
        annotations.setdefault(annotation.get("image_id"), []).append(annotation)
    known = {image["id"] for image in images.values()}
    lost = [f"image_id {number[1]}" for number in annotations if number not in known]
    findings += [Finding(f"{labels.coco_name}: annotations of an image that it does not list", where) for where in lost]

    def read(page: Page, key: str) -> ImageLabels:
        of_image = annotations.get(images[key]["id"], [])
        return read_coco(images[key], of_image, names, labels.coco_name, page.width_px, page.stored_height_px)

    return tuple(names.values()), tuple(images), read


def _key_of(file_name: str) -> str:
    return PurePosixPath(file_name.replace("\\", "/")).with_suffix("").as_posix().removeprefix("images/")


def _drawn_reader(drawn: Mapping[str, ImageLabels]) -> _Read:
    """How to read labels that are drawn already."""
    return lambda _page, key: drawn[key]


def _file_reader(files: Mapping[str, Path], read_file: ReadFile, rule: MaskRule | None) -> _Read:
    """How to read one label file."""

    def read(page: Page, key: str) -> ImageLabels:
        return read_file(files[key], ImageSize(page.width_px, page.stored_height_px, page.height_px), rule)

    return read


def _rule(labels: LabelFiles, named: tuple[str, ...], options: Options, findings: list[Finding]) -> MaskRule:
    """What the values of the masks mean. Raises ConfigError when it does not fit the classes."""
    if options.mask_rule != "auto":
        if options.mask_rule != "class" and len(named) > 1:
            raise ConfigError(
                f"--mask-rule {options.mask_rule} tells no classes apart, but there are {', '.join(named)}: "
                "name the one that the masks show with --classes"
            )
        return options.mask_rule

    def readable() -> Iterable[NDArray[np.int64]]:
        for path in labels.files.values():
            try:
                yield load_mask(path)
            except ConfigError:  # reported when it is read for its regions
                continue

    try:
        return mask_rule(readable(), len(named))
    except ConfigError:
        if not options.class_blind:
            raise
        findings.append(Finding("masks of several values: each connected part of one value is a region", "", fatal=False))
        return "class"
