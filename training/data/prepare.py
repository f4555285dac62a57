"""A folder of micrographs with labels of any kind in, a checked, split and augmented data set that training reads out.

Nothing is written unless all checks pass: all problems are told at once. Groups (physical samples) are split, not
images, and varied copies are made after that, of images that are learnt from and never of test images.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import __version__, sem
from edge.config import SampleSettings
from edge.errors import ConfigError, EdgeError, ImageError
from edge.inspection.segment import no_regions
from edge.records import SEVERITIES, Grey, Micrograph, Regions, SeverityLabel
from training.data.augment import draw_variation, vary
from training.data.dataset import PARTS, Part, hash_of, sample_group, severity_of
from training.labels.formats import (
    MOST_CLASS_NUMBER,
    Finding,
    LabelKind,
    MaskRule,
    Sheet,
    load_json,
    load_mask,
    make_regions,
    mask_rule,
    read_coco,
    read_labelme,
    read_mask,
    read_yolo,
    yolo_text,
)

SCHEMA: Final = "edge.dataset/1"
IMAGES: Final = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
LABEL_FOLDERS: Final = ("labels", "masks", "annotations")
IMBALANCE: Final = 10.0  # of the most to the least frequent class
THUMBNAIL_PX: Final = 48
NEAR_DUPLICATE: Final = 0.6  # correlation of the details of two thumbnails; of unrelated micrographs it is below 0.2
SPLIT_TRIES: Final = 10
SHOWN: Final = 5  # names in a message
COLUMNS: Final = ("image", "annealing_min", "exposure_h", "severity", "group", "part", "fold", "origin")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose. test, val: parts of the images, 0 for none.  folds: 0 for none.

    labels_from: folder of the labels and their classes.txt, where they are not with the images.
    augment: images made of each image that is learnt from, itself included; 1 for no varied copies.
    classes: names in the order of their numbers; empty for what the labels, classes.txt or COCO's categories say.
    classes_by: "annealing" names every region by the annealing of its image, AN_60 …, as the paper does (section 3.2).
    """

    labels: LabelKind | Literal["auto"] = "auto"
    labels_from: Path | None = None
    folds: int = 4
    test: float = 0.1
    val: float = 0.1
    augment: int = 4
    seed: int = 0
    classes: tuple[str, ...] = ()
    mask_rule: MaskRule | Literal["auto"] = "auto"
    classes_by: Literal["labels", "annealing"] = "labels"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came out. record: the content of dataset.json.  warnings: one line each."""

    folder: Path
    record: dict[str, Any]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """A few lines for people."""
        counts = self.record["counts"]
        lines = [
            f"{counts['images']} images of {counts['groups']} groups, {counts['varied_copies']} varied copies; "
            f"labels: {self.record['labels']['kind'] or 'none'}"
            + (f", values: {self.record['labels']['mask_rule']}" if self.record["labels"]["mask_rule"] else ""),
            "regions: " + ", ".join(f"{name} {count}" for name, count in counts["regions"].items()),
            "severity: " + ", ".join(f"{name} {count}" for name, count in counts["severities"].items()),
        ]
        for name, part in {**self.record["parts"], **self.record["folds"]}.items():
            lines.append(f"{name}: {part['images']} images of {len(part['groups'])} groups")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _File:
    """An image file. key: its path below the folder of images, with `/` and without its suffix."""

    path: Path
    key: str

    @property
    def relative(self) -> str:
        return self.key + self.path.suffix


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """One image as training will see it, and what is known about it. key: the file's, with the page where there are several."""

    file: _File
    number: int
    key: str
    width_px: int
    height_px: int
    stored_height_px: int
    grey_window: tuple[float, float]
    file_sha256: str
    pixels_sha256: str
    details: NDArray[np.float32]
    annealing_min: float | None
    exposure_h: float | None
    severity: SeverityLabel | None
    group: str

    @property
    def name(self) -> str:
        """Of the file that is written, without suffix."""
        return self.key.replace("/", "__")


