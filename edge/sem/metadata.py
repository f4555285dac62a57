"""What a microscope wrote about an image, as text, in; checked values with units out. A value that cannot be read is unknown.

Every family of microscopes has its own keys and its own module; what they share is here: encodings, numbers with
units, dates, and the record that each module fills in.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from edge.records import Acquisition, PixelSizeSource

NM: Final = {"pm": 1e-3, "å": 0.1, "nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "mm": 1e6,
             "cm": 1e7, "m": 1e9}  # fmt: skip
SQUARE_WITHIN: Final = 0.01
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Evidence:
    """All that a family's module may look at.

    tags, numbers: of the page, else of the file's first page; see `edge.sem.structure.Page`.
    sidecars: bytes of the files beside the image, by lower-case name.
    width, height: of the stored image, data bar included.
    """

    name: str
    width: int
    height: int
    tags: Mapping[int, bytes] = field(default_factory=dict)
    numbers: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    sidecars: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """What a microscope said of one image.

    pixel_nm: width and height of a pixel, of an image that was `image_width` pixels wide when it was said.
    image_width, image_height: size without the data bar, None when not said.
    bar_rows: rows below the image, None when not said; 0 is "not said" too, for DatabarHeight=0 is written over bars.
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
    """What `Said` means for the stored pixels: see `scale`."""

    pixel_size_nm: float | None
    bar_rows: int | None
    warnings: tuple[str, ...] = ()


def scale(said: Said, width: int, height: int) -> Scale:
    """Pixel size and data bar of the image as stored, `width` x `height`, perhaps exported at another size.

    A pixel that is not square has no one edge, so areas and lengths cannot both be right: its size is unknown.
    """
    warnings: list[str] = []
    factor = 1.0
    if said.image_width and said.image_width != width:
        factor = width / said.image_width
        expected = said.image_height * factor if said.image_height else None
        if expected is not None and not (expected - 1 <= height <= expected * 1.4):
            declared = f"{said.image_width}x{said.image_height}"
            warnings.append(f"resized: the file is {width}x{height}, its metadata speak of {declared}: pixel size unknown")
            return Scale(None, None, tuple(warnings))
        warnings.append(
            f"resized: the file is {width} pixels wide, its metadata speak of {said.image_width}: pixel size scaled"
        )
    bar = None
    if said.image_height and height > round(said.image_height * factor):
        bar = height - round(said.image_height * factor)
    elif said.bar_rows:
        bar = round(said.bar_rows * factor)
    if bar is not None and not 0 < bar <= height // 2:
        warnings.append(f"databar_implausible: the metadata speak of a data bar of {bar} of {height} rows: ignored")
        bar = None
    if said.pixel_nm is None:
        return Scale(None, bar, tuple(warnings))
    across, down = said.pixel_nm
    if abs(across - down) > SQUARE_WITHIN * max(across, down):
        warnings.append(f"pixels_not_square: {across:.6g} nm wide, {down:.6g} nm high: pixel size unknown")
        return Scale(None, bar, tuple(warnings))
    size = across / factor
    if not (math.isfinite(size) and 1e-3 <= size <= 1e7):
        warnings.append(f"pixel_size_implausible: {size:.6g} nm: pixel size unknown")
        return Scale(None, bar, tuple(warnings))
    return Scale(size, bar, tuple(warnings))


def text(raw: bytes) -> str:
    """Text of a tag or sidecar: UTF-16 or UTF-8 by their marks or shape, else cp932 where it decodes, else cp1252."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    for encoding, zeros in (("utf-16-le", raw[1:200:2]), ("utf-16-be", raw[0:200:2])):
        if len(zeros) > 4 and zeros.count(0) > 0.8 * len(zeros):
            return raw.decode(encoding, "replace")
    raw = raw.rstrip(b"\0")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # µ is B5 in cp1252, and a one-byte katakana in cp932: only text with two-byte characters speaks for Japanese.
    if re.search(rb"[\x81-\x9f\xe0-\xef][\x40-\x7e\x80-\xfc]", raw) and b"\xb5m" not in raw and b"\xb0" not in raw:
        try:
            return raw.decode("cp932")
        except UnicodeDecodeError:
            pass
    return raw.decode("cp1252", "replace")


def plain(string: str) -> str:
    """Full-width and compatibility characters made ordinary (NFKC), outer blanks and zero bytes removed."""
    return unicodedata.normalize("NFKC", string).strip(" \t\r\n\0")


def number(string: str | None) -> float | None:
    """First number in `string`, with a decimal point or comma; None when there is none or it is not finite."""
    match = _NUMBER.search(plain(string)) if string else None
    if match is None:
        return None
    value = float(match.group().replace(",", "."))
    return value if math.isfinite(value) else None


def positive(string: str | None) -> float | None:
    """First number in `string` if it is above zero."""
    value = number(string)
    return value if value is not None and value > 0 else None


def whole(string: str | None) -> int | None:
    """First number in `string` as a count of pixels."""
    value = positive(string)
    return int(value) if value is not None and value < 1e7 else None


def length_nm(string: str | None, unit: str | None = None) -> float | None:
    """A length such as "10um", "558.2 pm" or "3.4 µm" in nanometres; `unit` when the text has none of its own."""
    match = re.search(rf"({_NUMBER.pattern})\s*([A-Za-zµμÅå]*)", plain(string)) if string else None
    if match is None:
        return None
    name = (match.group(2) or unit or "").lower()
    value = positive(match.group(1))
    return None if value is None or name not in NM else value * NM[name]


def ini(string: str) -> dict[str, dict[str, str]]:
    """Sections of `[Section]` and `Key=Value` lines; lines before any section are in section ""; the first of equals wins."""
    sections: dict[str, dict[str, str]] = {"": {}}
    current = sections[""]
    for raw in string.splitlines():
        line = plain(raw)
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip(), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            current.setdefault(key.strip(), value.strip())
    return sections


def moment(string: str | None, formats: Iterable[str]) -> datetime | None:
    """Date and time in one of `formats`, naive; None when it is in none of them."""
    return next((found for form in formats if (found := _moment(plain(string or ""), form))), None)


def _moment(string: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(string, form)  # noqa: DTZ007 - the file gives no time zone
    except ValueError:
        return None


CLOCKS: Final = ("%I:%M:%S %p", "%H:%M:%S", "%I:%M %p", "%H:%M")


def local_moment(date: str, time: str) -> tuple[datetime | None, tuple[str, ...]]:
    """A moment written in the manner of an unknown country, and a doubt.

    12/10/2017 may be December or October: unknown, except that AM and PM are written where the month comes first.
    """
    stamp = f"{plain(date)} {plain(time)}"
    year_first = moment(stamp, (f"%Y{mark}%m{mark}%d {clock}" for mark in "/.-" for clock in CLOCKS))
    month_first = moment(stamp, (f"%m/%d/%Y {clock}" for clock in CLOCKS))
    day_first = moment(stamp, (f"%d{mark}%m{mark}%Y {clock}" for mark in "/.-" for clock in CLOCKS))
    if month_first and day_first and month_first != day_first and not re.search(r"\b[AP]M\b", time):
        return None, (f"date_ambiguous: {plain(date)} may be day/month or month/day: left unknown",)
    return year_first or month_first or day_first, ()


def stem(name: str) -> str:
    """The file name without its last extension."""
    return name.rpartition(".")[0] or name


def words(string: str | None) -> str | None:
    """The text itself, None when it is empty."""
    return plain(string) or None if string else None
