"""A journal, a folder of results or lines of JSON in; documents with their pictures and reviews out."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.archive import identity, tables
from edge.archive.work import PICTURES
from edge.errors import ConfigError, ReviewError
from edge.journal import Journal
from edge.report.form import FAILURE, INSPECTION, checked
from edge.teach.reviews import parse_review

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


@dataclass(frozen=True)
class Period:
    """Verdicts given at `since` or later and before `until`; None: without such a limit."""

    since: datetime | None = None
    until: datetime | None = None

    def holds(self, said: dict[str, Any]) -> bool:
        """Whether a verdict was given in this time."""
        at = said.get("ts_ms") or 0
        early = self.since is not None and at < self.since.timestamp() * 1e3
        return not early and (self.until is None or at < self.until.timestamp() * 1e3)

    def __str__(self) -> str:
        parts = [] if self.since is None else [f"from {self.since.date()} on"]
        return " and ".join([*parts, *([] if self.until is None else [f"before {self.until.date()}"])])


FURTHEST_PX: Final = 1e6
"""No outline reaches further than an image can."""
MOST_NOTES: Final = 20
"""Of what was left out, each with its reason; a folder of something else has thousands."""
ALWAYS: Final = Period()


def read_journal(path: Path, period: Period = ALWAYS) -> Source:
    """The journal in a state folder, or of its `journal.sqlite3`; a daemon may hold it.

    Raises StateError, and ConfigError where nothing was inspected in the period.
    """
    folder = path.parent if path.name == "journal.sqlite3" else path
    found: list[Document] = []
    notes: list[str] = []
    with Journal.view(folder) as journal:
        reviews = [json.loads(review.said) for review in journal.reviews.all()]
        for past in journal.verdicts.kept():
            read = _document(past.sent)
            if isinstance(read, str):
                notes.append(f"A stored {past.kind} is left out: {read}.")
                continue
            picture = journal.pictures.folder / past.picture if past.picture else None
            found.append(replace(read, picture=picture if picture is not None and picture.is_file() else None))
    return _source(f"journal {folder}", _with_reviews(found, reviews), notes, period)


def read_folder(path: Path, period: Period = ALWAYS) -> Source:
    """What `edge-inspect --out` or `edge-archive` wrote, and `*.jsonl` of `edge-inspect --json` and `edge-review export`.

    Raises ConfigError where there is nothing.
    """
    if not path.is_dir():
        raise ConfigError(f"--from {path}: there is no such folder")
    found: list[Document] = []
    reviews: list[dict[str, Any]] = []
    notes: list[str] = []
    for file in sorted(path.rglob("*.inspection.json")):
        picture = file.with_name(file.name.removesuffix(".inspection.json") + ".overlay.png")
        _take(file.name, _bytes(file, notes), picture, found, notes)
    if identity.read(path) is not None:
        for row in tables.rows(path, (tables.DOCUMENT, "inspection_id")):
            picture = path / PICTURES / f"{row['inspection_id']}.webp"
            _take(str(row["inspection_id"]), row[tables.DOCUMENT].encode(), picture, found, notes)
    for file in sorted(path.rglob("*.jsonl")):
        for number, line in enumerate((_bytes(file, notes) or b"").splitlines(), 1):
            if b"edge.review/" in line and (review := _review(line)) is not None:
                reviews.append(review)
            elif line.strip():
                _take(f"{file.name}, line {number}", line, None, found, notes)
    if not found and not notes:
        raise ConfigError(
            f"--from {path}: no *.inspection.json and no *.jsonl there; `edge-inspect … --out {path}` writes them"
        )
    return _source(f"folder {path}", _with_reviews(found, reviews), notes, period)


def _review(line: bytes) -> dict[str, Any] | None:
    """What `edge-review export` wrote; None where it is none."""
    try:
        parse_review(line, "a review")
    except ReviewError:
        return None
    return dict(json.loads(line))


def _bytes(file: Path, notes: list[str]) -> bytes | None:
    """What a file holds; None, and a sentence among the notes, where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        notes.append(f"{file.name} is left out: {error.strerror}.")
        return None


def _take(name: str, data: bytes | None, picture: Path | None, found: list[Document], notes: list[str]) -> None:
    read = None if data is None else _document(data)
    if isinstance(read, str):
        notes.append(f"{name} is left out: {read}.")
    elif read is not None:
        found.append(replace(read, picture=picture if picture is not None and picture.is_file() else None))


def _document(data: bytes) -> Document | str:
    """One verdict; a text says why it is none."""
    said = checked(data)
    if isinstance(said, str):
        return said
    if said["schema"].startswith(FAILURE):
        return Document(said)
    said["corrosion"] = said.get("corrosion") or {}  # null where stage 1 was not asked
    # As plain lists the outlines of a thousand images take a gigabyte.
    return Document(said, outlines=tuple(_rings(region) for region in said.get("regions") or ()))


