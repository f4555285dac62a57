"""A message on one of the contract's command topics in, the answer that is to be published out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from edge.config import DeviceSettings
from edge.errors import EdgeError
from edge.mqtt.connection import Received
from edge.mqtt.session import Transient
from edge.wire.channel import Publication
from edge.wire.command import decode_command, encode_response

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """Checks commands, has them carried out and answers them; in the publisher's thread alone.

    carry_out: gets the name and the checked fields. What it returns is the answer's `result`; an `EdgeError` or ValueError
        that it raises is the answer's `error`.
    """

    prefix: str
    device: DeviceSettings
    carry_out: Callable[[str, dict[str, Any]], Mapping[str, Any] | None]

    @property
    def topics(self) -> str:
        """What to subscribe to."""
        return f"{self.prefix}/command/+"

    def answer(self, asked: Received) -> Transient | None:
        """Obey and answer; None for what is not to be answered."""
        below = f"{self.prefix}/command/"
        name = asked.topic.removeprefix(below)
        if not asked.topic.startswith(below) or not name or "/" in name:
            return None
        if asked.retained:
            log.warning("a retained message on %s is ignored: it would be obeyed at every start", asked.topic)
            return None
        request_id: str | None = None
        result, error = None, None
        try:
            request_id, fields = decode_command(name, asked.payload)
            result = self.carry_out(name, fields)
        except (EdgeError, ValueError) as problem:
            error = str(problem)
        except Exception as problem:
            log.exception("command %s failed", name)
            error = f"internal error: {type(problem).__name__}; see the log"
        own = f"{self.prefix}/command/{name}/response"
        wanted = asked.response_topic
        payload = encode_response(
            command=name,
            request_id=request_id,
            error=error,
            result=result,
            device=self.device,
            at=datetime.now(timezone.utc),
        )
        topic = wanted if wanted is not None and may_answer_to(wanted, self.prefix) else own
        return Transient("response", Publication(topic, payload), asked.correlation)


def may_answer_to(topic: str, prefix: str) -> bool:
    """Anywhere but below our own prefix, where an answer could pass for a command or a verdict."""
    return bool(topic) and not {"+", "#"} & set(topic) and not topic.startswith(f"{prefix}/")
