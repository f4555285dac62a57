"""The tables, and that each frequent query uses the index that was made for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.journal import Journal
from tests.journal.examples import inspected


def plans(journal: Journal, ask: Callable[[], object]) -> list[str]:
    """How SQLite goes about each query of a call."""
    connection = journal._database._connection
    queries: list[str] = []
    connection.set_trace_callback(queries.append)
    ask()
    connection.set_trace_callback(None)
    return [
        " / ".join(step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
        for query in queries
        if query.startswith("SELECT")
    ]


@pytest.mark.parametrize("ask", ["waiting", "suspect_count", "recover"])
def test_what_waits_or_runs_is_found_without_reading_every_image(journal: Journal, ask: str) -> None:
    inspected(journal)
    (plan,) = plans(journal, getattr(journal.ledger, ask))
    assert "image_queue" in plan


def test_the_next_image_is_found_without_sorting(journal: Journal) -> None:
    (plan,) = plans(journal, lambda: journal.ledger.waiting(limit=1))
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("channel", ["", "a"])
def test_a_channels_messages_are_found_without_reading_others_and_without_sorting(journal: Journal, channel: str) -> None:
    plan, *reviews = plans(journal, lambda: journal.outbox.unsent(channel=channel))
    assert all("review_unsent" in one or "SCAN review" in one for one in reviews)
    assert "outbox_unsent (channel=?" in plan  # then a range of ids, where replays wait behind others
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("ask", ["unsent_count", "oldest_unsent"])
def test_what_waits_is_counted_in_the_index_alone(journal: Journal, ask: str) -> None:
    plan, *reviews = plans(journal, getattr(journal.outbox, ask))
    assert all("COVERING INDEX review_unsent" in one for one in reviews)
    assert "COVERING INDEX outbox_unsent" in plan


def test_undrawn_overlays_are_found_without_reading_what_was_sent(journal: Journal) -> None:
    (plan,) = plans(journal, journal.pictures.undrawn)
    assert "outbox_unsent (channel=?)" in plan
