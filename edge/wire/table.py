"""Settings in, opened channels out: the one table of wire formats beside the contract's JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.config import Settings
from edge.errors import ConfigError
from edge.wire.channel import Channel
from edge.wire.home_assistant import HomeAssistant


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One wire format. wanted: whether the settings ask for it.  open: the channel for one life of the daemon."""

    name: str
    wanted: Callable[[Settings], bool]
    open: Callable[[Settings], Channel]


def _sparkplug(settings: Settings) -> Channel:
    try:
        from edge.wire.sparkplug import Sparkplug
    except ModuleNotFoundError as error:
        raise ConfigError("mqtt.sparkplug needs the extra sparkplug: pip install 'sem-corrosion-edge[sparkplug]'") from error
    return Sparkplug(settings)


CHANNELS: Final[tuple[ChannelRow, ...]] = (
    ChannelRow("homeassistant", wanted=lambda settings: settings.mqtt.home_assistant, open=HomeAssistant),
    ChannelRow("sparkplug", wanted=lambda settings: settings.mqtt.sparkplug, open=_sparkplug),
)
"""Every format beside the contract's JSON, which is always there; see docs/develop/add-a-wire-format.md."""
