"""Image files and the rows of samples.csv in, each page as training will see it out, with what is known of its specimen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import sem
from edge.config import SampleSettings
from edge.errors import ImageError
from edge.records import SEVERITIES, Grey, Micrograph, SeverityLabel
from training.data.dataset import sample_group, severity_of
from training.data.find import ImageFile
from training.labels.image_labels import Finding

THUMBNAIL_PX: Final = 48
UNREADABLE: Final = "image cannot be read"


@dataclass(frozen=True, slots=True)
class Specimen:
    """What is known of the physical sample that an image shows; None where nothing says it. group: of its images."""

    annealing_min: float | None
    exposure_h: float | None
    severity: SeverityLabel | None
    group: str


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One image as training will see it, and what is known about it. key: the file's, with the page where there are several.

    crop_px: x, y, width, height of the part of the image that this is; width_px and height_px are then the part's, and
    stored_height_px is that and the data bar.  outlined: whether its regions are known; where not, none of its labels count.
    """

    file: ImageFile
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
    crop_px: tuple[int, int, int, int] | None = None
    outlined: bool = True

    @property
    def name(self) -> str:
        """Of the file that is written, without suffix."""
        return self.key.replace("/", "__")


def read_pages(files: Sequence[ImageFile], rows: Mapping[str, dict[str, str]], findings: list[Finding]) -> tuple[Page, ...]:
    """The pages of all images that can be read; what is wrong is added to `findings`."""
    pages: list[Page] = []
    taken: dict[str, ImageFile] = {}
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
            findings.append(Finding(f"{UNREADABLE} ({error})", file.relative))
            continue
        digest = hashlib.sha256(data).hexdigest()
        specimen = _specimen(file, rows.get(file.relative) or rows.get(file.path.name) or {}, findings)
        pages += [_page(file, micrograph, digest, specimen) for micrograph in micrographs]
    if not rows and any(file.path.stem.isdigit() for file in files):
        what = "names that are numbers say no sample: each of these images counts as one; write groups into samples.csv"
        findings += [Finding(what, file.relative, fatal=False) for file in files if file.path.stem.isdigit()]
    return tuple(pages)


def grey_of(page: Page) -> Grey:
    """uint8 [height_px, width_px]: the page's pixels, read again. Raises ImageError and OSError."""
    grey = sem.read(page.file.path.read_bytes(), page.file.path.name)[page.number].grey
    if page.crop_px is None:
        return grey
    x, y, width, height = page.crop_px
    return np.ascontiguousarray(grey[y : y + height, x : x + width])


def part_of(page: Page, box_px: tuple[int, int, int, int]) -> Page:
    """A part of a page, as a page of its own. Without a severity, which is said of fields as a whole."""
    width, height = box_px[2:]
    databar_px = page.stored_height_px - page.height_px
    part = replace(
        page,
        key=f"{page.key}_part",
        width_px=width,
        height_px=height,
        stored_height_px=height + databar_px,
        severity=None,
        crop_px=box_px,
    )
    grey = grey_of(part)
    return replace(part, pixels_sha256=_pixels_sha256(grey), details=_details(grey))


def _pixels_sha256(grey: Grey) -> str:
    return hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()


def _page(file: ImageFile, micrograph: Micrograph, file_sha256: str, specimen: Specimen) -> Page:
    grey = micrograph.grey
    return Page(
        file=file,
        number=micrograph.page,
        key=file.key if micrograph.pages == 1 else f"{file.key}_page{micrograph.page + 1}",
        width_px=micrograph.width_px,
        height_px=micrograph.height_px,
        stored_height_px=micrograph.stored_height_px,
        grey_window=micrograph.grey_window,
        file_sha256=file_sha256,
        pixels_sha256=_pixels_sha256(grey),
        details=_details(grey),
        annealing_min=specimen.annealing_min,
        exposure_h=specimen.exposure_h,
        severity=specimen.severity,
        group=specimen.group,
    )


def _specimen(file: ImageFile, row: Mapping[str, str], findings: list[Finding]) -> Specimen:
    """What samples.csv says, else what the path says."""
    in_path = SampleSettings().fields(file.relative)
    numbers: dict[str, float | None] = {}
    for key in ("annealing_min", "exposure_h"):
        numbers[key] = in_path[key]
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
    group = row.get("group") or sample_group(file.relative)
    return Specimen(numbers["annealing_min"], numbers["exposure_h"], severity, group)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < np.inf else None


def _details(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [48, 48], what of the picture is neither noise nor large-scale brightness, of length 1 as a vector."""
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 3.0)
    return np.asarray(detail / max(float(np.linalg.norm(detail)), 1e-3), np.float32)
