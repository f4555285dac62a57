"""The image of an inspection in, its pixels as PNG out: from the folder while it is as it was, else from what was kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

import cv2

from edge import sem
from edge.config import Settings
from edge.errors import ImageError
from edge.folder.file import read_file
from edge.inspection.pipeline import limits_of

KEPT_BYTES: Final = 48 << 20


class Pixels:
    """Reads one image at a time, and keeps the last few as PNG. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._one_at_a_time = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def png(self, path: str, sha256: str | None, page: int) -> bytes | None:
        """The page, 8 bit grey as the models saw it, without the data bar, which lies below. None where it is gone.

        path: below the watched folder.  sha256: of the file that was inspected; nothing else is shown for it.
        """
        if sha256 is None:
            return None
        with self._one_at_a_time:
            if (known := self._kept.get((sha256, page))) is not None:
                self._kept.move_to_end((sha256, page))
                return known
            for file, within in self._places(path, sha256):
                data = self._read(file, within, sha256, page)
                if data is not None:
                    self._keep((sha256, page), data)
                    return data
        return None

    def there(self, path: str, sha256: str | None) -> bool:
        """Whether a file is there that may be it; reading it tells for certain."""
        try:
            return sha256 is not None and any(file.is_file() for file, _ in self._places(path, sha256))
        except (OSError, ValueError):  # a name that no file can have
            return False

    def _places(self, path: str, sha256: str) -> list[tuple[Path, Path]]:
        watched, reviewed = self._settings.watch.folder, self._settings.state.folder / "reviewed" / sha256
        places = [(watched / path, watched)]
        if reviewed.is_dir():
            places += [(file, reviewed) for file in sorted(reviewed.iterdir()) if not file.name.endswith((".json", ".txt"))]
        return places

    def _read(self, file: Path, within: Path, sha256: str, page: int) -> bytes | None:
        settings = self._settings
        limits = limits_of(settings)
        try:
            read = read_file(file, limits.max_bytes, within)
            if read.sha256 != sha256:
                return None
            for micrograph in sem.read(read.data, file.name, read.sidecars, limits, settings.inspect.pixel_size_nm):
                if micrograph.page == page:
                    return cv2.imencode(".png", micrograph.grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        except (ImageError, OSError, ValueError):  # a name that no file can have is none either
            return None
        return None

    def _keep(self, key: tuple[str, int], data: bytes) -> None:
        self._kept[key] = data
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)
