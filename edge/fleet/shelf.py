"""A state folder in; the releases that lie in it out, with the one in use, the one before it and the one that is tried.

    STATE/models/shelf.json     which release is which, written whole
    STATE/models/<id>/          a release: fetched, checked, tried, and put there whole by a rename
    STATE/models/.fetch-<id>/   what was fetched so far; nothing of it is used
    STATE/models/.gone-<id>/    what was on its way out when the power went

No release means the models of the configuration. Several threads and processes may hold a shelf of one folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.config import AnySettings, CommandSettings
from edge.errors import ModelError
from edge.fleet.release import SHORT, Release, ReleaseId, release_in
from edge.whole_file import FOLDERS_OPEN, own_folder, write_whole

AllSettings = TypeVar("AllSettings", bound=CommandSettings)

MOST_KEPT: Final = 4
"""Releases that stay on the shelf: the three that have a name, and others, the newest first."""
MOST_TRIES: Final = 3
"""So often models that a switch brought may end the process while they are opened; then they are left."""
MOST_LEFT: Final = 32
"""Releases that are remembered because a person left them."""
_MOST_BYTES: Final = 64 << 10


class Standing(BaseModel):
    """Which release is which; None: the models of the configuration, for a candidate: none.

    previous: what was in use before, where `can_go_back` holds.  left: when those were signed that a person rolled back or
    dropped: an announcement of them counts again once they are signed anew.  newest: of all that were candidates.
    why_back: why the release that was left last was left by itself, empty where a person did it, or knows of it.
    unproven_tries: how often the models in use were opened since the switch, None once they have inspected something.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["edge.shelf/1"] = Field("edge.shelf/1", alias="schema")
    active: ReleaseId | None = None
    previous: ReleaseId | None = None
    can_go_back: bool = False
    candidate: ReleaseId | None = None
    newest_signed_at: int = 0
    left: dict[ReleaseId, int] = {}
    why_back: str = Field("", max_length=1000)
    unproven_tries: int | None = None