@dataclass(frozen=True, slots=True)
class _Labels:
    """Where the labels of a data set are. files: by key, see `_File`.  coco: the parsed file."""

    kind: LabelKind | None
    files: Mapping[str, Path] = field(default_factory=dict)
    coco: Mapping[str, Any] = field(default_factory=dict)
    coco_name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """All that is decided before anything is written. regions: one a page, or () without labels."""

    pages: tuple[_Page, ...]
    regions: tuple[Regions, ...]
    classes: tuple[str, ...]
    kind: LabelKind | None
    rule: MaskRule | None
    parts: tuple[Part, ...]
    folds: tuple[int | None, ...]
    told: tuple[str, ...]


def prepare(data: Path, out: Path, options: Options, command: str) -> Prepared:
    """Check the data in `data` and write the data set `out`, which must not exist or be empty.

    Raises ConfigError with everything that is wrong, EdgeError when `out` cannot be written.
    """
    _check_options(data, out, options)
    files = _image_files(data)
    findings: list[Finding] = []
    pages = _read_pages(files, _sample_rows(data, files, findings), findings)
    labels_in = options.labels_from or data
    labels = _find_labels(labels_in, files, options, findings)
    classes, regions, rule = _read_labels(labels_in, files, pages, labels, options, findings)
    if options.classes_by == "annealing":
        classes, regions = _by_annealing(pages, regions, findings)
    findings += _check_pages(pages)
    parts, folds = _split(pages, options, findings)
    if regions:
        findings += _check_classes(regions, classes, parts)
    fatal, told = _lines(findings, fatal=True), _lines(findings, fatal=False)
    if fatal:
        raise ConfigError("\n".join([f"{data} cannot be prepared:", *(f"  {line}" for line in fatal), *_indent(told)]))
    plan = _Plan(pages, regions, classes, labels.kind, rule, parts, folds, tuple(told))
    try:
        record = _write(out, data, plan, options, command)
    except OSError as error:
        raise EdgeError(f"cannot write {out}: {error.strerror or error}") from error
    return Prepared(out, record, plan.told)


def _indent(told: Sequence[str]) -> list[str]:
    return ["besides, to be known:", *(f"  {line}" for line in told)] if told else []


def _check_options(data: Path, out: Path, options: Options) -> None:
    problems = []
    if not data.is_dir():
        problems.append(f"{data} is no folder")
    if options.labels_from is not None and not options.labels_from.is_dir():
        problems.append(f"{options.labels_from} is no folder")
    if (data / "dataset.json").is_file():
        problems.append(f"{data} is prepared already: its varied copies would be taken for pictures of their own")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problems.append(f"{out} is there already and not empty: name another folder or remove it")
    if options.folds < 0 or options.folds == 1:
        problems.append("--folds must be 0 (none), or 2 or more")
    if min(options.test, options.val) < 0 or options.test + options.val >= 0.9:
        problems.append("--test and --val must be parts from 0, together below 0.9")
    if options.augment < 1:
        problems.append("--augment must be 1 (no varied copies) or more")
    if len(set(options.classes)) < len(options.classes):
        problems.append("--classes names a class twice")
    if options.classes and options.classes_by == "annealing":
        problems.append("--classes-by annealing makes the names itself: leave --classes out")
    if problems:
        raise ConfigError("; ".join(problems))


