"""A channel for tests."""

from __future__ import annotations

from collections.abc import Sequence

from edge.wire.channel import Channel, Numbered, Publication


class Echo(Channel):
    """A channel that says the number of each verdict twice: once for the moment, once to be kept."""

    def __init__(self, name: str = "echo") -> None:
        self.name = name

    def on_verdict(self, numbered: Numbered) -> Sequence[Publication]:
        payload = f"{numbered.verdict_id} {numbered.epoch} {numbered.seq}".encode()
        return Publication(f"{self.name}/now", payload), Publication(f"{self.name}/last", payload, retain=True)
