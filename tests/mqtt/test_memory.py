"""What outlives a connection, and what of it is told."""

from __future__ import annotations

import pytest

from edge.mqtt.backoff import Backoff
from edge.mqtt.holding import Holding
from edge.mqtt.memory import FLOOD_S, Memory


def test_what_is_wrong_is_told_by_name_and_a_flood_until_a_minute_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("edge.mqtt.memory.time.monotonic", lambda: now[0])
    told: dict[str, str | None] = {}
    memory = Memory(Backoff(1.0, 2.0), holding=Holding(lambda: now[0]), tell=told.__setitem__)
    memory.tell_all()
    assert told == {"denied": None, "rival": None, "flood": None}
    memory.flooded_at = now[0]
    memory.tell_all()
    assert "dropped" in (told["flood"] or "")
    now[0] += FLOOD_S + 1
    memory.tell_all()
    assert told["flood"] is None
    for _ in range(2):
        memory.holding.refused("overlay", "no overlays")
        now[0] += 10
    memory.rivals.ended(taken_over=True, closed_by_broker=True)
    memory.tell_all()
    assert told["denied"] == "no overlays"
    assert "another client" in (told["rival"] or "")
