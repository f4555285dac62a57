"""A state folder in; out comes what is in quarantine, and requests to have it inspected again: what `edge-review` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.commands.finding import several
from edge.config import CommandSettings
from edge.errors import ConfigError
from edge.journal import Journal, Quarantined, problems, requests
from edge.service import health
from edge.service.worker import printable
from edge.wire.encode import display_path, timestamp

SCHEMA = "edge.quarantine/1"


def list_quarantine(state: Path, *, as_json: bool) -> int:
    """Print the images that were given up, the newest first, then the suspects. Raises StateError."""
    with Journal.view(state) as journal:
        images, suspects = journal.quarantine.images(), journal.quarantine.suspects()
    asked = _asked(state)
    if as_json:
        print(
            json.dumps(
                {
                    "schema": SCHEMA,
                    "quarantine": [_document(image, image.verdict_id in asked) for image in images],
                    "suspects": [{**one._asdict(), "path": display_path(one.path)} for one in suspects],
                }
            )
        )
        return 0
    for image in images:
        again = "  (asked to be inspected again)" if image.verdict_id in asked else ""
        print(f"{_local(image.ts)}  {image.code:<14} {printable(image.path)}{again}")
        deaths = f", of which {image.deaths} killed its process" if image.deaths else ""
        tries = f"revision {image.revision}, run {image.run}, {several(image.attempts, 'attempt')}{deaths}"
        print(f"{'':18}{tries}: {image.message}")
    for suspect in suspects:
        print(f"{'':16}  {'suspect':<14} {printable(suspect.path)}")
        tries = several(suspect.attempts, "attempt")
        print(f"{'':18}{tries} not finished: it is tried in a process of its own, behind new images")
    print(f"{len(images)} in quarantine, {several(len(suspects), 'suspect')}", file=sys.stderr)
    return 0


def retry(state: Path, settings: CommandSettings, wanted: Sequence[str], *, code: str | None = None) -> int:
    """Ask for images in quarantine to be inspected again, as a new run; 1 when one that was named is not there.

    wanted: paths below the watched folder, as `list_quarantine` shows them, or full paths; none: all.
    code: only those that failed with it.
    Raises StateError when the folder cannot be read or written, ConfigError for a code that nothing failed with.
    """
    with Journal.view(state) as journal:
        images = journal.quarantine.images()
    if code is not None:
        known = sorted({image.code for image in images})
        images = [image for image in images if image.code == code]
        if not images:
            raise ConfigError(f"nothing in quarantine has the code {code!r}; what is there has: {', '.join(known) or 'none'}")
    missing = []
    if wanted:
        found = {name: _named(name, images, settings.watch.folder) for name in wanted}
        missing = [name for name, image in found.items() if image is None]
        images = list(dict.fromkeys(image for image in found.values() if image is not None))
    for name in missing:
        print(f"edge-review: {printable(name)} is not in quarantine: edge-review list shows what is", file=sys.stderr)
    if images:
        requests.leave(state, [image.verdict_id for image in images])
    for image in images:
        print(printable(image.path))
    told = problems.read(state)
    when = "within seconds" if told is not None and told.alive else "at its next start: it does not run now"
    print(f"{len(images)} to be inspected again; the service takes them {when}", file=sys.stderr)
    return 1 if missing else 0


def _named(name: str, images: Sequence[Quarantined], folder: Path | None) -> Quarantined | None:
    """The image that a person means: by its path, by how that is shown, or by where the file lies."""
    for image in images:
        if name in (image.path, display_path(image.path), printable(image.path)):
            return image
        if folder is not None and Path(name).absolute() == folder.absolute() / image.path:
            return image
    return None


def _asked(state: Path) -> set[str]:
    """Verdict ids that requests name which the service has not taken up yet."""
    ids: set[str] = set()
    for file in requests.waiting(state):
        try:
            ids.update(requests.read(file))
        except (OSError, ValueError):  # it was taken up just now, or is none: the service says so
            continue
    return ids


def _document(image: Quarantined, asked: bool) -> dict[str, Any]:
    return {
        **image._asdict(),
        "path": display_path(image.path),
        "ts": timestamp(health.utc(image.ts)),
        "asked": asked,
    }


def _local(moment: float) -> str:
    return health.utc(moment).astimezone().strftime("%Y-%m-%d %H:%M")
