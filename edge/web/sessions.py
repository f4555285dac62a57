"""Logins in, who asks out: sessions in memory, and how often a password may be tried."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from edge.errors import ConfigError
from edge.web.users import User, load, verified

LONGEST_S: Final = 12 * 3600.0
MOST: Final = 1000
MOST_WAITING: Final = 4
"""Logins that wait for each other; more would take the threads that others read with."""
FREE_TRIES: Final = 5
LONGEST_WAIT_S: Final = 900.0
FORGOTTEN_S: Final = 3600.0


class Session(NamedTuple):
    """One login. csrf: what every change must bring with it."""

    user: str
    csrf: str
    until: float


class TooOftenError(Exception):
    """A password was tried too often. wait_s: until the next try is looked at."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many wrong passwords: try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class Sessions:
    """Who is logged in. Thread-safe. A user who is taken out of the file, or gets another password, is out at once.

    users_file: None where nobody logs in, and all who reach the page may read.
    """

    def __init__(self, users_file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError for a users file that cannot be used."""
        self._file, self._clock = users_file, clock
        self._mutex = threading.RLock()
        self._one_password = threading.Lock()  # each costs 32 MiB for a tenth of a second
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._sessions: OrderedDict[str, tuple[Session, str]] = OrderedDict()
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._users: dict[str, User] = {}
        self._stamp: tuple[int, int] | None = None
        if users_file is not None:
            self._users = load(users_file)

    @property
    def needed(self) -> bool:
        """Whether reading needs a login."""
        return self._file is not None

    def log_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        """A new session with its token, None for a wrong name or password. Raises TooOftenError."""
        keys = (f"name {name[:64]}", f"address {address}")
        user = self._tried(keys, name, password)
        if user is None:
            return None
        with self._mutex:
            self._tries.pop(keys[0], None)
            token = secrets.token_urlsafe(32)
            session = Session(user.name, secrets.token_urlsafe(32), self._clock() + LONGEST_S)
            self._sessions[_hash(token)] = (session, user.password)
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return token, session

    def _tried(self, keys: tuple[str, ...], name: str, password: str) -> User | None:
        """One try after the other: those that come at once are counted as those that come singly."""
        self._require_patience(keys)
        if not self._waiting.acquire(blocking=False):
            raise TooOftenError(1.0)
        try:
            with self._one_password:
                self._require_patience(keys)
                with self._mutex:
                    users = self._current()
                user = verified(users, name, password)
                if user is None:
                    with self._mutex:
                        for key in keys:
                            self._count(key)
                return user
        finally:
            self._waiting.release()

    def _require_patience(self, keys: tuple[str, ...]) -> None:
        with self._mutex:
            wait_s = max(self._waits_s(key) for key in keys)
        if wait_s > 0:
            raise TooOftenError(wait_s)

    def log_out(self, token: str) -> None:
        """Forget a session."""
        with self._mutex:
            self._sessions.pop(_hash(token), None)

    def who(self, token: str | None) -> tuple[User, Session] | None:
        """The user of a session, None where it is none any more."""
        if not token or self._file is None:
            return None
        with self._mutex:
            session, password = self._sessions.get(_hash(token), (None, ""))
            if session is None or session.until < self._clock():
                return None
            user = self._current().get(session.user)
            if user is None or user.password != password:
                return None
            return user, session

    def _current(self) -> dict[str, User]:
        """The users as the file has them now; one that cannot be read lets nobody in."""
        assert self._file is not None
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._users, self._stamp = load(self._file), stamp
        except (OSError, ConfigError):
            self._users, self._stamp = {}, None
        return self._users

    def _waits_s(self, key: str) -> float:
        count, at = self._tries.get(key, (0, 0.0))
        if count < FREE_TRIES:
            return 0.0
        return at + min(2.0 ** (count - FREE_TRIES + 1), LONGEST_WAIT_S) - self._clock()

    def _count(self, key: str) -> None:
        count, at = self._tries.pop(key, (0, 0.0))
        now = self._clock()
        self._tries[key] = (1 if now - at > FORGOTTEN_S else count + 1, now)
        while len(self._tries) > 10 * MOST:
            self._tries.popitem(last=False)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
