"""A journal, a folder of results or lines of JSON in; documents with their pictures and reviews out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.journal import Journal

INSPECTION, FAILURE = "edge.inspection/", "edge.failure/"


Rings = tuple[NDArray[np.float32], ...]
"""Closed lines of one region, [n, 2] in pixels of the stored image: its outline, then its holes."""


@dataclass(frozen=True)
class Document:
    """One verdict. said: the document, without the outlines of its regions.  outlines: those, in the order of the regions.

    picture: where its overlay lies, None without one.  reviews: as they were given.
    """

    said: dict[str, Any]
    picture: Path | None = None
    reviews: tuple[dict[str, Any], ...] = ()
    outlines: tuple[Rings, ...] = ()


@dataclass(frozen=True)
class Source:
    """What was read. where: in words.  inspections, failures: oldest first.  notes: what could not be read, as sentences."""

    where: str
    inspections: tuple[Document, ...]
    failures: tuple[Document, ...]
    notes: tuple[str, ...] = ()


def read_journal(path: Path) -> Source:
    """The journal in a state folder, or of its `journal.sqlite3`; a daemon may hold it. Raises StateError."""
    folder = path.parent if path.name == "journal.sqlite3" else path
    found: list[Document] = []
    notes: list[str] = []
    with Journal.view(folder) as journal:
        reviews = _by_image(review.said for review in journal.reviews.all())
        for past in journal.verdicts.kept():
            read = _document(past.sent)
            if read is None:
                notes.append(f"A stored {past.kind} is no document that this version knows; it is left out.")
                continue
            picture = journal.pictures.folder / past.picture if past.picture else None
            own = tuple(reviews.get(str(read.said["image"].get("sha256")), ()))
            found.append(replace(read, picture=picture if picture is not None and picture.is_file() else None, reviews=own))
    return _source(f"journal {folder}", found, notes)


def read_folder(path: Path) -> Source:
    """What `edge-inspect --out` wrote, and `*.jsonl` of `edge-inspect --json`. Raises ConfigError where there is nothing."""
    if not path.is_dir():
        raise ConfigError(f"--from {path}: there is no such folder")
    found: list[Document] = []
    notes: list[str] = []
    for file in sorted(path.rglob("*.inspection.json")):
        _take(file.name, _bytes(file), file.with_name(file.name.replace(".inspection.json", ".overlay.png")), found, notes)
    for file in sorted(path.rglob("*.jsonl")):
        for number, line in enumerate(_bytes(file).splitlines(), 1):
            if line.strip():
                _take(f"{file.name}, line {number}", line, None, found, notes)
    if not found and not notes:
        raise ConfigError(
            f"--from {path}: no *.inspection.json and no *.jsonl there; `edge-inspect … --out {path}` writes them"
        )
    return _source(f"folder {path}", found, notes)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def _take(name: str, data: bytes, picture: Path | None, found: list[Document], notes: list[str]) -> None:
    read = _document(data)
    if read is None:
        notes.append(f"{name} is no inspection of this product; it is left out.")
    else:
        found.append(replace(read, picture=picture if picture is not None and picture.is_file() else None))


def _document(data: bytes) -> Document | None:
    """The JSON of one verdict, None where it is none."""
    try:
        said = json.loads(data)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("image"), dict):
        return None
    schema = str(said.get("schema"))
    if schema.startswith(INSPECTION) and isinstance(said.get("corrosion"), dict):
        # As plain lists the outlines of a thousand images take a gigabyte.
        return Document(said, outlines=tuple(_rings(region) for region in said.get("regions") or ()))
    return Document(said) if schema.startswith(FAILURE) and isinstance(said.get("error"), dict) else None


def _rings(region: dict[str, Any]) -> Rings:
    """Take the outline and the holes out of a region; nothing where they are no outlines."""
    lines = [region.pop("outline_px", None), *(region.pop("holes_px", None) or ())]
    try:
        rings = tuple(np.asarray(line, np.float32) for line in lines if line)
    except (ValueError, TypeError):
        return ()
    return rings if all(ring.ndim == 2 and ring.shape[1] == 2 and np.isfinite(ring).all() for ring in rings) else ()


def _by_image(reviews: Iterable[bytes]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for data in reviews:
        said = json.loads(data)
        found.setdefault(str(said.get("image", {}).get("sha256")), []).append(said)
    return found


def _source(where: str, found: list[Document], notes: list[str]) -> Source:
    once = {_identity(document.said): document for document in found}  # a later copy of the same verdict replaces it
    documents = sorted(once.values(), key=lambda document: document.said.get("ts_ms") or 0)
    newest = {_place(document.said): document for document in documents if _place(document.said) is not None}
    earlier = [d for d in documents if _place(d.said) is not None and newest[_place(d.said)] is not d]
    if earlier:  # an image that was inspected again is no second field
        notes = [*notes, f"{len(earlier)} verdicts are left out because a later one on the same image took their place."]
        left_out = set(map(id, earlier))
        documents = [document for document in documents if id(document) not in left_out]
    inspections = tuple(d for d in documents if str(d.said["schema"]).startswith(INSPECTION))
    failures = tuple(d for d in documents if str(d.said["schema"]).startswith(FAILURE))
    return Source(where, inspections, failures, tuple(notes))


def _place(said: dict[str, Any]) -> tuple[str, ...] | None:
    """Which image of which journal a verdict is of, None outside a journal: there, files of one name may differ."""
    if said.get("epoch") is None:
        return None
    image, device = said["image"], said.get("device") or {}
    return (*(str(device.get(name)) for name in ("site", "area", "id")), str(image.get("path")), str(image.get("page", 0)))


def _identity(said: dict[str, Any]) -> str:
    return str(said.get("inspection_id") or said.get("failure_id") or id(said))
