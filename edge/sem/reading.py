"""Bytes of an image file in, `edge.records.Micrograph`s out: pixels, data bar cut off, nm per pixel, how it was acquired."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import databar, drawn, grey, memory, pixels
from edge.sem.evidence import Cuts, Evidence, Parts
from edge.sem.metadata import SQUARE_WITHIN, Metadata, Scale, scale
from edge.sem.structure import Format, Layout, Page, layout
from edge.sem.unfilled import unfilled_rows
from edge.sem.vendors import describe, plain

TEXT_ON_IMAGE: Final = "text_on_image: letters or lines cover {:.1%} of the specimen: left out of regions and area"
TILTED: Final = "tilted: the specimen was tilted by {:.3g} degrees and the scan not corrected for it: nothing is given in µm"
WHERE_PIXELS_LIE: Final = frozenset({273, 279, 324, 325})
"""Numeric tags of a TIFF that differ from page to page and that no family looks at."""
TILE_WIDTH: Final = 322

STACK: Final = re.compile(rb"(?m)^images=(\d{1,9})\s*$")
MAX_DESCRIPTION: Final = 1 << 16
MAX_STACK: Final = 256


@dataclass(frozen=True)
class Limits:
    """What is refused as too large, from the headers, before anything is allocated.

    max_pixels: of all pages.  max_bytes: of the file.  max_memory: bytes that reading the file may take, see
    `edge.sem.memory`; None for no limit.
    """

    max_pixels: int = 300_000_000
    max_bytes: int = 1 << 30
    max_memory: int | None = None


def needs_sidecar(data: bytes, name: str) -> bool:
    """True when the file itself gives no pixel size, so that waiting for a sidecar makes sense. Never raises."""
    found = layout(data)
    if not found.pages:
        return False
    page = _chosen(found.pages)[0][0]
    metadata, _warnings = describe(_evidence(Cuts(memoryview(data)), found, page, page, name, {}))
    return metadata.pixel_nm is None


def read(
    data: bytes,
    name: str,
    sidecars: Mapping[str, bytes] | None = None,
    limits: Limits = Limits(),
    pixel_size_nm: float | None = None,
) -> tuple[Micrograph, ...]:
    """Micrographs of one file: one a page if its pages are images of one size and kind, else of its largest, deepest pages.

    sidecars: bytes by file name, see `sidecar_names`.  pixel_size_nm: used, as source "config", only when neither the
    file nor a sidecar says how long a pixel is.
    Raises ImageError: empty, not_an_image, truncated, damaged, too_large, unsupported; nothing else.
    """
    found = _checked(data, limits)
    assert found.format is not None
    pages, warnings = _pages(found)
    _check_memory(len(data), found.format, pages, limits)
    sides = {key.lower(): value for key, value in (sidecars or {}).items()}
    micrographs = []
    cuts = Cuts(memoryview(data))
    told: dict[object, tuple[Metadata, tuple[str, ...]]] = {}
    for number, page in enumerate(pages):
        evidence = _evidence(cuts, found, page, pages[0], name, sides)
        key = _what_is_told(page)
        described = told[key] = told.get(key) or describe(evidence)
        tile = page.first(TILE_WIDTH, 0)
        # In one expression, so that a page's values are given back before the next one is decoded.
        micrographs.append(
            _micrograph(
                pixels.decode(data, found.format, page), evidence, described, number, len(pages), warnings, pixel_size_nm, tile
            )
        )
    return tuple(micrographs)


def _what_is_told(page: Page) -> object:
    """Equal for pages of one file that say the same of themselves: hundreds of pages with one text are read once."""
    numbers = frozenset((tag, values) for tag, values in page.numbers.items() if tag not in WHERE_PIXELS_LIE)
    return page.width, page.height, frozenset(page.tags.items()), numbers


def _evidence(cuts: Cuts, found: Layout, page: Page, first: Page, name: str, sidecars: Mapping[str, bytes]) -> Evidence:
    """What the families may look at; a later page is described by the first where it has no tags of its own."""
    tags = Parts(cuts, {**first.tags, **page.tags})
    return Evidence(name, page.width, page.height, tags, page.numbers, sidecars, found.chunks, cuts)


def _checked(data: bytes, limits: Limits) -> Layout:
    """Layout of a file that may be decoded. Raises ImageError."""
    if not data:
        raise ImageError("empty", "the file is empty; export the image again")
    if len(data) > limits.max_bytes:
        raise ImageError("too_large", f"{len(data)} bytes are more than the {limits.max_bytes} of inspect.max_file_mib")
    found = _with_stack(data, layout(data))
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


def _with_stack(data: bytes, found: Layout) -> Layout:
    """The layout with a page for each image of an ImageJ stack, which stand one after another behind a single page."""
    if found.format != "tiff" or len(found.pages) != 1 or 270 not in found.pages[0].tags:
        return found
    page = found.pages[0]
    start, length = page.tags[270]
    text = data[start : start + min(length, MAX_DESCRIPTION)]
    told = STACK.search(text) if text.startswith(b"ImageJ=") else None
    size = page.width * page.height * page.channels * page.bits // 8
    if told is None or int(told.group(1)) < 2 or page.first(259, 1) != 1 or not size:
        return found
    there = (len(data) - page.first(273, 0)) // size
    count = max(1, min(int(told.group(1)), MAX_STACK, there))
    if count < int(told.group(1)):
        warning = f"stack_unseen: ImageJ speaks of {int(told.group(1))} images, the first {count} are read"
        found = replace(found, warnings=(*found.warnings, warning))
    return replace(found, pages=tuple(replace(page, behind=number * size) for number in range(count)))


def _check_memory(size: int, form: Format, pages: tuple[Page, ...], limits: Limits) -> None:
    """Raise ImageError "too_large" when reading these pages would take more memory than it may."""
    needed = memory.needed(size, form, pages)
    if limits.max_memory is None or needed <= limits.max_memory:
        return
    kind = f"{len(pages)} pages of {pages[0].width}x{pages[0].height} pixels, {pages[0].channels} x {pages[0].bits} bits"
    raise ImageError(
        "too_large",
        f"reading {kind} would take {needed >> 20} MiB of memory, {limits.max_memory >> 20} MiB may be used; export it smaller"
        " or with 8 or 16 bits of grey, free or add memory, or raise inspect.max_memory_mib",
    )


def _pages(found: Layout) -> tuple[tuple[Page, ...], tuple[str, ...]]:
    """Pages to read, and warnings about the file as a whole. Raises ImageError for a page of an unsupported kind."""
    assert found.format is not None
    warnings = list(found.warnings)
    if found.metadata_missing:
        warnings.append(f"metadata_cut: {found.metadata_missing}")
    images, unseen = _chosen(found.pages)
    if unseen:
        seen = f"{len(images)} of {images[0].width}x{images[0].height} pixels and {images[0].bits} bits"
        warnings.append(
            f"pages_differ: only the largest and deepest pages are inspected, {seen}; not seen: {', '.join(unseen)}"
        )
    for page in images:
        pixels.check_kind(page, found.format)
    if images[0].first(274, 1) != 1:
        warnings.append("orientation_ignored: the file asks to be turned or mirrored, it is inspected as stored")
    return images, tuple(warnings)


def _chosen(pages: tuple[Page, ...]) -> tuple[tuple[Page, ...], tuple[str, ...]]:
    """The pages to inspect, and the others in words; copies marked as smaller ones and masks are neither.

    A preview is a smaller copy, or one of fewer bits: it must not count as a field of its own.
    """
    images = tuple(page for page in pages if page.is_full_image) or pages[:1]
    best = max(images, key=lambda page: (page.width * page.height, page.bits, -page.channels))
    kind = (best.width, best.height, best.bits, best.channels)
    chosen = tuple(page for page in images if (page.width, page.height, page.bits, page.channels) == kind)
    others = [page for page in images if page not in chosen]
    told = [f"{page.width}x{page.height} of {page.channels} x {page.bits} bits" for page in others[:4]]
    return chosen, (*told, f"{len(others) - 4} more") if len(others) > 4 else tuple(told)


def _micrograph(
    decoded: tuple[pixels.Values, int, tuple[str, ...]],
    evidence: Evidence,
    described: tuple[Metadata, tuple[str, ...]],
    number: int,
    count: int,
    file_warnings: tuple[str, ...],
    configured_nm: float | None,
    tile_width: int,
) -> Micrograph:
    values, bits, doubts = decoded
    plane, colour_warnings = grey.to_plane(values)
    metadata, damage = described
    meaning = scale(metadata, evidence.width, evidence.height)
    bar, bar_warnings, witnessed = _bar(plane, meaning)
    if meaning.resized and not (witnessed or _agrees(meaning, evidence)):
        meaning = meaning.without_size()
    image = plane[: plane.shape[0] - bar]
    windowed = grey.window(image)
    covered = drawn.find(windowed.grey, values)
    drawn_warnings = () if covered is None else (TEXT_ON_IMAGE.format(covered.mean()),)
    empty = unfilled_rows(image, tile_width, values.dtype.itemsize * (values.shape[2] if values.ndim == 3 else 1))
    taken = metadata.acquisition
    tilted = (TILTED.format(abs(taken.tilt_deg)),) if taken.foreshortened and taken.tilt_deg is not None else ()
    size, source = meaning.pixel_size_nm, metadata.source
    if size is None and metadata.pixel_nm is None and configured_nm is not None:
        size, source = configured_nm, "config"
    return Micrograph(
        grey=windowed.grey,
        stored_width_px=plane.shape[1],
        stored_height_px=plane.shape[0],
        databar_px=bar,
        pixel_size_nm=size,
        pixel_size_source=source if size is not None else None,
        acquisition=taken,
        grey_window=windowed.window,
        saturated_fraction=grey.saturated_fraction(image, bits),
        page=number,
        pages=count,
        warnings=file_warnings
        + doubts
        + damage
        + metadata.warnings
        + meaning.warnings
        + tilted
        + colour_warnings
        + bar_warnings
        + windowed.warnings
        + _told_unfilled(empty)
        + drawn_warnings,
        drawn_px=covered,
    )


def _told_unfilled(rows: tuple[int, int] | None) -> tuple[str, ...]:
    """The warning about rows that hold one value alone."""
    if rows is None:
        return ()
    first, last = rows
    which = f"row {first} is" if first == last else f"rows {first} to {last} are"
    return (f"zero_rows: {which} of one grey alone: was the scan broken off, or the file not written to its end?",)


def _bar(plane: pixels.Values, meaning: Scale) -> tuple[int, tuple[str, ...], bool]:
    """Rows to cut off the bottom, doubts, and whether a bar bears witness that the image was resized as a whole.

    The rows are what the metadata say unless the pixels contradict, else what the pixels show. A bar shrinks with its
    image; in a part that was cut out it is as high as it was.
    """
    if not meaning.bar_rows:
        return databar.find(plane), (), False
    found = databar.find(plane) if meaning.resized else 0
    if found and abs(found - meaning.bar_rows) > databar.BLURRED_ROWS + 1:
        return found, (), False
    if databar.looks_drawn(plane, meaning.bar_rows):
        return meaning.bar_rows, (), found > 0
    warning = f"databar_missing: the metadata speak of a data bar of {meaning.bar_rows} rows, the pixels show none"
    return databar.find(plane), (warning,), False


def _agrees(meaning: Scale, evidence: Evidence) -> bool:
    """True when the software that stored the file, ImageJ or one that writes OME, says the same size of a pixel."""
    stored, size = plain.read(evidence).pixel_nm, meaning.pixel_size_nm
    return bool(stored and size and all(abs(side - size) <= SQUARE_WITHIN * size for side in stored))
