"""Reviews that were handed over in; rows of the journal, and lossless copies of the reviewed images, out.

The copies stand in `reviewed/SHA256/` of the state folder under the files' own names, sidecars beside them. They are never
pruned, so that teaching can be repeated when the export folder was cleaned.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import asdict
from pathlib import Path

from edge.config import Settings
from edge.errors import ImageError, ReviewError
from edge.folder.file import read_file
from edge.journal import Journal
from edge.teach.reviews import Review, parse_review
from edge.whole_file import write_whole
from edge.wire.review import encode_review

INSPECTION = ".inspection.json"

log = logging.getLogger(__name__)


def take(journal: Journal, settings: Settings, line: bytes, where: str) -> bool:
    """Store one review and keep its image; whether it was new. where: what the log calls its file.

    Raises ReviewError where it is none, or its id is stored with other content; StateFullError on a full disk.
    """
    review = parse_review(line, where)
    reviewer = review.reviewer if settings.web.publish_reviewer else journal.reviews.pseudonym(review.reviewer)
    try:
        number = journal.reviews.add(
            review.review_id,
            review.image.sha256,
            line,
            lambda seq: encode_review(asdict(review), review_seq=seq, reviewer=reviewer, device=settings.device),
        )
    except ValueError as error:
        raise ReviewError(f"{where}: {error}") from error
    if not settings.mqtt.host:
        journal.outbox.settle()
    if (problem := keep_image(journal, settings, review)) is not None:
        log.warning("review %.100r is stored without its image: %s", review.review_id, problem)
    return number is not None


def keep_image(journal: Journal, settings: Settings, review: Review) -> str | None:
    """Copy the reviewed file, its sidecars and the inspection that was reviewed into the state folder.

    Returns why that was not possible, None when they are there. The image is copied once, each reviewed inspection too.
    """
    place = journal.folder / "reviewed" / review.image.sha256
    try:
        if kept_image(journal.folder, review.image.sha256) is None:
            problem = _copy_image(journal, settings, review.image.sha256, place)
            if problem is not None:
                return problem
        name = f"{review.inspection_id}{INSPECTION}"
        if review.inspection_id and not (place / name).exists():
            told = journal.reviews.inspection(review.inspection_id)
            if told is not None:
                write_whole(place / name, told, mode=0o644)
    except OSError as error:
        return f"it cannot be copied into {place}: {error.strerror or error}"
    return None


def _copy_image(journal: Journal, settings: Settings, sha256: str, place: Path) -> str | None:
    """Why the file cannot be copied. Raises OSError."""
    folder, found = settings.watch.folder, journal.reviews.path_of(sha256)
    if found is None:
        return f"no image whose hash begins {sha256[:12]} was inspected last under its name: it was changed, or never was here"
    path = os.fsdecode(found)
    try:
        file = read_file(folder / path, int(settings.inspect.max_file_mib * (1 << 20)), within=folder)
    except ImageError as error:
        return f"{path!r} {error.message}"
    if file.sha256 != sha256:
        return f"{path!r} was changed since it was reviewed"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, data in (*file.sidecars.items(), (Path(path).name, file.data)):  # the image last: then all is there
        write_whole(place / name, data, mode=0o644)
    return None


def kept_image(state: Path, sha256: str) -> Path | None:
    """The copy whose bytes have this hash, None where there is none."""
    try:
        files = sorted(path for path in (state / "reviewed" / sha256).iterdir() if path.suffix != ".tmp")
    except OSError:
        return None
    return next((path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() == sha256), None)
