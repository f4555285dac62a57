"""Bytes of an image file in, `edge.records.Micrograph`s out: pixels, data bar cut off, nm per pixel, how it was acquired.

Nothing here opens a file: the caller reads it once, and those bytes are judged (`completeness`) and decoded (`read`).
A new family of microscopes is a module with `recognises` and `read`, and a row in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import databar, grey, pixels
from edge.sem.metadata import Evidence, Said, Scale, scale
from edge.sem.structure import Layout, Page, layout
from edge.sem.vendors import hitachi, jeol, plain, tescan, thermofisher, zeiss

__all__ = ["FAMILIES", "Completeness", "Family", "Limits", "State", "completeness", "needs_sidecar", "read", "sidecar_names"]


@dataclass(frozen=True)
class Family:
    """Microscopes that describe their images in one way.

    recognises: whether this way is found.  read: what it says; any exception counts as nothing said.
    sidecar_names: names beside the image (same folder, case does not matter) that hold the description.
    """

    name: str
    recognises: Callable[[Evidence], bool]
    read: Callable[[Evidence], Said]
    sidecar_names: Callable[[str], tuple[str, ...]] = lambda name: ()


FAMILIES: Final = (
    Family("thermofisher", thermofisher.recognises, thermofisher.read),
    Family("zeiss", zeiss.recognises, zeiss.read),
    Family("tescan", tescan.recognises, tescan.read, tescan.sidecar_names),
    Family("jeol", jeol.recognises, jeol.read, jeol.sidecar_names),
    Family("hitachi", hitachi.recognises, hitachi.read, hitachi.sidecar_names),
    Family("plain", plain.recognises, plain.read),
)
"""Tried from the top; the first that recognises the image describes it."""


@dataclass(frozen=True)
class Limits:
    """What is refused as too large, from the headers, before anything is allocated: pixels of all pages, bytes of the file."""

    max_pixels: int = 300_000_000
    max_bytes: int = 1 << 30


class State(Enum):
    """Whether the bytes are a whole file."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ZERO_TAIL = "zero_tail"


@dataclass(frozen=True)
class Completeness:
    """Whether a file is whole, as far as its structure says.

    INCOMPLETE: something that the structure names lies beyond the end, see `reason`: wait.
    ZERO_TAIL: all is there, but the last `zero_bytes` bytes of the pixels are zero: a preallocated file still being
    written, or black rows from a real detector. Wait a while, then take it.
    COMPLETE: also for bytes of no known format, which `read` refuses.
    """

    state: State
    reason: str = ""
    zero_bytes: int = 0


def sidecar_names(name: str) -> tuple[str, ...]:
    """Names of the files beside image `name` that may describe it, likeliest last; compare them without regard to case."""
    return tuple(dict.fromkeys(side for family in FAMILIES for side in family.sidecar_names(name)))


def completeness(data: bytes) -> Completeness:
    """Whether `data` is a whole file, without decoding its pixels. Never raises."""
    if not data:
        return Completeness(State.INCOMPLETE, "the file is empty")
    found = layout(data)
    reason = found.missing or found.metadata_missing
    if reason:
        return Completeness(State.INCOMPLETE, reason)
    if found.zero_tail:
        return Completeness(State.ZERO_TAIL, f"the last {found.zero_tail} bytes of the pixels are zero", found.zero_tail)
    return Completeness(State.COMPLETE)


def needs_sidecar(data: bytes, name: str) -> bool:
    """True when the file itself gives no pixel size, so that waiting for a sidecar makes sense. Never raises."""
    pages = layout(data).pages
    if not pages:
        return False
    said, _warnings = _describe(Evidence(name, pages[0].width, pages[0].height, pages[0].tags, pages[0].numbers))
    return said.pixel_nm is None


def read(
    data: bytes,
    name: str,
    sidecars: Mapping[str, bytes] | None = None,
    limits: Limits = Limits(),
    pixel_size_nm: float | None = None,
) -> tuple[Micrograph, ...]:
    """Micrographs of one file: one a page if its pages are images of one size, else its first page.

    sidecars: bytes by file name, see `sidecar_names`.  pixel_size_nm: used, as source "config", only when neither the
    file nor a sidecar says how long a pixel is.
    Raises ImageError: empty, not_an_image, truncated, damaged, too_large, unsupported; nothing else.
    """
    found = _checked(data, limits)
    assert found.format is not None
    pages, warnings = _pages(found)
    sides = {key.lower(): value for key, value in (sidecars or {}).items()}
    micrographs = []
    for number, page in enumerate(pages):
        values, bits = pixels.decode(data, found.format, page)
        tags = page.tags if number == 0 else {**pages[0].tags, **page.tags}
        evidence = Evidence(name, page.width, page.height, tags, page.numbers, sides)
        micrographs.append(_micrograph(values, bits, evidence, number, len(pages), warnings, pixel_size_nm))
    return tuple(micrographs)