def _rings(region: dict[str, Any]) -> Rings:
    """Take the outline and the holes out of a region; nothing where they are no outlines."""
    outline, holes = region.pop("outline_px", None), region.pop("holes_px", None)
    try:
        lines = [outline, *(holes or ())]
        rings = [np.asarray(line, np.float64) for line in lines if line]
    except (ValueError, TypeError, OverflowError):
        return ()
    if not all(ring.ndim == 2 and ring.shape[1] == 2 and (np.abs(ring) <= FURTHEST_PX).all() for ring in rings):
        return ()
    return tuple(ring.astype(np.float32) for ring in rings)


def _with_reviews(found: list[Document], reviews: list[dict[str, Any]]) -> list[Document]:
    """Each verdict with the reviews of its image: of the same bytes, and of its page where the file has several."""
    by_image: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for said in reviews:
        image = said.get("image") or {}
        by_image.setdefault((str(image.get("sha256")), image.get("page") or 0), []).append(said)
    keys = [(str(one.said["image"].get("sha256")), one.said["image"].get("page") or 0) for one in found]
    return [replace(one, reviews=tuple(by_image.get(key, ()))) for one, key in zip(found, keys, strict=True)]


def _source(where: str, found: list[Document], notes: list[str], period: Period = ALWAYS) -> Source:
    """The period first, then the newest verdict on each image in it: a later one does not change what was known by then."""
    own = [document for document in found if period.holds(document.said)]
    if found and not own:
        days = sorted(str(_day(document.said)) for document in found)
        raise ConfigError(
            f"{where}: nothing was inspected {period}; its {len(found)} verdicts are from {days[0]} to {days[-1]}"
        )
    groups: dict[tuple[str, ...], list[Document]] = {}
    for document in own:
        groups.setdefault(_place(document.said), []).append(document)
    documents = sorted((_newest(group) for group in groups.values()), key=lambda one: one.said.get("ts_ms") or 0)
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"{len(notes) - MOST_NOTES} more are left out."]
    notes = [*notes, *_repeated(groups), *_copies(documents)]
    inspections = tuple(d for d in documents if str(d.said["schema"]).startswith(INSPECTION))
    failures = tuple(d for d in documents if str(d.said["schema"]).startswith(FAILURE))
    return Source(f"{where}, inspected {period}" if str(period) else where, inspections, failures, tuple(notes))


def _day(said: dict[str, Any]) -> date:
    return datetime.fromtimestamp((said.get("ts_ms") or 0) / 1e3, timezone.utc).date()


def _newest(group: list[Document]) -> Document:
    """Within one journal by number, for its clock may have been set back; of several journals by time."""
    last: dict[str, Document] = {}
    for document in sorted(group, key=lambda one: (one.said.get("seq") or 0, one.said.get("ts_ms") or 0)):
        last[str(document.said.get("epoch"))] = document
    return max(last.values(), key=lambda one: one.said.get("ts_ms") or 0)


def _repeated(groups: dict[tuple[str, ...], list[Document]]) -> list[str]:
    """An image that was inspected again is no second field: which ones count once."""
    again = {key: group for key, group in groups.items() if len({_identity(document.said) for document in group}) > 1}
    if not again:
        return []
    names = [_name(group[0].said) for group in again.values()]
    left = sum(len({_identity(document.said) for document in group}) - 1 for group in again.values())
    return [f"{left} earlier verdicts are left out, because a later one on the same image counts: {_some(names)}."]


def _copies(documents: list[Document]) -> list[str]:
    """Files of the same bytes are images of their own, as the service has it, and no independent fields."""
    by_bytes: dict[str, list[str]] = {}
    for document in documents:
        image = document.said["image"]
        if image.get("sha256") and "corrosion" in document.said:
            by_bytes.setdefault(f"{image['sha256']}/{image.get('page', 0)}", []).append(_name(document.said))
    return [
        f"{_some(list(dict.fromkeys(names)))}: the same bytes {len(names)} times, and each counts."
        for names in by_bytes.values()
        if len(names) > 1
    ]


def _name(said: dict[str, Any]) -> str:
    return str(said["image"].get("path") or said["image"].get("name"))


def _some(names: list[str], most: int = 5) -> str:
    """A few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _place(said: dict[str, Any]) -> tuple[str, ...]:
    """Which image a verdict is of. Outside a journal files of one name may differ: there, copies of a verdict alone are one."""
    if said.get("epoch") is None:
        return (_identity(said),)
    image, device = said["image"], said.get("device") or {}
    return (*(str(device.get(name)) for name in ("site", "area", "id")), str(image.get("path")), str(image.get("page", 0)))


def _identity(said: dict[str, Any]) -> str:
    return str(said.get("inspection_id") or said.get("failure_id") or id(said))
