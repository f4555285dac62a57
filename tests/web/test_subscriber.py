from __future__ import annotations

from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge.web.broker import broker_of
from edge.web.subscriber import Subscriber


class Granting:
    """A client whose subscriptions get numbers, as paho gives them."""

    def __init__(self) -> None:
        self.asked = 0

    def subscribe(self, topic: str, qos: int) -> tuple[int, int]:
        self.asked += 1
        return 0, self.asked


@pytest.mark.parametrize(
    ("codes", "refused", "changes"), [([1, 1], [], [None]), ([1, 0x87], ["b"], [None]), ([0x87, 0x87], ["a", "b"], [])]
)
def test_topics_that_the_broker_keeps_from_us_are_named(codes: list[int], refused: list[str], changes: list[None]) -> None:
    said: list[str | None] = []
    one = Subscriber(broker_of("mqtt://h"), ["a", "b"], lambda *_: None, said.append, lambda: None)
    client: Any = Granting()
    one._connected(client, None, None, ReasonCode(PacketTypes.CONNACK, identifier=0), None)
    assert said == []  # not before all is answered
    for mid, code in enumerate(codes, 1):
        one._subscribed(client, None, mid, [ReasonCode(PacketTypes.SUBACK, identifier=code)], None)
    assert (one.refused, said) == (refused, changes)
    assert ("none of our topics" in one._why) == (len(refused) == 2)


def test_a_message_that_is_stumbled_over_does_not_end_the_others() -> None:
    def stumble(topic: str, payload: bytes) -> None:
        raise RuntimeError(topic)

    one = Subscriber(broker_of("mqtt://h"), ["a"], stumble, lambda _: None, lambda: None)
    message = mqtt.MQTTMessage(topic=b"a/b")
    one._received(mqtt.Client(CallbackAPIVersion.VERSION2), None, message)