def _checked(data: bytes, limits: Limits) -> Layout:
    """Layout of a file that may be decoded. Raises ImageError."""
    if not data:
        raise ImageError("empty", "the file is empty; export the image again")
    if len(data) > limits.max_bytes:
        raise ImageError("too_large", f"{len(data)} bytes are more than the {limits.max_bytes} of inspect.max_file_mib")
    found = layout(data)
    total = sum(page.width * page.height for page in found.pages)
    if any(page.width * page.height > limits.max_pixels for page in found.pages) or total > limits.max_pixels:
        raise ImageError("too_large", f"{total} pixels are more than the {limits.max_pixels} of inspect.max_megapixels")
    if found.missing:
        raise ImageError("truncated", f"the file is not whole: {found.missing}; export the image again")
    if found.format is None:
        raise ImageError("not_an_image", "the bytes are neither TIFF, PNG, JPEG nor BMP")
    if not found.pages:
        raise ImageError("damaged", "the file's header describes no image; export the image again")
    for page in found.pages:
        if page.width <= 0 or page.height <= 0:
            raise ImageError("damaged", f"the header says {page.width}x{page.height} pixels; export the image again")
    return found


def _pages(found: Layout) -> tuple[tuple[Page, ...], tuple[str, ...]]:
    """Pages to read, and warnings about the file as a whole. Raises ImageError for a page of an unsupported kind."""
    assert found.format is not None
    warnings = list(found.warnings)
    if found.metadata_missing:
        warnings.append(f"metadata_cut: {found.metadata_missing}")
    images = tuple(page for page in found.pages if page.is_full_image) or found.pages[:1]
    if len({(page.width, page.height) for page in images}) > 1:
        warnings.append(f"pages_differ: of {len(images)} pages of different sizes only the first is inspected")
        images = images[:1]
    for page in images:
        pixels.check_kind(page, found.format)
    if images[0].first(274, 1) != 1:
        warnings.append("orientation_ignored: the file asks to be turned or mirrored, it is inspected as stored")
    return images, tuple(warnings)


def _describe(evidence: Evidence) -> tuple[Said, tuple[str, ...]]:
    """What the first family that recognises the image says. Damaged metadata never cost the image: they say nothing."""
    family = FAMILIES[-1]
    try:
        family = next(family for family in FAMILIES if family.recognises(evidence))
        return family.read(evidence), ()
    except Exception as error:  # text of any kind, by any software
        return Said(), (f"metadata_damaged: the {family.name} metadata cannot be read ({type(error).__name__})",)


def _micrograph(
    values: pixels.Values,
    bits: int,
    evidence: Evidence,
    number: int,
    count: int,
    file_warnings: tuple[str, ...],
    configured_nm: float | None,
) -> Micrograph:
    plane, colour_warnings = grey.to_plane(values)
    said, damage = _describe(evidence)
    meaning = scale(said, evidence.width, evidence.height)
    bar, bar_warnings = _bar(plane, meaning)
    image = plane[: plane.shape[0] - bar]
    windowed = grey.window(image)
    black = databar.black_rows(image)
    zero_warnings = (f"zero_rows: the last {black} rows are black",) if 0 < black < image.shape[0] else ()
    size, source = meaning.pixel_size_nm, said.source
    if size is None and said.pixel_nm is None and configured_nm is not None:
        size, source = configured_nm, "config"
    return Micrograph(
        grey=windowed.grey,
        stored_width_px=plane.shape[1],
        stored_height_px=plane.shape[0],
        databar_px=bar,
        pixel_size_nm=size,
        pixel_size_source=source if size is not None else None,
        acquisition=said.acquisition,
        grey_window=windowed.window,
        saturated_fraction=grey.saturated_fraction(image, bits),
        page=number,
        pages=count,
        warnings=file_warnings
        + damage
        + said.warnings
        + meaning.warnings
        + colour_warnings
        + bar_warnings
        + windowed.warnings
        + zero_warnings,
    )


def _bar(plane: pixels.Values, meaning: Scale) -> tuple[int, tuple[str, ...]]:
    """Rows to cut off the bottom: what the metadata say unless the pixels contradict, else what the pixels show."""
    if meaning.bar_rows:
        if databar.looks_drawn(plane, meaning.bar_rows):
            return meaning.bar_rows, ()
        warning = f"databar_missing: the metadata speak of a data bar of {meaning.bar_rows} rows, the pixels show none"
        return databar.find(plane), (warning,)
    return databar.find(plane), ()
