"""What a microscope wrote about an image in; out comes what it means for the pixels as they are stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final

from edge.records import Acquisition, PixelSizeSource

SQUARE_WITHIN: Final = 0.01


@dataclass(frozen=True)
class Metadata:
    """What a microscope wrote about one image; None is "not written", never a guess.

    acquisition: how the image was taken.
    pixel_nm: width and height of a pixel in nm, of an image that was `image_width` pixels wide when this was written.
    source: where the pixel stands: "metadata" (in the image file) or "sidecar".
    image_width, image_height: size in pixels, without the data bar.
    bar_rows: rows of the data bar below the image; 0 counts as not written, for DatabarHeight=0 is written over bars.
    warnings: doubts, as "code: what stands there, and what was done".
    """

    acquisition: Acquisition = field(default_factory=Acquisition)
    pixel_nm: tuple[float, float] | None = None
    source: PixelSizeSource = "metadata"
    image_width: int | None = None
    image_height: int | None = None
    bar_rows: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """What `Metadata` means for the stored pixels: see `scale`.

    resized: the size holds if the whole image was stored at another size, not if a part of it was cut out.
    """

    pixel_size_nm: float | None
    bar_rows: int | None
    warnings: tuple[str, ...] = ()
    resized: bool = False

    def without_size(self) -> Scale:
        """The same without the pixel size, with the reason."""
        others = tuple(warning for warning in self.warnings if not warning.startswith("resized: "))
        doubt = "resized: not the size of the metadata; a copy or a part, nothing else tells which: pixel size unknown"
        return replace(self, pixel_size_nm=None, warnings=(*others, doubt))


def scale(metadata: Metadata, width: int, height: int) -> Scale:
    """Pixel size and data bar of the image as stored, `width` x `height`, perhaps exported at another size.

    A file of the same shape and another width may be the whole image at another size or a part of it cut out: `resized`.
    A pixel that is not square has no one edge, so areas and lengths cannot both be right: its size is unknown.
    """
    warnings: list[str] = []
    factor = 1.0
    if metadata.image_width and metadata.image_width != width:
        factor = width / metadata.image_width
        expected = metadata.image_height * factor if metadata.image_height else None
        if expected is not None and not (expected - 1 <= height <= expected * 1.4):
            declared = f"{metadata.image_width}x{metadata.image_height}"
            warnings.append(f"resized: the file is {width}x{height}, its metadata speak of {declared}: pixel size unknown")
            return Scale(None, None, tuple(warnings))
        warnings.append(
            f"resized: the file is {width} pixels wide, its metadata speak of {metadata.image_width}: pixel size scaled"
        )
    bar = None
    if metadata.image_height and height > round(metadata.image_height * factor):
        bar = height - round(metadata.image_height * factor)
    elif metadata.bar_rows:
        bar = round(metadata.bar_rows * factor)
    if bar is not None and not 0 < bar <= height // 2:
        warnings.append(f"databar_implausible: the metadata speak of a data bar of {bar} of {height} rows: ignored")
        bar = None
    if metadata.pixel_nm is None:
        return Scale(None, bar, tuple(warnings))
    across, down = metadata.pixel_nm
    if abs(across - down) > SQUARE_WITHIN * max(across, down):
        warnings.append(f"pixels_not_square: {across:.6g} nm wide, {down:.6g} nm high: pixel size unknown")
        return Scale(None, bar, tuple(warnings))
    size = across / factor
    if not (math.isfinite(size) and 1e-3 <= size <= 1e7):
        warnings.append(f"pixel_size_implausible: {size:.6g} nm: pixel size unknown")
        return Scale(None, bar, tuple(warnings))
    return Scale(size, bar, tuple(warnings), resized=abs(factor - 1) > SQUARE_WITHIN)
