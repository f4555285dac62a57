"""A message on one of the contract's command topics in, the answer that is to be published out.

One line of the log for each command, taken or refused. Who sent it is not in it: MQTT tells a subscriber only the topic,
and what the sender put into the message, its `request_id` and the MQTT 5 response topic.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from edge.config import DeviceSettings
from edge.errors import EdgeError
from edge.mqtt.bucket import Bucket
from edge.mqtt.connection import LARGEST_COMMAND, Received, is_topic, matches
from edge.mqtt.content import Transient
from edge.mqtt.replays import TOO_MANY, Replays
from edge.wire.channel import Publication
from edge.wire.command import decode_command, encode_response
from edge.wire.encode import shorten
from edge.wire.schema import TOPICS

log = logging.getLogger(__name__)

LONGEST_NAME: Final = 64
"""What has a longer name is no command of any version, and gets no answer: its topic would grow with the name."""
LONGEST_ERROR: Final = 500
"""Characters of an answer's `error`, which may repeat what was sent."""
AT_ONCE, PER_S = 50, 5.0
"""So many commands are taken at once, and so many a second after; replays have a bound of their own."""
REFUSALS_AT_ONCE, REFUSALS_PER_S = 20, 1.0
"""So many are told that they came too fast. What comes faster still gets no answer, and one line of the log for many."""
TOLD_EACH_S: Final = 10.0
_LONGEST_LOGGED: Final = 200
_SPOKEN: Final = frozenset(topic.address.partition("/")[0] for topic in TOPICS)


@dataclass(slots=True)
class Silent:
    """What was refused without an answer and a line of its own: counted, and told together now and then."""

    count: int = 0
    told_at: float = float("-inf")
    clock: Callable[[], float] = time.monotonic

    def add(self) -> None:
        """One more."""
        self.count += 1
        self.tell()

    def tell(self) -> None:
        """Write a line when there is something to tell and the last line is `TOLD_EACH_S` old."""
        if self.count and self.clock() - self.told_at >= TOLD_EACH_S:
            log.warning("%d commands refused without an answer: they came too fast", self.count)
            self.count, self.told_at = 0, self.clock()


