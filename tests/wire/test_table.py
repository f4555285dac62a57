"""The table of wire formats: every row opens a channel of its own name."""

from __future__ import annotations

from edge.wire.table import CHANNELS


def test_every_format_has_a_name_of_its_own() -> None:
    names = [row.name for row in CHANNELS]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name.islower() for name in names)
