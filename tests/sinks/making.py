"""Verdicts in a journal with a sink's rows, as the recorder stores them."""

from __future__ import annotations

from dataclasses import replace

from edge.journal import Journal, Message, Verdict
from edge.records import Failure, Fingerprint, Inspection
from edge.service.messages import channel_messages
from edge.sinks.sink import Sink
from edge.wire.channel import Numbered
from edge.wire.encode import verdict_id
from tests.wire.examples import example


def conclude(journal: Journal, sink: Sink, name: str, verdict: Inspection | Failure | None = None) -> str:
    """One verdict in the journal; its id."""
    journal.ledger.admit(name, Fingerprint(1, 1))
    journal.ledger.begin(name)
    identity = verdict_id(journal.epoch, name, 1, 1)
    said = verdict or example()
    said = replace(said, source=replace(said.source, name=name.rpartition("/")[2], path=name))

    def make(seq: int) -> list[Verdict]:
        rows = channel_messages((sink,), Numbered(said, identity, journal.epoch, seq))
        assert rows, "the sink has no row"
        return [Verdict(identity, "inspection", (Message("verdict", "inspection", b"{}"), *rows))]

    journal.ledger.conclude(name, make)
    return identity
