"""The folder of images and what is done of it in; what is left to do out, and what changed between two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.archive import tables
from edge.config import CommandSettings
from edge.errors import ConfigError
from edge.folder.scan import FolderGone, scan
from edge.wire.encode import display_path, verdict_id


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at the folder found. files: names below it, raw, with their time of modification in ns, sorted.

    denied: what could not be looked at, each with the reason.
    """

    files: tuple[tuple[str, int], ...]
    denied: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Left:
    """What is to be done. changed: files that were written after they were inspected.  gone: verdicts without a file."""

    paths: Sequence[str]
    changed: int = 0
    gone: int = 0


def require_apart(source: Path, out: Path) -> None:
    """Raises ConfigError where one lies in the other: the pictures of the results would be taken for images."""
    images, results = source.resolve(), out.resolve()
    if results.is_relative_to(images) or images.is_relative_to(results):
        raise ConfigError(f"--out {out} and {source} lie one in the other: name a folder for the results beside the images")


def listed(source: Path, settings: CommandSettings) -> Listing:
    """Every image below `source`. Raises ConfigError where it cannot be listed or holds none."""
    if not source.is_dir():
        raise ConfigError(f"{source} is no folder")
    denied: dict[str, str] = {}
    try:
        found = scan(source, settings.watch.patterns, settings.watch.recursive, denied=denied)
        files = sorted((sighting.path, sighting.mtime_ns) for sighting in found if sighting.kind != "not_a_file")
    except FolderGone as error:
        raise ConfigError(f"{source} cannot be listed: {error.__cause__ or error}") from error
    if not files:
        raise ConfigError(f"no image below {source}: it is looked through for {', '.join(settings.watch.patterns)}")
    return Listing(tuple(files), denied)


def left_of(listing: Listing, out: Path, epoch: str) -> Left:
    """What has no verdict in `out` yet. Raises ConfigError for a table that cannot be read."""
    done = tables.done(out)
    shown = Counter(display_path(path) for path, _ in listing.files)
    alike = {name for name, count in shown.items() if count > 1}
    ids = _ids(out, alike) if alike else {}
    left: list[str] = []
    changed = 0
    for path, mtime_ns in listing.files:
        name = display_path(path)
        is_done = any(_is_of(path, epoch, *one) for one in ids.get(name, ())) if name in alike else name in done
        if not is_done:
            left.append(path)
        elif mtime_ns > done[name]:
            changed += 1
    return Left(left, changed, sum(name not in shown for name in done))


def _ids(out: Path, alike: Collection[str]) -> dict[str, list[tuple[str, int]]]:
    """Id and page of the verdicts on files that are shown alike: bytes that are no UTF-8, and a name that spells them."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in tables.rows(out, ("path", "inspection_id", "page")):
        if row["path"] in alike:
            found.setdefault(row["path"], []).append((row["inspection_id"], row["page"] or 0))
    return found


def _is_of(path: str, epoch: str, identity: str, page: int) -> bool:
    return identity in (verdict_id(epoch, path, 1, 1, page=page), verdict_id(epoch, path, 1, 1, kind="failure"))