def _lines(findings: Iterable[Finding], fatal: bool) -> list[str]:
    """One line for each kind of finding, with how often and where."""
    kinds: dict[str, list[str]] = {}
    for finding in findings:
        if finding.fatal == fatal:
            kinds.setdefault(finding.what, []).append(finding.where)
    lines = []
    for what, places in kinds.items():
        distinct = [place for place in dict.fromkeys(places) if place]
        shown = ", ".join(distinct[:SHOWN]) + (f", and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else "")
        count = f" ({len(places)} times)" if len(places) > 1 else ""
        lines.append(f"{what}{count}: {shown}" if shown else what)
    return lines


# --- images ----------------------------------------------------------------------------------------------------------


def _image_files(data: Path) -> tuple[_File, ...]:
    """All images below images/, or those directly in the folder when it has no images/."""
    root = data / "images"
    paths = root.rglob("*") if root.is_dir() else data.glob("*")
    found = sorted(path for path in paths if path.suffix.lower() in IMAGES and _is_file(path))
    if not found:
        raise ConfigError(f"no images in {root if root.is_dir() else data}: put them into {root} ({', '.join(IMAGES)})")
    base = root if root.is_dir() else data
    return tuple(_File(path, path.relative_to(base).with_suffix("").as_posix()) for path in found)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _sample_rows(data: Path, files: Sequence[_File], findings: list[Finding]) -> dict[str, dict[str, str]]:
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


def _read_pages(files: Sequence[_File], rows: Mapping[str, dict[str, str]], findings: list[Finding]) -> tuple[_Page, ...]:
    pages: list[_Page] = []
    taken: dict[str, _File] = {}
    for file in files:
        flat = file.key.replace("/", "__")
        if flat in taken:
            findings.append(
                Finding("two images of one name, labels cannot tell them apart", f"{taken[flat].relative}, {file.relative}")
            )
            continue
        taken[flat] = file
        try:
            data = file.path.read_bytes()
            micrographs = sem.read(data, file.path.name)
        except (ImageError, OSError) as error:
            findings.append(Finding(f"image cannot be read ({error})", file.relative))
            continue
        digest = hashlib.sha256(data).hexdigest()
        sample = _sample(file, rows.get(file.relative) or rows.get(file.path.name) or {}, findings)
        pages += [_page(file, micrograph, digest, sample) for micrograph in micrographs]
    if not rows and any(file.path.stem.isdigit() for file in files):
        what = "names that are numbers say no sample: each of these images counts as one; write groups into samples.csv"
        findings += [Finding(what, file.relative, fatal=False) for file in files if file.path.stem.isdigit()]
    return tuple(pages)


_Told = tuple[float | None, float | None, SeverityLabel | None, str]


def _page(file: _File, micrograph: Micrograph, file_sha256: str, sample: _Told) -> _Page:
    annealing_min, exposure_h, severity, group = sample
    grey = micrograph.grey
    return _Page(
        file=file,
        number=micrograph.page,
        key=file.key if micrograph.pages == 1 else f"{file.key}_page{micrograph.page + 1}",
        width_px=micrograph.width_px,
        height_px=micrograph.height_px,
        stored_height_px=micrograph.stored_height_px,
        grey_window=micrograph.grey_window,
        file_sha256=file_sha256,
        pixels_sha256=hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest(),
        details=_details(grey),
        annealing_min=annealing_min,
        exposure_h=exposure_h,
        severity=severity,
        group=group,
    )


def _sample(file: _File, row: Mapping[str, str], findings: list[Finding]) -> _Told:
    """Annealing, exposure, severity and group: what samples.csv says, else what the path says."""
    told = SampleSettings().fields(file.relative)
    numbers: dict[str, float | None] = {}
    for key in ("annealing_min", "exposure_h"):
        numbers[key] = told[key]
        if row.get(key):
            number = _number(row[key])
            if number is None:
                findings.append(Finding(f"samples.csv: {key} is no number from 0", f"{file.relative} ({row[key]})"))
            numbers[key] = number
    label = row.get("severity") or None
    if label is not None and label not in SEVERITIES:
        findings.append(
            Finding(f"samples.csv: a severity that is none of {', '.join(SEVERITIES)}", f"{file.relative} ({label})")
        )
    by_exposure = severity_of(numbers["exposure_h"])
    severity = next((name for name in SEVERITIES if name == label), by_exposure)
    if label is not None and by_exposure is not None and severity != by_exposure:
        what = "severity is not what the exposure stands for (1 h low, 7 days moderate, 14 to 21 days severe): taken as given"
        findings.append(Finding(what, f"{file.relative} ({label}, {numbers['exposure_h']:g} h)", fatal=False))
    return numbers["annealing_min"], numbers["exposure_h"], severity, row.get("group") or sample_group(file.relative)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < np.inf else None


# --- labels ----------------------------------------------------------------------------------------------------------


def _find_labels(data: Path, files: Sequence[_File], options: Options, findings: list[Finding]) -> _Labels:
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
            kind, content = _kind_of(path, inside=root in roots, keys=keys, root=root)
            if kind == "coco":
                coco[path.name] = content
            elif kind is not None:
                found.setdefault(kind, {}).setdefault(path.relative_to(root).with_suffix("").as_posix(), path)
    shown = {kind: f"{kind} ({len(paths)} files)" for kind, paths in found.items()}
    if coco:
        shown["coco"] = f"coco ({', '.join(coco)})"
    if options.labels == "auto" and len(shown) > 1:
        raise ConfigError(f"{data} holds labels of several kinds: {', '.join(shown.values())}; choose one with --labels")
    if options.labels == "auto" and not shown:
        findings.append(Finding("no labels found: only the classifier can learn from this", "", fatal=False))
        return _Labels(None)
    kind = next(iter(shown)) if options.labels == "auto" else options.labels
    if kind not in shown:
        raise ConfigError(f"{data} holds no labels of kind {kind}, but {', '.join(shown.values()) or 'none at all'}")
    return _Labels(kind, coco=_one_coco(coco), coco_name=", ".join(coco)) if kind == "coco" else _Labels(kind, found[kind])


def _kind_of(path: Path, inside: bool, keys: set[str], root: Path) -> tuple[LabelKind | None, Any]:
    """Kind of a label file, and COCO's content. inside: it lies in a folder of labels, so it must be one."""
    suffix = path.suffix.lower()
    key = path.relative_to(root).with_suffix("").as_posix()
    named = inside or key in keys or key.rpartition("_page")[0] in keys
    if suffix == ".txt" and named and path.name not in ("classes.txt", "README.txt") and root.name != "masks":
        return "yolo", None
    if suffix == ".npy" and named:
        return "npy", None
    if inside and root.name == "masks" and suffix in (".png", ".tif", ".tiff"):
        return "png", None
    if suffix == ".json" and (named or "coco" in path.name.lower() or "annotation" in path.name.lower()):
        try:
            content = load_json(path)
        except ConfigError:
            if key in keys:
                return "labelme", None  # it will fail again and be told beside whatever else is wrong
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


_Read = Callable[[_Page, str], Sheet]


def _read_labels(
    data: Path, files: Sequence[_File], pages: Sequence[_Page], labels: _Labels, options: Options, findings: list[Finding]
) -> tuple[tuple[str, ...], tuple[Regions, ...], MaskRule | None]:
    """Class names, the regions of each page, () without labels, and what the values of masks mean."""
    if labels.kind is None:
        return options.classes or ("corrosion",), (), None
    named = options.classes or _class_names(data)
    rule = _rule(labels, named, options) if labels.kind in ("png", "npy") else None
    used: tuple[str, ...] = ()
    keys, read = tuple(labels.files), _file_reader(labels, rule)
    if labels.kind == "coco":
        used, keys, read = _coco_reader(labels, findings)
    unreadable = {file.key for file in files} - {page.file.key for page in pages}
    chosen = _match(pages, tuple(key for key in keys if key not in unreadable), labels, findings)
    sheets = [_read_one(read, page, chosen.get(page.key)) for page in pages]
    for page, sheet in zip(pages, sheets, strict=True):
        if sheet is None:
            what = "labels are missing (where nothing is corroded, say so by an empty label file)"
            findings.append(Finding(what, page.key))
        elif not sheet.drawn and not sheet.findings:
            findings.append(Finding("no regions: counts as free of corrosion", page.name, fatal=False))
    findings += [finding for sheet in sheets if sheet is not None for finding in sheet.findings]
    drawn_labels = {one.label for sheet in sheets if sheet is not None for one in sheet.drawn}
    classes = named or used or _spoken(drawn_labels, findings)
    regions = []
    for page, sheet in zip(pages, sheets, strict=True):
        made, noted = make_regions(sheet.drawn if sheet else (), classes, page.width_px, page.height_px, page.name)
        regions.append(made)
        findings += noted
    return classes, tuple(regions), rule


def _by_annealing(
    pages: Sequence[_Page], regions: tuple[Regions, ...], findings: list[Finding]
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


def _read_one(read: _Read, page: _Page, key: str | None) -> Sheet | None:
    """None without labels. What other software writes into JSON has no end, so any surprise in it is a finding."""
    if key is None:
        return None
    try:
        return read(page, key)
    except (ConfigError, OSError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Sheet(findings=(Finding("labels cannot be read", f"{page.key} ({error})"),))


def _class_names(data: Path) -> tuple[str, ...]:
    for path in (data / "classes.txt", data / "labels" / "classes.txt"):
        if path.is_file():
            return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return ()


def _spoken(labels: set[str | int], findings: list[Finding]) -> tuple[str, ...]:
    """Class names from the labels themselves: their names in order of the alphabet, or one name for the only number."""
    names = sorted(label for label in labels if isinstance(label, str))
    numbers = sorted(label for label in labels if isinstance(label, int))
    if numbers and numbers != [0]:
        shown = ", ".join(map(str, numbers))
        findings.append(Finding(f"class numbers {shown} without names: give --classes NAME NAME …, or a classes.txt", ""))
        return tuple(f"class {number}" for number in range(min(numbers[-1], MOST_CLASS_NUMBER) + 1))
    return tuple(names) or ("corrosion",)


def _match(pages: Sequence[_Page], keys: Sequence[str], labels: _Labels, findings: list[Finding]) -> dict[str, str]:
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


def _shown(key: str, labels: _Labels) -> str:
    return labels.files[key].name if key in labels.files else f"{key} in {labels.coco_name}"


def _coco_reader(labels: _Labels, findings: list[Finding]) -> tuple[tuple[str, ...], tuple[str, ...], _Read]:
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

    def read(page: _Page, key: str) -> Sheet:
        of_image = annotations.get(images[key]["id"], [])
        return read_coco(images[key], of_image, names, labels.coco_name, page.width_px, page.stored_height_px)

    return tuple(names.values()), tuple(images), read


def _key_of(file_name: str) -> str:
    return PurePosixPath(file_name.replace("\\", "/")).with_suffix("").as_posix().removeprefix("images/")


def _file_reader(labels: _Labels, rule: MaskRule | None) -> _Read:
    """How to read one label file."""

    def read(page: _Page, key: str) -> Sheet:
        path, width, height = labels.files[key], page.width_px, page.stored_height_px
        if labels.kind == "yolo":
            return read_yolo(path.read_text(encoding="utf-8-sig"), path.name, width, height)
        if labels.kind == "labelme":
            return read_labelme(load_json(path), path.name, width, height)
        assert rule is not None
        return read_mask(load_mask(path), rule, path.name, width, height, page.height_px)

    return read


def _rule(labels: _Labels, named: tuple[str, ...], options: Options) -> MaskRule:
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
            except ConfigError:  # told when it is read for its regions
                continue

    return mask_rule(readable(), len(named))


# --- checks ----------------------------------------------------------------------------------------------------------


def _details(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [48, 48], what of the picture is neither noise nor large-scale brightness, of length 1 as a vector."""
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 3.0)
    return np.asarray(detail / max(float(np.linalg.norm(detail)), 1e-3), np.float32)


def _check_pages(pages: Sequence[_Page]) -> list[Finding]:
    """Names that would meet, leaks between groups, and what samples.csv should say better."""
    findings = []
    taken = Counter(page.name for page in pages)
    taken.update(base for page in pages if (base := re.sub(r"_varied\d+$", "", page.name)) != page.name)
    meeting = [page.key for page in pages if taken[page.name] > 1]
    findings += [Finding("name that another image or its varied copy would get too: rename it", key) for key in meeting]
    same: dict[str, list[_Page]] = {}
    for page in pages:
        same.setdefault(page.pixels_sha256, []).append(page)
    for copies in same.values():
        names = " = ".join(page.key for page in copies)
        if len({page.group for page in copies}) > 1:
            findings.append(Finding("the same picture in several groups: it would leak from training into the test", names))
        elif len(copies) > 1:
            findings.append(Finding("the same picture more than once in a group", names, fatal=False))
    what = "pictures of different groups that look alike (copies, mirrored or turned?): they may leak into the test"
    findings += [
        Finding(what, f"{pages[one].key} ~ {pages[two].key} ({likeness:.2f})", fatal=False)
        for one, two, likeness in _alike(pages)
        if pages[one].pixels_sha256 != pages[two].pixels_sha256
    ]
    severities: dict[str, set[str]] = {}
    for page in pages:
        severities.setdefault(page.group, set()).add(page.severity or "unknown")
    findings += [
        Finding("a group with several severities", f"{group} ({', '.join(sorted(found))})", fatal=False)
        for group, found in severities.items()
        if len(found) > 1
    ]
    unknown = [page.key for page in pages if page.severity is None]
    what = "severity unknown, the classifier cannot learn from it (samples.csv: severity or exposure_h)"
    if pages and len(unknown) == len(pages):
        return [*findings, Finding("no severity is known: only the segmenter can learn from this", "", fatal=False)]
    return findings + [Finding(what, name, fatal=False) for name in unknown]


def _alike(pages: Sequence[_Page]) -> list[tuple[int, int, float]]:
    """Pairs of pages of different groups whose details correlate, in any of the eight positions of a picture."""
    if not pages:
        return []
    details = np.stack([page.details for page in pages])
    flat = details.reshape(len(pages), -1)
    groups = np.unique([page.group for page in pages], return_inverse=True)[1]
    best: dict[tuple[int, int], float] = {}
    for mirrored in (False, True):
        for turns in range(4):
            other = np.rot90(details[:, :, ::-1] if mirrored else details, turns, axes=(1, 2)).reshape(len(pages), -1)
            for start in range(0, len(pages), 1024):
                likeness = flat[start : start + 1024] @ other.T
                found = (likeness >= NEAR_DUPLICATE) & (groups[start : start + 1024, None] != groups[None, :])
                for one, two in np.argwhere(found):
                    pair = (min(int(one) + start, int(two)), max(int(one) + start, int(two)))
                    best[pair] = max(best.get(pair, 0.0), float(likeness[one, two]))
    return [(one, two, likeness) for (one, two), likeness in sorted(best.items())]


def _check_classes(regions: Sequence[Regions], classes: tuple[str, ...], parts: Sequence[Part]) -> list[Finding]:
    findings = []
    counts = _region_counts(regions, classes)
    findings += [Finding("a class without a region", name, fatal=False) for name, count in counts.items() if not count]
    present = [count for count in counts.values() if count]
    if present and max(present) > IMBALANCE * min(present):
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        findings.append(Finding(f"classes of regions differ more than {IMBALANCE:.0f} times in number", shown, fatal=False))
    for part in dict.fromkeys(parts):
        here = _region_counts([one for one, of in zip(regions, parts, strict=True) if of == part], classes)
        absent = [name for name, count in here.items() if not count and counts[name]]
        findings += [Finding(f"no region of a class in {part}", name, fatal=False) for name in absent]
    return findings


def _region_counts(regions: Iterable[Regions], classes: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(int(class_id) for one in regions for class_id in one.class_ids)
    return {name: counts[number] for number, name in enumerate(classes)}


# --- splits ----------------------------------------------------------------------------------------------------------

_Indices = NDArray[np.intp]
_Names = NDArray[np.str_]


def _split(
    pages: Sequence[_Page], options: Options, findings: list[Finding]
) -> tuple[tuple[Part, ...], tuple[int | None, ...]]:
    """Part of each page, and its fold: the folds are made of all that is not test."""
    groups = np.array([page.group for page in pages])
    strata = np.array([page.severity or "unknown" for page in pages])
    left_for_training = max(options.folds, 1 + (options.val > 0))
    count, needed = len(set(groups)), left_for_training + (options.test > 0)
    if count < needed:
        what = f"{count} groups are too few for {options.folds} folds, --test {options.test:g} and --val {options.val:g}"
        findings.append(Finding(f"{what}: at least {needed} are needed (samples.csv: group)", ""))
        return tuple("train" for _ in pages), tuple(None for _ in pages)
    parts: list[Part] = ["train"] * len(pages)
    folds: list[int | None] = [None] * len(pages)
    everything = np.arange(len(pages))
    for index in _choose(everything, options.test * len(pages), left_for_training, strata, groups, options.seed):
        parts[index] = "test"
    rest = np.array([index for index in everything if parts[index] != "test"])
    for index in _choose(rest, options.val * len(pages), 1, strata, groups, options.seed):
        parts[index] = "val"
    if options.folds:
        for number, members in enumerate(_divide(rest, options.folds, strata, groups, options.seed)):
            for index in members:
                folds[index] = number
    findings += _check_severities(strata, parts, folds)
    return tuple(parts), tuple(folds)


def _check_severities(strata: _Names, parts: Sequence[Part], folds: Sequence[int | None]) -> list[Finding]:
    findings = []
    known = Counter(str(name) for name in strata if name != "unknown")
    if known and max(known.values()) > IMBALANCE * min(known.values()):
        shown = ", ".join(f"{name} {known[name]}" for name in SEVERITIES)
        findings.append(Finding(f"severities differ more than {IMBALANCE:.0f} times in number", shown, fatal=False))
    places = [*parts, *(f"fold {fold}" for fold in folds if fold is not None)]
    names = [*strata, *(name for name, fold in zip(strata, folds, strict=True) if fold is not None)]
    for place in sorted(set(places)):
        absent = set(known) - {name for name, of in zip(names, places, strict=True) if of == place}
        findings += [Finding(f"no image of a severity in {place}", name, fatal=False) for name in SEVERITIES if name in absent]
    return findings


def _choose(indices: _Indices, size: float, leave: int, strata: _Names, groups: _Names, seed: int) -> _Indices:
    """About `size` of `indices`, whole groups, strata mixed as in all of them; at least `leave` groups stay."""
    if not size:
        return indices[:0]
    names = sorted(set(groups[indices]))
    wanted = Counter(strata[indices])

    def distance(members: _Indices) -> float:
        here = Counter(strata[members])
        return sum(abs(here[name] - size * number / len(indices)) for name, number in wanted.items())

    pieces = min(len(names), max(2, round(len(indices) / size)))
    tries = [piece for turn in range(SPLIT_TRIES) for piece in _divide_once(indices, pieces, strata, groups, seed + turn)]
    tries += [indices[groups[indices] == name] for name in names]
    return min((one for one in tries if len(one) and len(names) - len(set(groups[one])) >= leave), key=distance)


def _divide(indices: _Indices, pieces: int, strata: _Names, groups: _Names, seed: int) -> list[_Indices]:
    """`indices` in so many pieces of whole groups, as even in size and strata as the best of some shuffles."""
    wanted = Counter(strata[indices])

    def distance(division: list[_Indices]) -> float:
        here = [Counter(strata[piece]) for piece in division]
        return max(abs(one[name] - number / pieces) for one in here for name, number in wanted.items())

    tries = [_divide_once(indices, pieces, strata, groups, seed + turn) for turn in range(SPLIT_TRIES)]
    return min((one for one in tries if all(len(piece) for piece in one)), key=distance, default=None) or _dealt(
        indices, pieces, groups
    )


def _dealt(indices: _Indices, pieces: int, groups: _Names) -> list[_Indices]:
    """Groups, the largest first, each given to the piece that has least: where stratifying leaves a piece empty."""
    dealt: list[list[int]] = [[] for _ in range(pieces)]
    for name, _ in Counter(groups[indices]).most_common():
        min(dealt, key=len).extend(int(index) for index in indices[groups[indices] == name])
    return [np.array(sorted(piece)) for piece in dealt]


def _divide_once(indices: _Indices, pieces: int, strata: _Names, groups: _Names, seed: int) -> list[_Indices]:
    from sklearn.model_selection import StratifiedGroupKFold

    # It refuses when no stratum has an image for each piece: then nothing can be stratified, only divided.
    several = max(Counter(strata[indices]).values()) >= pieces
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of strata with fewer images than pieces; told in our own words
        splitter = StratifiedGroupKFold(pieces, shuffle=True, random_state=seed)
        labels = strata[indices] if several else np.zeros(len(indices), np.intp)
        return [indices[held] for _, held in splitter.split(indices, labels, groups[indices])]


# --- writing ---------------------------------------------------------------------------------------------------------


def _write(out: Path, data: Path, plan: _Plan, options: Options, command: str) -> dict[str, Any]:
    """Write everything beside `out` first and move it there at the end; returns the content of dataset.json."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        folder.chmod(0o755)
        (folder / "images").mkdir()
        (folder / "labels").mkdir()
        rows: list[dict[str, Any]] = []
        for index, page in enumerate(plan.pages):
            grey = sem.read(page.file.path.read_bytes(), page.file.path.name)[page.number].grey
            regions = plan.regions[index] if plan.regions else None
            row = _row(page, plan.parts[index], plan.folds[index])
            _write_image(folder, page.name, grey, regions)
            rows.append({"image": f"{page.name}.png", **row})
            for copy in range(1, options.augment if plan.parts[index] != "test" else 1):
                name = f"{page.name}_varied{copy}"
                number = int(hashlib.sha256(page.name.encode()).hexdigest()[:8], 16)
                variation = draw_variation(np.random.default_rng([options.seed, copy, number]), page.width_px, page.height_px)
                varied, moved = vary(grey, regions or no_regions(plan.classes), variation)
                _write_image(folder, name, varied, moved if plan.regions else None)
                rows.append({"image": f"{name}.png", **row, "origin": f"{page.name}.png"})
        with (folder / "samples.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(sorted(rows, key=lambda row: str(row["image"])))
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in plan.classes), encoding="utf-8")
        record = _record(folder, data, plan, options, command)
        (folder / "dataset.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if out.is_dir():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return record


def _row(page: _Page, part: Part, fold: int | None) -> dict[str, Any]:
    numbers = {"annealing_min": page.annealing_min, "exposure_h": page.exposure_h}
    return {
        **{key: "" if value is None else f"{value:g}" for key, value in numbers.items()},
        "severity": page.severity or "",
        "group": page.group,
        "part": part,
        "fold": "" if fold is None else fold,
    }


def _write_image(folder: Path, name: str, grey: Grey, regions: Regions | None) -> None:
    (folder / "images" / f"{name}.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    if regions is not None:
        text = yolo_text(regions, grey.shape[1], grey.shape[0])
        (folder / "labels" / f"{name}.txt").write_text(text, encoding="ascii")


def _record(folder: Path, data: Path, plan: _Plan, options: Options, command: str) -> dict[str, Any]:
    """What was made from what and how; the same input and options give the same content."""
    import sklearn

    images = sorted((folder / "images").glob("*.png"))
    severities = Counter(str(page.severity or "unknown") for page in plan.pages)
    per_part = {name: [index for index, part in enumerate(plan.parts) if part == name] for name in PARTS}
    per_fold = {
        f"fold {number}": [index for index, fold in enumerate(plan.folds) if fold == number] for number in range(options.folds)
    }
    return {
        "schema": SCHEMA,
        "sha256": hash_of(folder, images),
        "made_from": data.resolve().name,
        "command": command,
        "versions": {"sem-corrosion-edge": __version__, "scikit-learn": sklearn.__version__, "opencv": cv2.__version__},
        "options": {**asdict(options), "labels_from": options.labels_from.resolve().name if options.labels_from else None},
        "labels": {"kind": plan.kind, "mask_rule": plan.rule},
        "classes": list(plan.classes),
        "counts": {
            "images": len(plan.pages),
            "varied_copies": len(images) - len(plan.pages),
            "groups": len({page.group for page in plan.pages}),
            "severities": {name: severities[name] for name in (*SEVERITIES, "unknown") if severities[name]},
            "regions": _region_counts(plan.regions, plan.classes),
        },
        "parts": {name: _part_record(plan, members) for name, members in per_part.items()},
        "folds": {name: _part_record(plan, members) for name, members in per_fold.items()},
        "warnings": list(plan.told),
        "sources": [
            {
                "image": f"{page.name}.png",
                "file": page.file.relative,
                "page": page.number,
                "sha256": page.file_sha256,
                "databar_px": page.stored_height_px - page.height_px,
                "grey_window": list(page.grey_window),
            }
            for page in plan.pages
        ],
    }


def _part_record(plan: _Plan, members: Sequence[int]) -> dict[str, Any]:
    """Images, varied copies not counted, and groups of one part or fold."""
    severities = Counter(str(plan.pages[index].severity or "unknown") for index in members)
    return {
        "images": len(members),
        "groups": sorted({plan.pages[index].group for index in members}),
        "severities": {name: severities[name] for name in (*SEVERITIES, "unknown") if severities[name]},
        "regions": _region_counts([plan.regions[index] for index in members] if plan.regions else [], plan.classes),
    }