@dataclass(frozen=True, slots=True)
class Commands:
    """Checks commands, has them carried out and answers them; in the publisher's thread alone.

    carry_out: gets the name and the checked fields. What it returns is the answer's `result`; an `EdgeError` or ValueError
        that it raises is the answer's `error`.
    response_topics: filters of the topics outside the prefix that answers may go to.
    replays: those that wait for their turn.
    rate, refusals: how fast commands are taken, and how fast the others are refused in words.
    silent: those that were refused without.
    """

    prefix: str
    device: DeviceSettings
    carry_out: Callable[[str, dict[str, Any]], Mapping[str, Any] | None]
    response_topics: tuple[str, ...] = ()
    replays: Replays[tuple[Received, str | None]] = field(default_factory=Replays)
    rate: Bucket = field(default_factory=lambda: Bucket(AT_ONCE, PER_S))
    silent: Silent = field(default_factory=Silent)
    refusals: Bucket = field(default_factory=lambda: Bucket(REFUSALS_AT_ONCE, REFUSALS_PER_S))

    @property
    def topics(self) -> str:
        """What to subscribe to."""
        return f"{self.prefix}/command/+"

    def answers(self, asked: Received) -> list[Transient]:
        """Obey and answer; nothing for what is not to be answered, or not yet: see `due`."""
        below = f"{self.prefix}/command/"
        name = asked.topic.removeprefix(below)
        if not asked.topic.startswith(below) or not name or "/" in name:
            return []
        if (why := _unanswered(name, asked)) is not None:
            if self.refusals.take():
                log.warning("command %s refused without an answer: %s", _quoted(name), why)
            else:
                self.silent.add()
            return []
        if name != "replay" and not self.rate.take():
            return self._too_fast(name, asked, f"commands come too fast: {AT_ONCE} at once and {PER_S:g} a second are taken")
        request_id: str | None = None
        try:
            if len(asked.payload) > LARGEST_COMMAND:
                raise ValueError(f"{len(asked.payload)} bytes are no command: at most {LARGEST_COMMAND} are read")
            request_id, fields = decode_command(name, asked.payload)
            if name == "replay":
                if self.replays.full:
                    return self._too_fast(name, asked, TOO_MANY, request_id)
                self.replays.add(fields, (asked, request_id))
                return self.due()
        except ValueError as problem:
            return [self._answer(name, asked, request_id, None, str(problem))]
        return [self._answer(name, asked, request_id, *self._carried_out(name, fields))]

    def _too_fast(self, name: str, asked: Received, why: str, request_id: str | None = None) -> list[Transient]:
        """A refusal in words, as long as those are not too many themselves. The payload need not have been read."""
        if self.refusals.take():
            return [self._answer(name, asked, request_id, None, why)]
        self.silent.add()
        return []

    def due(self) -> list[Transient]:
        """Carry out the replay that has waited for its turn, and answer all who asked for a part of it."""
        self.silent.tell()
        taken = self.replays.take()
        if taken is None:
            return []
        fields, askers = taken
        outcome = self._carried_out("replay", fields)
        return [self._answer("replay", asked, request_id, *outcome) for asked, request_id in askers]

    def _carried_out(self, name: str, fields: dict[str, Any]) -> tuple[Mapping[str, Any] | None, str | None]:
        """The result and the error, one of which is None or both."""
        try:
            return self.carry_out(name, fields), None
        except (EdgeError, ValueError) as problem:
            return None, str(problem)
        except Exception as problem:
            log.exception("command %s failed", _quoted(name))
            return None, f"internal error: {type(problem).__name__}; see the log"

    def _answer(
        self, name: str, asked: Received, request_id: str | None, result: Mapping[str, Any] | None, error: str | None
    ) -> Transient:
        topic = self._response_topic(name, asked.response_topic)
        asker = f"request_id {_quoted(request_id)}, answered on {_quoted(topic)}"
        if error is None:
            log.info("command %s taken (%s): %s", _quoted(name), asker, _quoted(dict(result or {})))
        else:
            log.warning("command %s refused (%s): %s", _quoted(name), asker, _quoted(error))
        payload = encode_response(
            command=name,
            request_id=request_id,
            error=None if error is None else shorten(error, LONGEST_ERROR),
            result=result,
            device=self.device,
            at=datetime.now(timezone.utc),
        )
        return Transient("response", Publication(topic, payload), asked.correlation, yields=True)

    def _response_topic(self, name: str, wanted: str | None) -> str:
        own = f"{self.prefix}/command/{name}/response"
        if wanted is None or may_answer_to(wanted, self.prefix, self.response_topics):
            return own if wanted is None else wanted
        log.warning("response topic %s is not used: see mqtt.response_topics", _quoted(wanted))
        return own


def may_answer_to(topic: str, prefix: str, allowed: tuple[str, ...] = ()) -> bool:
    """Below our own prefix, but where an answer could pass for a command or a verdict; or where one of `allowed` matches."""
    if not is_topic(topic) or any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in topic):
        return False
    if topic == prefix or not topic.startswith(f"{prefix}/"):
        return topic != prefix and any(matches(topic, topics) for topics in allowed)
    first, *others = topic.removeprefix(f"{prefix}/").split("/")
    if first == "command":
        return len(others) > 1 and others[1] == "response"
    return bool(first) and first not in _SPOKEN


def _unanswered(name: str, asked: Received) -> str | None:
    """Why a message is no command, and no answer to it is wanted; None for one that is to be looked at."""
    if not asked.payload:  # also how a retained message is cleared, which 3.1.1 does not tell apart
        return "an empty payload is no command, send {}"
    if asked.retained:
        return "it is retained, and would be obeyed at every start: clear it"
    if len(name) > LONGEST_NAME:
        return f"its name has {len(name)} characters"
    return None


def _quoted(what: object) -> str:
    """On one line, whatever was sent."""
    return shorten(repr(what), _LONGEST_LOGGED)
