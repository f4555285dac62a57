"""Logins in, who asks out: sessions in memory, one password tried at a time."""

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
from edge.web.throttle import Count, Throttle
from edge.web.users import User, load, verified

LONGEST_S: Final = 12 * 3600.0
MOST: Final = 1000
MOST_WAITING: Final = 4
"""Logins that wait for each other, of strangers and of those who were here before; more would take the threads of readers."""


class Session(NamedTuple):
    """One login. csrf: what every change must bring with it."""

    user: str
    csrf: str
    until: float


class Login(NamedTuple):
    """What a browser gets. token: of its session.  browser: what it shows at its next login, to be known by."""

    token: str
    session: Session
    browser: str


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
        self._waiting = {known: threading.BoundedSemaphore(MOST_WAITING) for known in (False, True)}
        self._throttle = Throttle(clock)
        self._sessions: OrderedDict[str, tuple[Session, str]] = OrderedDict()
        self._users: dict[str, User] = {}
        self._stamp: tuple[int, int] | None = None
        if users_file is not None:
            self._users = load(users_file)

    @property
    def needed(self) -> bool:
        """Whether reading needs a login."""
        return self._file is not None

    def log_in(self, name: str, password: str, address: str, browser: str | None = None) -> Login | None:
        """A new session, None for a wrong name or password. Raises TooOftenError.

        browser: what this browser was given at an earlier login.
        """
        counts = self._throttle.counts(name, address, None if browser is None else _hash(browser))
        user = self._tried(counts, name, password)
        if user is None:
            return None
        given = secrets.token_urlsafe(32)
        self._throttle.right(name, address, counts, _hash(given))
        with self._mutex:
            token = secrets.token_urlsafe(32)
            session = Session(user.name, secrets.token_urlsafe(32), self._clock() + LONGEST_S)
            self._sessions[_hash(token)] = (session, user.password)
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return Login(token, session, given)

    def _tried(self, counts: tuple[Count, ...], name: str, password: str) -> User | None:
        """One try after the other: those that come at once are counted as those that come singly."""
        self._require_patience(counts)
        waiting = self._waiting[self._throttle.is_known(counts)]
        if not waiting.acquire(blocking=False):
            raise TooOftenError(1.0)
        try:
            with self._one_password:
                self._require_patience(counts)
                with self._mutex:
                    users = self._current()
                user = verified(users, name, password)
                if user is None:
                    self._throttle.wrong(counts)
                return user
        finally:
            waiting.release()

    def _require_patience(self, counts: tuple[Count, ...]) -> None:
        wait_s = self._throttle.wait_s(counts)
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


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
