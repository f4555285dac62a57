"""What crosses between threads: wake-ups, the request to stop, and what is seen of a connection."""

from __future__ import annotations

import logging
import select
import time

import pytest

from edge.mqtt.threads import Connectivity, ThreadSignals


def test_many_wake_ups_are_taken_as_one_and_wait_until_then() -> None:
    signals = ThreadSignals()
    for _ in range(1000):
        signals.wake()
    assert select.select([signals.receiver], [], [], 0)[0]
    assert signals.take_wake()
    assert not signals.take_wake()
    signals.close()


def test_a_request_to_stop_wakes_and_says_how_long_there_is() -> None:
    signals = ThreadSignals()
    signals.stop(5.0)
    assert signals.stopping.is_set()
    assert signals.take_wake()
    assert 4.0 < signals.give_up_at - time.monotonic() <= 5.0
    signals.close()
    signals.wake()


def test_an_error_is_logged_and_handed_on_once_and_over_once(caplog: pytest.LogCaptureFixture) -> None:
    handed_on: list[str | None] = []
    connectivity = Connectivity("MQTT", handed_on.append)
    with caplog.at_level(logging.WARNING):
        for error in ("no broker", "no broker", None, None):
            connectivity.report(error=error)
    assert handed_on == ["no broker", None]
    assert caplog.text.count("MQTT: no broker") == 1


def test_since_tells_when_the_connection_came_or_went() -> None:
    connectivity = Connectivity("MQTT")
    before = connectivity.since
    connectivity.report(error="no broker")
    assert (connectivity.connected, connectivity.since) == (False, before)
    connectivity.report(connected=True)
    assert connectivity.connected
    assert connectivity.since > before
    assert connectivity.last_error is None