class Shelf:
    """The releases of one box."""

    def __init__(self, state: Path) -> None:
        """Touches nothing. state: the service's state folder."""
        self._state = state
        self.folder = state / "models"
        self._mutex = threading.RLock()
        self._held = False

    def standing(self) -> Standing:
        """Which release is which. Raises ModelError where that cannot be read."""
        path = self.folder / "shelf.json"
        try:
            with path.open("rb") as stream:
                return Standing.model_validate_json(stream.read(_MOST_BYTES))
        except FileNotFoundError:
            return Standing()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            raise ModelError(
                f"which models are in use cannot be read from {path}: {reason}; remove it, and switch again"
            ) from error

    def active(self) -> Release | None:
        """The release in use; None: the configuration's models. Raises ModelError where it is damaged or gone."""
        return self._named(self.standing().active)

    def previous(self) -> Release | None:
        """What `rollback` goes back to. Raises as `active`."""
        return self._named(self.standing().previous)

    def candidate(self) -> Release | None:
        """The release that is checked and waits for a person's word. Raises as `active`."""
        return self._named(self.standing().candidate)

    def settings_in_use(self, settings: AnySettings) -> AnySettings:
        """The settings with the models of the active release, where there is one. Raises ModelError. See `in_use`."""
        active = self.active()
        return settings if active is None else active.in_place_of(settings)

    def releases(self) -> tuple[str, ...]:
        """Ids of all that lie here, the newest first."""
        try:
            found = [entry for entry in os.scandir(self.folder) if re.fullmatch("[0-9a-f]{64}", entry.name)]
            return tuple(entry.name for entry in sorted(found, key=lambda entry: -entry.stat().st_mtime_ns))
        except OSError:
            return ()

    def get(self, release_id: str) -> Release:
        """A release that lies here. Raises ModelError."""
        if release_id not in self.releases():
            raise ModelError(f"no checked release {release_id[:SHORT]} lies here: see `edge-models list`")
        return release_in(self.folder / release_id, release_id)

    def full_id(self, typed: str) -> str:
        """The id that begins with what a person typed. Raises ValueError where none does, or several."""
        found = [one for one in self.releases() if typed and one.startswith(typed.lower())]
        if len(found) != 1:
            raise ValueError(f"{'several releases begin' if found else 'no release here begins'} with {typed!r}")
        return found[0]

    def incoming(self, release_id: str) -> Path:
        """The folder in which a release is gathered, made; what else was being fetched is thrown away. Raises OSError."""
        with self._changing():
            place = self.folder / f".fetch-{release_id}"
            for other in self.folder.glob(".fetch-*"):
                if other != place:
                    shutil.rmtree(other, ignore_errors=True)
            return own_folder(place, self._state)

    def add(self, incoming: Path, release_id: str) -> Release:
        """Put what was fetched, checked and tried on the shelf, and make it the candidate. Raises ModelError, OSError.

        incoming: a folder made by `incoming`, which is taken away by it.
        """
        release_in(incoming, release_id)
        with self._changing():
            place = self.folder / release_id
            for path in incoming.iterdir():
                _sync(path)
            _sync(incoming)
            if place.exists():  # damaged, else it would not have been fetched
                self._throw_away(release_id)
            incoming.replace(place)
            _sync(self.folder)
            return self.offer(release_id)

    def offer(self, release_id: str) -> Release:
        """Make a release that lies here the candidate. Raises ModelError, OSError."""
        with self._changing():
            release, now = self.get(release_id), self.standing()
            left = {one: at for one, at in now.left.items() if one != release_id}
            newest = max(now.newest_signed_at, release.signed_at)
            candidate = None if now.active == release_id else release_id
            self._write(now.model_copy(update={"candidate": candidate, "left": left, "newest_signed_at": newest}))
            return release

    def withdraw(self) -> None:
        """There is no candidate any more; one may be announced again. Raises ModelError, OSError."""
        with self._changing():
            now = self.standing()
            if now.candidate is not None:
                self._write(now.model_copy(update={"candidate": None}))

    def switch(self, release_id: str) -> Standing:
        """Use this release from the next opening of the models on. Raises ModelError where it does not lie here, OSError.

        The same again, as when a command is delivered twice, changes nothing.
        """
        with self._changing():
            release, now = self.get(release_id), self.standing()
            if now.active == release_id:
                return now
            return self._write(
                now.model_copy(
                    update={
                        "active": release_id,
                        "previous": now.active,
                        "can_go_back": True,
                        "candidate": None if now.candidate == release_id else now.candidate,
                        "left": {one: at for one, at in now.left.items() if one != release_id},
                        "newest_signed_at": max(now.newest_signed_at, release.signed_at),
                        "why_back": "",
                        "unproven_tries": 0,
                    }
                )
            )

    def rollback(self, release_id: str = "", *, why: str = "") -> Standing:
        """Go back to what was in use before. Raises ValueError where nothing was, ModelError, OSError.

        release_id: the one to be left, empty for whichever is in use; where it is not in use any more nothing changes.
        why: what made the service do so by itself.
        """
        with self._changing():
            now = self.standing()
            if release_id and now.active != release_id:
                if release_id in now.left:
                    return now
                raise ValueError(f"release {release_id[:SHORT]} is not in use, so it cannot be rolled back")
            if now.active is None or not now.can_go_back:
                raise ValueError("there is nothing to go back to: no release was switched to, or it was rolled back already")
            left = self._left(now, now.active)
            update = {"active": now.previous, "previous": None, "can_go_back": False, "left": left}
            return self._write(now.model_copy(update={**update, "why_back": why[:1000], "unproven_tries": None}))

    def begin_try(self) -> None:
        """The models in use are about to be opened; counted until `prove`.

        Raises ValueError when that ended the process often; ModelError, OSError.
        """
        now = self.standing()
        if now.unproven_tries is None:
            return
        if now.unproven_tries >= MOST_TRIES:
            raise ValueError(f"its models ended the service {now.unproven_tries} times while they were opened")
        with self._changing():
            self._write(now.model_copy(update={"unproven_tries": now.unproven_tries + 1}))

    def prove(self) -> None:
        """The models in use have inspected an image. Raises ModelError, OSError."""
        with self._changing():
            now = self.standing()
            if now.unproven_tries is not None:
                self._write(now.model_copy(update={"unproven_tries": None}))

    def drop(self, release_id: str) -> Standing:
        """Forget a candidate, or another release that is not in use; the same again changes nothing.

        Raises ValueError for what is in use or was before, or was never here; ModelError, OSError.
        """
        with self._changing():
            now = self.standing()
            if release_id in (now.active, now.previous):
                which = "in use" if release_id == now.active else "what a rollback goes back to"
                raise ValueError(f"release {release_id[:SHORT]} is {which}, so it is not dropped: switch or roll back first")
            if release_id not in self.releases():
                if release_id in now.left:
                    return self._write(now.model_copy(update={"why_back": ""})) if now.why_back else now
                raise ValueError(f"no release {release_id[:SHORT]} lies here: see `edge-models list`")
            candidate = None if now.candidate == release_id else now.candidate
            left = self._left(now, release_id)
            standing = self._write(now.model_copy(update={"candidate": candidate, "left": left, "why_back": ""}))
            self._throw_away(release_id)
            return standing

    def _left(self, now: Standing, release_id: str) -> dict[str, int]:
        try:
            at = self.get(release_id).signed_at
        except ModelError:  # damaged: no older signature than the newest counts anyway
            at = now.newest_signed_at
        others = [(one, when) for one, when in now.left.items() if one != release_id]
        return dict([*others, (release_id, at)][-MOST_LEFT:])

    def _named(self, release_id: str | None) -> Release | None:
        return None if release_id is None else self.get(release_id)

    def _write(self, standing: Standing) -> Standing:
        """Remember it, whole or not at all; then what nobody needs any more goes. Raises OSError."""
        write_whole(self.folder / "shelf.json", (standing.model_dump_json(by_alias=True) + "\n").encode(), owner_of=self._state)
        named = {standing.active, standing.previous, standing.candidate}
        spare = [one for one in self.releases() if one not in named]
        for one in spare[max(0, MOST_KEPT - len(named - {None})) :]:
            self._throw_away(one)
        for rest in self.folder.glob(".gone-*"):
            shutil.rmtree(rest, ignore_errors=True)
        return standing

    def _throw_away(self, release_id: str) -> None:
        """Never leaves half a release under its name."""
        gone = self.folder / f".gone-{release_id}"
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / release_id).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One change at a time, of all threads and processes. Raises OSError."""
        with self._mutex:
            own_folder(self.folder, self._state)
            if not FOLDERS_OPEN or self._held:
                yield
                return
            import fcntl

            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._held = True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                self._held = False
                os.close(descriptor)


def in_use(settings: AllSettings) -> AllSettings:
    """The settings with the models that the service runs: those of a release, where the fleet brought one.

    Without `fleet.source` the configuration's, whatever lies on the shelf. Raises ModelError where the release is damaged.
    """
    return Shelf(settings.state.folder).settings_in_use(settings) if settings.fleet.source else settings


def _sync(path: Path) -> None:
    """Make a file or a folder outlive a power cut. Raises OSError."""
    if path.is_dir() and not FOLDERS_OPEN:
        return
    descriptor = os.open(path, os.O_RDONLY | (0 if not FOLDERS_OPEN else os.O_CLOEXEC | os.O_NOFOLLOW))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
