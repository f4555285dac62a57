"""Bytes of an image file in, `edge.records.Micrograph`s out: pixels, data bar cut off, nm per pixel, how it was acquired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.errors import ImageError
from edge.records import Micrograph
from edge.sem import databar, drawn, grey, pixels
from edge.sem.evidence import Cuts, Evidence, Parts
from edge.sem.metadata import SQUARE_WITHIN, Metadata, Scale, scale
from edge.sem.structure import Layout, Page, layout
from edge.sem.vendors import describe, plain

TEXT_ON_IMAGE: Final = "text_on_image: letters or lines cover {:.1%} of the specimen: left out of regions and area"
TILTED: Final = "tilted: the specimen was tilted by {:.3g} degrees and the scan not corrected for it: nothing is given in µm"
WHERE_PIXELS_LIE: Final = frozenset({273, 279, 324, 325})
"""Numeric tags of a TIFF that differ from page to page and that no family looks at."""


@dataclass(frozen=True)
class Limits:
    """What is refused as too large, from the headers, before anything is allocated: pixels of all pages, bytes of the file."""

    max_pixels: int = 300_000_000
    max_bytes: int = 1 << 30


def needs_sidecar(data: bytes, name: str) -> bool:
    """True when the file itself gives no pixel size, so that waiting for a sidecar makes sense. Never raises."""
    found = layout(data)
    if not found.pages:
        return False
    metadata, _warnings = describe(_evidence(Cuts(memoryview(data)), found, found.pages[0], found.pages[0], name, {}))
    return metadata.pixel_nm is None


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
    cuts = Cuts(memoryview(data))
    told: dict[object, tuple[Metadata, tuple[str, ...]]] = {}
    for number, page in enumerate(pages):
        values, bits = pixels.decode(data, found.format, page)
        evidence = _evidence(cuts, found, page, pages[0], name, sides)
        key = _what_is_told(page)
        described = told[key] = told.get(key) or describe(evidence)
        micrographs.append(_micrograph(values, bits, evidence, described, number, len(pages), warnings, pixel_size_nm))
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


def _micrograph(
    values: pixels.Values,
    bits: int,
    evidence: Evidence,
    described: tuple[Metadata, tuple[str, ...]],
    number: int,
    count: int,
    file_warnings: tuple[str, ...],
    configured_nm: float | None,
) -> Micrograph:
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
    black = databar.black_rows(image)
    zero_warnings = (f"zero_rows: the last {black} rows are black",) if 0 < black < image.shape[0] else ()
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
        + damage
        + metadata.warnings
        + meaning.warnings
        + tilted
        + colour_warnings
        + bar_warnings
        + windowed.warnings
        + zero_warnings
        + drawn_warnings,
        drawn_px=covered,
    )


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
