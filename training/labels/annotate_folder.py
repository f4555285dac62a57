"""A folder of micrographs in; a folder of instance masks, their quality as a table and a page to look through out."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge import sem
from edge.errors import ConfigError, ImageError
from edge.folder.file import read_file
from edge.records import Grey
from training.labels.annotate import Annotation, annotate
from training.labels.compare import Agreement, compare, describe, read_manual_labels
from training.labels.image_labels import LabelImage
from training.labels.rules import Rules
from training.labels.trust import boxes

SUFFIXES: Final = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One image or page in quality.csv and on the page. thumbnail: JPEG, None without --report."""

    image: str
    mask: str = ""
    annotation: Annotation | None = None
    agreement: Agreement | None = None
    failure: str = ""
    thumbnail: bytes | None = None

    @property
    def score(self) -> float:
        return self.annotation.trust.score if self.annotation else 0.0

    @property
    def reasons(self) -> str:
        return "; ".join(self.annotation.trust.reasons) if self.annotation else self.failure


@dataclass(frozen=True, slots=True)
class AnnotatedFolder:
    """images: annotated ones (pages count).  failed: files that could not be read.  agreement: None without labels."""

    images: int
    regions: int
    failed: int
    compared: int
    agreement: Agreement | None


def annotate_folder(
    images: Path,
    out: Path,
    rules: Rules,
    *,
    report: bool = False,
    against: Path | None = None,
    report_progress: Callable[[str], None] = print,
) -> AnnotatedFolder:
    """Annotate one image or all below a folder: `out`/masks/<stem>.npy (int32 [H, W]), quality.csv, on request report.html.

    against: a folder of manual labels, compared into against.json. A file that cannot be read gets a row with its
    reason, and work goes on. Raises ConfigError: no images, two images of one name, labels that cannot be read.
    """
    files = _images(images, out)
    if against is not None and not against.is_dir():
        raise ConfigError(f"{against} is no folder of labels")
    (out / "masks").mkdir(parents=True, exist_ok=True)
    rows: list[_Row] = []
    for number, path in enumerate(files, start=1):
        called = path.name if images.is_file() else path.relative_to(images).as_posix()
        rows += _annotated(path, called, out, rules, report, against)
        report_progress(f"{number}/{len(files)} {called}: {_short(rows[-1])}")
    rows.sort(key=lambda row: (row.score, row.image))
    _write_quality(out / "quality.csv", rows)
    compared = [row.agreement for row in rows if row.agreement]
    agreement = sum(compared, Agreement()) if against is not None else None
    if against is not None and not compared:
        raise ConfigError(f"{against} has no labels of these images: names must agree up to the suffix ({files[0].stem}.npy)")
    if agreement is not None:
        _write_agreement(out / "against.json", agreement, rows)
    if report:
        (out / "report.html").write_text(_page(rows, agreement), encoding="utf-8")
    return AnnotatedFolder(
        images=sum(row.annotation is not None for row in rows),
        regions=sum(row.annotation.count for row in rows if row.annotation),
        failed=sum(row.annotation is None for row in rows),
        compared=len(compared),
        agreement=agreement,
    )


def _images(images: Path, out: Path) -> list[Path]:
    if images.is_file():
        return [images]
    if not images.is_dir():
        raise ConfigError(f"{images} is neither an image nor a folder of images")
    masks = (out / "masks").resolve()  # `out` may well be the data set that holds the images
    files = sorted(
        path
        for path in images.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and masks not in path.resolve().parents
    )
    if not files:
        raise ConfigError(f"no images below {images}: looked for {', '.join(sorted(SUFFIXES))}")
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise ConfigError(f"{other} and {path} would have one mask, masks/{path.stem}.npy: rename one of them")
    return files


def _annotated(path: Path, called: str, out: Path, rules: Rules, report: bool, against: Path | None) -> list[_Row]:
    limits = sem.Limits()
    try:
        file = read_file(path, limits.max_bytes)
        micrographs = sem.read(file.data, path.name, file.sidecars, limits)
    except ImageError as error:
        return [_Row(called, failure=f"{error.code}: {error.message}")]
    rows = []
    for micrograph in micrographs:
        name = path.stem if micrograph.pages == 1 else f"{path.stem}_page{micrograph.page + 1}"
        shown = called if micrograph.pages == 1 else f"{called} page {micrograph.page + 1}"
        annotation = annotate(micrograph.grey, rules)
        np.save(out / "masks" / f"{name}.npy", annotation.labels)
        agreement = None
        if against is not None:
            manual = read_manual_labels(against, name, micrograph.grey.shape, micrograph.stored_height_px)
            agreement = compare(annotation.labels, manual) if manual is not None else None
        thumbnail = _thumbnail(micrograph.grey, annotation.labels) if report else None
        rows.append(_Row(shown, f"masks/{name}.npy", annotation, agreement, thumbnail=thumbnail))
    return rows


