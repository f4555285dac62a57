"""Drawn overlays in, files beside the database out, which the outbox refers to by name."""

from __future__ import annotations

import contextlib
import os

from edge.journal import disk
from edge.journal.database import Database
from edge.journal.records import Undrawn
from edge.whole_file import write_whole


class Pictures:
    """The files that wait to be sent or are kept. Errors and threads: see `Journal`.

    folder: where they lie; a picture that a row names is there once it is drawn.
    """

    def __init__(self, database: Database) -> None:
        """Touches nothing."""
        self.folder = database.folder / "pictures"
        self._database = database

    def write(self, name: str, data: bytes) -> None:
        """Store a file in the pictures folder, whole or not at all, readable for this user alone.

        name: a plain file name. Raises StateFullError when the disk is full. One that no message names is removed at the
        next opening.
        """
        if "/" in name or name.startswith(".") or not name:
            raise ValueError(f"{name!r} is no plain file name")
        with disk.translated_os_errors(self._database.folder):
            write_whole(self.folder / name, data)

    def undrawn(self) -> list[Undrawn]:
        """Overlays that wait to be sent and whose pictures are not there, in order of id."""
        rows = self._database.read(
            "SELECT id, picture FROM outbox WHERE state = 'unsent' AND channel = '' AND picture IS NOT NULL ORDER BY id"
        )
        with disk.translated_os_errors(self._database.folder):
            missing = [row for row, picture in rows if not (self.folder / picture).exists()]
        found = []
        for row in missing:  # few; the verdicts of all that wait for a broker would not fit into memory
            ((picture, tries, path, verdict),) = self._database.read(
                "SELECT overlay.picture, overlay.tries, image.path, its_verdict.payload FROM outbox AS overlay"
                " JOIN verdict USING (epoch, seq) JOIN image ON image.id = verdict.image JOIN outbox AS its_verdict"
                " ON its_verdict.epoch = overlay.epoch AND its_verdict.seq = overlay.seq AND its_verdict.role = 'verdict'"
                " WHERE overlay.id = ?",
                row,
            )
            found.append(Undrawn(row, picture, tries, os.fsdecode(path), verdict))
        return found

    def count_try(self, id: int) -> None:  # noqa: A002 - the row's own name
        """Count, durably, that drawing the picture of this row is begun, before anything risky touches the image."""
        self._database.write_each("UPDATE outbox SET tries = tries + 1 WHERE id = ? AND state = 'unsent'", [id])

    def sizes(self) -> dict[str, int]:
        """The bytes of each file by name, unfinished ones included."""
        sizes: dict[str, int] = {}
        with disk.translated_os_errors(self._database.folder), os.scandir(self.folder) as listing:
            for entry in listing:
                with contextlib.suppress(FileNotFoundError):  # renamed or removed meanwhile
                    sizes[entry.name] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def count(self) -> int:
        """Without asking for each one's size: this is called every few seconds, and there may be a hundred thousand."""
        with disk.translated_os_errors(self._database.folder), os.scandir(self.folder) as listing:
            return sum(1 for _ in listing)

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        with disk.translated_os_errors(self._database.folder):
            (self.folder / name).unlink(missing_ok=True)

    def remove_orphans(self) -> None:
        """A picture whose row was forgotten just before the power went is still there."""
        named = {name for (name,) in self._database.read("SELECT picture FROM outbox WHERE picture IS NOT NULL")}
        for name in self.sizes().keys() - named:
            self.remove(name)
