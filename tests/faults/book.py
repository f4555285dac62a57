"""What writers put into the folder in; what a subscriber must hear of it out."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import dataclass, field

import numpy as np

from tests.conftest import pitted
from tests.sem.making import encoded, tiff

FORMATS = (".png", ".tif", ".bmp", ".jpg")


@dataclass
class Page:
    """All that was written under one path.

    wholes: hashes of the contents that a writer meant to be whole.  last: of the content that stays, None where none does.
    """

    wholes: set[str] = field(default_factory=set)
    last: str | None = None


class Book:
    """Every file by its path below the folder; safe to use from several threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._pages: dict[str, Page] = {}
        self._numbers = itertools.count(1)

    def new_image(self, extension: str = ".png") -> tuple[str, bytes]:
        """A name that no other image has, and a small picture that no other is like. BMP and TIFF are all of one size."""
        number = next(self._numbers)
        return f"image_{number:05d}{extension}", picture(number, extension)

    def whole(self, path: str, data: bytes) -> None:
        """`data` is or will be the whole content of `path`, and its last one so far."""
        digest = hashlib.sha256(data).hexdigest()
        with self._mutex:
            page = self._pages.setdefault(path, Page())
            page.wholes.add(digest)
            page.last = digest

    def spoilt(self, path: str) -> None:
        """What stays under `path` is no whole content: any verdict that doubts it will do."""
        with self._mutex:
            self._pages.setdefault(path, Page()).last = ""

    def gone(self, path: str) -> None:
        """`path` was deleted: it may have a verdict or none."""
        with self._mutex:
            self._pages.setdefault(path, Page()).last = None

    def pages(self) -> dict[str, Page]:
        """A copy of all pages."""
        with self._mutex:
            return {path: Page(set(page.wholes), page.last) for path, page in self._pages.items()}


def picture(number: int, extension: str) -> bytes:
    """A drawn specimen of 160 x 120 pixels as a file."""
    drawn = pitted(160, 120, number, 3)
    drawn[0, :4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)  # two of them never have equal bytes
    return tiff(drawn) if extension == ".tif" else encoded(drawn, extension)
