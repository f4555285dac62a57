"""STATE of a primary host: JSON with online and timestamp, older ones ignored, everything else too."""

from __future__ import annotations

import json

import pytest

from edge.wire.sparkplug_host import PrimaryHost

TOPIC = "spBv1.0/STATE/scada"


def state(online: object, timestamp: object) -> bytes:
    return json.dumps({"online": online, "timestamp": timestamp}).encode()


def test_it_is_online_when_it_says_so() -> None:
    host = PrimaryHost("scada")
    assert not host.online
    host.hear(TOPIC, state(True, 5))
    assert host.online
    host.hear(TOPIC, state(False, 5))  # its will has the time of its birth
    assert not host.online


def test_another_host_says_nothing_of_this_one() -> None:
    host = PrimaryHost("scada")
    host.hear("spBv1.0/STATE/historian", state(True, 5))
    assert not host.online


def test_what_is_older_than_the_last_state_is_ignored() -> None:
    host = PrimaryHost("scada")
    host.hear(TOPIC, state(True, 5))
    host.hear(TOPIC, state(False, 4))
    assert host.online


def test_on_a_new_connection_it_has_to_say_it_again() -> None:
    host = PrimaryHost("scada")
    host.hear(TOPIC, state(True, 5))
    host.connecting()
    assert not host.online
    host.hear(TOPIC, state(True, 4))
    assert not host.online
    host.hear(TOPIC, state(True, 5))
    assert host.online


@pytest.mark.parametrize(
    "payload",
    [b"", b"ONLINE", b"OFFLINE", b"[]", b"null", b"\xff", b"[" * 5000, b'{"online":false}', b'{"timestamp":9}']
    + [state(*pair) for pair in ((1, 9), ("false", 9), (False, "9"), (False, None), (False, True))]
    + [b'{"online":false,"timestamp":NaN}', b'{"online":false,"timestamp":Infinity}']
    + [b'{"online":false,"timestamp":1' + b"0" * 400 + b"}"],
)
def test_what_is_no_state_changes_nothing(payload: bytes) -> None:
    host = PrimaryHost("scada")
    host.hear(TOPIC, state(True, 5))
    host.hear(TOPIC, payload)
    assert host.online
    host.hear(TOPIC, state(False, 6))
    assert not host.online
