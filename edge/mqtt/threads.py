"""What other threads ask of a publisher's thread in, what that thread lets them see of its connection out."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Final

log = logging.getLogger(__name__)


class ThreadSignals:
    """Wake-ups and the request to stop, from any thread to the publisher's.

    stopping: set once, by any thread.
    receiver: readable after a wake-up, so that one `select` waits for it and the network; read by the publisher's thread.
    """

    def __init__(self) -> None:
        self.stopping: Final = threading.Event()
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)
        self._give_up_at = 0.0  # written before `stopping` is set, read after: the event is what protects it

    def wake(self) -> None:
        """The outbox, or something else that is to be published, has changed. Any thread, at any time."""
        with suppress(OSError):  # already awake, or already closed
            self._sender.send(b"!")

    def stop(self, within_s: float) -> None:
        """Ask the publisher's thread to end, and give it so long to say goodbye. Any thread."""
        self._give_up_at = time.monotonic() + within_s
        self.stopping.set()
        self.wake()

    @property
    def give_up_at(self) -> float:
        """When the thread must have ended, in the time of `time.monotonic`; 0 before `stop`."""
        return self._give_up_at

    def take_wake(self) -> bool:
        """Whether there was a wake-up since the last call. The publisher's thread alone."""
        try:
            return bool(self.receiver.recv(4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Give the sockets back, after the publisher's thread has ended."""
        self.receiver.close()
        self._sender.close()


class Connectivity:
    """Whether a connection stands, since when, and what is wrong.

    Written by the publisher's thread alone. Any thread reads: the three values are replaced at once, as one tuple.
    """

    def __init__(self, name: str, on_error: Callable[[str | None], None] = lambda _: None) -> None:
        """name: how the log calls the connection.  on_error: gets every other `last_error`, in the publisher's thread."""
        self._name, self._on_error = name, on_error
        self._now: tuple[bool, datetime, str | None] = (False, _utc(), None)

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us in and the connection stands."""
        return self._now[0]

    @property
    def since(self) -> datetime:
        """When `connected` last changed, in UTC."""
        return self._now[1]

    @property
    def last_error(self) -> str | None:
        """Why there is no connection, or what the broker refused last; None when all is well."""
        return self._now[2]

    def report(self, *, connected: bool | None = None, error: str | None = None) -> None:
        """Set what the properties tell. connected: None leaves it.  error: None says that all is well."""
        was, since, last_error = self._now
        now = was if connected is None else connected
        if error is not None and error != last_error:
            log.warning("%s: %s", self._name, error)
        self._now = (now, since if now == was else _utc(), error)
        if error != last_error:
            self._on_error(error)


def _utc() -> datetime:
    return datetime.now(timezone.utc)
