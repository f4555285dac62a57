"""A path that somebody names in, the micrographs there out."""

from __future__ import annotations

from pathlib import Path

from edge import sem
from edge.errors import ImageError
from edge.folder.file import read_file
from edge.records import Micrograph
from edge.samples import sample_files

SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"}


def read_micrographs(images: Path | None) -> tuple[list[tuple[str, Micrograph]], dict[str, str]]:
    """Micrographs with the names of their files, and why others could not be read.

    images: an image, a folder that is searched with the folders in it, or None for the shipped samples.
    """
    if images is None:
        paths, root = sample_files(), None
    elif images.is_dir():
        paths, root = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES), images
    else:
        paths, root = [images], None
    found, unreadable = [], {}
    for path in paths:
        called = str(path.relative_to(root)) if root else path.name
        try:
            file = read_file(path, sem.Limits().max_bytes)
            pages = sem.read(file.data, path.name, file.sidecars)
            found += [(called if len(pages) == 1 else f"{called} page {page.page + 1}", page) for page in pages]
        except ImageError as error:
            unreadable[called] = str(error)
    return found, unreadable
