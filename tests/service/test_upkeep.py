"""Room in the state folder: while there is none, nothing new is begun."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge import config
from edge.config import Settings
from edge.journal import Journal, Message, Verdict
from edge.service import health
from edge.service.decoder import Decoder
from edge.service.shared import Shared
from edge.service.upkeep import Upkeep
from tests.service.one_image import begun


def one_turn(upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch) -> float:
    """What the thread does between two waits; how long it would wait then, in seconds."""
    stopping = upkeep.shared.stopping
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        stopping.set()
        return True

    with monkeypatch.context() as patched:
        patched.setattr(stopping, "wait", wait)
        upkeep.run()
    stopping.clear()
    (waited_s,) = waits
    return waited_s


def test_a_state_folder_full_of_unsent_messages_stops_the_decoder_until_there_is_room(
    settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = config.parse({"watch": {"folder": str(settings.watch.folder)}, "state": {"max_gib": 0.004}}, {})
    upkeep, decoder = Upkeep(small, journal, shared), Decoder(small, journal, shared)
    shared.models_loaded.set()
    large = Message("verdict", "inspection", bytes(8 << 20))
    begun(journal, "a.png")
    journal.ledger.conclude("a.png", lambda _: [Verdict("1", "inspection", (large,))])
    begun(journal, "b.png")
    journal.ledger.release("b.png")
    assert one_turn(upkeep, monkeypatch) <= 5
    assert decoder._next_entry() is None
    assert any("is the broker reachable" in problem for problem in shared.status.problems())
    journal.outbox.acknowledge(message.id for message in journal.outbox.unsent())
    assert one_turn(upkeep, monkeypatch) > 5
    assert not any("is the broker reachable" in problem for problem in shared.status.problems())
    entry = decoder._next_entry()
    assert entry is not None
    assert entry.path == "b.png"


def test_what_the_state_folder_holds_is_counted(
    settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_turn(Upkeep(settings, journal, shared), monkeypatch)
    assert shared.figures.state_bytes > 0


@pytest.mark.parametrize(
    ("synced", "ahead_s", "told"),
    [(True, 0, False), (None, 91 * 86400, True), (True, 91 * 86400, True), (False, 91 * 86400, False)],
)
def test_a_clock_that_jumps_ahead_makes_nothing_forgotten(
    synced: bool | None, ahead_s: float, told: bool, settings: Settings, tmp_path: Path, shared: Shared,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = [time.time()]
    monkeypatch.setattr(health, "clock_synced", lambda: synced)
    with Journal.open(tmp_path / "other", clock=lambda: now[0]) as journal:
        upkeep = Upkeep(settings, journal, shared)
        begun(journal, "a.png")
        journal.ledger.conclude("a.png", lambda seq: [Verdict("v", "failure", (Message("verdict", "failure", b"x"),))])
        journal.outbox.acknowledge([row.id for row in journal.outbox.unsent()])
        monkeypatch.setattr(health, "clock_synced", lambda: True)
        one_turn(upkeep, monkeypatch)
        monkeypatch.setattr(health, "clock_synced", lambda: synced)
        now[0] += ahead_s
        one_turn(upkeep, monkeypatch)
        assert journal.outbox.replay(journal.epoch, 1, 1) == 1
        assert any("days ahead" in problem for problem in shared.status.problems()) is told