def _short(row: _Row) -> str:
    if row.annotation is None:
        return f"FAILED {row.failure}"
    count = row.annotation.count
    return f"{count} region{'s' * (count != 1)}, quality {row.score:.2f}{' (' + row.reasons + ')' if row.reasons else ''}"


QUALITY_COLUMNS: Final = (
    "image",
    "mask",
    "score",
    "regions",
    "area_fraction",
    "contrast_to_noise",
    "edge_width_px",
    "stability",
    "rejected_share",
    "reasons",
)


def _write_quality(path: Path, rows: Sequence[_Row]) -> None:
    """Worst images first; numbers are empty where there are none to give."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(QUALITY_COLUMNS)
    for row in rows:
        numbers: list[float | int | None] = [None] * 6
        if row.annotation:
            trust = row.annotation.trust
            numbers = [row.annotation.count, row.annotation.area_fraction, trust.contrast_to_noise, trust.edge_width_px]
            numbers += [trust.stability, trust.rejected_share]
        cells = ["" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in numbers]
        writer.writerow([row.image, row.mask, f"{row.score:.3f}", *cells, row.reasons])
    path.write_text(stream.getvalue(), encoding="utf-8")


def _write_agreement(path: Path, total: Agreement, rows: Sequence[_Row]) -> None:
    content = {
        "rule": "a pair of regions is right when the IoU of their masks is above 0.5; classes are not compared",
        "total": _agreement_fields(total),
        "images": {row.image: _agreement_fields(row.agreement) for row in rows if row.agreement},
        "without_labels": sorted(row.image for row in rows if row.annotation and not row.agreement),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _agreement_fields(agreement: Agreement) -> dict[str, float | int]:
    return {
        "manual_regions": agreement.manual,
        "automatic_regions": agreement.automatic,
        "right": agreement.right,
        "recall": round(agreement.recall, 4),
        "precision": round(agreement.precision, 4),
        "f1": round(agreement.f1, 4),
        "pixel_iou": round(agreement.pixel_iou, 4),
    }


# --- the page --------------------------------------------------------------------------------------------------------

THUMBNAIL_PX: Final = 480
_OUTLINE_BGR: Final = (60, 60, 255)


def _thumbnail(grey: Grey, labels: LabelImage) -> bytes:
    """JPEG of the image, at most `THUMBNAIL_PX` long, with the regions' outlines."""
    scale = min(1.0, THUMBNAIL_PX / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    for part, number in boxes(labels):
        own = (labels[part] == number).astype(np.uint8)
        outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(part[1].start, part[0].start))
        scaled = [np.rint(((outline + 0.5) * scale - 0.5) * 8).astype(np.int32) for outline in outlines]
        cv2.polylines(picture, scaled, True, _OUTLINE_BGR, 1, cv2.LINE_AA, 3)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _page(rows: Sequence[_Row], agreement: Agreement | None) -> str:
    """One HTML page that needs nothing else, worst images first."""
    head = f"{len(rows)} images, worst first. A score is about the picture, not about corrosion: look at the outlines."
    if agreement:
        head += " " + describe(agreement)
    figures = []
    for row in rows:
        facts = [f"<b>{row.score:.2f}</b> {html.escape(row.image)}"]
        if row.annotation:
            facts.append(f"{row.annotation.count} regions, {row.annotation.area_fraction:.1%} of the area")
        if row.agreement:
            facts.append(
                f"{row.agreement.right} of {row.agreement.manual} manual regions, pixel IoU {row.agreement.pixel_iou:.2f}"
            )
        if row.reasons:
            facts.append(f"<i>{html.escape(row.reasons)}</i>")
        shown = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(row.thumbnail).decode()}">' if row.thumbnail else ""
        figures.append(f"<figure>{shown}<figcaption>{'<br>'.join(facts)}</figcaption></figure>")
    return _HTML.format(head=html.escape(head), figures="\n".join(figures))


_HTML: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Automatic annotation</title>
<style>
body {{ font: 14px/1.4 sans-serif; margin: 1.5em; background: #1c2026; color: #e8e8e8 }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 1em; align-items: start }}
figure {{ margin: 0; background: #262b33 }}
img {{ width: 100%; display: block }}
figcaption {{ padding: .5em .7em; overflow-wrap: anywhere }}
i {{ color: #ffb870; font-style: normal }}
</style>
<h1>Automatic annotation</h1>
<p>{head}</p>
<main>
{figures}
</main>
</html>
"""
