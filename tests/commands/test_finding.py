"""A finding needs no cure where nothing needs doing."""

from __future__ import annotations

from edge.commands.finding import Finding


def test_a_finding_without_a_cure_has_an_empty_one() -> None:
    assert Finding("disk", "ok", "there is room").cure == ""
