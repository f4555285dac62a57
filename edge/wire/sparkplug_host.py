"""STATE messages of a Sparkplug host application in, whether the primary host is online out (5.4 of the specification)."""

from __future__ import annotations

import json
import logging
import math

log = logging.getLogger(__name__)


class PrimaryHost:
    """One host application, for all connections. A STATE that is older than the last one that counted does not count."""

    def __init__(self, name: str) -> None:
        """name: its host id, the last level of its STATE topic."""
        self.name, self.topic = name, f"spBv1.0/STATE/{name}"
        self.online = False
        self._newest: float | None = None

    def connecting(self) -> None:
        """On a new connection nothing is known before its STATE has come."""
        self.online = False

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message in; what is no STATE of this host, or no longer true, changes nothing."""
        if topic != self.topic:
            return
        try:
            said = json.loads(payload)
            online, at_ms = said["online"], said["timestamp"]
            number = isinstance(at_ms, int | float) and not isinstance(at_ms, bool) and math.isfinite(at_ms)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            number, online = False, None
        if not isinstance(online, bool) or not number:
            log.warning("%s says neither online nor offline: %r", self.topic, payload[:100])
            return
        if self._newest is not None and at_ms < self._newest:
            log.warning("%s is older than what was heard before, and ignored: is the clock of %s right?", self.topic, self.name)
            return
        self._newest, self.online = at_ms, online
