"""A channel for tests."""

from __future__ import annotations

from collections.abc import Sequence

from edge.wire.channel import Numbered, Publication


class Echo:
    """A channel that says the number of each verdict twice: once for the moment, once to be kept."""

    def __init__(self, name: str = "echo") -> None:
        self.name = name

    def will(self) -> Publication | None:
        return None

    def announce(self) -> Sequence[Publication]:
        return ()

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        payload = f"{numbered.verdict_id} {numbered.epoch} {numbered.seq}".encode()
        return Publication(f"{self.name}/now", payload), Publication(f"{self.name}/last", payload, retain=True)

    def subscriptions(self) -> Sequence[str]:
        return ()

    def on_message(self, topic: str, payload: bytes) -> Sequence[Publication]:
        return ()
