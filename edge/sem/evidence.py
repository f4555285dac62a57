"""The bytes of an image file and of those beside it in; out come the parts that a family of microscopes may look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.sem.structure import Span

MAX_PART: Final = 1 << 19
"""Bytes of metadata that are taken at once. Real ones have kilobytes; a hostile file must cost neither memory nor time."""
LEAST_CUT: Final = 1 << 16


class Cuts:
    """Parts of one file, for all its pages. Each part is copied once, and together they are no longer than the file.

    So pages that share their metadata cost nothing, and a file whose tags lie on one another costs no memory.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._parts: dict[Span, bytes] = {}
        self._left = max(len(data), LEAST_CUT)

    def __len__(self) -> int:
        return len(self._data)

    def cut(self, place: Span) -> bytes:
        """The bytes there, at most MAX_PART. Raises ValueError when more was cut out than the file has."""
        found = self._parts.get(place)
        if found is None:
            found = bytes(self._data[place.start : place.start + min(place.length, MAX_PART)])
            self._left -= len(found)
            if self._left < 0:
                raise ValueError(f"metadata of more than the {len(self._data)} bytes of the file lie on one another")
            self._parts[place] = found
        return found


class Parts(Mapping[int, bytes]):
    """Parts of a file by TIFF tag, cut out when they are asked for; what is never asked for is never copied."""

    def __init__(self, data: memoryview | Cuts, spans: Mapping[int, Span]) -> None:
        self._cuts, self._spans = data if isinstance(data, Cuts) else Cuts(data), spans

    def __getitem__(self, tag: int) -> bytes:
        return self._cuts.cut(self._spans[tag])

    def __contains__(self, tag: object) -> bool:
        return tag in self._spans

    def __iter__(self) -> Iterator[int]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)


@dataclass(frozen=True)
class Evidence:
    """All that a family's module may look at. It opens no file and decodes no pixel.

    name: of the image file.
    width, height: of the stored image in pixels, data bar included.
    tags: raw bytes of the TIFF page's text and byte tags, else of the file's first page.
    numbers: the first 16 values of each numeric tag of the TIFF page.
    sidecars: bytes of the files beside the image, by lower-case name.
    chunks: where the metadata of a PNG or JPEG lie, as (name, place): see `chunk`.
    data: the whole file, not copied, for what a tag points to: see `part`; or the `Cuts` of it that its pages share.
    """

    name: str
    width: int
    height: int
    tags: Mapping[int, bytes] = field(default_factory=dict)
    numbers: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    sidecars: Mapping[str, bytes] = field(default_factory=dict)
    chunks: tuple[tuple[str, Span], ...] = ()
    data: memoryview | Cuts = field(default_factory=lambda: memoryview(b""), repr=False)

    def chunk(self, name: str) -> tuple[bytes, ...]:
        """Contents of all chunks of this name, in the order of the file, as the file has them; () when there is none.

        PNG: the ancillary chunks, such as "tEXt", "zTXt", "iTXt", "pHYs", "sCAL".  JPEG: "COM", "APP0" to "APP15".
        Both: `edge.sem.structure.TRAILER`, the bytes behind the end of the image.
        """
        return tuple(self.part(*place) for found, place in self.chunks if found == name)

    def part(self, start: int, length: int) -> bytes:
        """Bytes of the file from `start`, at most MAX_PART; b"" for a place that is not wholly inside the file."""
        if start < 0 or length < 0 or start + length > len(self.data):
            return b""
        cuts = self.data if isinstance(self.data, Cuts) else Cuts(self.data)
        return cuts.cut(Span(start, length))
