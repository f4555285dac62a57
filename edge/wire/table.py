"""Settings in, opened channels out: the one table of wire formats beside the contract's JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import Settings
from edge.wire.channel import Channel
from edge.wire.home_assistant import HomeAssistant


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One wire format. wanted: whether the settings ask for it.  open: the channel for one life of the daemon."""

    name: str
    wanted: Callable[[Settings], bool]
    open: Callable[[Settings], Channel]


CHANNELS: Final[tuple[ChannelRow, ...]] = (
    ChannelRow("homeassistant", wanted=lambda settings: settings.mqtt.home_assistant, open=HomeAssistant),
)
"""Every format beside the contract's JSON, which is always there; see docs/develop/add-a-wire-format.md."""
