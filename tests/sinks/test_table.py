"""The table of sinks: names that last, and nothing opened that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.config import Settings
from edge.sinks.table import SINKS
from edge.wire.table import CHANNELS

ASKED = {"csv": {"folder": "/nowhere/at/all"}, "webhook": {"url": "https://nowhere.invalid/hook", "secret_file": "/missing"}}


def test_names_are_unique_also_among_channels() -> None:
    names = [row.name for row in (*SINKS, *CHANNELS)]
    assert len(set(names)) == len(names)


def test_none_is_wanted_by_default_and_each_when_it_is_asked_for(configured: Callable[..., Settings]) -> None:
    for row in SINKS:
        assert not row.wanted(configured())
        assert row.wanted(configured(**{row.name: ASKED[row.name]}))


def test_opening_touches_nothing_so_that_no_verdict_misses_its_row(configured: Callable[..., Settings]) -> None:
    for row in SINKS:
        sink = row.open(configured(**{row.name: ASKED[row.name]}))
        assert sink.name == row.name
    assert not Path("/nowhere").exists()
