"""Two folders of results in, what the second says otherwise than the first out; images are told by name and page."""

from __future__ import annotations

from pathlib import Path

from edge.archive import identity, tables
from edge.archive.work import PICTURES
from edge.compare.changes import READ, Changes, Row, Side, compared
from edge.errors import ConfigError


def compare(before: Path, after: Path) -> Changes:
    """Raises ConfigError where one of both is no result, or where they have no image in common."""
    first, second = _side(before), _side(after)
    return compared(first, second, tables.rows(before, READ), tables.rows(after, READ), _key)


def _side(folder: Path) -> Side:
    found = identity.read(folder)
    if found is None:
        raise ConfigError(f"{folder} holds no results of edge-archive inspect")

    def picture(inspection_id: str) -> bytes | None:
        try:
            return (folder / PICTURES / f"{inspection_id}.webp").read_bytes()
        except OSError:
            return None

    return Side(folder.resolve().name, str(folder), found.models, found.settings_sha256, picture)


def _key(row: Row) -> tuple[str, int]:
    return str(row["path"]), row["page"] or 0
