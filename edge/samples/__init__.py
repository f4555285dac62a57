"""The micrographs that are shipped with the package, as files and as what is read from them."""

from __future__ import annotations

from pathlib import Path

from edge import sem
from edge.records import Micrograph


def sample_files() -> list[Path]:
    """The shipped image files, by name."""
    return sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in {".tif", ".png", ".jpg", ".bmp"})


def sample_micrographs(most: int | None = None) -> list[Micrograph]:
    """The shipped micrographs, read; those of the first `most` files."""
    return [page for path in sample_files()[:most] for page in sem.read(path.read_bytes(), path.name)]


def smallest_sample() -> Micrograph:
    """The shipped micrograph that is read and inspected in the shortest time, with a few regions in it."""
    path = min(sample_files(), key=lambda path: path.stat().st_size)
    return sem.read(path.read_bytes(), path.name)[0]
