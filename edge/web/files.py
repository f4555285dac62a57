"""The files that browsers get, read once: paths in, bytes with their type and ETag out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).parent / "page"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


class File(NamedTuple):
    """One file. etag: quoted, as in the header."""

    data: bytes
    media_type: str
    etag: str


def load(folder: Path = PAGE) -> dict[str, File]:
    """Every file of a known type below `folder`, by its path with slashes."""
    return {
        file.relative_to(folder).as_posix(): File(
            data := file.read_bytes(), TYPES[file.suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        )
        for file in sorted(folder.rglob("*"))
        if file.suffix in TYPES and file.is_file()
    }


def digest(files: Mapping[str, File]) -> str:
    """One text for all of them: a page that was loaded from others knows by it that it is out of date."""
    return hashlib.sha256("".join(f"{path}{file.etag}" for path, file in sorted(files.items())).encode()).hexdigest()[:32]


def languages(files: Iterable[str]) -> list[str]:
    """Those that a table of words is there for, English first: a language is a file."""
    found = (path.removeprefix("words/").removesuffix(".json") for path in files if path.startswith("words/"))
    return sorted(found, key=lambda name: (name != "en", name))
